"""Python's garbage collector while workers run."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterator

import pytest

from memflow import Client, Worker, activity, workflow
from memflow.worker import collector


@pytest.fixture
def defaults() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield 700, 10, 10
    gc.set_threshold(*before)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="its collections are incremental, and stay as they are")
def test_thresholds_rise_with_the_first_worker_and_fall_with_the_last(defaults: tuple[int, int, int]) -> None:
    collector.relax()
    collector.relax()
    assert gc.get_threshold() == collector.THRESHOLDS
    collector.restore()
    assert gc.get_threshold() == collector.THRESHOLDS
    collector.restore()
    assert gc.get_threshold() == defaults


def test_thresholds_set_on_purpose_stay(defaults: tuple[int, int, int]) -> None:
    gc.set_threshold(50, 5, 5)
    collector.relax()
    assert gc.get_threshold() == (50, 5, 5)
    collector.restore()
    assert gc.get_threshold() == (50, 5, 5)


@activity.defn
async def echo(number: int) -> int:
    return number


@workflow.defn
async def one(number: int) -> int:
    return await echo(number)


async def test_ended_runs_leave_nothing_to_the_collector(dsn: str, schema: str) -> None:
    async with (
        Client.connect(dsn, schema=schema) as client,
        Worker(client, task_queue="q", workflows=[one], activities=[echo]),
    ):

        async def runs(count: int) -> None:
            await asyncio.gather(*(client.workflow.execute(one, n, task_queue="q") for n in range(count)))

        await runs(20)                                   # caches fill
        gc.collect()
        gc.disable()
        try:
            await runs(50)
            await asyncio.sleep(0)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("memflow")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert left == []
