"""Code of yours around every call that leaves a client, enters or leaves a workflow, or enters an activity.

    class Timed(Interceptor):
        def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
            return TimedActivities(next)

    class TimedActivities(ActivityInbound):
        async def execute_activity(self, input: ExecuteActivityInput) -> Any:
            began = time.monotonic()
            try:
                return await self.next.execute_activity(input)
            finally:
                print(activity.info().activity, time.monotonic() - began)

    client = await Client.connect(interceptors=[Timed()])      # and with it every worker made from this client

A method that is not overridden hands on to `next`; the first interceptor of a list is the outermost. Inputs are frozen: hand on
a changed one by `dataclasses.replace(input, headers={**input.headers, "trace": "..."})`. Headers are text by text: they travel
with starts, signals by name, updates, queries, activities and children, and stay in clear in the database.

Workflow interceptors run inside the run's deterministic loop, in replays too: what holds for workflow code holds for them.
Without interceptors none of this is on any path.
"""

from __future__ import annotations

from memflow.interceptors.client import (
    ActOnActivityInput,
    CancelWorkflowInput,
    ClientInterceptor,
    CountWorkflowsInput,
    CreateScheduleInput,
    DescribeWorkflowInput,
    HookWorkflowInput,
    ListWorkflowsInput,
    OutboundClient,
    QueryWorkflowInput,
    SignalInput,
    SignalWorkflowInput,
    StartStandaloneActivityInput,
    StartUpdateInput,
    StartWorkflowInput,
    TerminateWorkflowInput,
)
from memflow.interceptors.propagation import (
    ContextPropagator,
)
from memflow.interceptors.worker import (
    ActivityInbound,
    ActivityOutbound,
    ContinueAsNewInput,
    EmitInput,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    SignalOtherInput,
    SleepInput,
    StartActivityInput,
    StartChildWorkflowInput,
    WaitForInput,
    WorkerInterceptor,
    WorkflowInbound,
    WorkflowOutbound,
)
from memflow.interceptors.worker import chained as chained
from memflow.interceptors.worker import overrides as overrides

__all__ = [
    "ActOnActivityInput",
    "ActivityInbound",
    "ActivityOutbound",
    "CancelWorkflowInput",
    "ClientInterceptor",
    "ContextPropagator",
    "ContinueAsNewInput",
    "CountWorkflowsInput",
    "CreateScheduleInput",
    "DescribeWorkflowInput",
    "EmitInput",
    "ExecuteActivityInput",
    "ExecuteWorkflowInput",
    "HandleQueryInput",
    "HandleSignalInput",
    "HandleUpdateInput",
    "HookWorkflowInput",
    "Interceptor",
    "ListWorkflowsInput",
    "OutboundClient",
    "QueryWorkflowInput",
    "SignalInput",
    "SignalOtherInput",
    "SignalWorkflowInput",
    "SleepInput",
    "StartActivityInput",
    "StartChildWorkflowInput",
    "StartStandaloneActivityInput",
    "StartUpdateInput",
    "StartWorkflowInput",
    "TerminateWorkflowInput",
    "WaitForInput",
    "WorkerInterceptor",
    "WorkflowInbound",
    "WorkflowOutbound",
]
