"""Interceptors around schedules, hooks, escalations, and activities: local, standalone, acted on from outside."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from memflow import Client, Worker, activity, workflow
from memflow.interceptors import (
    ActOnActivityInput,
    ContextPropagator,
    CreateScheduleInput,
    HookWorkflowInput,
    Interceptor,
    OutboundClient,
    SignalOtherInput,
    StartActivityInput,
    StartStandaloneActivityInput,
    WaitForInput,
    WorkflowInbound,
    WorkflowOutbound,
)
from tests.polling import until

TENANT: ContextVar[str] = ContextVar("tenant")
TOKENS: list[bytes] = []
FAR = "0 0 1 1 *"


@activity.defn
async def whose() -> str:
    return TENANT.get("-")


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@activity.defn
async def asks_somebody() -> str:
    TOKENS.append(activity.info().task_token)
    activity.raise_complete_async()


@workflow.defn
async def local() -> list[str]:
    return [await workflow.execute_local_activity(whose), await workflow.start_local_activity(greet, "Ada")]


@workflow.defn
async def outside() -> str:
    return await asks_somebody()


@workflow.defn
class Asks:
    def __init__(self) -> None:
        self.notes: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        found = await workflow.wait_for("answer", timeout="1 hour", default="nobody", escalation={"role": "manager"})
        await workflow.wait_condition(lambda: len(self.notes) > 1)
        return [found, *self.notes]

    @workflow.signal
    async def note(self, number: int, text: str) -> None:
        self.notes.append(f"{text} {number}")


@workflow.defn
async def tells(other: str) -> None:
    await workflow.get_external_handle(other).signal(Asks.note, 5, "five")


async def add_note(text: str) -> None:
    workflow.instance().notes.append(text)


class Changing(Interceptor):
    """Changes what passes, and notes it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def intercept_client(self, next: OutboundClient) -> OutboundClient:
        return ChangingClient(next, self.seen)

    def intercept_workflow(self, next: WorkflowInbound) -> WorkflowInbound:
        return ChangingWorkflow(next, self.seen)


class ChangingClient(OutboundClient):
    def __init__(self, next: OutboundClient, seen: list[str]) -> None:
        super().__init__(next)
        self.seen = seen

    async def hook_workflow(self, input: HookWorkflowInput) -> str:
        self.seen.append(f"hook {input.hook} {list(input.args)} in {input.id}")
        return await self.next.hook_workflow(replace(input, args=[f"{input.args[0]}, changed"]))

    async def create_schedule(self, input: CreateScheduleInput) -> Any:
        what = f"{input.id} {input.workflow} {list(input.args)} {input.or_update} {input.options['spec']}"
        self.seen.append(f"schedule {what}")
        return await self.next.create_schedule(replace(input, headers={**input.headers, "by": "interceptor"}))

    async def start_activity(self, input: StartStandaloneActivityInput) -> Any:
        self.seen.append(f"start {input.activity} {list(input.args)} {input.id} {input.task_queue}")
        return await self.next.start_activity(replace(input, args=["Bob"]))

    async def act_on_activity(self, input: ActOnActivityInput) -> Any:
        self.seen.append(f"{input.verb} {list(input.args)} of {input.workflow_id} {input.activity_id}")
        if input.verb == "complete":
            input = replace(input, args=[f"{input.args[0]}, changed"])
        return await self.next.act_on_activity(input)


class ChangingWorkflow(WorkflowInbound):
    def __init__(self, next: WorkflowInbound, seen: list[str]) -> None:
        super().__init__(next)
        self.seen = seen

    def init(self, outbound: WorkflowOutbound) -> None:
        self.next.init(ChangingVerbs(outbound, self.seen))


class ChangingVerbs(WorkflowOutbound):
    def __init__(self, next: WorkflowOutbound, seen: list[str]) -> None:
        super().__init__(next)
        self.seen = seen

    def start_local_activity(self, input: StartActivityInput) -> Awaitable[Any]:
        self.seen.append(f"local {input.activity}")
        return self.next.start_local_activity(input)

    async def wait_for(self, input: WaitForInput) -> Any:
        self.seen.append(f"wait {input.signal_id} {input.escalation}")
        return await self.next.wait_for(input)

    async def signal_external_workflow(self, input: SignalOtherInput) -> None:
        self.seen.append(f"signal {input.signal} {input.payload}")
        await self.next.signal_external_workflow(replace(input, payload=[6, "six"]))


def worker_of(client: Client) -> Worker:
    return Worker(
        client,
        task_queue="q",
        workflows=[local, outside, Asks, tells],
        activities=[whose, greet, asks_somebody],
        hooks=[add_note],
    )


async def test_calls_of_every_feature_pass_and_may_be_changed(dsn: str, schema: str) -> None:
    changing = Changing()
    TOKENS.clear()
    async with Client.connect(dsn, schema=schema, interceptors=[changing]) as client, worker_of(client):
        started = await client.activity.start(greet, "Ada", id="one", task_queue="q")
        assert await started.result(timeout=30) == "hello Bob"
        assert await client.activity.execute("greet", args=["Ada"], task_queue="q") == "hello Bob"
        assert await client.workflow.execute(local, task_queue="q") == ["-", "hello Ada"]

        asking = await client.workflow.start(Asks.run, id="asks", task_queue="q")
        await asking.hook(add_note, "hooked")
        await client.workflow.execute(tells, "asks", task_queue="q")

        async def asked() -> bool:
            return await client.escalations.count(status="pending") > 0

        await until(asked)
        [row] = await client.escalations.list()
        await client.escalations.cancel(row.id)
        found = await asking.result(timeout=30)
        assert found[0] == "nobody" and sorted(found[1:]) == ["hooked, changed", "six 6"]

        waiting = await client.workflow.start(outside, id="outside", task_queue="q")

        async def there() -> bool:
            return bool(TOKENS)

        await until(there)
        await client.get_activity_handle(TOKENS[0]).heartbeat("on")
        await client.get_activity_handle(workflow_id="outside", activity_id="1").complete("done")
        assert await waiting.result(timeout=30) == "done, changed"

        await client.schedule.create("s", local, spec=FAR, task_queue="q", trigger_immediately=True)
        await client.schedule.create_or_update("s", "local", spec=FAR, task_queue="q")

        async def fired() -> bool:
            return bool((await client.schedule.get_handle("s").describe()).recent)

        await until(fired)
        [run] = (await client.schedule.get_handle("s").describe()).recent
        assert (await client.store.find_run(run.workflow_id)) is not None
    assert {
        "start greet ['Ada'] one q",
        "local whose",
        "local greet",
        "hook add_note ['hooked'] in asks",
        "signal note [5, 'five']",
        "wait answer {'role': 'manager'}",
        "heartbeat ['on'] of None None",
        "complete ['done'] of outside 1",
        f"schedule s local [] False {FAR}",
        f"schedule s local [] True {FAR}",
    } <= set(changing.seen)


async def test_context_travels_to_local_and_standalone_activities_and_runs_of_schedules(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, interceptors=[ContextPropagator({"x-tenant": TENANT})]) as client:
        async with worker_of(client):
            TENANT.set("acme")
            assert await client.activity.execute(whose, task_queue="q") == "acme"
            assert (await client.workflow.execute(local, task_queue="q"))[0] == "acme"
            handle = await client.schedule.create("s", local, spec=FAR, task_queue="q")
            TENANT.set("other")
            await handle.trigger()

            async def fired() -> bool:
                return bool((await handle.describe()).recent)

            await until(fired)
            [run] = (await handle.describe()).recent
            assert (await client.get_handle(run.workflow_id).result(timeout=30))[0] == "acme"
