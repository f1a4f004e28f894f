"""Ended runs of Temporal-style workflows leave no reference cycles either: under load the collector would be busy with them."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from typing import Any

from memflow.temporal import activity, workflow
from memflow.temporal.client import Client
from memflow.temporal.worker import Worker


@activity.defn
async def say(words: dict[str, Any]) -> dict[str, Any]:
    return words


@workflow.defn
class Says:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, words: dict[str, Any]) -> dict[str, Any]:
        return await workflow.execute_activity(say, words, start_to_close_timeout=timedelta(seconds=10))

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)

    @workflow.query
    def words(self) -> list[str]:
        return self.heard


async def test_ended_runs_leave_nothing_to_the_collector(client: Client, queue: str) -> None:
    async with Worker(client, task_queue=queue, workflows=[Says], activities=[say]):

        async def runs(count: int, prefix: str) -> None:
            started = [
                client.execute_workflow(Says.run, {"a": n}, id=f"{prefix}-{n}", task_queue=queue) for n in range(count)
            ]
            assert await asyncio.gather(*started) == [{"a": n} for n in range(count)]

        await runs(20, "warm")                           # caches fill
        gc.collect()
        gc.disable()
        try:
            await runs(50, "counted")
            await asyncio.sleep(0)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith(("memflow", __name__))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert left == []
