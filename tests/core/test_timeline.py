"""A journal as people read it."""

from __future__ import annotations

import asyncio

import pytest

from memflow.core.arrivals import (
    ActivityCompleted,
    ActivityFailed,
    CancelRequested,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
)
from memflow.core.entries import CLASSES, JournalEntry
from memflow.core.timeline import duration, render, timeline
from memflow.failure import Failure
from memflow.payload import NOTHING
from tests.core.playing import T0, Played, activity, emit, json, seconds, signal
from tests.core.test_entries import SAMPLES

REASON = Failure("application", "card 4242 declined\nsecond line", type="CardDeclined")
DECLINED = Failure("activity", "charge failed", cause=REASON)


async def order() -> None:
    await activity("reserve")
    emit("order.reserved")
    try:
        async with asyncio.timeout(60):
            await signal("approved")
    except TimeoutError:
        pass
    if type(await activity("charge")) is ActivityFailed:
        raise ValueError("not charged")


def played_order() -> Played:
    played = Played(order)
    played.start()
    played.turn(ActivityCompleted(1, NOTHING), after=2)
    played.turn(SignalReceived("approved", json('"ada"'), 4), after=10)
    played.turn(ActivityFailed(5, DECLINED), after=20)
    return played


def test_a_row_for_each_operation_with_its_start_end_and_outcome() -> None:
    rows = timeline(played_order().journal)
    assert [(row.op, row.what, row.state, row.outcome) for row in rows] == [
        (None, "run started", "done", ""),
        (1, "reserve", "done", ""),
        (2, "emit order.reserved", "done", ""),
        (3, "timer", "cancelled", "left early"),
        (4, "signal 'approved'", "done", ""),
        (5, "charge", "failed", "CardDeclined: card 4242 declined"),
        (None, "run failed", "failed", "ValueError: not charged"),
    ]
    charge = rows[5]
    assert (charge.start, charge.end) == (T0 + seconds(12), T0 + seconds(32))


def test_an_open_run_has_open_rows_and_a_closed_one_none() -> None:
    played = Played(order)
    played.start()
    rows = timeline(played.journal)
    assert (rows[1].state, rows[1].end) == ("open", None)
    ended = JournalEntry(3, 2, T0 + seconds(5), RunTerminated("enough"))
    rows = timeline([*played.journal, ended])
    assert (rows[1].state, rows[1].outcome) == ("cancelled", "dropped at the end")
    assert (rows[2].what, rows[2].outcome) == ("run terminated", "enough")


def test_it_draws_a_line_for_each_row_and_note_within_the_width() -> None:
    text = render(timeline(played_order().journal), width=90, notes=[(T0 + seconds(5), "worker killed here")])
    lines = text.splitlines()
    assert all(len(line) <= 90 for line in lines) and len(lines) == 1 + 7 + 1
    assert lines[0].split() == ["op", "what", "0", "32s"]
    assert "✓ 2s" in next(line for line in lines if " reserve " in line)
    assert "✕ CardDeclined: card 4242" in next(line for line in lines if " charge " in line)
    order_of = [next(n for n, line in enumerate(lines) if word in line) for word in ("reserve", "worker killed", "charge")]
    assert order_of == sorted(order_of)


@pytest.mark.parametrize("width", [20, 40, 200])
def test_any_width_will_do(width: int) -> None:
    text = render(timeline(played_order().journal), width=width)
    assert max(len(line) for line in text.splitlines()) <= width


def test_an_empty_journal_draws_nothing() -> None:
    assert render(timeline([])) == "nothing has happened yet"


def test_a_run_that_took_no_time_is_drawn() -> None:
    async def short() -> None:
        pass

    played = Played(short)
    played.start()
    assert "run completed" in render(timeline(played.journal))


def test_every_kind_of_entry_is_known() -> None:
    journal = [JournalEntry(n, n, T0 + seconds(n), each) for n, each in enumerate(SAMPLES, 1)]
    text = render(timeline(journal), now=T0 + seconds(100))
    for shown in ("charge", "timer", "'s' sent to order-2", "child child-1 (ship)", "terminate of child-1", "record", "trace"):
        assert shown in text
    assert {type(each) for each in SAMPLES} == set(CLASSES)


def test_a_run_that_timed_out_and_one_that_was_asked_to_cancel() -> None:
    entries = [
        JournalEntry(1, 1, T0, CancelRequested("enough")),
        JournalEntry(2, 2, T0 + seconds(1), RunTimedOut("run")),
    ]
    assert [(row.what, row.outcome) for row in timeline(entries)] == [
        ("cancellation requested", "enough"),
        ("run timed out", "run timeout"),
    ]


@pytest.mark.parametrize(
    ("took", "text"),
    [(0, "0ms"), (0.21, "210ms"), (1, "1s"), (3.2, "3.2s"), (64, "1m 4s"), (3600, "1h"), (8040, "2h 14m"), (273_600, "3d 4h")],
)
def test_durations_are_short(took: float, text: str) -> None:
    assert duration(took) == text


def test_a_timer_that_fired_is_done() -> None:
    async def nap() -> None:
        await asyncio.sleep(5)

    played = Played(nap)
    played.start()
    played.turn(TimerFired(1), after=5)
    assert [(row.what, row.state) for row in timeline(played.journal)][1] == ("timer", "done")
