"""Temporal's own histories as memflow's journal: enough of them that simple workflows replay.

Events name what they answer by event ids, memflow by the number of the operation; the two are matched here in the order in
which the code asked. Workflow tasks are the borders of turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from memflow.core import arrivals, interrupts
from memflow.core.entries import Entry, JournalEntry
from memflow.failure import Failure
from memflow.names import child_run_id
from memflow.options import ActivityOptions, ChildOptions
from memflow.payload import NO_ARGUMENTS, NOTHING
from memflow.payload import Payload as Stored
from memflow.temporal.api.common.v1 import Payloads
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.stored import Arguments, stored, stored_arguments, stored_signal
from memflow.temporal.workflow import NondeterminismError

_SKIPPED = frozenset(
    {
        T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        T.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        T.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        T.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        T.EVENT_TYPE_ACTIVITY_TASK_STARTED,
        T.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
        T.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        T.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        T.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
    }
)


def journal_of(events: Sequence[HistoryEvent]) -> list[JournalEntry]:
    """The journal of a history.

    Raises:
        NondeterminismError: it holds events that have no counterpart here; the message names the kind.
    """
    return _Reader(events).read()


class _Reader:
    def __init__(self, events: Sequence[HistoryEvent]) -> None:
        self._events = events
        self._journal: list[JournalEntry] = []
        self._ops: dict[int, int] = {}           # event id -> op
        self._op = 0
        self._turn = 0
        self._at = events[0].event_time if events else datetime.min
        self._pending: list[Entry] = []          # arrivals that wait for the next task
        self._run_id = str(events[0].attributes.get("original_execution_run_id", "")) if events else ""

    def read(self) -> list[JournalEntry]:
        completed = self._completed_tasks()
        for event in self._events:
            if event.event_type is T.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                if event.event_id in completed:
                    self._begin_turn(event.event_time)
                continue
            if event.event_type in _SKIPPED:
                continue
            arrival = self._arrival(event)
            if arrival is not None:
                self._pending.append(arrival)
                continue
            asked = self._interrupt(event)
            if asked is not None:
                self._write(asked)
        return self._journal

    def _completed_tasks(self) -> set[int]:
        done = T.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        return {int(event.attributes.get("started_event_id", 0)) for event in self._events if event.event_type is done}

    def _begin_turn(self, at: datetime) -> None:
        self._at = at
        for arrival in self._pending:
            self._write(arrival)
        self._pending.clear()
        self._turn += 1

    def _write(self, entry: Entry) -> None:
        turn = self._turn + 1 if isinstance(entry, arrivals.Arrival) else self._turn
        self._journal.append(JournalEntry(len(self._journal) + 1, turn, self._at, entry))

    def _next(self, event: HistoryEvent) -> int:
        self._op += 1
        self._ops[event.event_id] = self._op
        return self._op

    def _answered(self, event: HistoryEvent, *names: str) -> int:
        for name in names:
            op = self._ops.get(int(event.attributes.get(name, 0) or 0))
            if op is not None:
                return op
        raise NondeterminismError(f"event {event.event_id} ({event.event_type.name}) answers an event that is not there")

    def _arrival(self, event: HistoryEvent) -> Entry | None:
        told = event.attributes
        match event.event_type:
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                return arrivals.RunStarted(_arguments(told.get("input")))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                payloads = _payloads(told.get("input"))
                return arrivals.SignalReceived(str(told["signal_name"]), stored_signal(Arguments(payloads)))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                return arrivals.CancelRequested(told.get("cause"))
            case T.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                return arrivals.ActivityCompleted(self._answered(event, "scheduled_event_id"), _result(told.get("result")))
            case T.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                return arrivals.ActivityFailed(self._answered(event, "scheduled_event_id"), _failure(told, "activity"))
            case T.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                return arrivals.ActivityTimedOut(self._answered(event, "scheduled_event_id"), _failure(told, "activity"))
            case T.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                return arrivals.ActivityCancelled(self._answered(event, "scheduled_event_id"), Failure("cancelled", "Cancelled"))
            case T.EVENT_TYPE_TIMER_FIRED:
                return arrivals.TimerFired(self._answered(event, "started_event_id"))
            case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                return arrivals.ChildStarted(self._answered(event, "initiated_event_id"))
            case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
                return arrivals.ChildCompleted(self._answered(event, "initiated_event_id"), _result(told.get("result")))
            case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
                return arrivals.ChildFailed(self._answered(event, "initiated_event_id"), _failure(told, "child"))
            case _:
                return None

    def _interrupt(self, event: HistoryEvent) -> Entry | None:
        told = event.attributes
        match event.event_type:
            case T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                op = self._next(event)
                input = _arguments(told.get("input"))
                return interrupts.ScheduleActivity(op, _named(told, "activity_type"), input, ActivityOptions())
            case T.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
                return interrupts.CancelActivity(self._answered(event, "scheduled_event_id"))
            case T.EVENT_TYPE_TIMER_STARTED:
                due = self._at + _duration(str(told.get("start_to_fire_timeout", "0s")))
                return interrupts.StartTimer(self._next(event), due)
            case T.EVENT_TYPE_TIMER_CANCELED:
                return interrupts.CancelTimer(self._answered(event, "started_event_id"))
            case T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
                op = self._next(event)
                return interrupts.StartChild(
                    op,
                    _named(told, "workflow_type"),
                    str(told.get("workflow_id", "")),
                    child_run_id(self._run_id, op),
                    _arguments(told.get("input")),
                    ChildOptions(),
                    announce=True,
                )
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                return interrupts.Complete(_result(told.get("result")))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                return interrupts.Fail(_failure(told, "application"))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                return interrupts.Cancelled(Failure("cancelled", "Cancelled"))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                return interrupts.ContinueAsNew(_arguments(told.get("input")))
            case T.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED | T.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
                return None
            case _:
                raise NondeterminismError(
                    f"event {event.event_id}: histories with {event.event_type.name} cannot be imported; record one with memflow"
                )


def _named(told: Any, field: str) -> str:
    return str(told.get(field, {}).get("name", ""))


def _payloads(value: Any) -> list[Any]:
    return list(value.payloads) if isinstance(value, Payloads) else []


def _arguments(value: Any) -> Stored:
    payloads = _payloads(value)
    return stored_arguments(Arguments(payloads)) if payloads else NO_ARGUMENTS


def _result(value: Any) -> Stored:
    payloads = _payloads(value)
    return stored(payloads[0]) if payloads else NOTHING


def _failure(told: Any, kind: Any) -> Failure:
    body: Any = told.get("failure") or {}
    info: Any = body.get("application_failure_info") or {}
    inner = Failure("application", str(body.get("message", "")), type=info.get("type"))
    return inner if kind == "application" else Failure(kind, str(body.get("message", "")), cause=inner)


def _duration(text: str) -> timedelta:
    return timedelta(seconds=float(text.rstrip("s") or 0))
