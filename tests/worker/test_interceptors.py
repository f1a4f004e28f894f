"""Interceptors and headers end to end: what is called, in which order, in replays too, and what travels."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.activity import Info
from memflow.errors import ApplicationError, ConfigurationError, UpdateFailedError, WorkflowFailedError
from memflow.interceptors import (
    ActivityInbound,
    ActivityOutbound,
    CancelWorkflowInput,
    ContextPropagator,
    ContinueAsNewInput,
    CountWorkflowsInput,
    DescribeWorkflowInput,
    EmitInput,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    ListWorkflowsInput,
    OutboundClient,
    QueryWorkflowInput,
    SignalInput,
    SignalOtherInput,
    SignalWorkflowInput,
    SleepInput,
    StartActivityInput,
    StartChildWorkflowInput,
    StartUpdateInput,
    StartWorkflowInput,
    TerminateWorkflowInput,
    WaitForInput,
    WorkerInterceptor,
    WorkflowInbound,
    WorkflowOutbound,
)
from tests.polling import until

calls: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_called_yet() -> None:
    calls.clear()


def note(label: str, what: str) -> None:
    calls.append(f"{label}:{what}")


class Noting(Interceptor):
    """Writes down every call, under its label."""

    def __init__(self, label: str) -> None:
        self.label = label

    def intercept_client(self, next: OutboundClient) -> OutboundClient:
        return NotingClient(next, self.label)

    def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
        return NotingActivity(next, self.label)

    def intercept_workflow(self, next: WorkflowInbound) -> WorkflowInbound:
        return NotingWorkflow(next, self.label)


class NotingClient(OutboundClient):
    def __init__(self, next: OutboundClient, label: str) -> None:
        super().__init__(next)
        self.label = label

    async def start_workflow(self, input: StartWorkflowInput) -> Any:
        note(self.label, f"start {input.workflow} {list(input.args)} {input.task_queue}")
        return await self.next.start_workflow(replace(input, headers={**input.headers, self.label: "start"}))

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        note(self.label, f"signal {input.signal}")
        await self.next.signal_workflow(replace(input, headers={self.label: "signal"}))

    async def signal(self, input: SignalInput) -> None:
        note(self.label, f"signal id {input.signal_id}")
        await self.next.signal(input)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        note(self.label, f"query {input.query}")
        return await self.next.query_workflow(replace(input, headers={self.label: "query"}))

    async def start_update(self, input: StartUpdateInput) -> Any:
        note(self.label, f"update {input.update}")
        return await self.next.start_update(replace(input, headers={self.label: "update"}))

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        note(self.label, f"cancel {input.reason}")
        await self.next.cancel_workflow(input)

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        note(self.label, f"terminate {input.reason}")
        await self.next.terminate_workflow(input)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> Any:
        note(self.label, f"describe {input.id}")
        return await self.next.describe_workflow(input)

    def list_workflows(self, input: ListWorkflowsInput) -> AsyncIterator[Any]:
        note(self.label, f"list {input.where}")
        return self.next.list_workflows(input)

    async def count_workflows(self, input: CountWorkflowsInput) -> int:
        note(self.label, f"count {input.where}")
        return await self.next.count_workflows(input)


class NotingActivity(ActivityInbound):
    def __init__(self, next: ActivityInbound, label: str) -> None:
        super().__init__(next)
        self.label = label

    def init(self, outbound: ActivityOutbound) -> None:
        self.next.init(NotingAttempt(outbound, self.label))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        note(self.label, f"activity {activity.info().activity} {dict(input.headers)}")
        return f"{self.label}({await self.next.execute_activity(input)})"


class NotingAttempt(ActivityOutbound):
    def __init__(self, next: ActivityOutbound, label: str) -> None:
        super().__init__(next)
        self.label = label

    def info(self) -> Info:
        return replace(self.next.info(), workflow=f"{self.label}'s view")

    def heartbeat(self, *details: Any) -> None:
        note(self.label, f"heartbeat {details}")
        self.next.heartbeat(*details)


class NotingWorkflow(WorkflowInbound):
    def __init__(self, next: WorkflowInbound, label: str) -> None:
        super().__init__(next)
        self.label = label

    def init(self, outbound: WorkflowOutbound) -> None:
        self.next.init(NotingVerbs(outbound, self.label))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        note(self.label, f"run {input.workflow} {list(input.args)}")
        return await self.next.execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        note(self.label, f"handle signal {input.signal} {list(input.args)} {dict(input.headers)}")
        await self.next.handle_signal(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        note(self.label, f"handle query {input.query} {dict(input.headers)}")
        return f"{self.label}({await self.next.handle_query(input)})"

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        note(self.label, f"validate {input.update}")
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        note(self.label, f"handle update {input.update} {dict(input.headers)}")
        return await self.next.handle_update_handler(input) + 10


class NotingVerbs(WorkflowOutbound):
    def __init__(self, next: WorkflowOutbound, label: str) -> None:
        super().__init__(next)
        self.label = label

    def info(self) -> workflow.RunInfo:
        note(self.label, "info")
        return self.next.info()

    def start_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        note(self.label, f"start activity {input.activity} {list(input.args)}")
        return self.next.start_activity(replace(input, headers={**input.headers, self.label: "activity"}))

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> Any:
        note(self.label, f"start child {input.workflow}")
        return await self.next.start_child_workflow(replace(input, headers={**input.headers, self.label: "child"}))

    async def signal_child_workflow(self, input: SignalOtherInput) -> None:
        note(self.label, f"signal child {input.signal}")
        await self.next.signal_child_workflow(replace(input, headers={self.label: "from parent"}))

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        note(self.label, f"signal external {input.signal}")
        await self.next.signal_external_workflow(input)

    async def signal(self, input: SignalInput) -> None:
        note(self.label, f"give {input.signal_id}")
        await self.next.signal(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        note(self.label, f"continue as new {list(input.args)}")
        self.next.continue_as_new(replace(input, headers={"round": "second"}))

    async def sleep(self, input: SleepInput) -> None:
        note(self.label, "sleep")
        await self.next.sleep(input)

    async def wait_for(self, input: WaitForInput) -> Any:
        note(self.label, f"wait for {input.signal_id}")
        return await self.next.wait_for(input)

    async def emit(self, input: EmitInput) -> None:
        note(self.label, f"emit {sorted(input.events)}")
        await self.next.emit(input)


@activity.defn
async def greet(name: str) -> str:
    activity.heartbeat("half way")
    return f"{name} seen by {activity.info().workflow}"


@activity.defn
def greet_in_thread(name: str) -> str:
    return f"{name} in {threading.current_thread().name.partition('_')[0]}"


@workflow.defn
class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self) -> dict[str, Any]:
        await workflow.wait_condition(lambda: bool(self.heard))
        return {"heard": self.heard, "headers": dict(workflow.info().headers or {})}

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)


@workflow.defn
class Everything:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self, second: bool) -> dict[str, Any]:
        if second:
            return {"headers": dict(workflow.info().headers or {})}
        found: dict[str, Any] = {"greeted": await greet("a"), "threaded": await greet_in_thread("b")}
        child = await workflow.start_child(Listener.run)
        await child.signal("hear", "hello")
        found["child"] = await child.result()
        await workflow.get_external_handle("nobody").signal("hear", "x")
        await workflow.sleep_for(0.01)
        await workflow.emit({"some.topic": 1})
        await workflow.signal("an-id", 5)
        found["waited"] = await workflow.wait_for("an-id", type=int)
        found["late"] = await workflow.wait_for("never", timeout=0.01, default="nothing")
        found["headers"] = dict(workflow.info().headers or {})
        await workflow.wait_condition(lambda: self.done)
        self.found = found
        workflow.continue_as_new(True)

    @workflow.signal
    async def finish(self) -> None:
        self.done = True

    @workflow.query
    def status(self) -> str:
        return "done" if self.done else "open"

    @workflow.update
    async def change(self, value: int) -> int:
        return value + 1

    @change.validator
    def check(self, value: int) -> None:
        if value < 0:
            raise ApplicationError("negative")


def worker_of(client: Client, **options: Any) -> Worker:
    return Worker(
        client,
        task_queue="q",
        workflows=[Everything, Listener, asks_tenant, told],
        activities=[greet, greet_in_thread, whose, whose_sync],
        **options,
    )


@pytest.mark.parametrize("cached", [1000, 0], ids=["kept in memory", "rebuilt for each turn"])
async def test_every_call_passes_all_interceptors_the_first_outermost(cached: int, dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, interceptors=[Noting("one"), Noting("two")]) as client:
        async with worker_of(client, interceptors=[Noting("three")], max_cached_workflows=cached):
            handle = await client.workflow.start(Everything.run, False, id="all", task_queue="q", headers={"given": "yes"})
            assert await handle.query(Everything.status) == "one(two(three(open)))"
            assert await handle.update(Everything.change, 1, timeout=30) == 32
            with pytest.raises(UpdateFailedError):
                await handle.update(Everything.change, -1)
            await until(lambda: _waits_for_condition(handle))
            await handle.signal(Everything.finish)
            result = await client.get_handle("all").result(timeout=30)
            assert result["headers"] == {"round": "second"}
            await client.signal("other-id", 1)
            assert (await client.get_handle("all").describe()).id == "all"
            assert [run.id async for run in client.workflow.list('id = "all"')] == ["all", "all"]
            assert await client.workflow.count('id = "all"') == 2
    seen = [each.partition(":")[2] for each in calls if each.startswith("two:")]
    for what in (
        "start Everything [False] q",
        "query status",
        "update change",
        "signal finish",
        "signal id other-id",
        "describe all",
        'list id = "all"',
        'count id = "all"',
        "run Everything [False]",
        "run Everything [True]",
        "validate change",
        "handle update change {'two': 'update'}",
        "handle query status {'two': 'query'}",
        "handle signal finish [] {'two': 'signal'}",
        "handle signal hear ['hello'] {'one': 'from parent'}",
        "start activity greet ['a']",
        "activity greet {'three': 'activity', 'two': 'activity', 'one': 'activity'}",
        "heartbeat ('half way',)",
        "start child Listener",
        "signal child hear",
        "signal external hear",
        "sleep",
        "emit ['some.topic']",
        "give an-id",
        "wait for an-id",
        "wait for never",
        "continue as new [True]",
        "info",
    ):
        assert what in seen, f"{what} is not in {seen}"
    assert [each.partition(":")[0] for each in calls if "start Everything" in each] == ["one", "two"]
    first = [each.partition(":")[0] for each in calls if ":run Everything [False]" in each]
    assert first[:3] == ["one", "two", "three"]
    # Outbound the last interceptor is nearest to the code: Temporal's order, in which each wraps what the one before hands in.
    asked = [each.partition(":")[0] for each in calls if ":start activity greet ['a']" in each]
    assert asked[:3] == ["three", "two", "one"]
    if cached == 0:                                      # a run may be rebuilt with a cache as well: for a query in between
        assert len(first) > 3                            # replays call them too


async def _waits_for_condition(handle: Any) -> bool:
    return any("condition" in waiting.what for waiting in (await handle.describe()).waiting)


class Shouting(WorkerInterceptor):
    """Changes what goes in and comes out."""

    def intercept_activity(self, next: ActivityInbound) -> ActivityInbound:
        return ShoutingActivity(next)

    def intercept_workflow(self, next: WorkflowInbound) -> WorkflowInbound:
        return ShoutingWorkflow(next)


class ShoutingActivity(ActivityInbound):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await self.next.execute_activity(replace(input, args=[str(each).upper() for each in input.args]))


class ShoutingWorkflow(WorkflowInbound):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        if not input.args:
            raise ApplicationError("say something")
        return [await self.next.execute_workflow(input), "!"]


@workflow.defn
async def told(name: str = "nobody") -> Any:
    return await greet_in_thread(name)


async def test_interceptors_may_change_arguments_and_results_and_refuse(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client, worker_of(client, interceptors=[Shouting()]):
        assert await client.workflow.execute(told, "ann", task_queue="q") == ["ANN in memflow-activity", "!"]
        with pytest.raises(WorkflowFailedError, match="say something"):
            await client.workflow.execute(told, task_queue="q")


TENANT: ContextVar[str] = ContextVar("tenant")


@activity.defn
async def whose() -> str:
    return f"{TENANT.get('-')} {activity.info().headers.get('x-tenant')}"


@activity.defn
def whose_sync() -> str:
    return TENANT.get("-")


@workflow.defn
class asks_tenant:
    def __init__(self) -> None:
        self.signals: list[str] = []

    @workflow.run
    async def run(self, depth: int, more: int) -> list[str]:
        found = [TENANT.get("-"), await whose(), await whose_sync()]
        if depth:
            found.extend(await workflow.execute_child(asks_tenant.run, depth - 1, 0))
            await workflow.wait_condition(lambda: bool(self.signals))
        if more:
            workflow.continue_as_new(depth, more - 1)
        return found + self.signals

    @workflow.signal
    async def by(self) -> None:
        self.signals.append(f"{TENANT.get('-')} {await whose()}")

    @workflow.query
    def who(self) -> str:
        return TENANT.get("-")

    @workflow.update
    async def update_by(self) -> str:
        return f"{TENANT.get('-')} {await whose()}"


@pytest.mark.parametrize("cached", [1000, 0], ids=["kept in memory", "rebuilt for each turn"])
async def test_context_travels_to_runs_handlers_activities_children_and_on(cached: int, dsn: str, schema: str) -> None:
    propagator = ContextPropagator({"x-tenant": TENANT})
    async with Client.connect(dsn, schema=schema, interceptors=[propagator]) as client:
        async with worker_of(client, max_cached_workflows=cached):
            TENANT.set("acme")
            handle = await client.workflow.start(asks_tenant.run, 1, 1, id="t", task_queue="q")
            TENANT.set("boss")
            assert await handle.query(asks_tenant.who) == "boss"
            assert await handle.update(asks_tenant.update_by) == "boss boss boss"
            await handle.signal(asks_tenant.by)

            async def second() -> bool:
                return (await handle.status()).value == "continued_as_new"

            await until(second, seconds=30)
            await client.get_handle("t").signal("by")
            result = await client.get_handle("t").result(timeout=30)
            assert result == ["acme", "acme acme", "acme", "acme", "acme acme", "acme", "boss boss boss"]
            headers = [entry.entry.headers for entry in await handle.history() if entry.kind == "schedule_activity"]
            assert {"x-tenant": "acme"} in headers


async def test_a_signal_that_comes_with_the_start_has_the_context_of_the_start(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, interceptors=[ContextPropagator({"x-tenant": TENANT})]) as client:
        async with worker_of(client):
            TENANT.set("acme")
            started = await client.workflow.start(asks_tenant.run, 1, 0, id="t", task_queue="q", start_signal="by")
            assert (await started.result(timeout=30))[-1] == "acme acme acme"


async def test_what_is_no_interceptor_is_refused_at_the_call(dsn: str, schema: str) -> None:
    with pytest.raises(ConfigurationError, match="interceptors: the class Noting is no interceptor; give instances"):
        await Client.connect(dsn, schema=schema, interceptors=[Noting])  # type: ignore[list-item]
    async with Client.connect(dsn, schema=schema) as client:
        with pytest.raises(ConfigurationError, match="is no WorkerInterceptor"):
            worker_of(client, interceptors=[object()])


async def test_without_interceptors_calls_go_straight(dsn: str, schema: str) -> None:
    class Nothing(Interceptor):
        """Overrides nothing."""

    async with Client.connect(dsn, schema=schema, interceptors=[Nothing()]) as client:
        assert client._link.outbound is None
        worker = worker_of(client)
        assert all(each.intercept is None for each in worker._registry.workflows.values())
