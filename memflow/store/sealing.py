"""Which payloads a value of the store holds, and where each belongs.

A place names the namespace, what the payload is, and the ids of its run and field. It is worked out anew when the payload
is read, from the row that it lies in, so a payload that was moved by hand no longer fits. Values that Postgres itself hands
on (a child's result to its parent, an early signal to who waits, unread mail to the next run of a chain) are bound to what
both ends know:

| payload | bound to |
| --- | --- |
| input, result, memo of a run | its chain: the id of its first run |
| input, memo of a schedule's runs | the schedule's id |
| what a hook is given; what it returns | workflow id, hook id; the caller's run id, op |
| what an escalation is resolved with | the signal id of its wait, or its own id |
| a journal entry | run id, seq, kind; but what is mail as in the inbox |
| a signal by name, an update | workflow id, and the name or update id |
| a signal by id | signal id |
| an activity's input, last failure, heartbeat, answer | run id, op |
| a query, its answer | the query's own id |
| an update's answer | chain, update id |
| an event | workflow id, topic |

Each function here takes a `Visit` and gives the value back with what the visit made of each payload. It is called twice: to
find the payloads, and to put the changed ones in. So it must meet the same ones in the same order both times.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

from memflow.core.arrivals import (
    Answer,
    Arrival,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    HookCompleted,
    HookFailed,
    HookReceived,
    RunStarted,
    SignalReceived,
    UpdateReceived,
)
from memflow.core.definition import (
    LAST_FAILURE_HEADER,
    LAST_RESULT_HEADER,
    SCHEDULE_HEADER,
    Origin,
    bound_in,
    header_of,
    payload_in,
)
from memflow.core.entries import CLASSES, Entry, JournalEntry, kind_of
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    Cancelled,
    CancelWait,
    Complete,
    Emit,
    Fail,
    SendHook,
    SendSignal,
    StartChild,
)
from memflow.failure import Failure, decode_failure, encode_failure
from memflow.names import child_run_id
from memflow.payload import Payload, Unreadable
from memflow.payload_codecs import UNREADABLE, Place
from memflow.store.turns import ActivityRow, Effect, NextRun, TurnCommit

T = TypeVar("T")

Visit = Callable[..., Payload]
"""Takes a payload and the places it may belong to, the likeliest first; what is written is bound to that one."""


@dataclass(frozen=True, slots=True)
class Ids:
    """What names a run, beside the number of its row. `chain` is the id of the first run of its chain.

    `origins` are runs that Postgres has copied payloads of this one from; such a payload is still bound to where it was.
    """

    workflow_id: str
    run_id: str
    chain: str
    origins: tuple[Ids, ...] = ()
    schedule: str | None = None

    def places(self, place: Callable[[Ids], Place]) -> tuple[Place, ...]:
        """A place of this run, and the same of those it was copied from."""
        return place(self), *(place(each) for each in self.origins)

    def given(self, namespace: str, what: str) -> tuple[Place, ...]:
        """Where the input or memo belongs that the run was given: its chain, or the schedule that fired it."""
        places = self.places(lambda run: (namespace, what, run.chain))
        return places if self.schedule is None else (*places, (namespace, "schedule", self.schedule, what))


def ids_of(workflow_id: str, run_id: str, chain: str, origins: Sequence[Origin], headers: Mapping[str, str]) -> Ids:
    """What names a run of which Postgres tells this."""
    copied = tuple(Ids(each.workflow_id, each.run_id, each.first_run_id) for each in origins)
    return Ids(workflow_id, run_id, chain, copied, headers.get(SCHEDULE_HEADER))


def _payload_fields(kind: type[Entry]) -> tuple[tuple[str, str], ...]:
    """Name and annotation of the fields that hold payloads. One of a shape unknown here must not go unsealed."""
    found = [(each.name, str(each.type)) for each in fields(kind) if re.search(r"\b(Payload|Failure)\b", str(each.type))]
    for name, annotation in found:
        known = annotation in ("Payload", "Payload | None", "Failure", "Failure | None", "Mapping[str, Payload]")
        assert known, f"{kind.__name__}.{name} holds payloads as {annotation}: teach sealing.py to visit it"
    return tuple(found)


_FIELDS = {kind: _payload_fields(kind) for kind in CLASSES}

_ON_THE_RUN: Mapping[type[Entry], str] = {RunStarted: "input", Complete: "result", Fail: "result", Cancelled: "result"}
"""Entries whose payload lies on the run's row."""

_MAILED = (
    *(SignalReceived, UpdateReceived, ChildCompleted, ChildFailed, ChildCancelled),
    *(HookReceived, HookCompleted, HookFailed),
)
"""Arrivals that a reset or fork takes from the journal and puts into an inbox again: they are bound to the same in both."""


def maybe(visit: Visit, payload: Payload | None, *places: Place) -> Payload | None:
    """Visit a payload, if there is one."""
    return None if payload is None else visit(payload, *places)


