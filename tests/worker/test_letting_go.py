"""A run that was let go belongs to whoever claims it next: nothing here touches it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from memflow import Client, Worker, workflow
from memflow.store.turns import Committed, TurnCommit


@workflow.defn
async def naps() -> str:
    for _ in range(20):
        await workflow.sleep_for(0.001)
    return "rested"


async def test_a_mark_that_comes_while_a_run_is_let_go_does_not_advance_it_again(
    dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at mail that another one has read marks the run; its replay may be in the cache by then, or another owner's."""
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[naps]) as worker:
        engine = worker._engine  # pyright: ignore[reportPrivateUsage]
        assert engine is not None
        commit = client.store.commit_turns
        turns_committed = 0

        async def marking(number: int, turns: Sequence[TurnCommit]) -> list[Committed]:
            nonlocal turns_committed
            answers = await commit(number, turns)
            turns_committed += len(turns)
            await asyncio.sleep(0.003)                   # the answer is late: the nap is over by now
            for resident in list(engine._residents.values()):  # pyright: ignore[reportPrivateUsage]
                engine.mark(resident)
            return answers

        monkeypatch.setattr(client.store, "commit_turns", marking)
        assert await client.workflow.execute(naps) == "rested"
        assert turns_committed < 100
