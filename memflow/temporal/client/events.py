"""A journal as Temporal's events: which entry is which event, with the fields that programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

from memflow.client import HistoryEntry, RunDescription
from memflow.core import arrivals, interrupts
from memflow.core.entries import JournalEntry, kind_of
from memflow.failure import Failure
from memflow.payload import Payload as Stored
from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.enums.v1 import EventType
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.api.sdk.v1 import UserMetadata
from memflow.temporal.api.times import Timestamp
from memflow.temporal.client.task_failures import task_failure
from memflow.temporal.common import RetryPolicy
from memflow.temporal.failures import message_of
from memflow.temporal.startup import Startup, priority_in, summary_in
from memflow.temporal.stored import ConvertingCodec, headers_in, loaded, loaded_arguments, loaded_signal

T = EventType
CLOSING: Final = frozenset(
    {
        T.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)
"""Events that end a history."""

_TASK = (
    T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
    T.EVENT_TYPE_WORKFLOW_TASK_STARTED,
    T.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
)
_OVERHEAD = (arrivals.RunTerminated, arrivals.RunTimedOut)
_ARRIVALS: tuple[type[Any], ...] = (
    arrivals.RunStarted,
    arrivals.SignalReceived,
    arrivals.UpdateReceived,
    arrivals.CancelRequested,
    *_OVERHEAD,
    arrivals.ActivityCompleted,
    arrivals.ActivityFailed,
    arrivals.ActivityTimedOut,
    arrivals.ActivityCancelled,
    arrivals.TimerFired,
    arrivals.ChildStarted,
    arrivals.ChildNotStarted,
    arrivals.ChildCompleted,
    arrivals.ChildFailed,
    arrivals.ChildCancelled,
)


_LOCAL_ACTIVITY: Final = "core_local_activity"
"""The name of the markers of local activities."""

_ASKED = interrupts.ScheduleActivity | interrupts.StartTimer
_TAKEN_BACK = interrupts.CancelActivity | interrupts.CancelTimer


def _unsent(turn: Sequence[HistoryEntry]) -> set[int]:
    """Activities and timers that were asked for and taken back in one turn: Temporal's servers never hear of those."""
    taken_back = {each.entry.op for each in turn if isinstance(each.entry, _TAKEN_BACK)}
    return {each.entry.op for each in turn if isinstance(each.entry, _ASKED)} & taken_back if taken_back else set()


def events_of(
    run: RunDescription,
    journal: Sequence[HistoryEntry],
    codec: ConvertingCodec,
    *,
    standing: bool = True,
    memo: Mapping[str, Any] = MappingProxyType({}),
) -> list[HistoryEvent]:
    """The events of a run, numbered from 1; `standing`: also of the task that it is at, which are not in the journal.

    `memo` is what it was started with.
    """
    return _Writer(run, codec, memo).write(journal, standing=standing)


