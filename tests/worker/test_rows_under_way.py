"""An activity whose row is only being written is not there yet, and must not pass for lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from memflow import Client, Worker, activity, workflow
from memflow.store.turns import Committed, TurnCommit


@activity.defn
async def takes_a_while() -> str:
    activity.heartbeat("so it gets a row")
    await asyncio.sleep(0.6)
    return "done"


@workflow.defn
async def waits_for_it() -> str:
    return await takes_a_while()


async def test_mail_that_comes_while_an_activity_becomes_a_row_does_not_stop_it(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client:
        commit: Any = client.store.commit_turns
        writing = asyncio.Event()

        async def slow(worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
            if any(turn.activities for turn in turns):
                writing.set()
                await asyncio.sleep(0.3)                 # the mail below is read meanwhile
            answers: list[Committed] = await commit(worker, turns)
            return answers

        client.store.commit_turns = slow  # type: ignore[method-assign]
        async with Worker(client, task_queue="q", workflows=[waits_for_it], activities=[takes_a_while]):
            handle = await client.workflow.start(waits_for_it, task_queue="q")
            await asyncio.wait_for(writing.wait(), 10)
            await handle.signal("anything")
            assert await handle.result(timeout=10) == "done"
