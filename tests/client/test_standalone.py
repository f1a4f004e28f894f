"""Activities that a client starts without a workflow: ids, results, failures, cancellation, cost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, activity, workflow
from memflow.client import ActivityHandle
from memflow.errors import (
    ActivityAlreadyStartedError,
    ActivityError,
    ActivityNotFoundError,
    CancelledError,
    ConfigurationError,
    PayloadError,
    TerminatedError,
    TimeoutError,
)
from memflow.runs import Status
from tests.polling import until

SEEN: list[activity.Info] = []


@dataclass
class Order:
    item: str
    quantity: int


@activity.defn
async def double(order: Order) -> Order:
    SEEN.append(activity.info())
    return Order(order.item, order.quantity * 2)


@activity.defn(retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))
def fails() -> None:
    raise ApplicationError("no", 1, type="No")


@activity.defn
async def until_cancelled(obeys: bool = True) -> str:
    SEEN.append(activity.info())
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        if obeys:
            raise
    return "no matter"


@activity.defn
async def opens() -> str:
    SEEN.append(activity.info())
    activity.raise_complete_async()


@workflow.defn
async def nothing() -> str:
    return "a workflow"


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    SEEN.clear()
    async with await Client.connect(dsn, schema=schema) as client:
        yield client


def worker_of(client: Client) -> Worker:
    return Worker(client, activities=[double, fails, until_cancelled, opens])


async def begun() -> None:
    async def it_has() -> bool:
        return bool(SEEN)

    await until(it_has)


async def test_result_has_its_type_and_the_activity_knows_its_id(client: Client) -> None:
    async with worker_of(client):
        handle = await client.activity.start(double, Order("pen", 2), id="a-1", headers={"tenant": "acme"})
        assert await handle.result(10) == Order("pen", 4)
        assert await client.activity.execute("double", {"item": "pen", "quantity": 3}, result_type=Order) == Order("pen", 6)
        assert await client.activity.execute("double", args=[{"item": "pen", "quantity": 1}]) == {"item": "pen", "quantity": 2}
    info = SEEN[0]
    assert (info.activity_id, info.in_workflow, info.headers["tenant"], info.task_queue) == ("a-1", False, "acme", "default")
    described = await handle.describe()
    assert (described.activity, described.status, described.task_queue) == ("double", Status.COMPLETED, "default")
    assert described.arguments == [{"item": "pen", "quantity": 2}] and described.result == {"item": "pen", "quantity": 4}
    again: ActivityHandle[Order] = client.activity.get_handle("a-1", result_type=Order)
    assert await again.result() == Order("pen", 4)


async def test_it_costs_a_start_and_an_end(client: Client) -> None:
    counts: Counter[str] = Counter()
    store = client.store

    def counted(name: str) -> None:
        real = getattr(store, name)

        async def counting(*args: object, **kwargs: object) -> object:
            counts[name] += 1
            return await real(*args, **kwargs)

        setattr(store, name, counting)

    for name in ("start_runs", "commit_turns", "claim_activities", "settle_activities", "retry_activities"):
        counted(name)
    async with worker_of(client):
        before = counts["claim_activities"]
        assert await client.activity.execute(double, Order("pen", 2)) == Order("pen", 4)
        assert (counts["start_runs"], counts["commit_turns"]) == (1, 1)
        assert counts["settle_activities"] == counts["retry_activities"] == 0
        assert counts["claim_activities"] - before <= 1          # an idle look, at most


async def test_failure_is_the_activitys_own(client: Client) -> None:
    async with worker_of(client):
        with pytest.raises(ActivityError) as caught:
            await client.activity.execute(fails, id="f")
    assert (caught.value.activity, caught.value.activity_id, caught.value.attempt) == ("fails", "f", 2)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError) and cause.type == "No"


async def test_it_times_out_as_any(client: Client) -> None:
    async with worker_of(client):
        with pytest.raises(ActivityError) as caught:
            await client.activity.execute(until_cancelled, True, schedule_to_close_timeout=0.3)
    assert isinstance(caught.value.cause, TimeoutError) and caught.value.cause.kind == "schedule_to_close"


async def test_ids_are_its_own(client: Client) -> None:
    async with Worker(client, workflows=[nothing], activities=[double, until_cancelled]):
        first = await client.activity.start(until_cancelled, True, id="x")
        await begun()
        assert await client.workflow.execute(nothing, id="x") == "a workflow"
        with pytest.raises(ActivityAlreadyStartedError, match="'x' is taken"):
            await client.activity.start(until_cancelled, True, id="x")
        same = await client.activity.start(until_cancelled, True, id="x", on_conflict="use_existing")
        assert same.run_id == first.run_id
        await first.terminate("enough")
        with pytest.raises(ActivityError) as caught:
            await first.result(10)
        assert isinstance(caught.value.cause, TerminatedError) and caught.value.cause.reason == "enough"
        with pytest.raises(ActivityAlreadyStartedError):
            await client.activity.start(until_cancelled, True, id="x", reuse="reject")


async def test_cancel_reaches_the_activity(client: Client) -> None:
    async with worker_of(client):
        handle = await client.activity.start(until_cancelled, True)
        await begun()
        await handle.cancel()
        with pytest.raises(ActivityError) as caught:
            await handle.result(10)
        assert isinstance(caught.value.cause, CancelledError)
        assert await handle.status() is Status.CANCELLED
        SEEN.clear()
        stubborn = await client.activity.start(until_cancelled, False)
        await begun()
        await stubborn.cancel()
        assert await stubborn.result(10) == "no matter"
        with pytest.raises(ActivityNotFoundError, match="has ended"):
            await stubborn.cancel()


async def test_it_is_completed_from_outside_by_its_id(client: Client) -> None:
    async with worker_of(client):
        handle = await client.activity.start(opens, id="o")
        await begun()
        await client.activity.get_handle("o").complete("from outside")
        assert await handle.result(10) == "from outside"
        with pytest.raises(ActivityNotFoundError):
            await handle.complete("again")


async def test_it_waits_for_a_worker_that_knows_it(client: Client) -> None:
    handle = await client.activity.start("double", {"item": "pen", "quantity": 1}, id="w")
    async with Worker(client, activities=[fails]):

        async def stuck() -> bool:
            return "activity 'double' is not registered" in ((await handle.describe()).detail or "")

        await until(stuck)
    async with worker_of(client):
        assert await handle.result(20) == {"item": "pen", "quantity": 2}


async def test_workers_of_workflows_alone_leave_it_to_others(client: Client) -> None:
    async with Worker(client, workflows=[nothing]):
        handle = await client.activity.start(double, Order("pen", 1))
        await client.workflow.execute(nothing)
        assert (await handle.describe()).detail is None
        async with worker_of(client):
            assert await handle.result(10) == Order("pen", 2)


async def test_it_starts_with_the_callers_transaction(dsn: str, client: Client) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        transaction = conn.transaction()
        await transaction.start()
        gone: ActivityHandle[object] = await client.activity.start(double, Order("pen", 1), id="gone", connection=conn)
        await transaction.rollback()
        async with conn.transaction():
            kept = await client.activity.start(double, Order("pen", 1), id="kept", connection=conn)
        async with worker_of(client):
            assert await kept.result(10) == Order("pen", 2)
        assert gone.id == "gone"
        gone = client.activity.get_handle("gone")
        for call in (gone.status, gone.result, gone.cancel, gone.describe, gone.terminate, gone.pause, gone.complete):
            with pytest.raises(ActivityNotFoundError, match="no activity 'gone'"):
                await call()
    finally:
        await conn.close()


async def test_they_are_listed_and_counted(client: Client) -> None:
    async with Worker(client, workflows=[nothing], activities=[double]):
        for number in range(3):
            await client.activity.execute(double, Order("pen", number), search={"n": number})
        await client.workflow.execute(nothing)
        assert [run.type async for run in client.activity.list()] == ["activity:double"] * 3
        assert len([run async for run in client.activity.list("record.n > 0", limit=1)]) == 1
        assert await client.activity.count("record.n > 0") == 2


async def test_what_cannot_work_is_refused_at_the_call(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'retry'"):
        await client.activity.start(double, Order("pen", 1), retri=None)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="activity id"):
        await client.activity.start(double, Order("pen", 1), id="a\0b")
    with pytest.raises(ConfigurationError, match="activity id"):
        await client.activity.start(double, Order("pen", 1), id="x" * 510)
    with pytest.raises(PayloadError):
        await client.activity.start(double, "pen")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await client.activity.start(double)  # type: ignore[call-overload]
    with pytest.raises(ConfigurationError, match="start_to_close_timeout"):
        await client.activity.start(double, Order("pen", 1), start_to_close_timeout=-1)
    assert await client.activity.count() == 0
