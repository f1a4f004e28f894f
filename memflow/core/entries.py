"""A journal's entries: arrivals and interrupts in the order spoken, and how each looks as a row.

`kind` names the class in snake_case (`activity_completed`). A row holds the op, one payload at most, and the rest as a
small JSON object. Rows written by older versions of the library must read for ever: absent attributes have defaults, and
unknown ones are left aside.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    Arrival,
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
    Emit,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartHook,
    StartTimer,
    StopOther,
    Trace,
    WriteMemo,
    WriteRecord,
)
from memflow.core.options_json import (
    activity_options_from_json,
    activity_options_to_json,
    child_options_from_json,
    child_options_to_json,
    retry_from_json,
    retry_to_json,
)
from memflow.errors import SchemaError
from memflow.failure import Failure, decode_failure, encode_failure
from memflow.options import ActivityOptions
from memflow.payload import NO_ARGUMENTS, NOTHING, Payload
from memflow.quick import quick

Entry = Arrival | Interrupt


@quick
@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored. `attributes` is a JSON object as text, or None when there is nothing to say."""

    kind: str
    op: int | None
    attributes: str | None
    encoding: str | None
    data: bytes | None


@quick
@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry at its place: `seq` is dense from 1, `turn` numbers the turn it belongs to, `at` is that turn's time."""

    seq: int
    turn: int
    at: datetime
    entry: Entry


Attributes = Mapping[str, Any]


def kind_of(entry: Entry) -> str:
    """The snake_case name of an entry's class."""
    return KINDS[type(entry)]


def to_row(entry: Entry) -> Row:
    """An entry as a row. What lies on the run's row (input, result, failure) is given here too; the store leaves it out."""
    write = _WRITE[type(entry)]
    return write(entry)


def from_row(row: Row) -> Entry:
    """The entry that a row holds.

    Raises:
        SchemaError: the kind is unknown: a newer version of the library wrote it.
    """
    if row.kind == "schedule_activity" and row.attributes in _activity_facts:  # the hot kind: no second parse of its text
        name, options = _activity_facts[row.attributes]
        return ScheduleActivity(_op(row), name, _payload(row, NO_ARGUMENTS), options)
    read = _READ.get(row.kind)
    if read is None:
        raise SchemaError(f"unknown journal entry {row.kind!r}: a newer version of memflow wrote it; upgrade this one")
    attributes = _NONE if row.attributes is None else json.loads(row.attributes)
    return read(row, attributes)


# ------------------------------------------------------------------------------------------------- small parts

_NONE: Attributes = {}


def _json(attributes: dict[str, Any]) -> str | None:
    kept = {name: value for name, value in attributes.items() if value is not None and value != {}}
    return json.dumps(kept, ensure_ascii=True, separators=(",", ":")) if kept else None


def _payload(row: Row, absent: Payload = NOTHING) -> Payload:
    return absent if row.data is None else Payload(row.data, row.encoding)


def _op(row: Row) -> int:
    if row.op is None:
        raise SchemaError(f"a journal entry {row.kind!r} without an op: the journal is damaged")
    return row.op


def _strings(value: Any) -> dict[str, str]:
    return {} if value is None else dict(value)


# ------------------------------------------------------------------------------------------------- to rows


_MEMORY = 2_000  # distinct (activity, options) pairs remembered as text; a workflow that makes up options must not fill memory

_activity_texts: dict[tuple[str, ActivityOptions], str] = {}
_activity_facts: dict[str, tuple[str, ActivityOptions]] = {}


def _summary(text: str | None) -> str:
    return "" if text is None else f',"summary":{json.dumps(text)}'


def _write_schedule(entry: ScheduleActivity) -> Row:
    payload = entry.input
    if entry.headers:
        text = _json({"name": entry.name, **activity_options_to_json(entry.options), "headers": dict(entry.headers)})
    else:
        key = (entry.name, entry.options)
        text = _activity_texts.get(key)
        if text is None:
            if len(_activity_texts) >= _MEMORY:
                _activity_texts.clear()
            text = _activity_texts[key] = _json({"name": entry.name, **activity_options_to_json(entry.options)}) or "{}"
    return Row("schedule_activity", entry.op, text, payload.encoding, payload.data)


