"""Two thousand activities at once: the same order on replay, and a cost that grows with their number, not with its square."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

import pytest

from memflow.core.arrivals import ActivityCompleted, Arrival, RunStarted, Turn
from memflow.core.entries import JournalEntry
from memflow.core.handlers import journaled
from memflow.core.interrupts import Complete
from memflow.payload import Payload
from tests.core.playing import CODEC, Code, Played, activity

PER_TURN = 25
"""Answers that a busy worker brings in one turn, at least."""


async def call() -> int:
    answer = await activity("a")
    assert isinstance(answer, ActivityCompleted)
    return answer.op


def gathers(count: int) -> Code:
    async def gathered() -> list[Any]:
        return list(await asyncio.gather(*(call() for _ in range(count))))

    return gathered


def waits(count: int) -> Code:
    async def waited() -> list[Any]:
        pending = {asyncio.ensure_future(call()) for _ in range(count)}
        order: list[Any] = []
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            order.extend(task.result() for task in done)
        return order

    return waited


def completes(count: int) -> Code:
    async def completed() -> list[Any]:
        return [await each for each in asyncio.as_completed([call() for _ in range(count)])]

    return completed


SHAPES: dict[str, Callable[[int], Code]] = {"gather": gathers, "wait": waits, "as_completed": completes}


def fan_out(shape: str, count: int) -> tuple[Played, list[Any]]:
    """Played to its end, the answers coming in an order of chance; without the rebuild after each turn, which is quadratic."""
    played = Played(SHAPES[shape](count))
    turn(played, RunStarted())
    ops = list(range(1, count + 1))
    Random(7).shuffle(ops)
    for at in range(0, count, PER_TURN):
        turn(played, *(ActivityCompleted(op, Payload(str(op).encode())) for op in ops[at : at + PER_TURN]))
    last = played.journal[-1].entry
    assert isinstance(last, Complete)
    return played, CODEC.decode(last.result)


def turn(played: Played, *arrivals: Arrival) -> None:
    asked = played.replay.advance(Turn(played.at, arrivals))
    kept, said = journaled(arrivals, asked)
    for entry in (*kept, *said):
        played.journal.append(JournalEntry(len(played.journal) + 1, played.replay.turn_number, played.at, entry))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rebuilt_fan_out_sees_the_same_order(shape: str) -> None:
    played, order = fan_out(shape, 2000)
    assert sorted(order) == list(range(1, 2001))
    rebuilt = played.rebuilt()                           # raises if the code asks for anything else
    assert rebuilt.finished
    rebuilt.close()
    _, again = fan_out(shape, 2000)
    assert again == order


@pytest.mark.parametrize("shape", SHAPES)
def test_the_cost_of_a_fan_out_is_not_quadratic(shape: str) -> None:
    """Counted in calls, which no busy machine changes: 4 times as many activities, 16 times the calls if it were quadratic."""
    small, large = calls_of(lambda: fan_out(shape, 500)), calls_of(lambda: fan_out(shape, 2000))
    assert large < 7 * small


@pytest.mark.parametrize("shape", SHAPES)
def test_the_cost_of_a_rebuild_is_not_quadratic(shape: str) -> None:
    small, large = fan_out(shape, 500)[0], fan_out(shape, 2000)[0]
    assert calls_of(lambda: small.rebuilt().close()) * 7 > calls_of(lambda: large.rebuilt().close())


def calls_of(do: Callable[[], object]) -> int:
    """How many functions of the engine `do` calls.

    Not those of asyncio, whose `wait` looks at all that is pending each time it is called, and not the hashes it asks for then.
    """
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        code = frame.f_code
        calls += event == "call" and code.co_name != "__hash__" and "memflow" in code.co_filename

    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
    return calls
