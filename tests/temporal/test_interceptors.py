"""Interceptors: the whole surface in order, and context that travels in headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, NoReturn

from memflow.temporal import activity, workflow
from memflow.temporal import client as clients
from memflow.temporal import worker as workers
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.client import Client
from memflow.temporal.converter import default
from memflow.temporal.worker import Worker
from tests.polling import until

SOON = timedelta(seconds=20)
trace: list[str] = []
user: ContextVar[str] = ContextVar("user", default="nobody")


def noted(name: str) -> None:
    if not (workflow.in_workflow() and workflow.unsafe.is_replaying_history_events()):
        trace.append(name)


class Tracing(clients.Interceptor, workers.Interceptor):
    def intercept_client(self, next: clients.OutboundInterceptor) -> clients.OutboundInterceptor:
        return _Client(next)

    def intercept_activity(self, next: workers.ActivityInboundInterceptor) -> workers.ActivityInboundInterceptor:
        return _Activity(next)

    def workflow_interceptor_class(
        self, input: workers.WorkflowInterceptorClassInput
    ) -> type[workers.WorkflowInboundInterceptor]:
        input.unsafe_extern_functions["greet"] = lambda name: f"extern {name}"
        return _Workflow


class _Client(clients.OutboundInterceptor):
    async def start_workflow(self, input: clients.StartWorkflowInput) -> Any:
        noted("client.start_workflow")
        input.headers = with_user(input.headers)
        return await self.next.start_workflow(input)

    async def signal_workflow(self, input: clients.SignalWorkflowInput) -> None:
        noted("client.signal_workflow")
        input.headers = with_user(input.headers)
        await self.next.signal_workflow(input)

    async def query_workflow(self, input: clients.QueryWorkflowInput) -> Any:
        noted("client.query_workflow")
        input.headers = with_user(input.headers)
        return await self.next.query_workflow(input)

    async def start_workflow_update(self, input: clients.StartWorkflowUpdateInput) -> Any:
        noted("client.start_workflow_update")
        input.headers = with_user(input.headers)
        return await self.next.start_workflow_update(input)


class _Activity(workers.ActivityInboundInterceptor):
    def init(self, outbound: workers.ActivityOutboundInterceptor) -> None:
        super().init(_ActivityOutbound(outbound))

    async def execute_activity(self, input: workers.ExecuteActivityInput) -> Any:
        noted("activity.execute")
        take_user(input.headers)
        return await super().execute_activity(input)


class _ActivityOutbound(workers.ActivityOutboundInterceptor):
    def info(self) -> activity.Info:
        noted("activity.info")
        return super().info()

    def heartbeat(self, *details: Any) -> None:
        noted("activity.heartbeat")
        super().heartbeat(*details)


class _Workflow(workers.WorkflowInboundInterceptor):
    def init(self, outbound: workers.WorkflowOutboundInterceptor) -> None:
        noted("workflow.init")
        super().init(_Outbound(outbound))

    async def execute_workflow(self, input: workers.ExecuteWorkflowInput) -> Any:
        noted("workflow.execute")
        take_user(input.headers)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: workers.HandleSignalInput) -> None:
        noted("workflow.signal")
        take_user(input.headers)
        await super().handle_signal(input)

    async def handle_query(self, input: workers.HandleQueryInput) -> Any:
        noted("workflow.query")
        take_user(input.headers)
        return await super().handle_query(input)

    def handle_update_validator(self, input: workers.HandleUpdateInput) -> None:
        noted("workflow.validate")
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: workers.HandleUpdateInput) -> Any:
        noted("workflow.update")
        take_user(input.headers)
        return await super().handle_update_handler(input)


class _Outbound(workers.WorkflowOutboundInterceptor):
    def continue_as_new(self, input: workers.ContinueAsNewInput) -> NoReturn:
        noted("out.continue_as_new")
        input.headers = with_user(input.headers)
        super().continue_as_new(input)

    def info(self) -> workflow.Info:
        noted("out.info")
        return super().info()

    async def signal_child_workflow(self, input: workers.SignalChildWorkflowInput) -> None:
        noted("out.signal_child")
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: workers.SignalExternalWorkflowInput) -> None:
        noted("out.signal_external")
        await super().signal_external_workflow(input)

    def start_activity(self, input: workers.StartActivityInput) -> workflow.ActivityHandle[Any]:
        noted("out.start_activity")
        input.headers = with_user(input.headers)
        return super().start_activity(input)

    def start_local_activity(self, input: workers.StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        noted("out.start_local_activity")
        input.headers = with_user(input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self, input: workers.StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        noted("out.start_child")
        input.headers = with_user(input.headers)
        return await super().start_child_workflow(input)


def with_user(headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
    return {**headers, "user": default().payload_converter.to_payload(user.get())}


def take_user(headers: Mapping[str, Payload]) -> None:
    payload = headers.get("user")
    user.set("unknown" if payload is None else default().payload_converter.from_payload(payload, str))


@activity.defn
async def who() -> str:
    activity.heartbeat("here")
    return f"{user.get()} in {activity.info().activity_type}"


@workflow.defn
class Kid:
    def __init__(self) -> None:
        self.called = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.called)
        return f"{user.get()} in child"

    @workflow.signal
    def call(self) -> None:
        self.called = True


@workflow.defn
class Traced:
    def __init__(self) -> None:
        self.released = False
        self.by = ""

    @workflow.run
    async def run(self, again: bool) -> list[str]:
        if again:
            workflow.continue_as_new(False)
        await workflow.wait_condition(lambda: self.released)
        greet: Callable[[str], str] = workflow.extern_functions()["greet"]
        child = await workflow.start_child_workflow(Kid.run, id=f"{workflow.info().workflow_id}-kid")
        await child.signal(Kid.call)
        return [
            f"{user.get()} in run",
            self.by,
            await workflow.execute_activity(who, start_to_close_timeout=SOON),
            await workflow.execute_local_activity(who, start_to_close_timeout=SOON),
            await child,
            greet("x"),
        ]

    @workflow.signal
    def release(self) -> None:
        self.released = True

    @workflow.query
    def asked_by(self) -> str:
        return user.get()

    @workflow.update
    def set_by(self) -> str:
        self.by = f"{user.get()} in update"
        return self.by

    @set_by.validator
    def check_by(self) -> None:
        pass


async def _goes_on(handle: Any, first: str | None) -> bool:
    return bool((await handle.describe()).run_id != first)


async def test_interceptors_see_everything_pass_by_and_headers_travel(client: Client, queue: str) -> None:
    trace.clear()
    config = client.config()
    config["interceptors"] = [Tracing()]
    traced = Client(**config)
    user.set("ann")
    async with Worker(traced, task_queue=queue, workflows=[Traced, Kid], activities=[who]):
        handle = await traced.start_workflow(Traced.run, True, id="traced", task_queue=queue)
        user.set("bob")
        latest = traced.get_workflow_handle_for(Traced.run, "traced")
        first = handle.first_execution_run_id
        await until(lambda: _goes_on(latest, first))             # an update of the run before would be lost with it
        assert await latest.execute_update(Traced.set_by) == "bob in update"
        assert await latest.query(Traced.asked_by) == "bob"
        await latest.signal(Traced.release)
        assert await handle.result() == [
            "ann in run",
            "bob in update",
            "ann in who",
            "ann in who",
            "ann in child",
            "extern x",
        ]
    for name in (
        "client.start_workflow",
        "client.signal_workflow",
        "client.query_workflow",
        "client.start_workflow_update",
        "activity.execute",
        "activity.info",
        "activity.heartbeat",
        "workflow.init",
        "workflow.execute",
        "workflow.signal",
        "workflow.query",
        "workflow.validate",
        "workflow.update",
        "out.continue_as_new",
        "out.info",
        "out.signal_child",
        "out.start_activity",
        "out.start_local_activity",
        "out.start_child",
    ):
        assert name in trace, f"{name} was not seen: {trace}"


class Numbered(workers.Interceptor):
    def __init__(self, number: int) -> None:
        self.number = number

    def intercept_activity(self, next: workers.ActivityInboundInterceptor) -> workers.ActivityInboundInterceptor:
        number = self.number

        class Wrapped(workers.ActivityInboundInterceptor):
            async def execute_activity(self, input: workers.ExecuteActivityInput) -> Any:
                trace.append(f"in {number}")
                result = await super().execute_activity(input)
                trace.append(f"out {number}")
                return result

        return Wrapped(next)


@workflow.defn
class CallsWho:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(who, start_to_close_timeout=SOON)


async def test_the_first_interceptor_is_the_outermost(client: Client, queue: str) -> None:
    trace.clear()
    async with Worker(
        client, task_queue=queue, workflows=[CallsWho], activities=[who], interceptors=[Numbered(1), Numbered(2)]
    ):
        await client.execute_workflow(CallsWho.run, id="numbered", task_queue=queue)
    assert trace == ["in 1", "in 2", "out 2", "out 1"]
