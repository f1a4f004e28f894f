"""The end of the chain of outbound interceptors: what workflow code asks reaches memflow."""

from __future__ import annotations

from typing import Any, NoReturn

from memflow.temporal.interception import (
    ContinueAsNewInput,
    SignalChildWorkflowInput,
    SignalExternalWorkflowInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowOutboundInterceptor,
)
from memflow.temporal.workflow.children import ChildWorkflowHandle, started
from memflow.temporal.workflow.external import send_signal
from memflow.temporal.workflow.facts import Info, own_info
from memflow.temporal.workflow.operations import ActivityHandle, begin, schedule
from memflow.temporal.workflow.running import Running
from memflow.temporal.workflow.verbs import next_run


class Outbound(WorkflowOutboundInterceptor):
    """Asks memflow."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        next_run(self._running, input)

    def info(self) -> Info:
        return own_info(self._running)

    async def signal_child_workflow(self, input: SignalChildWorkflowInput) -> None:
        await send_signal(self._running, input.signal, input.args, input.headers, input.child_workflow_id, None)

    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:
        await send_signal(self._running, input.signal, input.args, input.headers, input.workflow_id, input.workflow_run_id)

    def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        return begin(schedule(self._running, input), input.activity)

    def start_local_activity(self, input: StartLocalActivityInput) -> ActivityHandle[Any]:
        return begin(schedule(self._running, input), input.activity)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> ChildWorkflowHandle[Any, Any]:
        return await started(self._running, input)
