"""Interceptors around a run: what stands at the inner ends of both chains, and how they are put together."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from memflow.core.definition import Definition, RunInfo
from memflow.core.handlers import call
from memflow.core.replay import Replay
from memflow.interceptors import (
    ContinueAsNewInput,
    EmitInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    SignalInput,
    SignalOtherInput,
    SleepInput,
    StartActivityInput,
    StartChildWorkflowInput,
    WaitForInput,
    WorkerInterceptor,
    WorkflowInbound,
    WorkflowOutbound,
    chained,
    overrides,
)
from memflow.scheduling import Scheduled
from memflow.workflow import children, continuing, control, events, signals


def intercepted(definition: Definition, interceptors: Sequence[WorkerInterceptor]) -> Definition:
    """The definition with these interceptors around its runs; the definition itself if none concerns workflows."""
    wanted = overrides(interceptors, "intercept_workflow")
    if not wanted:
        return definition

    def intercept(run: Replay) -> WorkflowInbound:
        inbound: WorkflowInbound = chained(_Code(run), wanted, "intercept_workflow")
        inbound.init(_Verbs(run))
        return inbound

    return replace(definition, intercept=intercept)


class _Code(WorkflowInbound):
    """The run's own code."""

    def __init__(self, run: Replay) -> None:
        self._run = run

    def init(self, outbound: WorkflowOutbound) -> None:
        # Without anything around it, verbs need not take the long way.
        self._run.outbound = None if isinstance(outbound, _Verbs) else outbound

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        return await input.fn(*input.args)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        await call(input.fn, input.args)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        return await call(input.fn, input.args)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        input.fn(*input.args)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        return await call(input.fn, input.args)


class _Verbs(WorkflowOutbound):
    """The verbs themselves."""

    def __init__(self, run: Replay) -> None:
        self._run = run

    def info(self) -> RunInfo:
        return self._run.info

    def start_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        return Scheduled(self._run, input)

    def start_local_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        return Scheduled(self._run, input)

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        return await children.begin(self._run, input)

    async def signal_child_workflow(self, input: SignalOtherInput) -> None:
        control.send(self._run, input)

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        control.send(self._run, input)

    async def signal(self, input: SignalInput) -> None:
        signals.give(self._run, input.signal_id, input.payload, input.type)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        continuing.go_on(self._run, input)

    async def sleep(self, input: SleepInput) -> None:
        await self._run.sleep_until(input.until)

    async def wait_for(self, input: WaitForInput) -> Any:
        return await signals.received(self._run, input)

    async def emit(self, input: EmitInput) -> None:
        events.publish(self._run, input.events)
