"""A journal as people read it: one row per operation, from when to when, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    HookReceived,
    MessageDelivered,
    MessageNotDelivered,
    RunStarted,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    UpdateReceived,
    WaitCancelled,
)
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelActivity,
    Cancelled,
    CancelTimer,
    CancelWait,
    Complete,
    ContinueAsNew,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
)
from memflow.core.wording import what
from memflow.failure import Failure

Note = tuple[datetime, str]
"""Something beside the journal worth a line, such as a worker that was killed."""


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One operation or event. `end` None: still open. `state` is one of open, done, failed, cancelled, note."""

    op: int | None
    what: str
    start: datetime
    end: datetime | None
    state: str
    outcome: str


def timeline(entries: Sequence[JournalEntry]) -> list[TimelineRow]:
    """The rows of a journal, in the order in which they began."""
    rows: dict[object, TimelineRow] = {}
    closed = False
    for entry in entries:
        at, value = entry.at, entry.entry
        match value:
            case RunStarted():
                rows["start"] = TimelineRow(None, "run started", at, at, "done", "")
            case (
                ScheduleActivity()
                | StartChild()
                | StartTimer()
                | AwaitSignal()
                | SendHook()
                | SendSignal(tell=True)
                | StopOther(tell=True)
            ):
                rows[value.op] = TimelineRow(value.op, _name(value), at, None, "open", "")
            case CancelActivity(op=op) | CancelTimer(op=op) | CancelWait(op=op):
                _finish(rows, op, at, "cancelled", "left early")
            case (
                ActivityCompleted(op=op)
                | ChildCompleted(op=op)
                | TimerFired(op=op)
                | MessageDelivered(op=op)
                | HookDelivered(op=op)
                | HookCompleted(op=op)
            ):
                _finish(rows, op, at, "done", "")
            case ActivityFailed() | ChildFailed() | ActivityTimedOut() | HookFailed():
                _finish(rows, value.op, at, "failed", _reason(value.failure))
            case ActivityCancelled(op=op) | ChildCancelled(op=op):
                _finish(rows, op, at, "cancelled", "")
            case WaitCancelled(op=op):
                _finish(rows, op, at, "cancelled", "the escalation was cancelled")
            case (
                HookNotDelivered(op=op, workflow_id=workflow_id, status=status)
                | MessageNotDelivered(op=op, workflow_id=workflow_id, status=status)
            ):
                _finish(rows, op, at, "failed", f"{workflow_id} is {status or 'not there'}")
            case HookReceived(name=name):
                rows[entry.seq, "hook"] = TimelineRow(None, f"hook {name} received", at, at, "done", "")
            case ChildNotStarted(op=op, workflow_id=workflow_id):
                _finish(rows, op, at, "failed", f"the id {workflow_id} was taken")
            case ChildStarted():
                pass
            case SignalReceived(name=name, op=None):
                rows[entry.seq, "signal"] = TimelineRow(None, f"signal {name!r} received", at, at, "done", "")
            case SignalReceived(op=op):
                _finish(rows, op, at, "done", "")
            case UpdateReceived(update_id=update_id, name=name):
                rows["update", update_id] = TimelineRow(None, f"update {name!r}", at, None, "open", "")
            case AnswerUpdate(update_id=update_id, outcome=outcome, failure=failure):
                if outcome != "accepted":
                    reason = "" if failure is None else _reason(failure)
                    _finish(rows, ("update", update_id), at, "done" if outcome == "completed" else "failed", reason)
            case CancelRequested(reason=reason):
                rows[entry.seq, "cancel"] = TimelineRow(None, "cancellation requested", at, at, "done", reason or "")
            case RunTerminated(reason=reason):
                closed = True
                rows["end"] = TimelineRow(None, "run terminated", at, at, "failed", reason or "")
            case RunTimedOut(kind=kind):
                closed = True
                rows["end"] = TimelineRow(None, "run timed out", at, at, "failed", f"{kind} timeout")
            case Complete():
                closed = True
                rows["end"] = TimelineRow(None, "run completed", at, at, "done", "")
            case Fail(failure=failure):
                closed = True
                rows["end"] = TimelineRow(None, "run failed", at, at, "failed", _reason(failure))
            case Cancelled():
                closed = True
                rows["end"] = TimelineRow(None, "run cancelled", at, at, "cancelled", "")
            case ContinueAsNew():
                closed = True
                rows["end"] = TimelineRow(None, "run continued as new", at, at, "done", "")
            case AnswerHook():
                rows[entry.seq, "hook"] = TimelineRow(None, what(value), at, at, "done", "")
            case MarkPatch():
                rows[entry.seq, "patch"] = TimelineRow(None, what(value), at, at, "done", "")
            case _:
                rows[value.op] = TimelineRow(value.op, what(value), at, at, "done", "")
    if not closed:
        return list(rows.values())
    end = entries[-1].at
    return [
        TimelineRow(row.op, row.what, row.start, end, "cancelled", "dropped at the end") if row.state == "open" else row
        for row in rows.values()
    ]