def _write_child(entry: StartChild) -> Row:
    text = _json(
        {
            "workflow": entry.workflow,
            "workflow_id": entry.workflow_id,
            "run_id": entry.run_id,
            **child_options_to_json(entry.options),
            "announce": entry.announce or None,
            "headers": dict(entry.headers),
            "memo": None if entry.memo is None else _inline(entry.memo),
            "search": None if entry.search is None else _inline(entry.search),
        }
    )
    return Row("start_child", entry.op, text, entry.input.encoding, entry.input.data)


def _write_emit(entry: Emit) -> Row:
    events = {topic: _inline(payload) for topic, payload in entry.events.items()}
    return Row("emit", entry.op, None, "events", json.dumps(events, separators=(",", ":")).encode())


def _inline(payload: Payload) -> dict[str, str]:
    """A payload inside JSON, bytes for bytes."""
    encoding = {} if payload.encoding is None else {"encoding": payload.encoding}
    try:
        return {**encoding, "text": payload.data.decode()}
    except UnicodeDecodeError:
        return {**encoding, "base64": base64.b64encode(payload.data).decode()}


def _outline(found: Mapping[str, str]) -> Payload:
    data = found["text"].encode() if "text" in found else base64.b64decode(found["base64"])
    return Payload(data, found.get("encoding"))


def _write_failure(kind: str, op: int | None, failure: Failure) -> Row:
    payload = encode_failure(failure)
    return Row(kind, op, None, payload.encoding, payload.data)


def _write_signal(entry: SignalReceived) -> Row:
    text = _json({"name": entry.name, "headers": dict(entry.headers)})
    return Row("signal_received", entry.op, text, entry.payload.encoding, entry.payload.data)


def _write_hook(entry: HookReceived) -> Row:
    text = _json(
        {
            "hook_id": entry.hook_id,
            "name": entry.name,
            "search": None if entry.search is None else _inline(entry.search),
            "reply_workflow_id": entry.reply_workflow_id,
            "reply_run_id": entry.reply_run_id,
            "reply_op": entry.reply_op,
        }
    )
    return Row("hook_received", None, text, entry.input.encoding, entry.input.data)


def _write_send_hook(entry: SendHook) -> Row:
    text = _json(
        {
            "hook_id": entry.hook_id,
            "name": entry.name,
            "workflow_id": entry.workflow_id,
            "run_id": entry.run_id,
            "search": None if entry.search is None else _inline(entry.search),
            "answer": entry.answer or None,
        }
    )
    return Row("send_hook", entry.op, text, entry.input.encoding, entry.input.data)


def _write_answer_hook(entry: AnswerHook) -> Row:
    payload = entry.result if entry.failure is None else encode_failure(entry.failure)
    text = _json(
        {
            "hook_id": entry.hook_id,
            "workflow_id": entry.workflow_id,
            "run_id": entry.run_id,
            "caller_op": entry.caller_op,
            "failed": entry.failure is not None or None,
        }
    )
    return Row("answer_hook", None, text, *((None, None) if payload is None else (payload.encoding, payload.data)))


def _write_wait(entry: AwaitSignal) -> Row:
    escalation = None if entry.escalation is None else json.loads(entry.escalation)
    return Row("await_signal", entry.op, _json({"signal_id": entry.signal_id, "escalation": escalation}), None, None)


def _write_cancel_wait(entry: CancelWait) -> Row:
    payload = entry.payload
    text = _json({"signal_id": entry.signal_id, "became": entry.became})
    return Row("cancel_wait", entry.op, text, *((None, None) if payload is None else (payload.encoding, payload.data)))


def _write_update(entry: UpdateReceived) -> Row:
    text = _json({"update_id": entry.update_id, "name": entry.name, "headers": dict(entry.headers)})
    return Row("update_received", None, text, entry.input.encoding, entry.input.data)


def _write_answer(entry: AnswerUpdate) -> Row:
    payload = entry.result if entry.failure is None else encode_failure(entry.failure)
    text = _json({"update_id": entry.update_id, "outcome": entry.outcome})
    return Row("answer_update", None, text, *((None, None) if payload is None else (payload.encoding, payload.data)))


def _write_send(entry: SendSignal) -> Row:
    text = _json(
        {
            "name": entry.name,
            "workflow_id": entry.workflow_id,
            "run_id": entry.run_id,
            "headers": dict(entry.headers),
            "tell": entry.tell or None,
        }
    )
    return Row("send_signal", entry.op, text, entry.payload.encoding, entry.payload.data)


