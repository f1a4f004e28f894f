"""Continuing as new: a BaseException through the code, one interrupt at its end, and signals that nobody took."""

from __future__ import annotations

import asyncio

import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted, SignalReceived
from memflow.core.chain import ContinueAsNewError
from memflow.core.interrupts import ContinueAsNew
from memflow.payload import NOTHING, Payload
from tests.core.playing import Code, Played, activity, continue_as_new, json, schedule, signal

AGAIN = ContinueAsNew(Payload(b'["again"]'))


def test_no_except_exception_stops_it_and_finally_may_still_ask() -> None:
    async def code() -> None:
        try:
            try:
                continue_as_new("again")
            except Exception:
                await activity("caught")
        finally:
            await activity("cleanup")

    played = Played(code)
    assert played.start() == [schedule(1, "cleanup")]
    assert played.turn(ActivityCompleted(1, NOTHING)) == [AGAIN]
    assert played.replay.finished


async def gathered() -> None:
    async def one() -> None:
        await activity("one")
        continue_as_new("again")

    await asyncio.gather(one(), activity("two"))


async def grouped() -> None:
    async def one() -> None:
        await activity("one")
        continue_as_new("again")

    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(activity("two"))


async def left_alone() -> None:
    async def one() -> None:
        await activity("one")
        continue_as_new("again")

    task = asyncio.ensure_future(one())
    await activity("two")
    await task


async def timed() -> None:
    async with asyncio.timeout(60):
        await activity("one")
        continue_as_new("again")


@pytest.mark.parametrize("code", [gathered, grouped, left_alone, timed])
def test_from_whatever_task(code: Code) -> None:
    played = Played(code)
    played.start()
    one = next(op for op, asked in played.replay.open_activities.items() if asked.name == "one")
    assert played.turn(ActivityCompleted(one, NOTHING))[-1] == AGAIN


def test_one_who_waits_for_the_task_may_catch_it_and_go_on() -> None:
    async def code() -> str:
        async def one() -> None:
            continue_as_new("again")

        try:
            await asyncio.ensure_future(one())
        except ContinueAsNewError:
            pass
        return "stays"

    played = Played(code)
    played.start()
    assert played.replay.finished and not isinstance(played.journal[-1].entry, ContinueAsNew)


def test_signals_that_no_code_took_are_left_for_the_next_run_in_order() -> None:
    async def code() -> None:
        await signal("end")
        continue_as_new("again")

    played = Played(code)
    sent = [SignalReceived("go", json(text)) for text in "123"]
    played.turn(RunStarted(), *sent)
    assert played.turn(SignalReceived("end", NOTHING), SignalReceived("end", json("2"))) [-1] == AGAIN
    assert played.replay.unread == [*sent, SignalReceived("end", json("2"))]


def test_a_signal_whose_waiter_did_not_come_to_go_on_is_left_before_later_ones() -> None:
    async def code() -> None:
        first, second = (asyncio.ensure_future(signal("go")) for _ in range(2))
        await signal("end")
        first.cancel()  # its signal passes on to the second, who wakes only after the end
        continue_as_new(f"again {second.done()}")

    played = Played(code)
    played.start()
    played.turn(SignalReceived("end", NOTHING), SignalReceived("go", json("1")))
    assert isinstance(played.journal[-1].entry, ContinueAsNew)
    assert played.replay.unread == [SignalReceived("go", json("1"))]


def test_a_signal_that_was_taken_is_not_left() -> None:
    async def code() -> None:
        await signal("go")
        await activity("one")
        continue_as_new("again")

    played = Played(code)
    played.turn(RunStarted(), SignalReceived("go", json("1")), SignalReceived("go", json("2")))
    played.turn(ActivityCompleted(1, NOTHING))
    assert played.replay.unread == [SignalReceived("go", json("2"))]
