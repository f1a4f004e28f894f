"""Hooks in the core: when they begin, what they share, who hears of their end; each turn live and rebuilt."""

from __future__ import annotations

import asyncio

import pytest

from memflow.core.arrivals import ActivityCompleted, HookReceived, RunStarted, SignalReceived, TimerFired, Turn, WaitCancelled
from memflow.core.hooks import UnknownHook
from memflow.core.interrupts import AnswerHook, AwaitSignal, CancelWait, Complete, Fail, StartHook, WriteRecord
from memflow.core.replay import TurnFailed
from memflow.payload import NOTHING
from tests.core.playing import Played, activity, ask_hook, json, kinds, people, schedule, seconds, signal


async def waits() -> str:
    await signal("end")
    return "ended"


def received(number: int = 1, *, search: str | None = None, reply: bool = False) -> HookReceived:
    address = ("other", "run-2", 9) if reply else (None, None, None)
    return HookReceived("h-1", "outside", json(f"[{number}]"), None if search is None else json(search), *address)


def test_a_hook_begins_after_the_start_and_its_fields_are_written_first() -> None:
    played = Played(waits)
    asked = played.turn(RunStarted(), received(search='{"a":1}'))
    assert kinds(asked) == ["WriteRecord", "AwaitSignal", "WriteRecord", "ScheduleActivity"]
    assert isinstance(asked[0], WriteRecord) and asked[0].op == 1
    assert asked[-1] == schedule(4, "outside-1")
    assert played.replay.record == {"a": 1, "outside": 1}


def test_who_waits_for_a_hook_hears_its_result_and_its_failure() -> None:
    played = Played(waits)
    played.start()
    played.turn(received(3, reply=True))
    [answer] = played.turn(ActivityCompleted(3, NOTHING))
    assert answer == AnswerHook("h-1", "other", "run-2", 9, json("3"))
    played.turn(received(0, reply=True))
    [failed] = played.turn(ActivityCompleted(5, NOTHING))
    assert isinstance(failed, AnswerHook) and failed.failure is not None
    assert (failed.failure.kind, failed.failure.facts["hook"], failed.failure.cause and failed.failure.cause.type) == (
        "hook", "outside", "LookupError",
    )
    assert not played.replay.finished


def test_what_a_hook_raises_that_nobody_waits_for_ends_the_run() -> None:
    played = Played(waits)
    played.start()
    played.turn(received(0))
    [failed] = played.turn(ActivityCompleted(3, NOTHING))
    assert isinstance(failed, Fail) and failed.failure.type == "LookupError"


def test_an_unknown_hook_fails_the_turn_and_names_those_there_are() -> None:
    played = Played(waits)
    played.start()
    with pytest.raises(TurnFailed) as caught:
        played.replay.advance(Turn(played.at, [HookReceived("h-1", "missing")]))
    assert isinstance(caught.value.__cause__, UnknownHook)
    assert "'missing'" in str(caught.value.__cause__) and "known hooks: outside" in str(caught.value.__cause__)


def test_a_hook_whose_arguments_do_not_fit_is_dropped_or_answered() -> None:
    played = Played(waits)
    played.start()
    assert played.turn(HookReceived("h-1", "outside", json('["no number"]'))) == []
    [answer] = played.turn(HookReceived("h-2", "outside", json("[]"), None, "other", "run-2", 9))
    assert isinstance(answer, AnswerHook) and answer.failure is not None


def test_hooks_and_main_take_their_numbers_from_one_counter() -> None:
    async def hooked() -> None:
        await activity("in the hook")

    async def main() -> None:
        ask_hook(hooked)
        await activity("in main")

    played = Played(main)
    assert [getattr(each, "op", None) for each in played.start()] == [1, 2, 3]


def test_the_end_of_main_ends_a_hook_at_once() -> None:
    log: list[str] = []

    async def hooked() -> None:
        try:
            await signal("never")
        finally:
            log.append("unwound")

    async def main() -> str:
        ask_hook(hooked)
        await asyncio.sleep(1)
        return "done"

    played = Played(main)
    assert kinds(played.start()) == [StartHook.__name__, "StartTimer", AwaitSignal.__name__]
    log.clear()
    [end] = played.turn(TimerFired(2), after=1)
    assert isinstance(end, Complete) and log


# ------------------------------------------------------------------------------------------------- waits for people


def asking(limit: float) -> Played:
    async def main() -> object:
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                found = await people("s", scope.expired)
        except TimeoutError:
            return "late"
        return "cancelled" if found is None else found.op

    played = Played(main)
    played.start()
    return played


def test_an_answer_that_comes_with_the_time_that_is_up_wins() -> None:
    for arrival, result in ((SignalReceived("s", NOTHING, 2), "2"), (WaitCancelled(2, "s"), '"cancelled"')):
        asked = asking(1).turn(arrival, TimerFired(1), after=1)
        assert asked[-1] == Complete(json(result)), asked
        assert not [each for each in asked if isinstance(each, CancelWait)]


def test_a_wait_whose_time_is_up_says_so_and_one_that_is_left_too() -> None:
    assert CancelWait(2, "s", "expired") in asking(1).turn(TimerFired(1), after=1)

    async def leaves() -> None:
        task = asyncio.ensure_future(people("s", lambda: False))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(1)

    played = Played(leaves)
    played.start()
    assert CancelWait(2, "s", "cancelled") in played.turn(TimerFired(1), after=1)


def test_a_signal_by_name_resolves_the_row_unless_its_own_answer_came_too() -> None:
    by_name, own = SignalReceived("s", json("1")), SignalReceived("s", json("2"), 2)
    assert CancelWait(2, "s", "resolved", json("1")) in asking(9).turn(by_name)
    played = asking(9)
    asked = played.turn(by_name, own)
    assert asked[-1] == Complete(json("2")) and not [each for each in asked if isinstance(each, CancelWait)]
    assert played.replay.unread == [by_name], "the one by name is kept for whoever waits next"


def test_the_time_between_turns_is_nobodys() -> None:
    played = asking(5)
    assert played.turn(SignalReceived("other", NOTHING), after=seconds(2).total_seconds()) == []
    assert played.replay.asks_people
