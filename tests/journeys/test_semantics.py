"""What Temporal's users rely on, each as a small program against a real Postgres."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Generic, TypeVar

import pytest

from memflow import Client, RetryPolicy, Worker, activity, workflow
from memflow.errors import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    UpdateFailedError,
    WorkflowFailedError,
)
from tests.polling import until

T = TypeVar("T")
SEEN: list[Any] = []


# ------------------------------------------------------------------------------------------------- handlers


class Base(Generic[T]):
    def __init__(self) -> None:
        self.values: list[Any] = []

    @workflow.signal
    def put(self, value: int) -> None:
        self.values.append(["base", value])

    @workflow.query
    def count(self) -> int:
        return len(self.values)


@workflow.defn
class Derived(Base[int]):
    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: len(self.values) >= 2)
        return self.values

    @workflow.signal
    def put(self, value: int) -> None:
        self.values.append(["derived", value])


async def test_handlers_are_inherited_and_overridden(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Derived]):
        handle = await client.workflow.start(Derived.run)
        await handle.signal(Derived.put, 1)
        assert await handle.query(Derived.count) == 1
        await handle.signal("put", 2)
        assert await handle.result(timeout=20) == [["derived", 1], ["derived", 2]]
        assert await handle.query("count") == 2


@workflow.defn
class Leaving:
    def __init__(self) -> None:
        self.leave = False

    @workflow.run
    async def run(self, rounds: int) -> int:
        await workflow.wait_condition(lambda: self.leave)
        if rounds:
            workflow.continue_as_new(rounds - 1)
        return rounds

    @workflow.update(unfinished_policy="abandon")
    async def never(self) -> str:
        self.leave = True
        await workflow.sleep_for("1 hour")
        return "answered"

    @workflow.update
    async def end(self) -> str:
        self.leave = True
        return "ended"


async def test_an_accepted_update_whose_run_continues_as_new_fails_and_says_so(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Leaving]):
        handle = await client.workflow.start(Leaving.run, 1)
        update = await handle.start_update(Leaving.never)
        with pytest.raises(UpdateFailedError, match="send it again") as failed:
            await update.result(timeout=20)
        assert isinstance(failed.value.__cause__, ApplicationError)
        assert failed.value.__cause__.type == "AcceptedUpdateCompletedWorkflow"
        assert await handle.update(Leaving.end) == "ended", "the next run answers"
        assert await handle.result(timeout=20) == 0


async def test_queries_of_an_ended_run_rebuild_it_once(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[Derived]):
            handle = await client.workflow.start(Derived.run)
            await handle.signal(Derived.put, 1)
            await handle.signal(Derived.put, 1)
            await handle.result(timeout=20)
        store: Any = client.store
        real, loads = store.load_journals, []

        async def load(runs: Any) -> Any:
            loads.append(runs)
            return await real(runs)

        store.load_journals = load
        async with Worker(client, workflows=[Derived]):
            assert [await handle.query(Derived.count) for _ in range(10)] == [2] * 10
        assert len(loads) == 1


@workflow.defn
class Remembers:
    @workflow.run
    async def run(self) -> None:
        await workflow.search().set({"b": 2})
        await workflow.wait_for("end")

    @workflow.query
    def all(self) -> list[Any]:
        return [workflow.memo(), workflow.info().continued_run_id]


async def test_a_query_to_a_run_in_no_cache_knows_what_the_run_was_given(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[Remembers]):
            handle = await client.workflow.start(Remembers.run, memo={"who": "ada"}, search={"a": 1})
            await until(lambda: waiting(handle))
        async with Worker(client, workflows=[Remembers]):
            assert await handle.query(Remembers.all) == [{"who": "ada"}, None]


async def waiting(handle: Any) -> bool:
    return str((await handle.describe()).detail).startswith("waiting")


# ------------------------------------------------------------------------------------------------- failures


@activity.defn
async def fails(kind: str) -> None:
    SEEN.append(asyncio.get_running_loop().time())
    if kind == "soon" and len(SEEN) < 3:
        raise ApplicationError("again", next_retry_delay=timedelta(milliseconds=30))
    if kind == "never":
        raise ApplicationError("no use", 1, {"a": 2}, type="Useless", non_retryable=True)
    if kind == "caused":
        try:
            raise KeyError("root")
        except KeyError as error:
            raise ApplicationError("outer", type="Outer", non_retryable=True) from error


@workflow.defn
class Fails:
    @workflow.run
    async def run(self, kind: str) -> str:
        match kind:
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(call("never"))
                    group.create_task(call("caused"))
            case "condition":
                try:
                    await workflow.wait_condition(lambda: False, timeout=0.05)
                except TimeoutError:
                    return "timed out"
            case "task":
                task = asyncio.create_task(call("never"))
                try:
                    await task
                except ActivityError as error:
                    return f"{type(error.cause).__name__} {error.cause}"
            case _:
                await call(kind)
        return kind


async def call(kind: str) -> None:
    await workflow.execute_activity(fails, kind, retry=RetryPolicy(initial_interval=60))


@workflow.defn
async def fails_by_group() -> None:
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


async def test_failures_keep_type_details_and_causes(dsn: str, schema: str) -> None:
    SEEN.clear()
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[Fails, fails_by_group], activities=[fails]),
    ):

        async def cause_of(kind: str) -> BaseException | None:
            with pytest.raises(WorkflowFailedError) as failed:
                await client.workflow.execute(Fails.run, kind)
            return failed.value.__cause__

        assert await client.workflow.execute(Fails.run, "soon") == "soon"
        assert SEEN[2] - SEEN[0] < 5, "next_retry_delay instead of the policy's minute"
        never = await cause_of("never")
        assert isinstance(never, ActivityError) and isinstance(never.cause, ApplicationError)
        assert (never.cause.type, never.cause.details) == ("Useless", (1, {"a": 2}))
        caused = await cause_of("caused")
        assert caused is not None and caused.__cause__ is not None
        root = caused.__cause__.__cause__
        assert isinstance(root, ApplicationError) and root.type == "KeyError"
        assert await client.workflow.execute(Fails.run, "condition") == "timed out"
        assert "ApplicationError" in await client.workflow.execute(Fails.run, "task")
        with pytest.raises(WorkflowFailedError, match="several"):
            await client.workflow.execute(fails_by_group)
        assert await cause_of("group") is not None


@workflow.defn(failure_exception_types=[ZeroDivisionError])
class Divides:
    @workflow.run
    async def run(self, by: int) -> float:
        return 1 / by


async def test_listed_exceptions_fail_the_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Divides]):
        with pytest.raises(WorkflowFailedError, match="division by zero"):
            await client.workflow.execute(Divides.run, 0)


# ------------------------------------------------------------------------------------------------- cancellation, children


@activity.defn
async def patient(swallow: bool) -> str:
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        SEEN.append("told")
        if swallow:
            return "swallowed"
        raise


@workflow.defn
async def cancels(kind: str, swallow: bool) -> str:
    task = workflow.start_activity(patient, swallow, cancellation_type=kind, heartbeat_timeout="10 seconds")
    await workflow.sleep_for(0.2)
    task.cancel()
    try:
        return await task
    except (asyncio.CancelledError, ActivityError) as error:
        return type(error).__name__


@workflow.defn
async def shielded() -> list[str]:
    inner = asyncio.create_task(workflow.wait_for("inner"))
    try:
        await asyncio.shield(inner)
    except asyncio.CancelledError:
        return ["cleaned up", await inner]
    return ["never"]


async def test_the_three_cancellation_types(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[cancels], activities=[patient]):

        async def told() -> bool:
            return "told" in SEEN

        for kind, swallow, expected in (
            ("try_cancel", False, {"CancelledError", "ActivityError"}),
            ("wait_cancellation_completed", True, {"swallowed"}),
            ("wait_cancellation_completed", False, {"CancelledError", "ActivityError"}),
        ):
            SEEN.clear()
            assert await client.workflow.execute(cancels, kind, swallow) in expected
            await until(told)


async def test_a_shielded_wait_survives_the_cancellation_of_its_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[shielded]):
        handle = await client.workflow.start(shielded)
        await until(lambda: waiting(handle))
        await handle.cancel()

        async def was_told() -> bool:                    # in one turn the signal would come before the cancellation
            return any(each.kind == "cancel_requested" for each in await handle.history())

        await until(was_told)
        await handle.signal("inner", "x")
        assert await handle.result(timeout=20) == ["cleaned up", "x"]


@workflow.defn
async def nested(depth: int) -> list[Any]:
    info = workflow.info()
    below: list[Any] = []
    if depth:
        below = await workflow.execute_child(nested, depth - 1, id=f"level {depth - 1}")
    else:
        raise ApplicationError("the bottom", type="Bottom")
    return [info.parent_workflow_id, *below]


async def test_a_failure_three_levels_down_comes_up_with_its_line_of_causes(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[nested]):
        handle = await client.workflow.start(nested, 3, id="level 3")
        with pytest.raises(WorkflowFailedError) as failed:
            await handle.result(timeout=20)
        chain: list[BaseException] = []
        error: BaseException | None = failed.value.__cause__
        while error is not None:
            chain.append(error)
            error = error.__cause__
        assert [type(each) for each in chain] == [ChildWorkflowError] * 3 + [ApplicationError]
        bottom = await client.workflow.get_handle("level 0").describe()
        assert bottom.parent_id == "level 1"
        assert [run.parent_id async for run in client.workflow.list(order="id")] == ["level 1", "level 2", "level 3", None]


@workflow.defn
async def catches_everything() -> str:
    try:
        await workflow.sleep_for("1 hour")
    except asyncio.CancelledError:
        return "completed all the same"
    return "never"


async def test_a_run_may_complete_though_it_was_cancelled(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[catches_everything]):
        handle = await client.workflow.start(catches_everything)
        await until(lambda: waiting(handle))
        await handle.cancel()
        assert await handle.result(timeout=20) == "completed all the same"
        assert CancelledError is not None


# ------------------------------------------------------------------------------------------------- signals between runs


@workflow.defn
class Takes:
    def __init__(self) -> None:
        self.got: list[Any] = []

    @workflow.run
    async def run(self) -> list[Any]:
        await workflow.wait_condition(lambda: len(self.got) == 3)
        return self.got

    @workflow.signal
    def both(self, name: str, when: timedelta) -> None:
        self.got.append([name, when.total_seconds()])


@workflow.defn
async def gives() -> list[Any]:
    child = await workflow.start_child(Takes.run, id="takes")
    await child.signal(Takes.both, "a", timedelta(seconds=1))
    await child.signal("both", "b", 2)
    await workflow.get_external_handle("takes").signal(Takes.both, "c", timedelta(seconds=3))
    return await child.result()


async def test_signals_with_several_arguments_between_runs(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Takes, gives]):
        assert await client.workflow.execute(gives) == [["a", 1.0], ["b", 2.0], ["c", 3.0]]