def _write_continue(entry: ContinueAsNew) -> Row:
    text = _json(
        {
            "workflow": entry.workflow,
            "task_queue": entry.task_queue,
            "run_timeout": None if entry.run_timeout is None else entry.run_timeout.total_seconds(),
            "retry": None if entry.retry is None else retry_to_json(entry.retry),
            "memo": None if entry.memo is None else _inline(entry.memo),
            "headers": None if entry.headers is None else dict(entry.headers),
        }
    )
    return Row("continue_as_new", None, text, entry.input.encoding, entry.input.data)


def _write_stop(entry: StopOther) -> Row:
    text = _json(
        {
            "how": entry.how,
            "workflow_id": entry.workflow_id,
            "run_id": entry.run_id,
            "reason": entry.reason,
            "child_op": entry.child_op,
            "tell": entry.tell or None,
        }
    )
    return Row("stop_other", entry.op, text, None, None)


_WRITE: dict[type[Entry], Callable[[Any], Row]] = {
    RunStarted: lambda e: Row("run_started", None, None, e.input.encoding, e.input.data),
    ActivityCompleted: lambda e: Row("activity_completed", e.op, None, e.result.encoding, e.result.data),
    ActivityFailed: lambda e: _write_failure("activity_failed", e.op, e.failure),
    ActivityTimedOut: lambda e: _write_failure("activity_timed_out", e.op, e.failure),
    ActivityCancelled: lambda e: _write_failure("activity_cancelled", e.op, e.failure),
    TimerFired: lambda e: Row("timer_fired", e.op, None, None, None),
    SignalReceived: _write_signal,
    UpdateReceived: _write_update,
    WaitCancelled: lambda e: Row("wait_cancelled", e.op, _json({"name": e.name}), None, None),
    HookReceived: _write_hook,
    HookDelivered: lambda e: Row("hook_delivered", e.op, None, None, None),
    HookNotDelivered: lambda e: Row(
        "hook_not_delivered", e.op, _json({"workflow_id": e.workflow_id, "status": e.status}), None, None
    ),
    MessageDelivered: lambda e: Row("message_delivered", e.op, None, None, None),
    MessageNotDelivered: lambda e: Row(
        "message_not_delivered", e.op, _json({"workflow_id": e.workflow_id, "status": e.status}), None, None
    ),
    HookCompleted: lambda e: Row("hook_completed", e.op, None, e.result.encoding, e.result.data),
    HookFailed: lambda e: _write_failure("hook_failed", e.op, e.failure),
    ChildStarted: lambda e: Row("child_started", e.op, None, None, None),
    ChildNotStarted: lambda e: Row(
        "child_not_started", e.op, _json({"workflow_id": e.workflow_id, "run_id": e.run_id}), None, None
    ),
    ChildCompleted: lambda e: Row("child_completed", e.op, None, e.result.encoding, e.result.data),
    ChildFailed: lambda e: _write_failure("child_failed", e.op, e.failure),
    ChildCancelled: lambda e: _write_failure("child_cancelled", e.op, e.failure),
    CancelRequested: lambda e: Row("cancel_requested", None, _json({"reason": e.reason}), None, None),
    RunTerminated: lambda e: Row("run_terminated", None, _json({"reason": e.reason}), None, None),
    RunTimedOut: lambda e: Row("run_timed_out", None, _json({"kind": e.kind}), None, None),
    ScheduleActivity: _write_schedule,
    CancelActivity: lambda e: Row("cancel_activity", e.op, None, None, None),
    StartTimer: lambda e: Row("start_timer", e.op, f'{{"due":"{e.due.isoformat()}"{_summary(e.summary)}}}', None, None),
    CancelTimer: lambda e: Row("cancel_timer", e.op, None, None, None),
    AwaitSignal: _write_wait,
    CancelWait: _write_cancel_wait,
    SendSignal: _write_send,
    StartChild: _write_child,
    StopOther: _write_stop,
    StartHook: lambda e: Row("start_hook", e.op, _json({"name": e.name}), e.input.encoding, e.input.data),
    SendHook: _write_send_hook,
    AnswerHook: _write_answer_hook,
    WriteRecord: lambda e: Row("write_record", e.op, _json({"verb": e.verb}), e.arguments.encoding, e.arguments.data),
    WriteMemo: lambda e: Row("write_memo", e.op, None, e.fields.encoding, e.fields.data),
    Emit: _write_emit,
    Trace: lambda e: Row("trace", e.op, None, e.attributes.encoding, e.attributes.data),
    MarkPatch: lambda e: Row(
        "mark_patch", None, _json({"patch_id": e.patch_id, "deprecated": e.deprecated or None}), None, None
    ),
    AnswerUpdate: _write_answer,
    Complete: lambda e: Row("complete", None, None, e.result.encoding, e.result.data),
    Fail: lambda e: _write_failure("fail", None, e.failure),
    Cancelled: lambda e: _write_failure("cancelled", None, e.failure),
    ContinueAsNew: _write_continue,
}


