"""Temporal's own histories as memflow's values: workflow tasks with what each brought, and with what the code asked in it.

Events name what they answer by event ids, memflow by the number of the operation: `Ops` says which is which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from memflow.core import arrivals
from memflow.core.arrivals import Arrival
from memflow.core.definition import RunInfo
from memflow.failure import Failure
from memflow.payload import NO_ARGUMENTS, NOTHING
from memflow.payload import Payload as Stored
from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.api.failure.v1 import Failure as Message
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.client.failure_json import retry_state_of, seconds_of, table
from memflow.temporal.common import RetryPolicy
from memflow.temporal.failures import failure_in
from memflow.temporal.startup import Startup
from memflow.temporal.stored import Arguments, stored, stored_arguments, stored_signal
from memflow.temporal.workflow import NondeterminismError

COMMANDS: Final = frozenset(
    {
        T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        T.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
        T.EVENT_TYPE_TIMER_STARTED,
        T.EVENT_TYPE_TIMER_CANCELED,
        T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
        T.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        T.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        T.EVENT_TYPE_MARKER_RECORDED,
        T.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        T.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
    }
)
"""Events that the code of a workflow task asked for."""

_TASKS: Final = frozenset(
    {
        T.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        T.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        T.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)
_UNHEARD: Final = frozenset(
    {
        T.EVENT_TYPE_ACTIVITY_TASK_STARTED,
        T.EVENT_TYPE_ACTIVITY_PROPERTIES_MODIFIED_EXTERNALLY,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
        T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED,
        T.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED_EXTERNALLY,
    }
)
"""Events of which code hears nothing."""

LOCAL_ACTIVITY: Final = "core_local_activity"
PATCH: Final = "core_patch"
PATCHES_ATTRIBUTE: Final = "TemporalChangeVersion"
"""The search attribute that goes with each marker of a patch."""


@dataclass
class Task:
    """One workflow task that was completed."""

    at: datetime
    started_id: int
    arrived: list[HistoryEvent]
    flags: frozenset[int] = frozenset()
    """Of the SDK's logic, used in this task or before."""
    asked: list[HistoryEvent] = field(default_factory=list[HistoryEvent])


def tasks_of(events: Sequence[HistoryEvent]) -> list[Task]:
    """The completed workflow tasks of a history. What came after the last belongs to none."""
    tasks: list[Task] = []
    waiting: list[HistoryEvent] = []
    begun: HistoryEvent | None = None
    flags: frozenset[int] = frozenset()
    for event in events:
        kind = event.event_type
        if kind is T.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            begun = event
        elif kind is T.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            assert begun is not None, "a workflow task is started before it is completed"
            flags |= _flags_in(event)
            tasks.append(Task(begun.event_time, begun.event_id, waiting, flags))
            waiting = []
        elif kind in COMMANDS and tasks:
            tasks[-1].asked.append(event)
        elif kind not in _TASKS and kind not in _UNHEARD:
            waiting.append(event)
    return tasks


def _flags_in(completed: HistoryEvent) -> frozenset[int]:
    metadata: Mapping[str, Any] = completed.attributes.get("sdk_metadata") or {}
    return frozenset(int(each) for each in metadata.get("lang_used_flags") or ())


def patches_of(events: Sequence[HistoryEvent]) -> dict[str, bool]:
    """The patches that a history marks, and whether as deprecated."""
    marks = (patch_in(event) for event in events if event.event_type is T.EVENT_TYPE_MARKER_RECORDED)
    return {mark[0]: mark[1] for mark in marks if mark is not None}


def patch_in(event: HistoryEvent) -> tuple[str, bool] | None:
    """The patch that a marker is about, and whether it is deprecated."""
    if event.attributes.get("marker_name") != PATCH:
        return None
    details: Mapping[str, Any] = table(event.attributes, "details")
    body = _json(details.get("patch-data") or details.get("patch_data"))
    if "id" in body:
        return str(body["id"]), bool(body.get("deprecated"))
    return str(_json(details.get("patch_id"))), bool(_json(details.get("deprecated")))   # as older SDKs wrote it


@dataclass(frozen=True)
class LocalEnd:
    """How a local activity ended: the `number`-th activity, local or not, that the code asked for."""

    number: int
    name: str
    result: Stored
    failure: Failure | None

    def arrival(self, op: int) -> Arrival:
        """This as the answer to the activity of that op."""
        if self.failure is None:
            return arrivals.ActivityCompleted(op, self.result)
        facts: dict[str, str | int | None] = {"activity": self.name, "activity_id": str(op)}
        return arrivals.ActivityFailed(op, Failure("activity", self.failure.message, cause=self.failure, facts=facts))


