"""What cannot work is refused where it is said, with what is allowed; what can is kept apart and comes back as it was."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from memflow import Client, Worker, workflow
from memflow.errors import ConfigurationError, WorkflowFailedError, WorkflowNotFoundError

DURATIONS: list[Any] = [-1, -0.001, math.nan, math.inf, -math.inf, 1e12, timedelta.max, timedelta(-1), "", "soon", "1 parsec"]
BAD_IDS: list[Any] = ["", "x" * 10_000, "é" * 257, "nul\0", "line\nbreak", " blank", "half \ud800", 5, b"x"]
GOOD_IDS = ["x" * 255, "x" * 256, "x" * 512, "'; drop table runs; --", '"quoted"', "🦊 fox", "a/b\\c", "\u00e9", "e\u0301"]
GOOD_IDS += ["%s {0} $1", "null"]


@workflow.defn
async def sleeps(which: int) -> None:
    await workflow.sleep_for(DURATIONS[which])


@workflow.defn
async def conditions(which: int) -> None:
    await workflow.wait_condition(lambda: False, timeout=DURATIONS[which])


@workflow.defn
async def waits(which: int) -> None:
    await workflow.wait_for("x", timeout=DURATIONS[which])


@workflow.defn
async def tells() -> list[Any]:
    info = workflow.info()
    return [info.workflow_id, await workflow.wait_for(info.workflow_id)]


async def test_timers_that_cannot_be_are_refused_in_the_workflow(dsn: str, schema: str) -> None:
    async with (
        await Client.connect(dsn, schema=schema) as client,
        Worker(client, workflows=[sleeps, conditions, waits]),
    ):
        for which, duration in enumerate(DURATIONS):
            for code in (sleeps, conditions, waits):
                with pytest.raises(WorkflowFailedError) as failed:
                    await client.workflow.execute(code, which)
                said = str(failed.value.__cause__)
                assert "give a timedelta" in said or "units are" in said, (duration, said)


async def test_options_that_cannot_be_are_refused_at_the_call(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        for duration in DURATIONS:
            options = ("start_delay", "run_timeout", "execution_timeout", "task_timeout", "expire")
            for option in options:
                with pytest.raises(ConfigurationError, match=option):
                    await client.workflow.start("x", **{option: duration})  # type: ignore[misc]
        for wrong in BAD_IDS:
            for option in ("id", "task_queue", "request_id", "start_signal"):
                with pytest.raises(ConfigurationError):
                    await client.workflow.start("x", **{option: wrong})
            with pytest.raises(ConfigurationError):
                await client.workflow.start(wrong) if isinstance(wrong, str) else client.workflow.get_handle(wrong)
            with pytest.raises(ConfigurationError):
                await client.signal(wrong)
            with pytest.raises(ConfigurationError):
                client.workflow.get_handle(wrong)
        assert await client.workflow.count() == 0, "nothing half-written"


async def test_ids_of_any_kind_are_kept_apart_and_come_back(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[tells]):
        handles = [await client.workflow.start(tells, id=each) for each in GOOD_IDS]
        for each in GOOD_IDS:
            await client.signal(each, {"to": each})
        assert [await handle.result(timeout=30) for handle in handles] == [[each, {"to": each}] for each in GOOD_IDS]
        assert {run.id async for run in client.workflow.list()} == set(GOOD_IDS)
        for each in GOOD_IDS:
            assert (await client.workflow.get_handle(each).describe()).id == each
        with pytest.raises(WorkflowNotFoundError):
            await client.workflow.get_handle("x" * 254).describe()
