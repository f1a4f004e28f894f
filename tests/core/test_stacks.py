"""What a run waits for, and where: op, words, and the chain of awaits."""

from __future__ import annotations

import asyncio
import json as json_text
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memflow.core.arrivals import ActivityCompleted
from memflow.core.context import current
from memflow.core.interrupts import ScheduleActivity
from memflow.payload import NO_ARGUMENTS, NOTHING
from tests.core.playing import OPTIONS, Played, activity, child, condition, signal


def line_of(function: Callable[..., object], offset: int) -> str:
    """`offset` lines below the `def` of a function of this file."""
    code = function.__code__
    return f"tests/core/test_stacks.py:{code.co_firstlineno + offset} in {code.co_name}"


async def charge() -> None:
    replay = current()
    op = replay.next_op()
    replay.ask(ScheduleActivity(op, "charge", NO_ARGUMENTS, OPTIONS))
    await replay.answer(op)


async def pay() -> None:
    await charge()


def test_the_chain_leads_from_the_outermost_await_to_the_innermost() -> None:
    async def order() -> None:
        await pay()

    played = Played(order)
    played.start()
    (row,) = played.replay.waiting()
    assert (row.op, row.what) == (1, "activity charge")
    assert row.chain == (line_of(order, 1), line_of(pay, 1), line_of(charge, 4))
    (kept,) = json_text.loads(played.replay.waiting_json())
    assert kept == {"op": 1, "what": "activity charge", "chain": list(row.chain)}


async def _gather(one: Awaitable[Any]) -> None:
    await asyncio.gather(one)


async def _group(one: Awaitable[Any]) -> None:
    async def inner() -> None:
        await one

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(inner())


async def _wait(one: Awaitable[Any]) -> None:
    await asyncio.wait([asyncio.ensure_future(one)])


async def _wait_for(one: Awaitable[Any]) -> None:
    await asyncio.wait_for(one, 60)


async def _task(one: Awaitable[Any]) -> None:
    await asyncio.ensure_future(one)


async def _timeout(one: Awaitable[Any]) -> None:
    async with asyncio.timeout(60):
        await one


@pytest.mark.parametrize("through", [_gather, _group, _wait, _wait_for, _task, _timeout])
def test_a_task_that_waits_for_others_lends_them_its_lines(through: Callable[[Awaitable[Any]], Awaitable[None]]) -> None:
    async def order() -> None:
        await through(pay())

    played = Played(order)
    played.start()
    (row,) = played.replay.waiting()
    assert row.what == "activity charge"
    assert row.chain[0] == line_of(order, 1) and row.chain[-1] == line_of(charge, 4)
    assert any(place.endswith(f" in {through.__name__}") for place in row.chain)


def test_each_kind_of_wait_has_its_words() -> None:
    async def all_kinds() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        await asyncio.gather(
            activity("charge"),
            asyncio.sleep(60),
            current().sleep_until(current().now.replace(hour=23)),
            signal("approved"),
            child("order-1-child"),
            condition(lambda: False),
            queue.get(),
        )

    played = Played(all_kinds)
    played.start()
    assert [(row.op, row.what) for row in played.replay.waiting()] == [
        (1, "activity charge"),
        (2, "timer until 2026-11-20 09:01:00 UTC"),
        (3, "timer until 2026-11-20 23:00:00 UTC"),
        (4, "signal 'approved'"),
        (5, "child order-1-child (child)"),
        (None, "condition"),
        (None, "asyncio Queue.get"),
    ]


def test_a_run_that_has_ended_waits_for_nothing() -> None:
    async def short() -> None:
        await activity("a")

    played = Played(short)
    played.start()
    assert played.replay.waiting()
    played.turn(ActivityCompleted(1, NOTHING))
    assert played.replay.waiting() == [] and played.replay.waiting_json() == "[]"