class _Writer:
    def __init__(self, run: RunDescription, codec: ConvertingCodec, memo: Mapping[str, Any]) -> None:
        self._memo = memo
        self._run = run
        self._codec = codec
        self._events: list[HistoryEvent] = []
        self._scheduled: dict[int, int] = {}     # op -> the event that asked
        self._local: dict[int, interrupts.ScheduleActivity] = {}
        self._children: set[int] = set()         # ops of children whose start has been told
        self._accepted: dict[str, int] = {}      # update id -> the event that accepted it

    def write(self, journal: Sequence[HistoryEntry], *, standing: bool) -> list[HistoryEvent]:
        for _, turn in groupby(journal, key=lambda each: each.turn):
            entries = list(turn)
            arrived = [each for each in entries if isinstance(each.entry, _ARRIVALS)]
            local = [each for each in arrived if getattr(each.entry, "op", None) in self._local]
            updates = [each for each in arrived if isinstance(each.entry, arrivals.UpdateReceived)]
            for each in arrived:
                if each not in local and each not in updates:
                    self._arrival(each)
            if any(isinstance(each.entry, _OVERHEAD) for each in arrived) or not entries[0].seq:
                continue
            if len(local) < len(arrived) or not local:   # what local activities answer comes to the task that asked them
                for kind in _TASK:
                    self._add(kind, entries[0].at)
            for each in local:
                self._local_answer(each)
            for each in updates:                 # accepted by the task that they came to
                self._arrival(each)
            unsent = _unsent(entries)
            for each in entries:
                if isinstance(each.entry, _ARRIVALS):
                    continue
                if isinstance(each.entry, _ASKED | _TAKEN_BACK) and each.entry.op in unsent:
                    self._keep(len(self._events), each)
                else:
                    self._interrupt(each)
        if standing and self._run.is_open and journal:
            self._standing(journal[-1])
        return self._events

    def _standing(self, last: HistoryEntry) -> None:
        """The task that an open run is at, if its last one failed or mail waits for it.

        Temporal's servers keep a failed task in the history; here it shows for as long as the run is parked there.
        """
        failed = None if self._run.detail is None else task_failure(self._run.detail, self._run.type, self._run.task_timeout)
        if failed is None and last.seq:
            return
        scheduled = self._add(T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, last.at)
        if failed is not None:
            cause, failure = failed
            started = self._add(T.EVENT_TYPE_WORKFLOW_TASK_STARTED, last.at, scheduled_event_id=scheduled)
            self._add(
                T.EVENT_TYPE_WORKFLOW_TASK_FAILED,
                last.at,
                scheduled_event_id=scheduled,
                started_event_id=started,
                cause=cause,
                failure=message_of(failure),
            )

    def _keep(self, number: int, each: HistoryEntry) -> None:
        """An entry that has no event of its own stays with another one, for replays."""
        event = self._events[number - 1]
        event.entries = (*event.entries, JournalEntry(each.seq, each.turn, each.at, each.entry))

    def _add(
        self,
        kind: EventType,
        at: datetime,
        entry: HistoryEntry | None = None,
        said: UserMetadata | None = None,
        **attributes: Any,
    ) -> int:
        number = len(self._events) + 1
        held: Sequence[JournalEntry] = ()
        if entry is not None and entry.seq:
            held = (JournalEntry(entry.seq, entry.turn, entry.at, entry.entry),)
        known = {name: value for name, value in attributes.items() if value is not None}
        self._events.append(HistoryEvent(number, kind, Timestamp.of(at), known, held, said or UserMetadata()))
        return number

    # ------------------------------------------------------------------------------------------------- arrivals

    def _arrival(self, each: HistoryEntry) -> None:
        at = each.at
        match each.entry:
            case arrivals.RunStarted(input=input):
                startup = Startup.of(self._run.headers)
                self._add(
                    T.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
                    at,
                    each,
                    _said(startup.static_summary, startup.static_details),
                    workflow_type={"name": self._run.type},
                    task_queue={"name": self._run.task_queue},
                    input=self._arguments(input),
                    original_execution_run_id=self._run.run_id,
                    first_execution_run_id=self._run.first_run_id or self._run.run_id,
                    attempt=self._run.attempt,
                    workflow_id=self._run.id,
                    cron_schedule=startup.cron_schedule,
                    retry_policy=_policy(startup.retry_policy),
                    memo=_by_name(self._payloads(self._memo)),
                    header=_by_name(headers_in(input)),
                    workflow_execution_timeout=startup.execution_timeout,
                    workflow_run_timeout=startup.run_timeout or startup.execution_timeout,
                    workflow_task_timeout=startup.task_timeout or self._run.task_timeout or timedelta(seconds=10),
                    first_workflow_task_backoff=startup.start_delay,
                    continued_execution_run_id=self._run.continued_run_id,
                    priority=_priority(startup.priority_key),
                    parent_workflow_execution=_parent(self._run),
                )
            case arrivals.SignalReceived(name=name, payload=payload):
                self._add(
                    T.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
                    at,
                    each,
                    signal_name=name,
                    input=Payloads(payloads=loaded_signal(payload, 0).payloads),
                )
            case arrivals.UpdateReceived(update_id=id, name=name, input=input):
                self._accepted[id] = self._add(
                    T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
                    at,
                    each,
                    protocol_instance_id=id,
                    accepted_request={
                        "meta": {"update_id": id},
                        "input": {"name": name, "args": self._arguments(input)},
                    },
                )
            case arrivals.CancelRequested(reason=reason):
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED, at, each, cause=reason)
            case arrivals.RunTerminated(reason=reason):
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, at, each, reason=reason)
            case arrivals.RunTimedOut(kind=kind):
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, at, each, retry_state=kind)
            case arrivals.TimerFired(op=op):
                started = self._scheduled.get(op)
                self._add(T.EVENT_TYPE_TIMER_FIRED, at, each, timer_id=str(op), started_event_id=started)
            case _:
                self._answer(each)

    def _answer(self, each: HistoryEntry) -> None:
        at, entry = each.at, each.entry
        op: int = getattr(entry, "op", 0) or 0
        scheduled = self._scheduled.get(op)
        match entry:
            case arrivals.ActivityCompleted(result=result):
                begun = self._begun(at, scheduled)
                self._add(
                    T.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
                    at,
                    each,
                    result=self._result(result),
                    scheduled_event_id=scheduled,
                    started_event_id=begun,
                )
            case arrivals.ActivityFailed(failure=failure):
                begun = self._begun(at, scheduled)
                self._failed(T.EVENT_TYPE_ACTIVITY_TASK_FAILED, each, failure, scheduled, begun)
            case arrivals.ActivityTimedOut(failure=failure):
                begun = self._begun(at, scheduled)
                self._failed(T.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, each, failure, scheduled, begun)
            case arrivals.ActivityCancelled():
                self._add(T.EVENT_TYPE_ACTIVITY_TASK_CANCELED, at, each, scheduled_event_id=scheduled)
            case arrivals.ChildStarted():
                self._child_begun(op, at, each)
            case arrivals.ChildNotStarted(workflow_id=taken):
                self._add(
                    T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
                    at,
                    each,
                    workflow_id=taken,
                    initiated_event_id=scheduled,
                )
            case arrivals.ChildCompleted(result=result):
                self._child_begun(op, at)
                self._add(
                    T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
                    at,
                    each,
                    result=self._result(result),
                    initiated_event_id=scheduled,
                )
            case arrivals.ChildFailed(failure=failure):
                self._child_begun(op, at)
                cause = failure.cause or failure
                kind = {
                    "timeout": T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
                    "terminated": T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
                }.get(cause.kind, T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED)
                self._add(kind, at, each, failure=message_of(cause), initiated_event_id=scheduled)
            case arrivals.ChildCancelled():
                self._child_begun(op, at)
                self._add(T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, at, each, initiated_event_id=scheduled)
            case _:
                self._marker(each)

    def _local_answer(self, each: HistoryEntry) -> None:
        """A local activity has ended, which Temporal's workers record as a marker."""
        asked = self._local[getattr(each.entry, "op", 0)]
        data = {"activity_id": asked.options.activity_id or str(asked.op), "activity_type": asked.name}
        failure: Failure | None = getattr(each.entry, "failure", None)
        details = {"data": Payloads(payloads=[self._codec.payloads.to_payloads([data])[0]])}
        if isinstance(each.entry, arrivals.ActivityCompleted):
            details["result"] = self._result(each.entry.result)
        self._add(
            T.EVENT_TYPE_MARKER_RECORDED,
            each.at,
            each,
            marker_name=_LOCAL_ACTIVITY,
            details=details,
            failure=None if failure is None else message_of(failure.cause or failure),
        )

    def _child_begun(self, op: int, at: datetime, entry: HistoryEntry | None = None) -> None:
        """A child's start, once: memflow journals it only where the code waits for it."""
        if op not in self._children:
            self._children.add(op)
            self._add(
                T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, at, entry, initiated_event_id=self._scheduled.get(op)
            )

    def _begun(self, at: datetime, scheduled: int | None) -> int:
        return self._add(T.EVENT_TYPE_ACTIVITY_TASK_STARTED, at, None, scheduled_event_id=scheduled)

    def _failed(self, kind: EventType, each: HistoryEntry, failure: Failure, scheduled: int | None, begun: int) -> None:
        cause = failure.cause or failure
        self._add(
            kind, each.at, each, failure=message_of(cause), scheduled_event_id=scheduled, started_event_id=begun
        )

    # ------------------------------------------------------------------------------------------------- interrupts

    def _interrupt(self, each: HistoryEntry) -> None:
        at = each.at
        match each.entry:
            case interrupts.ScheduleActivity() as asked if asked.options.is_local:
                self._local[asked.op] = asked    # a marker tells of it when it has ended
                self._keep(len(self._events), each)
            case interrupts.ScheduleActivity() as asked:
                self._scheduled[asked.op] = self._add(
                    T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
                    at,
                    each,
                    _said(summary_in(asked.headers)),
                    activity_id=asked.options.activity_id or str(asked.op),
                    activity_type={"name": asked.name},
                    task_queue={"name": asked.options.task_queue or self._run.task_queue},
                    input=self._arguments(asked.input),
                    start_to_close_timeout=asked.options.start_to_close_timeout,
                    schedule_to_close_timeout=asked.options.schedule_to_close_timeout,
                    heartbeat_timeout=asked.options.heartbeat_timeout,
                    priority=_priority(priority_in(asked.headers)),
                )
            case interrupts.CancelActivity(op=op):
                self._add(
                    T.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED, at, each, scheduled_event_id=self._scheduled.get(op)
                )
            case interrupts.StartTimer(op=op, due=due, summary=summary):
                self._scheduled[op] = self._add(
                    T.EVENT_TYPE_TIMER_STARTED,
                    at,
                    each,
                    _said(summary),
                    timer_id=str(op),
                    start_to_fire_timeout=due - at,
                )
            case interrupts.CancelTimer(op=op):
                self._add(
                    T.EVENT_TYPE_TIMER_CANCELED, at, each, timer_id=str(op), started_event_id=self._scheduled.get(op)
                )
            case interrupts.StartChild() as child:
                startup = Startup.of(child.headers)
                self._scheduled[child.op] = self._add(
                    T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
                    at,
                    each,
                    _said(startup.static_summary, startup.static_details),
                    workflow_id=child.workflow_id,
                    workflow_type={"name": child.workflow},
                    task_queue={"name": child.options.task_queue or self._run.task_queue},
                    input=self._arguments(child.input),
                    priority=_priority(startup.priority_key),
                )
            case interrupts.SendSignal() as signal if signal.workflow_id is not None:
                self._add(
                    T.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
                    at,
                    each,
                    signal_name=signal.name,
                    workflow_execution={"workflow_id": signal.workflow_id, "run_id": signal.run_id or ""},
                    input=Payloads(payloads=loaded_signal(signal.payload, 0).payloads),
                )
            case interrupts.StopOther() as stop:
                self._add(
                    T.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
                    at,
                    each,
                    workflow_execution={"workflow_id": stop.workflow_id, "run_id": stop.run_id or ""},
                    reason=stop.reason,
                )
            case interrupts.WriteRecord():
                self._add(T.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES, at, each)
            case interrupts.WriteMemo():
                self._add(T.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED, at, each)
            case interrupts.AnswerUpdate() as answer:
                self._update(each, answer)
            case _:
                self._end(each)

    def _update(self, each: HistoryEntry, answer: interrupts.AnswerUpdate) -> None:
        if answer.outcome == "accepted":
            number = self._accepted.get(answer.update_id)
            if number is not None:               # the event of the update itself stands for its acceptance too
                self._keep(number, each)
            return
        outcome: dict[str, Any] = {}
        if answer.result is not None:
            outcome["success"] = self._result(answer.result)
        if answer.failure is not None:
            outcome["failure"] = message_of(answer.failure)
        self._add(
            T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
            each.at,
            each,
            meta={"update_id": answer.update_id},
            accepted_event_id=self._accepted.get(answer.update_id),
            outcome=outcome,
        )

    def _end(self, each: HistoryEntry) -> None:
        at, run = each.at, self._run
        match each.entry:
            case interrupts.Complete(result=result):
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, at, each, result=self._result(result))
            case interrupts.Fail(failure=failure):
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, at, each, failure=message_of(failure))
            case interrupts.Cancelled():
                self._add(T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, at, each)
            case interrupts.ContinueAsNew(input=input, workflow=workflow):
                self._add(
                    T.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
                    at,
                    each,
                    new_execution_run_id=run.next_run_id,
                    workflow_type={"name": workflow or run.type},
                    input=self._arguments(input),
                )
            case _:
                self._marker(each)

    def _marker(self, each: HistoryEntry) -> None:
        """What Temporal has no event for: a marker with the name of memflow's kind."""
        self._add(T.EVENT_TYPE_MARKER_RECORDED, each.at, each, marker_name=kind_of(each.entry))

    def _payloads(self, fields: Mapping[str, Any]) -> Mapping[str, Payload]:
        return {name: self._codec.payloads.to_payloads([value])[0] for name, value in fields.items()}

    def _arguments(self, stored: Stored) -> Payloads:
        return Payloads(payloads=loaded_arguments(stored).payloads)

    def _result(self, stored: Stored) -> Payloads:
        return Payloads(payloads=[loaded(stored)])


def _said(summary: str | None, details: str | None = None) -> UserMetadata | None:
    if summary is None and details is None:
        return None
    return UserMetadata(summary=_text(summary), details=_text(details))


def _text(said: str | None) -> Payload | None:
    return None if said is None else Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(said).encode())


def _priority(key: int | None) -> Mapping[str, int] | None:
    return None if key is None else {"priority_key": key}


def _parent(run: RunDescription) -> Mapping[str, str] | None:
    if run.parent_id is None:
        return None
    return {"workflow_id": run.parent_id, "run_id": run.parent_run_id or ""}


def _by_name(payloads: Mapping[str, Payload]) -> Mapping[str, Any] | None:
    return {"fields": dict(payloads)} if payloads else None


def _policy(policy: RetryPolicy | None) -> Mapping[str, Any] | None:
    if policy is None:
        return None
    told = {
        "initial_interval": policy.initial_interval,
        "backoff_coefficient": policy.backoff_coefficient,
        "maximum_interval": policy.maximum_interval,
        "maximum_attempts": policy.maximum_attempts,
        "non_retryable_error_types": list(policy.non_retryable_error_types or ()),
    }
    return {name: value for name, value in told.items() if value is not None}
