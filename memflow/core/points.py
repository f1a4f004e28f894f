"""Points of a journal from which a run can be begun again: the ends of its turns.

A turn is indivisible: its arrivals were delivered together, and code has seen all of them or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    MessageDelivered,
    MessageNotDelivered,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    WaitCancelled,
)
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import AwaitSignal, CancelActivity, Closing, ScheduleActivity, SendHook, StartChild, StartTimer
from memflow.core.opened import OpenOps
from memflow.errors import ConfigurationError
from memflow.failure import Failure

_SHOWN = 10
"""Points that a refusal lists at most, those next to what was asked for."""


@dataclass(frozen=True, slots=True)
class Point:
    """The end of turn `turn`: entries up to and including `seq` are before it."""

    seq: int
    turn: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Left:
    """What a journal leaves open at a point. `cancelled` are activities that were asked to stop, and have not said so."""

    opened: OpenOps
    cancelled: tuple[int, ...]


def points_of(journal: Sequence[JournalEntry]) -> list[Point]:
    """Every point of a journal, first to last. The turn that ended the run is none: nothing goes on after it."""
    points: list[Point] = []
    for entry in journal:
        if isinstance(entry.entry, RunTerminated | RunTimedOut):
            break
        if points and points[-1].turn == entry.turn:
            points.pop()
        if isinstance(entry.entry, Closing):
            break
        points.append(Point(entry.seq, entry.turn, entry.at))
    # The ending turn is gone whole, wherever in it the end was asked for.
    if journal and points and any(isinstance(e.entry, Closing) and e.turn == points[-1].turn for e in journal[points[-1].seq :]):
        points.pop()
    return points


def find_point(journal: Sequence[JournalEntry], wanted: int | str, *, what: str) -> Point:
    """The point that a person means: the `seq` of a turn's last entry, `"first"` or `"last"` (the ends of the first turn and of
    the last), `"last_turn"` (without that turn), or `"op:3"` (before op 3 was answered, so that it is done again).

    Raises:
        ConfigurationError: there is no such point; the message names the nearest ones.
    """
    points = points_of(journal)
    if not points:
        raise ConfigurationError(f"{what}: the run has no turn to keep; start it anew")
    if isinstance(wanted, str):
        return _named(journal, points, wanted, what)
    if isinstance(wanted, bool) or not isinstance(cast("object", wanted), int):
        raise ConfigurationError(f"{what}: {wanted!r} is no point; {_allowed(points, 1)}")
    for point in points:
        if point.seq == wanted:
            return point
    if wanted < 1:
        why = "keeps nothing; start the workflow anew for that"
    elif wanted > points[-1].seq:
        why = "is beyond the last point from which the run can go on"
    else:
        why = "is inside a turn"
    raise ConfigurationError(f"{what}: {wanted} {why}; {_allowed(points, wanted)}")


def _named(journal: Sequence[JournalEntry], points: Sequence[Point], wanted: str, what: str) -> Point:
    match wanted:
        case "first":
            return points[0]
        case "last":
            return points[-1]
        case "last_turn":
            last_turn = max(e.turn for e in journal if not isinstance(e.entry, RunTerminated | RunTimedOut))
            return _before(points, last_turn, f"{what}: the run has one turn only, without which nothing is left")
        case _:
            word, _, number = wanted.partition(":")
            if word.strip() == "op" and number.strip().isdecimal():
                return _before_op(journal, points, int(number), what)
            if wanted.strip().isdecimal():
                return find_point(journal, int(wanted), what=what)
            raise ConfigurationError(f"{what}: {wanted!r} is no point; {_allowed(points, 1)}")


def _before_op(journal: Sequence[JournalEntry], points: Sequence[Point], op: int, what: str) -> Point:
    ops = sorted({found for e in journal if isinstance(found := getattr(e.entry, "op", None), int)})
    if op not in ops:
        known = f"1 to {ops[-1]}" if ops else "none"
        raise ConfigurationError(f"{what}: the journal has no op {op}; ops are {known}")
    entries = [e for e in journal if getattr(e.entry, "op", None) == op]
    asked = entries[0].turn
    # What waits for an answer stays asked, and is asked of the world anew. Anything else goes with the whole of its turn.
    if isinstance(entries[0].entry, ScheduleActivity | StartTimer | AwaitSignal | StartChild | SendHook):
        later = [e.turn for e in entries if e.turn > asked]
        if later:
            return _before(points, later[0], what)
        for point in points:
            if point.turn == asked:
                return point
    return _before(points, asked, f"{what}: op {op} belongs to the first turn; start the workflow anew for that")


def _before(points: Sequence[Point], turn: int, why: str) -> Point:
    earlier = [point for point in points if point.turn < turn]
    if not earlier:
        raise ConfigurationError(why)
    return earlier[-1]


def _allowed(points: Sequence[Point], near: int) -> str:
    nearest = sorted(sorted(points, key=lambda point: abs(point.seq - near))[:_SHOWN], key=lambda point: point.seq)
    listed = ", ".join(str(point.seq) for point in nearest)
    more = "" if len(nearest) == len(points) else f" (of {len(points)})"
    return f"allowed are the ends of turns: {listed}{more}; or first, last, last_turn, op:N"


def left_at(journal: Sequence[JournalEntry], point: Point) -> Left:
    """What is open at a point."""
    opened = OpenOps()
    cancelled: dict[int, None] = {}
    for entry in journal[: point.seq]:
        match entry.entry:
            case ActivityCompleted(op=op) | ActivityFailed(op=op) | ActivityTimedOut(op=op) | ActivityCancelled(op=op):
                opened.activities.pop(op, None)
                cancelled.pop(op, None)
            case TimerFired(op=op):
                opened.timers.pop(op, None)
            case ChildNotStarted(op=op) | ChildCompleted(op=op) | ChildFailed(op=op) | ChildCancelled(op=op):
                opened.children.pop(op, None)
            case SignalReceived(op=int(op)) | WaitCancelled(op=op):
                opened.waits.pop(op, None)
            case HookDelivered(op=op) | HookNotDelivered(op=op) | HookCompleted(op=op) | HookFailed(op=op):
                opened.hooks.pop(op, None)
            case MessageDelivered(op=op) | MessageNotDelivered(op=op):
                opened.messages.pop(op, None)
            case CancelActivity(op=op):
                if opened.activities.pop(op, None) is not None:
                    cancelled[op] = None
            case StartChild():
                opened.asked(entry.entry)
            case other:
                opened.asked(other)  # type: ignore[arg-type]  # of arrivals it takes no notice
    return Left(opened, tuple(cancelled))


def lost_hook(hook: SendHook) -> Failure:
    """What a run hears of a hook whose answer came when the run that it copies had ended."""
    facts = {"hook": hook.name, "workflow_id": hook.workflow_id, "run_id": hook.run_id or ""}
    message = f"hook {hook.name} in workflow {hook.workflow_id}: its answer was lost, the run that waited for it had ended"
    return Failure("hook", message, facts=facts)
