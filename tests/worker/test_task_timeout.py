"""`start(task_timeout=)` bounds one turn of that run's code."""

from __future__ import annotations

import time

import pytest

from memflow import Client, Worker, workflow
from memflow.errors import ConfigurationError
from tests.polling import until

SPINS = 30.0


@workflow.defn
async def spins() -> str:
    end = time.perf_counter() + SPINS
    while time.perf_counter() < end:
        pass
    return "done"


@workflow.defn
async def waits() -> None:
    await workflow.wait_for("x")


async def test_a_turn_that_takes_longer_is_interrupted_and_tried_again(
    dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memflow.worker.guard.install", lambda: None)      # the clock that the loop above reads is the real one
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[spins]):
        handle = await client.workflow.start(spins, task_timeout=0.5)

        async def stuck() -> bool:
            return "TurnTooLong" in str((await handle.describe()).detail)

        await until(stuck, seconds=20)
        assert (await handle.describe()).task_timeout is not None
        monkeypatch.setattr(f"{__name__}.SPINS", 0.0)
        assert await handle.result(timeout=20) == "done"


async def test_it_shows_and_goes_on_to_the_next_run_and_a_wrong_one_is_refused(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(waits, task_timeout="3 seconds")
        limit = (await handle.describe()).task_timeout
        assert limit is not None and limit.total_seconds() == 3
        for wrong in (0, -1, float("nan"), "soon"):
            with pytest.raises(ConfigurationError):
                await client.workflow.start(waits, task_timeout=wrong)
        assert await client.workflow.count() == 1
