"""Programs in Temporal's style cost little more than memflow's own."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from memflow import Client as EngineClient
from memflow import Worker as EngineWorker
from memflow import activity as engine_activity
from memflow import workflow as engine_workflow
from memflow.temporal import activity, workflow
from memflow.temporal.client import Client
from memflow.temporal.worker import Worker

ROUNDS, RUNS = 5, 150
MOST = 1.5


@engine_activity.defn
async def echo(text: str) -> str:
    return text


@engine_workflow.defn
async def own_style(text: str) -> str:
    for _ in range(3):
        text = await echo(text)
    return text


@activity.defn
async def say(text: str) -> str:
    return text


@workflow.defn
class TemporalStyle:
    @workflow.run
    async def run(self, text: str) -> str:
        for _ in range(3):
            text = await workflow.execute_activity(say, text, start_to_close_timeout=timedelta(seconds=10))
        return text


@pytest.mark.timeout(120)
async def test_a_class_workflow_costs_at_most_half_as_much_again_as_a_function(
    client: Client, queue: str, dsn: str, schema: str
) -> None:
    numbers = itertools.count()

    async def own(engine: EngineClient) -> None:
        await engine.workflow.execute(own_style, "a", id=f"own-{next(numbers)}", task_queue=f"{queue}-own")

    async def temporal() -> None:
        await client.execute_workflow(TemporalStyle.run, "a", id=f"temporal-{next(numbers)}", task_queue=queue)

    async with (
        EngineClient.connect(dsn, schema=schema) as engine,
        EngineWorker(engine, task_queue=f"{queue}-own", workflows=[own_style], activities=[echo]),
        Worker(client, task_queue=queue, workflows=[TemporalStyle], activities=[say]),
    ):
        own_cost, cost = [], []
        for _ in range(ROUNDS):
            own_cost.append(await _cost(lambda: own(engine)))
            cost.append(await _cost(temporal))
    assert min(cost) / min(own_cost) < MOST


async def _cost(run: Callable[[], Awaitable[Any]]) -> float:
    """Seconds of this process, the least disturbed measure: what others on the machine do, and waiting, are not in it."""
    gc.collect()
    before = time.process_time()
    await asyncio.gather(*(run() for _ in range(RUNS)))
    return time.process_time() - before