def failure(visit: Visit, found: Failure, *places: Place) -> Failure:
    """Visit a failure as the payload that it is stored as."""
    before = encode_failure(found)
    after = visit(before, *places)
    return found if after is before else decode_failure(after)


def entry(visit: Visit, found: T, *places: Place) -> T:
    """Visit what an arrival or interrupt holds."""
    changed: dict[str, Any] = {}
    for name, _ in _FIELDS[cast("type[Entry]", type(found))]:
        value = getattr(found, name)
        match value:
            case None:
                pass
            case Payload():
                changed[name] = visit(value, *places)
            case Failure():
                changed[name] = failure(visit, value, *places)
            case _:
                named = cast("Mapping[str, Payload]", value)
                changed[name] = {key: visit(each, *((*place, key) for place in places)) for key, each in named.items()}
    return replace(cast("Any", found), **changed) if changed else found


# ------------------------------------------------------------------------------------------------- arrivals, entries


def arrival(visit: Visit, namespace: str, ids: Ids, found: Arrival) -> Arrival:
    """Visit an arrival in, or for, the inbox of a run."""
    match found:
        case SignalReceived(name=name, op=op):
            by_id = (namespace, "signal id", name)
            by_name = ids.places(lambda run: (namespace, "signal", run.workflow_id, name))
            # A signal by id that a run left behind goes to the next of its chain without its op.
            return entry(visit, found, *([*by_name, by_id] if op is None else [by_id]))
        case UpdateReceived(update_id=update_id):
            return entry(visit, found, *ids.places(lambda run: (namespace, "update", run.workflow_id, update_id)))
        case HookReceived(hook_id=hook_id):
            return entry(visit, found, *ids.places(lambda run: (namespace, "hook", run.workflow_id, hook_id)))
        case ChildCompleted() | ChildFailed() | ChildCancelled():
            asked = found.op
            return entry(visit, found, *ids.places(lambda run: (namespace, "result", child_run_id(run.run_id, asked))))
        case _ if isinstance(found, Answer):
            which, kind = str(found.op), kind_of(found)
            return entry(visit, found, *ids.places(lambda run: (namespace, "answer", run.run_id, which, kind)))
        case _:
            return entry(visit, found, (namespace, "arrival", ids.run_id, kind_of(found)))


def journaled(visit: Visit, namespace: str, ids: Ids, found: JournalEntry) -> JournalEntry:
    """Visit an entry of a run's journal."""
    if not _FIELDS[type(found.entry)]:
        return found
    held = _ON_THE_RUN.get(type(found.entry))
    if held == "input":
        places = ids.given(namespace, "input")
    elif isinstance(found.entry, _MAILED):
        return replace(found, entry=arrival(visit, namespace, ids, found.entry))
    elif held is not None:
        places = ids.places(lambda run: (namespace, held, run.chain))
    else:
        seq, kind = str(found.seq), kind_of(found.entry)
        places = ids.places(lambda run: (namespace, "entry", run.run_id, seq, kind))
    return replace(found, entry=entry(visit, found.entry, *places))


def activity_place(namespace: str, run_id: str, op: int, what: str) -> Place:
    """Where a payload of a durable activity's row belongs."""
    return namespace, "activity", run_id, str(op), what


# ------------------------------------------------------------------------------------------------- headers


def handed_on(visit: Visit, namespace: str, headers: Mapping[str, str]) -> dict[str, Payload] | None:
    """Visit what a run's headers hold of the run that its schedule started before: they lie there as they lay on its row."""
    held = [(name, headers[name]) for name in (LAST_RESULT_HEADER, LAST_FAILURE_HEADER) if name in headers]
    opened: dict[str, Payload] = {}
    for name, text in held:
        payload = payload_in(text)
        assert payload is not None, "the header is there"
        opened[name] = visit(payload, (namespace, "result", bound_in(text) or ""))
    return opened or None


# ------------------------------------------------------------------------------------------------- commits


def turn(visit: Visit, namespace: str, ids: Ids, found: TurnCommit) -> TurnCommit:
    """Visit one run's share of a commit. Its record is left as it is: Postgres searches in it."""
    return replace(
        found,
        # What lies on the run's row is not written with the entry.
        entries=[
            each if type(each.entry) in _ON_THE_RUN else journaled(visit, namespace, ids, each) for each in found.entries
        ],
        result=maybe(visit, found.result, (namespace, "result", ids.chain)),
        activities=[activity(visit, namespace, ids, each) for each in found.activities],
        effects=[_effect(visit, namespace, ids, each) for each in found.effects],
        mail=[arrival(visit, namespace, ids, each) for each in found.mail],
        memo=maybe(visit, found.memo, (namespace, "memo", ids.chain)),
        next=None if found.next is None else _next(visit, namespace, ids, found.next),
        detail=detail(visit, namespace, ids, found.detail),
    )


