"""The commit budget of the design, counted: what a primitive costs in statements that write, never in seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.worker import engine

WRITES = (
    "start_runs", "commit_turns", "claim_runs", "claim_activities", "settle_activities", "retry_activities", "send", "signal",
)  # fmt: skip


@contextmanager
def counted(client: Client) -> Iterator[Counter[str]]:
    """Counts the store's round trips by name while the block runs."""
    counts: Counter[str] = Counter()
    store = client.store

    def wrap(name: str) -> None:
        real = getattr(store, name)

        async def counting(*args: object, **kwargs: object) -> object:
            counts[name] += 1
            return await real(*args, **kwargs)

        setattr(store, name, counting)

    for name in WRITES:
        wrap(name)
    try:
        yield counts
    finally:
        for name in WRITES:
            delattr(store, name)


@activity.defn
async def echo(value: int) -> int:
    return value


@workflow.defn
async def sequence(length: int) -> int:
    for step in range(length):
        await echo(step)
    return length


@workflow.defn
async def fan(width: int) -> int:
    return len(await asyncio.gather(*(echo(step) for step in range(width))))


@workflow.defn
async def quiet() -> str:
    await workflow.enrich({"a": 1})
    await workflow.emit({"topic": 1})
    await workflow.trace({"b": 2})
    return "done"


@workflow.defn
async def chain(left: int) -> int:
    await workflow.search().incr("rounds")
    if left:
        workflow.continue_as_new(left - 1)
    return left


@workflow.defn
async def parent() -> str:
    return await workflow.execute_child(quiet)


@workflow.defn
async def nap() -> str:
    await workflow.sleep_for(0.01)
    return "rested"


@workflow.defn
async def waiter(signal_id: str) -> str:
    return str(await workflow.wait_for(signal_id))


@pytest.fixture
def no_slow_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activity that runs for 100 ms is shown by a commit of its own; on a busy machine any may."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 60.0)


@pytest.mark.usefixtures("no_slow_activity")
async def test_k_activities_in_sequence_cost_k_commits(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[sequence], activities=[echo]):
        with counted(client) as counts:
            assert await client.workflow.execute(sequence, 10) == 10
    assert counts["start_runs"] == 1
    assert counts["commit_turns"] == 10
    assert counts["claim_runs"] + counts["claim_activities"] <= 4, "a slot that gets free is no reason to look for work"
    assert counts["settle_activities"] == counts["retry_activities"] == 0


@pytest.mark.usefixtures("no_slow_activity")
async def test_one_activity_costs_one_start_one_claim_with_work_and_one_commit(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[sequence], activities=[echo]):
        with counted(client) as counts:
            assert await client.workflow.execute(sequence, 1) == 1
    assert counts["start_runs"] == 1
    assert counts["commit_turns"] == 1


async def test_parallel_activities_share_commits(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[fan], activities=[echo]):
        with counted(client) as counts:
            assert await client.workflow.execute(fan, 1000) == 1000
    assert counts["commit_turns"] <= 40, "1,000 activities in 100 slots: about ten rounds, a few commits each at most"


async def test_runs_share_starts_claims_and_commits(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[sequence], activities=[echo]):
        with counted(client) as counts:
            await asyncio.gather(*(client.workflow.execute(sequence, 1) for _ in range(1000)))
    assert counts["start_runs"] <= 50
    assert counts["commit_turns"] <= 100


async def test_emit_enrich_trace_and_completion_ride_along(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[quiet]):
        with counted(client) as counts:
            assert await client.workflow.execute(quiet) == "done"
    assert counts["commit_turns"] == 1


async def test_a_next_run_costs_its_own_commit_and_no_more(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[chain]):
        with counted(client) as counts:
            assert await client.workflow.execute(chain, 9) == 0
    assert counts["start_runs"] == 1
    assert counts["commit_turns"] == 10, "ten runs of one turn: each end begins the next run"


async def test_a_child_costs_its_own_commit_and_two_of_the_parent(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[parent, quiet]):
        with counted(client) as counts:
            assert await client.workflow.execute(parent) == "done"
    assert counts["commit_turns"] == 3
    assert counts["send"] == counts["signal"] == 0


async def test_a_sleep_costs_no_commit_but_that_of_the_turn_which_asks_for_it(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[nap]):
        with counted(client) as counts:
            assert await client.workflow.execute(nap) == "rested"
    assert counts["commit_turns"] == 2, "falling asleep, and the end"
    assert counts["send"] == counts["signal"] == 0


async def test_waiting_runs_share_signals_and_commits(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[waiter]):
        with counted(client) as counts:
            handles = [await client.workflow.start(waiter, f"go-{n}") for n in range(3)]
            handles += await asyncio.gather(*(client.workflow.start(waiter, f"go-{n}") for n in range(3, 300)))
            await asyncio.gather(*(client.signal(f"go-{n}", n) for n in range(300)))
            assert await asyncio.gather(*(handle.result() for handle in handles)) == [str(n) for n in range(300)]
    assert counts["signal"] <= 5, "300 calls in flight at once: the first one alone, the others together"
    assert counts["commit_turns"] <= 60, "600 turns at most; one commit each would be ten times as many"
