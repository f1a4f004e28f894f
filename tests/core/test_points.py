"""From where a run can be begun again: the ends of its turns, and what they leave open."""

from __future__ import annotations

import pytest

from memflow.core.arrivals import (
    ActivityCompleted,
    Arrival,
    ChildStarted,
    RunStarted,
    RunTerminated,
    SignalReceived,
    TimerFired,
)
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import (
    AwaitSignal,
    CancelActivity,
    Complete,
    Emit,
    Interrupt,
    ScheduleActivity,
    StartChild,
    StartTimer,
)
from memflow.core.points import find_point, left_at, points_of
from memflow.errors import ConfigurationError
from memflow.options import ChildOptions
from memflow.payload import NO_ARGUMENTS, NOTHING
from tests.core.playing import OPTIONS, T0


def journal(*turns: list[Arrival | Interrupt]) -> list[JournalEntry]:
    entries: list[JournalEntry] = []
    for number, turn in enumerate(turns, start=1):
        entries += [JournalEntry(seq, number, T0, entry) for seq, entry in enumerate(turn, start=len(entries) + 1)]
    return entries


def activity(op: int) -> ScheduleActivity:
    return ScheduleActivity(op, "charge", NO_ARGUMENTS, OPTIONS)


OPEN = journal(
    [RunStarted(), activity(1), Emit(2, {})],
    [ActivityCompleted(1, NOTHING), StartTimer(3, T0), AwaitSignal(4, "go"), activity(5)],
    [TimerFired(3), StartChild(6, "kid", "kid", "run", NO_ARGUMENTS, ChildOptions(), True), CancelActivity(5)],
    [ChildStarted(6), Emit(7, {})],
)
ENDED = [*OPEN, JournalEntry(13, 5, T0, SignalReceived("go", NOTHING, 4)), JournalEntry(14, 5, T0, Complete(NOTHING))]


def seqs(entries: list[JournalEntry]) -> list[int]:
    return [point.seq for point in points_of(entries)]


def test_points_are_the_ends_of_turns_but_not_of_the_one_that_ended_the_run() -> None:
    assert seqs(OPEN) == seqs(ENDED) == [3, 7, 10, 12]
    assert seqs([]) == []
    assert seqs(journal([RunStarted(), Complete(NOTHING)])) == []
    terminated = [*OPEN, JournalEntry(13, 5, T0, RunTerminated())]
    assert seqs(terminated) == [3, 7, 10, 12]


@pytest.mark.parametrize(
    ("wanted", "open_run", "ended_run"),
    [
        (7, 7, 7),
        ("7", 7, 7),
        ("first", 3, 3),
        ("last", 12, 12),
        ("last_turn", 10, 12),
        ("op:1", 3, 3),      # asked in turn 1, answered in turn 2: the question stays
        ("op:3", 7, 7),
        ("op:4", 12, 12),    # unanswered to the end, or answered by the turn that ended the run
        ("op:6", 10, 10),
        ("op:7", 10, 10),    # nothing answers it: its whole turn goes
    ],
)
def test_points_by_number_and_by_name(wanted: int | str, open_run: int, ended_run: int) -> None:
    if wanted == "op:4":
        open_run = 7
    assert find_point(ENDED, wanted, what="reset").seq == ended_run
    assert find_point(OPEN, wanted, what="reset").seq == open_run


@pytest.mark.parametrize("wanted", [0, -1, 4, 13, 14, 10**9, "", "x", "op:0", "op:99", "op:2", "op"])
def test_what_is_no_point_is_refused(wanted: int | str) -> None:
    with pytest.raises(ConfigurationError, match="reset"):
        find_point(ENDED, wanted, what="reset")


def test_a_refusal_names_the_nearest_points() -> None:
    with pytest.raises(ConfigurationError, match="8 is inside a turn; allowed are the ends of turns: 3, 7, 10, 12;"):
        find_point(ENDED, 8, what="reset")
    long = journal([RunStarted(), activity(1)], *([ActivityCompleted(n, NOTHING), activity(n + 1)] for n in range(1, 500)))
    with pytest.raises(ConfigurationError, match=r"490, 492, .* 508 \(of 500\)"):
        find_point(long, 499, what="reset")


def test_what_a_point_leaves_open() -> None:
    opened = {}
    for point in points_of(OPEN):
        left = left_at(OPEN, point)
        opened[point.seq] = (
            sorted(left.opened.activities), sorted(left.opened.timers), sorted(left.opened.waits), sorted(left.opened.children),
            left.cancelled,
        )  # fmt: skip
    assert opened == {
        3: ([1], [], [], [], ()),
        7: ([5], [3], [4], [], ()),
        10: ([], [], [4], [6], (5,)),
        12: ([], [], [4], [6], (5,)),
    }
