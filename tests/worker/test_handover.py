"""From memory to rows: heartbeats without a timeout, and a shutdown that finds activities waiting for a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from memflow import Client, RetryPolicy, Worker, activity, workflow
from memflow.store.turns import Committed, TurnCommit
from tests.polling import until

BEGUN = asyncio.Event()
RAN: list[str] = []


@activity.defn
async def reports() -> list[Any]:
    for page in range(30):
        activity.heartbeat(page)
        await asyncio.sleep(0.01)
    return list(activity.info().heartbeat_details) or ["done"]


@activity.defn
async def holds_the_slot() -> str:
    if activity.info().attempt == 1:
        BEGUN.set()
        await asyncio.sleep(30)
    return "held"


@activity.defn(retry=RetryPolicy(maximum_attempts=1))
async def waits_for_it() -> str:
    RAN.append("ran")
    return "ran"


@workflow.defn
async def reporting() -> Any:
    return [await reports(), await reports()]


@workflow.defn
async def one_after_the_other() -> list[str]:
    return list(await asyncio.gather(holds_the_slot(), waits_for_it()))


async def test_heartbeats_without_a_timeout_do_not_reach_a_run_that_was_let_go(dsn: str, schema: str) -> None:
    """The first one made a row of the activity and let its run go; the next ones once marked that run as if it were here."""
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[reporting], activities=[reports]):
        handle = await client.workflow.start(reporting)
        assert await handle.result(timeout=20) == [["done"], ["done"]]
        assert [entry.kind for entry in await handle.history()].count("activity_completed") == 2


async def test_an_activity_that_never_got_a_slot_has_no_attempt_behind_it(dsn: str, schema: str) -> None:
    """It was handed back as if it had run, and with one attempt allowed it then failed as lost."""
    BEGUN.clear()
    RAN.clear()
    activities = [holds_the_slot, waits_for_it]
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(
            client,
            workflows=[one_after_the_other],
            activities=activities,
            max_concurrent_activities=1,
            graceful_shutdown_timeout=0,
        ):
            handle = await client.workflow.start(one_after_the_other)
            await BEGUN.wait()
        assert RAN == []
        async with Worker(client, workflows=[one_after_the_other], activities=activities):
            assert await handle.result(timeout=20) == ["held", "ran"]
    assert RAN == ["ran"]


async def test_an_activity_whose_row_is_being_written_is_not_asked_about_and_so_not_taken_for_lost(
    dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is there with the commit. Asked about before that, it seemed to be somebody else's, and its result was dropped."""
    go = asyncio.Event()
    begun: list[int] = []

    @activity.defn
    async def is_slow() -> str:
        begun.append(activity.info().attempt)
        await go.wait()
        return "done"

    @workflow.defn
    async def waits_for_it() -> str:
        return await is_slow()

    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[waits_for_it], activities=[is_slow]) as worker,
    ):
        engine = worker._engine  # pyright: ignore[reportPrivateUsage]
        assert engine is not None
        queued = engine._queued  # pyright: ignore[reportPrivateUsage]
        commit = client.store.commit_turns

        async def late(number: int, turns: Sequence[TurnCommit]) -> list[Committed]:
            if any(turn.activities for turn in turns):
                queued.ask_about_all()
                await queued.reported()
            return await commit(number, turns)

        monkeypatch.setattr(client.store, "commit_turns", late)
        handle = await client.workflow.start(waits_for_it)

        async def is_a_row() -> bool:
            return bool((await handle.describe()).activities)

        await until(is_a_row)
        go.set()
        assert await handle.result(20) == "done"
        assert begun == [1]