# ------------------------------------------------------------------------------------------------- from rows


def _read_schedule(row: Row, found: Attributes) -> ScheduleActivity:
    facts = (found["name"], activity_options_from_json(found))
    if "headers" not in found and row.attributes is not None:
        if len(_activity_facts) >= _MEMORY:
            _activity_facts.clear()
        _activity_facts[row.attributes] = facts
    return ScheduleActivity(_op(row), facts[0], _payload(row, NO_ARGUMENTS), facts[1], _strings(found.get("headers")))


def _read_child(row: Row, found: Attributes) -> StartChild:
    return StartChild(
        _op(row),
        found["workflow"],
        found["workflow_id"],
        found["run_id"],
        _payload(row, NO_ARGUMENTS),
        child_options_from_json(found),
        bool(found.get("announce", False)),
        _strings(found.get("headers")),
        None if found.get("memo") is None else _outline(found["memo"]),
        None if found.get("search") is None else _outline(found["search"]),
    )


def _read_emit(row: Row, found: Attributes) -> Emit:
    events: dict[str, dict[str, str]] = json.loads(row.data or b"{}")
    return Emit(_op(row), {topic: _outline(inline) for topic, inline in events.items()})


def _read_continue(row: Row, found: Attributes) -> ContinueAsNew:
    limit, retry, memo = found.get("run_timeout"), found.get("retry"), found.get("memo")
    return ContinueAsNew(
        _payload(row, NO_ARGUMENTS),
        found.get("workflow"),
        found.get("task_queue"),
        None if limit is None else timedelta(seconds=limit),
        None if retry is None else retry_from_json(retry),
        None if memo is None else _outline(memo),
        None if found.get("headers") is None else _strings(found["headers"]),
    )


def _read_answer(row: Row, found: Attributes) -> AnswerUpdate:
    failed = found["outcome"] in ("failed", "rejected")
    result = None if failed or row.data is None else _payload(row)
    return AnswerUpdate(found["update_id"], found["outcome"], result, _failure(row) if failed else None)


def _read_hook(row: Row, found: Attributes) -> HookReceived:
    search = found.get("search")
    return HookReceived(
        found["hook_id"],
        found["name"],
        _payload(row, NO_ARGUMENTS),
        None if search is None else _outline(search),
        found.get("reply_workflow_id"),
        found.get("reply_run_id"),
        found.get("reply_op"),
    )


def _read_send_hook(row: Row, found: Attributes) -> SendHook:
    search = found.get("search")
    return SendHook(
        _op(row),
        found["hook_id"],
        found["name"],
        _payload(row, NO_ARGUMENTS),
        found["workflow_id"],
        found.get("run_id"),
        None if search is None else _outline(search),
        bool(found.get("answer", False)),
    )


def _read_answer_hook(row: Row, found: Attributes) -> AnswerHook:
    failed = bool(found.get("failed", False))
    return AnswerHook(
        found["hook_id"],
        found["workflow_id"],
        found["run_id"],
        found["caller_op"],
        None if failed else _payload(row),
        _failure(row) if failed else None,
    )


def _read_wait(row: Row, found: Attributes) -> AwaitSignal:
    escalation = found.get("escalation")
    return AwaitSignal(_op(row), found["signal_id"], None if escalation is None else compact(escalation))


