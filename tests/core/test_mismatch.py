"""Code that asks for something else than its journal holds: noticed at the line that asks, told so that one can act."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime

import pytest

from memflow import errors
from memflow.core.arrivals import ActivityCompleted, SignalReceived, TimerFired
from memflow.core.context import current
from memflow.core.interrupts import (
    AwaitSignal,
    CancelActivity,
    Complete,
    ContinueAsNew,
    Emit,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
    Trace,
    WriteRecord,
)
from memflow.core.mismatch import same_as
from memflow.core.replay import TurnFailed
from memflow.errors import NondeterminismError
from memflow.options import ActivityOptions, ChildOptions
from memflow.payload import NO_ARGUMENTS, NOTHING
from tests.core.playing import OPTIONS, T0, Code, Played, activity, child, emit, json, seconds, signal


async def order() -> str:
    await activity("charge")
    await activity("send_email")
    await asyncio.sleep(60)
    return "done"


def played_order() -> Played:
    played = Played(order)
    played.start()
    played.turn(ActivityCompleted(1, NOTHING))
    return played

LOCAL = ActivityOptions(local_retry_threshold=seconds(60))


def mismatch(code: Code, played: Played | None = None) -> NondeterminismError:
    with pytest.raises(NondeterminismError) as found:
        (played or played_order()).rebuilt(code)
    return found.value


def test_a_renamed_activity_is_reported_whole() -> None:
    async def changed() -> None:
        await activity("charge")
        await activity("send_receipt")

    found = mismatch(changed)
    assert found.seq == 4 and found.agreed == 3
    assert isinstance(found.journal, ScheduleActivity) and found.journal.name == "send_email"
    assert isinstance(found.code, ScheduleActivity) and found.code.name == "send_receipt"
    assert found.where is not None and re.fullmatch(r"tests/core/playing.py:\d+ in ask_activity", found.where)
    assert "renamed or replaced" in found.likely
    assert str(found).splitlines()[0].startswith("CodeMismatch: run order-1 (order) cannot continue")
    text = str(found)
    assert "op 2      journal:  activity send_email()    recorded 2026-11-20 09:00 UTC" in text
    assert "code now: activity send_receipt()    " in text
    assert "good until op 1 (activity charge), entry 2" in text
    assert "workflow.patched" in text


async def _removed() -> None:
    await activity("send_email")


async def _removed_second() -> None:
    await activity("charge")
    await asyncio.sleep(60)


async def _added_before() -> None:
    emit("began")
    await activity("charge")


async def _added_beside() -> None:
    await asyncio.gather(activity("charge"), activity("audit"))


async def _asks_nothing() -> None:
    await current().condition(lambda: False)


async def _returns_early() -> None:
    await activity("charge")


async def _fails_now() -> None:
    await activity("charge")
    raise errors.ApplicationError("no", type="Refused")


async def _waits_for_a_signal() -> None:
    await activity("charge")
    await signal("approved")


async def _starts_a_child() -> None:
    await activity("charge")
    await child("child-1")


async def _sleeps_first() -> None:
    await asyncio.sleep(1)
    await activity("charge")


@pytest.mark.parametrize(
    ("code", "journal", "asks", "likely"),
    [
        (_removed, "ScheduleActivity", "ScheduleActivity", "further on"),
        (_removed_second, "ScheduleActivity", "StartTimer", "sleep or a timeout"),
        (_added_before, "ScheduleActivity", "Emit", "added"),
        (_added_beside, None, "ScheduleActivity", "added"),
        (_asks_nothing, "ScheduleActivity", None, "removed"),
        (_returns_early, "ScheduleActivity", "Complete", "returns early"),
        (_fails_now, "ScheduleActivity", "Fail", "fails where"),
        (_waits_for_a_signal, "ScheduleActivity", "AwaitSignal", "added"),
        (_starts_a_child, "ScheduleActivity", "StartChild", "added"),
        (_sleeps_first, "ScheduleActivity", "StartTimer", "sleep or a timeout"),
    ],
)
def test_each_change_is_noticed_and_explained(code: Code, journal: str | None, asks: str | None, likely: str) -> None:
    found = mismatch(code)
    assert (None if found.journal is None else type(found.journal).__name__) == journal
    assert (None if found.code is None else type(found.code).__name__) == asks
    assert likely in found.likely
    assert found.where is None or "tests/core/" in found.where


def test_a_step_after_the_recorded_end_is_noticed() -> None:
    async def ends() -> None:
        await activity("a")

    async def goes_on() -> None:
        await activity("a")
        await activity("b")

    played = Played(ends)
    played.start()
    played.turn(ActivityCompleted(1, NOTHING))
    assert "before the end" in mismatch(goes_on, played).likely


def test_code_that_goes_on_where_the_journal_stops_is_no_mismatch() -> None:
    async def longer() -> None:
        await activity("charge")
        await activity("send_email")
        await activity("something new")

    replay = played_order().rebuilt(longer)
    assert list(replay.open_activities) == [2]
    replay.close()


def test_inputs_options_and_times_may_change() -> None:
    async def changed() -> None:
        replay = current()
        for name in ("charge", "send_email"):
            op = replay.next_op()
            replay.ask(ScheduleActivity(op, name, json('["other"]'), ActivityOptions(task_queue="elsewhere")))
            await replay.answer(op)
        await asyncio.sleep(3600)

    played = played_order()
    played.turn(ActivityCompleted(2, NOTHING))
    replay = played.rebuilt(changed)
    assert replay.open_timers == {3: T0 + seconds(60)}, "an open timer keeps the time that the journal gave it"
    replay.close()


def test_code_that_swallows_everything_cannot_hide_a_mismatch() -> None:
    async def swallows() -> None:
        await activity("charge")
        for _ in range(3):
            try:
                await activity("another")
            except BaseException:
                emit("swallowed")

    assert isinstance(mismatch(swallows).code, ScheduleActivity)


def test_a_mismatch_in_a_signal_that_goes_back_has_no_line_but_a_report() -> None:
    async def impatient() -> None:
        try:
            async with asyncio.timeout(1):
                await signal("s")
        except TimeoutError:
            await activity("a")

    async def patient() -> None:
        async with asyncio.timeout(1):
            await signal("s")
        await activity("a")

    played = Played(impatient)
    played.start()
    played.turn(TimerFired(1), after=1)
    played.turn(SignalReceived("s", NOTHING, 2))
    assert isinstance(mismatch(patient, played).code, Fail)


def test_a_bug_met_while_rebuilding_is_told_as_a_bug() -> None:
    async def buggy() -> None:
        await activity("charge")
        raise KeyError("typo")

    played = Played(order, fails_on=(errors.FailureError,))
    played.start()
    played.turn(ActivityCompleted(1, NOTHING))
    with pytest.raises(TurnFailed) as failed:
        played.rebuilt(buggy)
    assert isinstance(failed.value.__cause__, KeyError)


DUE: datetime = T0


@pytest.mark.parametrize(
    ("journal", "code", "same"),
    [
        (ScheduleActivity(1, "a", NO_ARGUMENTS, OPTIONS), ScheduleActivity(1, "a", NOTHING, ActivityOptions("q")), True),
        (ScheduleActivity(1, "a", NO_ARGUMENTS, OPTIONS), ScheduleActivity(1, "b", NO_ARGUMENTS, OPTIONS), False),
        (ScheduleActivity(1, "a", NO_ARGUMENTS, OPTIONS), ScheduleActivity(2, "a", NO_ARGUMENTS, OPTIONS), False),
        (StartTimer(1, DUE), StartTimer(1, DUE + seconds(9)), True),
        (StartTimer(1, DUE), CancelActivity(1), False),
        (AwaitSignal(1, "s"), AwaitSignal(1, "t"), False),
        (SendSignal(1, "s", NOTHING), SendSignal(1, "s", json("1")), True),
        (SendSignal(1, "s", NOTHING), SendSignal(1, "s", NOTHING, "order-2"), False),
        (
            StartChild(1, "w", "id", "r", NOTHING, ChildOptions()),
            StartChild(1, "w", "id", "r2", json("1"), ChildOptions("q"), True),
            True,
        ),
        (StartChild(1, "w", "id", "r", NOTHING, ChildOptions()), StartChild(1, "w", "id2", "r", NOTHING, ChildOptions()), False),
        (StartChild(1, "w", "id", "r", NOTHING, ChildOptions()), StartChild(1, "v", "id", "r", NOTHING, ChildOptions()), False),
        (StopOther(1, "cancel", "id"), StopOther(1, "terminate", "id"), False),
        (ScheduleActivity(1, "a", NOTHING, OPTIONS), ScheduleActivity(1, "a", NOTHING, LOCAL), False),
        (Emit(1, {"a": NOTHING}), Emit(1, {"b": NOTHING}), True),
        (WriteRecord(1, "search.set", NOTHING), Trace(1, NOTHING), False),
        (WriteRecord(1, "search.set", NOTHING), WriteRecord(1, "search.set", json("[1]")), True),
        (WriteRecord(1, "search.incr", NOTHING), WriteRecord(1, "search.mult", NOTHING), False),
        (MarkPatch("p"), MarkPatch("p", deprecated=True), True),
        (MarkPatch("p"), MarkPatch("q"), False),
        (Complete(NOTHING), Complete(json("1")), True),
        (ContinueAsNew(NOTHING), ContinueAsNew(json("1"), "other"), True),
        (ContinueAsNew(NOTHING), Complete(NOTHING), False),
    ],
)
def test_what_counts_as_the_same(journal: Interrupt, code: Interrupt, same: bool) -> None:
    assert same_as(journal, code) is same


def test_a_mismatch_names_the_line_that_asks() -> None:
    async def changed() -> None:
        replay = current()
        replay.ask(ScheduleActivity(replay.next_op(), "another", NO_ARGUMENTS, OPTIONS))

    line = changed.__code__.co_firstlineno + 2
    assert mismatch(changed).where == f"tests/core/test_mismatch.py:{line} in changed"