def local_end_in(event: HistoryEvent) -> LocalEnd | None:
    """What the marker of a local activity tells."""
    if event.attributes.get("marker_name") != LOCAL_ACTIVITY:
        return None
    details: Mapping[str, Any] = table(event.attributes, "details")
    facts: Mapping[str, Any] = _json(details.get("data"))
    failure = event.attributes.get("failure")
    return LocalEnd(
        int(facts.get("seq", 0)),
        str(facts.get("activity_type", "")),
        _result(details.get("result")),
        failure_in(failure) if isinstance(failure, Message) else None,
    )


class Ops:
    """Which op an event stands for."""

    def __init__(self) -> None:
        self._ops: dict[int, int] = {}

    def learn(self, event: HistoryEvent, op: int) -> None:
        """This event is the code's op."""
        self._ops[event.event_id] = op

    def find(self, event: HistoryEvent, name: str) -> int:
        """The op of the event that `event` names in that attribute.

        Raises:
            NondeterminismError: there is none.
        """
        asked = int(event.attributes.get(name, 0) or 0)
        op = self._ops.get(asked)
        if op is None:
            raise NondeterminismError(
                f"[TMPRL1100] Nondeterminism error: {said(event)} answers event {asked}, which the code did not ask for"
            )
        return op


def said(event: HistoryEvent) -> str:
    """An event in an error."""
    name = event.event_type.name.removeprefix("EVENT_TYPE_").lower()
    told = event.attributes
    named = table(told, "activity_type") or table(told, "workflow_type")
    what = named.get("name") or told.get("marker_name") or told.get("signal_name") or ""
    return f"event {event.event_id} ({name}{f' {what}' if what else ''})"


def arrival_of(event: HistoryEvent, ops: Ops) -> Arrival:
    """What an event brings.

    Raises:
        NondeterminismError: nobody asked for what it answers, or memflow has no counterpart; the message names the kind.
    """
    told = event.attributes
    match event.event_type:
        case T.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            return arrivals.RunStarted(_arguments(told.get("input"), told.get("header")))
        case T.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            sent = Arguments(_payloads(told.get("input")), _headers(told.get("header")))
            return arrivals.SignalReceived(str(told["signal_name"]), stored_signal(sent))
        case T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return arrivals.CancelRequested(str(told.get("cause") or "") or None)
        case T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            request: Mapping[str, Any] = table(told, "accepted_request")
            input: Mapping[str, Any] = table(request, "input")
            arguments = _arguments(input.get("args"), input.get("header"))
            return arrivals.UpdateReceived(update_id_of(event), str(input.get("name", "")), arguments)
        case T.EVENT_TYPE_TIMER_FIRED:
            return arrivals.TimerFired(ops.find(event, "started_event_id"))
        case _:
            return _answer(event, ops)


def _answer(event: HistoryEvent, ops: Ops) -> Arrival:
    told = event.attributes
    match event.event_type:
        case T.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            return arrivals.ActivityCompleted(ops.find(event, "scheduled_event_id"), _result(told.get("result")))
        case T.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            op = ops.find(event, "scheduled_event_id")
            return arrivals.ActivityFailed(op, _failure(event, "activity", op))
        case T.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
            op = ops.find(event, "scheduled_event_id")
            return arrivals.ActivityTimedOut(op, _failure(event, "activity", op))
        case T.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
            return arrivals.ActivityCancelled(ops.find(event, "scheduled_event_id"), _cancelled(told))
        case (
            T.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED | T.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
        ):
            return arrivals.MessageDelivered(ops.find(event, "initiated_event_id"))
        case (
            T.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
            | T.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
        ):
            run: Mapping[str, Any] = table(told, "workflow_execution")
            op = ops.find(event, "initiated_event_id")
            return arrivals.MessageNotDelivered(op, str(run.get("workflow_id", "")))
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            return arrivals.ChildStarted(ops.find(event, "initiated_event_id"))
        case T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED:
            taken = str(told.get("workflow_id", ""))
            return arrivals.ChildNotStarted(ops.find(event, "initiated_event_id"), taken, None)
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED:
            return arrivals.ChildCompleted(ops.find(event, "initiated_event_id"), _result(told.get("result")))
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED:
            op = ops.find(event, "initiated_event_id")
            return arrivals.ChildFailed(op, _failure(event, "child", op))
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED:
            return arrivals.ChildCancelled(ops.find(event, "initiated_event_id"), _cancelled(told))
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT:
            op = ops.find(event, "initiated_event_id")
            return arrivals.ChildFailed(op, _child(event, Failure("timeout", "Timed out", facts={"kind": "start_to_close"})))
        case T.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED:
            op = ops.find(event, "initiated_event_id")
            return arrivals.ChildFailed(op, _child(event, Failure("terminated", "Terminated")))
        case _:
            raise NondeterminismError(
                f"event {event.event_id}: histories with {event.event_type.name} cannot be replayed here; record one with memflow"
            )