def compact(value: object) -> str:
    """JSON as the journal has it: ASCII, names in order, no blanks."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


_LOST = Failure("application", "the failure is kept on the run's row")


def _failure(row: Row) -> Failure:
    return _LOST if row.data is None else decode_failure(Payload(row.data, row.encoding))


_READ: dict[str, Callable[[Row, Attributes], Entry]] = {
    "run_started": lambda r, a: RunStarted(_payload(r, NO_ARGUMENTS)),
    "activity_completed": lambda r, a: ActivityCompleted(_op(r), _payload(r)),
    "activity_failed": lambda r, a: ActivityFailed(_op(r), _failure(r)),
    "activity_timed_out": lambda r, a: ActivityTimedOut(_op(r), _failure(r)),
    "activity_cancelled": lambda r, a: ActivityCancelled(_op(r), _failure(r)),
    "timer_fired": lambda r, a: TimerFired(_op(r)),
    "signal_received": lambda r, a: SignalReceived(a["name"], _payload(r), r.op, _strings(a.get("headers"))),
    "update_received": lambda r, a: UpdateReceived(
        a["update_id"], a["name"], _payload(r, NO_ARGUMENTS), _strings(a.get("headers"))
    ),
    "wait_cancelled": lambda r, a: WaitCancelled(_op(r), a["name"]),
    "hook_received": _read_hook,
    "hook_delivered": lambda r, a: HookDelivered(_op(r)),
    "hook_not_delivered": lambda r, a: HookNotDelivered(_op(r), a["workflow_id"], a.get("status")),
    "message_delivered": lambda r, a: MessageDelivered(_op(r)),
    "message_not_delivered": lambda r, a: MessageNotDelivered(_op(r), a["workflow_id"], a.get("status")),
    "hook_completed": lambda r, a: HookCompleted(_op(r), _payload(r)),
    "hook_failed": lambda r, a: HookFailed(_op(r), _failure(r)),
    "child_started": lambda r, a: ChildStarted(_op(r)),
    "child_not_started": lambda r, a: ChildNotStarted(_op(r), a["workflow_id"], a.get("run_id")),
    "child_completed": lambda r, a: ChildCompleted(_op(r), _payload(r)),
    "child_failed": lambda r, a: ChildFailed(_op(r), _failure(r)),
    "child_cancelled": lambda r, a: ChildCancelled(_op(r), _failure(r)),
    "cancel_requested": lambda r, a: CancelRequested(a.get("reason")),
    "run_terminated": lambda r, a: RunTerminated(a.get("reason")),
    "run_timed_out": lambda r, a: RunTimedOut(a.get("kind", "run")),
    "schedule_activity": _read_schedule,
    "cancel_activity": lambda r, a: CancelActivity(_op(r)),
    "start_timer": lambda r, a: StartTimer(_op(r), datetime.fromisoformat(a["due"]), a.get("summary")),
    "cancel_timer": lambda r, a: CancelTimer(_op(r)),
    "await_signal": _read_wait,
    "cancel_wait": lambda r, a: CancelWait(
        _op(r), a["signal_id"], a.get("became"), None if r.data is None else Payload(r.data, r.encoding)
    ),
    "send_signal": lambda r, a: SendSignal(
        _op(r),
        a["name"],
        _payload(r),
        a.get("workflow_id"),
        a.get("run_id"),
        _strings(a.get("headers")),
        bool(a.get("tell", False)),
    ),
    "start_child": _read_child,
    "stop_other": lambda r, a: StopOther(
        _op(r), a["how"], a["workflow_id"], a.get("run_id"), a.get("reason"), a.get("child_op"), bool(a.get("tell", False))
    ),
    "start_hook": lambda r, a: StartHook(_op(r), a["name"], _payload(r, NO_ARGUMENTS)),
    "send_hook": _read_send_hook,
    "answer_hook": _read_answer_hook,
    "write_record": lambda r, a: WriteRecord(_op(r), a["verb"], _payload(r, NO_ARGUMENTS)),
    "write_memo": lambda r, a: WriteMemo(_op(r), _payload(r)),
    "emit": _read_emit,
    "trace": lambda r, a: Trace(_op(r), _payload(r)),
    "mark_patch": lambda r, a: MarkPatch(a["patch_id"], bool(a.get("deprecated", False))),
    "answer_update": _read_answer,
    "complete": lambda r, a: Complete(_payload(r)),
    "fail": lambda r, a: Fail(_failure(r)),
    "cancelled": lambda r, a: Cancelled(_failure(r)),
    "continue_as_new": _read_continue,
}

CLASSES: tuple[type[Entry], ...] = (*get_args(Arrival), *get_args(Interrupt))
"""Every class of arrival and interrupt."""

KINDS: dict[type[Entry], str] = {each: re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower() for each in CLASSES}
"""Class to kind."""