def render(rows: Sequence[TimelineRow], *, width: int = 100, notes: Sequence[Note] = (), now: datetime | None = None) -> str:
    """Rows and notes as text: one line each, with a bar where it lies in time. Lines are at most `width` characters.

    `now` is where open rows end; without it, at the last instant known.
    """
    if not rows:
        return "nothing has happened yet"
    lines = sorted(
        [*rows, *(TimelineRow(None, text, at, at, "note", "") for at, text in notes)], key=lambda row: row.start
    )  # stable: rows of one instant keep the journal's order
    first = lines[0].start
    instants = [row.end or row.start for row in lines] + ([] if now is None else [now])
    last = max(instants)
    named = min(max(len(row.what) for row in lines), max(16, width // 3))
    ended = min(max(len(_ending(row)) for row in lines), max(16, width // 3))
    bar = max(10, width - named - ended - 9)
    out = [f"{'op':>4} {'what':<{named}}  {_scale(first, last, bar)}"]
    for row in lines:
        op = "-" if row.op is None else str(row.op)
        drawn = _bar(row, first, last, bar)
        out.append(f"{op:>4} {_cut(row.what, named):<{named}}  {drawn}  {_cut(_ending(row), ended)}".rstrip())
    return "\n".join(line[:width] for line in out)


def duration(seconds: float) -> str:
    """Seconds as people say them: `210ms`, `3.2s`, `1m 4s`, `2h 14m`, `3d 4h`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    shown = [f"{number}{unit}" for number, unit in parts if number]
    return " ".join(shown[:2])


# ------------------------------------------------------------------------------------------------- parts

_MARKS = {"done": "✓", "failed": "✕", "cancelled": "⊘", "open": "●", "note": "▲"}
_FILLS = {"done": "█", "failed": "▒", "cancelled": "░", "open": "█", "note": "╵"}


def _name(value: Interrupt) -> str:
    match value:
        case ScheduleActivity(name=name):
            return name
        case StartTimer():
            return "timer"
        case _:
            return what(value)


def _finish(rows: dict[object, TimelineRow], op: object, at: datetime, state: str, outcome: str) -> None:
    row = rows.get(op)
    if row is None or (row.end is not None and state == "cancelled"):
        return
    rows[op] = TimelineRow(row.op, row.what, row.start, at, state, outcome)


def _reason(failure: Failure) -> str:
    while failure.cause is not None and failure.kind in ("activity", "child", "hook"):
        failure = failure.cause
    message = failure.message.splitlines()[0] if failure.message else ""
    return f"{failure.type or failure.kind}: {message}"


def _ending(row: TimelineRow) -> str:
    if row.state == "note":
        return _MARKS["note"]
    if row.end is None:
        return f"{_MARKS['open']} running"
    took = duration((row.end - row.start).total_seconds()) if row.op is not None and row.end > row.start else ""
    return " ".join(part for part in (_MARKS[row.state], row.outcome, took) if part)


def _scale(first: datetime, last: datetime, width: int) -> str:
    total = (last - first).total_seconds()
    end = duration(total)
    return "0" + end.rjust(width - 1) if total > 0 else "0".ljust(width)


def _bar(row: TimelineRow, first: datetime, last: datetime, width: int) -> str:
    total = (last - first).total_seconds() or 1.0
    begin = min(width - 1, int((row.start - first).total_seconds() / total * width))
    end = last if row.end is None else row.end
    length = max(1, min(width - begin, round((end - row.start).total_seconds() / total * width)))
    instant = row.op is None or row.end == row.start
    return (" " * begin + ("╵" if instant else _FILLS[row.state] * length)).ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