def update_id_of(event: HistoryEvent) -> str:
    """The update that an event is about."""
    told = event.attributes
    meta: Mapping[str, Any] = told.get("meta") or table(told, "accepted_request").get("meta") or {}
    return str(meta.get("update_id") or told.get("protocol_instance_id") or "")


def run_info(namespace: str, workflow_id: str, run_id: str, started: HistoryEvent) -> RunInfo:
    """What the first event says of a run."""
    told = started.attributes
    parent: Mapping[str, Any] = table(told, "parent_workflow_execution")
    root: Mapping[str, Any] = table(told, "root_workflow_execution")
    startup = Startup(
        str(told.get("cron_schedule") or ""),
        _duration(told.get("workflow_execution_timeout")),
        _duration(told.get("workflow_run_timeout")),
        _duration(told.get("workflow_task_timeout")),
        _retry_policy(told.get("retry_policy")),
        root=(str(root["run_id"]), str(root["workflow_id"])) if root.get("run_id") else None,
    )
    attributes: Mapping[str, Any] = table(table(told, "search_attributes"), "indexed_fields")
    memo: Mapping[str, Any] = table(table(told, "memo"), "fields")
    return RunInfo(
        namespace,
        workflow_id,
        run_id,
        str(table(told, "workflow_type").get("name", "")),
        str(table(told, "task_queue").get("name", "")),
        started.event_time,
        int(told.get("attempt", 1) or 1),
        str(told.get("first_execution_run_id", "") or run_id),
        str(parent.get("workflow_id") or "") or None,
        str(parent.get("run_id") or "") or None,
        startup.headers() or None,
        str(told.get("continued_execution_run_id") or "") or None,
        _document(attributes),
        _document(memo),
    )


# ------------------------------------------------------------------------------------------------- values


def _payloads(value: Any) -> list[Payload]:
    return list(value.payloads) if isinstance(value, Payloads) else []


def _headers(value: Any) -> Mapping[str, Payload]:
    known: Mapping[str, Any] = value or {}
    return dict(table(known, "fields"))


def _arguments(value: Any, header: Any = None) -> Stored:
    payloads, headers = _payloads(value), _headers(header)
    return stored_arguments(Arguments(payloads, headers)) if payloads or headers else NO_ARGUMENTS


def _result(value: Any) -> Stored:
    payloads = _payloads(value)
    return stored(payloads[0]) if payloads else NOTHING


def _json(value: Any) -> Any:
    payloads = _payloads(value)
    return json.loads(payloads[0].data) if payloads else {}


def _document(fields: Mapping[str, Any]) -> Stored | None:
    """Payloads by name as one object of plain JSON; what is no JSON is left out."""
    plain = {
        name: json.loads(each.data)
        for name, each in fields.items()
        if isinstance(each, Payload) and each.data and each.metadata.get("encoding", b"").startswith(b"json/")
    }
    return Stored(json.dumps(plain).encode()) if plain else None


def _duration(text: Any) -> Any:
    return (seconds_of(text) or None) if text else None


def _retry_policy(body: Any) -> RetryPolicy | None:
    if not body:
        return None
    return RetryPolicy(
        initial_interval=seconds_of(body.get("initial_interval") or "1s"),
        backoff_coefficient=float(body.get("backoff_coefficient") or 2.0),
        maximum_interval=_duration(body.get("maximum_interval")),
        maximum_attempts=int(body.get("maximum_attempts") or 0),
        non_retryable_error_types=body.get("non_retryable_error_types"),
    )


def _failure(event: HistoryEvent, kind: Any, op: int) -> Failure:
    told = event.attributes
    message = told.get("failure")
    inner = failure_in(message) if isinstance(message, Message) else Failure("application", "")
    state = retry_state_of(told.get("retry_state"))
    facts: dict[str, str | int | None] = {"retry_state": None if state is None else int(state)}
    if kind == "activity":
        return Failure(kind, inner.message, cause=inner, facts={**facts, "activity_id": str(op)})
    return _child(event, inner, facts)


def _child(event: HistoryEvent, inner: Failure, facts: Mapping[str, str | int | None] | None = None) -> Failure:
    told = event.attributes
    run: Mapping[str, Any] = table(told, "workflow_execution")
    named: dict[str, str | int | None] = {
        "workflow": str(table(told, "workflow_type").get("name", "")),
        "workflow_id": str(run.get("workflow_id", "")),
        "run_id": str(run.get("run_id", "")),
    }
    return Failure("child", inner.message, cause=inner, facts={**named, **(facts or {})})


def _cancelled(told: Mapping[str, Any]) -> Failure:
    payloads = _payloads(told.get("details"))
    return Failure("cancelled", "Cancelled", details=stored_arguments(Arguments(payloads)) if payloads else None)