def activity(visit: Visit, namespace: str, ids: Ids, found: ActivityRow) -> ActivityRow:
    """Visit an activity that is to be queued."""

    def place(what: str) -> Place:
        return activity_place(namespace, ids.run_id, found.op, what)

    return replace(
        found,
        input=visit(found.input, place("input")),
        last_failure=maybe(visit, found.last_failure, place("failure")),
        heartbeat=maybe(visit, found.heartbeat, place("heartbeat")),
    )


def _effect(visit: Visit, namespace: str, ids: Ids, found: Effect) -> Effect:
    match found:
        case StartChild(run_id=run_id, memo=memo, search=search):
            # Postgres searches in the fields.
            sealed = entry(visit, replace(found, memo=None, search=None), (namespace, "input", run_id))
            return replace(sealed, memo=maybe(visit, memo, (namespace, "memo", run_id)), search=search)
        case SendSignal(name=name, workflow_id=None):
            return entry(visit, found, (namespace, "signal id", name))
        case SendSignal(name=name, workflow_id=workflow_id):
            return entry(visit, found, (namespace, "signal", workflow_id or "", name))
        case AnswerUpdate(update_id=update_id):
            return entry(visit, found, (namespace, "reply", ids.chain, update_id))
        case CancelWait(signal_id=signal_id):
            return entry(visit, found, (namespace, "signal id", signal_id))
        case SendHook(hook_id=hook_id, workflow_id=workflow_id):
            return entry(visit, found, (namespace, "hook", workflow_id, hook_id))
        case AnswerHook(run_id=run_id, caller_op=op, failure=None):
            return entry(visit, found, (namespace, "answer", run_id, str(op), "hook_completed"))
        case AnswerHook(run_id=run_id, caller_op=op):
            return entry(visit, found, (namespace, "answer", run_id, str(op), "hook_failed"))
        case Emit():
            return entry(visit, found, (namespace, "event", ids.workflow_id))
        case _:
            return entry(visit, found, (namespace, "effect", ids.run_id, kind_of(found)))


def _next(visit: Visit, namespace: str, ids: Ids, found: NextRun) -> NextRun:
    carried = [arrival(visit, namespace, ids, each) for each in found.signals]
    return replace(
        found,
        headers=None if found.headers is None else _handed_over(visit, namespace, ids, found.headers),
        memo=maybe(visit, found.memo, (namespace, "memo", ids.chain)),
        input=maybe(visit, found.input, (namespace, "input", ids.chain)),
        signals=[each for each in carried if isinstance(each, SignalReceived)],
    )


def _handed_over(visit: Visit, namespace: str, ids: Ids, headers: Mapping[str, str]) -> dict[str, str]:
    """Visit what a run's headers hand to the next run of its chain; what came from the one before lies there sealed already."""
    given = dict(headers)
    for name in (LAST_RESULT_HEADER, LAST_FAILURE_HEADER):
        text = given.get(name)
        payload = payload_in(text)
        if text is not None and payload is not None and bound_in(text) is None:
            after = visit(payload, (namespace, "result", ids.chain))
            if after is not payload:
                given[name] = header_of(after, ids.chain)
    return given


# ------------------------------------------------------------------------------------------------- the line for people

_STUCK = "stuck: "
_SEALED = "[sealed] "
_CANNOT_READ = f"{_STUCK}PayloadError: {UNREADABLE}"


def detail(visit: Visit, namespace: str, ids: Ids, text: str | None) -> str | None:
    """Visit what keeps a run from going on: an error's message, in a text column. That it is stuck shows to anybody."""
    if text is None or text.startswith(_CANNOT_READ):
        return text                                      # for those who lack the key it must be readable
    said = text.removeprefix(_STUCK)
    before = _sealed_text(said) or Payload(said.encode("utf-8", "backslashreplace"))
    after = visit(before, (namespace, "detail", ids.run_id))
    if after is before:
        return text
    head = _STUCK if text.startswith(_STUCK) else ""
    if isinstance(after, Unreadable):
        return f"{head}(why cannot be read here: {after.reason})"
    if before.encoding is not None:
        return head + after.data.decode("utf-8", "replace")
    body = {"encoding": after.encoding, "data": base64.b64encode(after.data).decode()}
    return head + _SEALED + json.dumps(body)


def _sealed_text(said: str) -> Payload | None:
    if not said.startswith(_SEALED):
        return None
    try:
        body: dict[str, str] = json.loads(said.removeprefix(_SEALED))
        return Payload(base64.b64decode(body["data"]), body["encoding"])
    except (ValueError, KeyError, TypeError):
        return None                                      # words of somebody's error


def entries(visit: Visit, namespace: str, ids: Ids, found: Sequence[JournalEntry]) -> list[JournalEntry]:
    """Visit a journal."""
    return [journaled(visit, namespace, ids, each) for each in found]
