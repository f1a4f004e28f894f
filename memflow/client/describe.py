"""What lists, `describe` and `history` show: rows of the store as values for people, payloads decoded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from memflow.codec import Codec
from memflow.core.entries import Entry, JournalEntry, kind_of
from memflow.errors import FailureError, PayloadError
from memflow.failure import ENCODING, Failure, decode_failure, exception_of
from memflow.names import PROGRESS
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.values import RunRow


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """One thing that a run's code waits for. `where` is the await chain, outermost first: `orders.py:31 in run`."""

    what: str
    where: tuple[str, ...]
    op: int | None = None

    def __str__(self) -> str:
        return f"{self.what} at {self.where[-1]}" if self.where else self.what


@dataclass(frozen=True, slots=True)
class PendingActivity:
    """An activity that is queued, running, or backing off after a failed attempt.

    `state` is the row's own word; `attempt` counts the attempts begun. Activities that a worker has started in memory less than
    100 ms ago have no row yet; they show among `waiting` only.
    """

    op: int
    name: str
    task_queue: str
    state: str
    attempt: int
    next_attempt_at: datetime | None
    last_failure: FailureError | None
    heartbeat_details: tuple[Any, ...] = ()
    activity_id: str = ""
    paused: bool = False
    """Whether an operator has paused it; the state says so once no attempt runs any more."""


@dataclass(frozen=True, slots=True)
class Origin:
    """`kind` is `reset` or `fork`: of that run, whose entries up to `seq` were copied."""

    kind: str
    id: str
    run_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run says it is, as it told by `workflow.progress`."""

    done: float
    total: float | None
    note: str | None

    def __str__(self) -> str:
        share = f"{self.done:g}" if self.total is None else f"{self.done:g}/{self.total:g}"
        return f"{share} {self.note}" if self.note else share


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as lists show it.

    `detail` is one line for people: `waiting: ...` for what the code waits for, `stuck: ...` for what keeps it from going on.
    """

    id: str
    run_id: str
    type: str
    task_queue: str
    status: Status
    detail: str | None
    started_at: datetime
    closed_at: datetime | None
    wake_at: datetime | None
    parent_id: str | None
    parent_run_id: str | None
    attempt: int
    length: int
    record: Mapping[str, Any]
    memo: Any
    schedule: str | None
    """The schedule that started it, and for which instant."""
    scheduled_at: datetime | None
    progress: Progress | None
    version: str | None = None
    """Of the code that advanced it last."""

    @property
    def is_open(self) -> bool:
        """Whether the run can still do something."""
        return self.status.is_open


@dataclass(frozen=True, slots=True)
class RunDescription(RunSummary):
    """A run with what it waits for and where: as its last commit left it, so that it shows with no worker alive.

    `arguments` and `result` are plain JSON values; `failure` is why the run did not complete.
    """

    arguments: Any = None
    result: Any = None
    failure: FailureError | None = None
    waiting: tuple[WaitingFor, ...] = ()
    activities: tuple[PendingActivity, ...] = ()
    unread: int = 0
    """Arrivals in the inbox that the run has not read yet."""
    first_run_id: str | None = None
    next_run_id: str | None = None
    """The run that goes on where this one ended."""
    continued_run_id: str | None = None
    """The run that this one goes on from."""
    pinned: bool = False
    """Whether only workers of `version` take it."""
    task_timeout: timedelta | None = None
    origin: Origin | None = None
    """Of a run that was reset or forked: where its first entries come from."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of a journal: `seq` from 1, the number and time of its turn, and the entry itself.

    `entry` is the typed value (`ActivityCompleted`, `StartTimer`, ...); `attributes` are its fields by name, with payloads
    decoded to plain JSON values and failures to exceptions.
    """

    seq: int
    kind: str
    turn: int
    at: datetime
    op: int | None
    entry: Entry
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


def summary_of(row: RunRow, codec: Codec) -> RunSummary:
    """A row of a list."""
    return RunSummary(**_shared(row, codec, waiting_of(row)))


def description_of(row: RunRow, activities: list[Mapping[str, Any]], codec: Codec) -> RunDescription:
    """Everything about one run."""
    waiting = waiting_of(row)
    failed = row.status not in (Status.COMPLETED, Status.RUNNING)
    return RunDescription(
        **_shared(row, codec, waiting),
        arguments=shown(row.input, codec),
        result=None if row.result is None or failed else shown(row.result, codec),
        failure=failure_in(row.result, codec) if failed else None,
        waiting=waiting,
        activities=tuple(_pending(activity, codec) for activity in activities) if row.status.is_open else (),
        unread=row.arrived - row.consumed,
        first_run_id=row.first_run_id,
        next_run_id=row.next_run_id,
        continued_run_id=row.continued_run_id,
        pinned=row.pinned,
        task_timeout=row.task_timeout,
        origin=_origin(row),
        headers=row.headers,
    )


def _origin(row: RunRow) -> Origin | None:
    kind, id, run_id, seq = row.origin_kind, row.origin_workflow_id, row.origin_run_id, row.origin_seq
    return None if kind is None or id is None or run_id is None or seq is None else Origin(kind, id, run_id, seq)


def history_of(journal: list[JournalEntry], codec: Codec) -> list[HistoryEntry]:
    """A journal for reading."""
    return [
        HistoryEntry(
            seq=one.seq,
            kind=kind_of(one.entry),
            turn=one.turn,
            at=one.at,
            op=getattr(one.entry, "op", None),
            entry=one.entry,
            attributes={
                f.name: _readable(getattr(one.entry, f.name), codec) for f in dataclasses.fields(one.entry) if f.name != "op"
            },
        )
        for one in journal
    ]


def waiting_of(row: RunRow) -> tuple[WaitingFor, ...]:
    """What an open run's code waited for at its last commit."""
    if row.waiting_at is None or not row.status.is_open:
        return ()
    return tuple(
        WaitingFor(what=str(one["what"]), where=tuple(str(frame) for frame in one.get("chain", ())), op=one.get("op"))
        for one in json.loads(row.waiting_at)
    )


def failure_in(payload: Payload | None, codec: Codec) -> FailureError | None:
    """The error that a payload holds, with its causes."""
    return None if payload is None else exception_of(decode_failure(payload), codec)


def _shared(row: RunRow, codec: Codec, waiting: tuple[WaitingFor, ...]) -> dict[str, Any]:
    detail = row.detail
    if detail is None and waiting:
        first, *others = waiting
        detail = f"waiting: {first}" + (f" and {len(others)} more" if others else "")
    if row.status is Status.PAUSED:
        detail = "paused" + (f": {row.pause_reason}" if row.pause_reason else "")
    elif row.unserved and row.status.is_open:
        why = (
            f"no worker of version {row.version!r} serves queue {row.task_queue!r}; start one, or move the run:"
            " handle.update_options(version=...)"
        )
        detail = f"stuck: {why}" if row.due or not waiting else f"{detail}; {why}"
    memo: Any = None if row.memo is None else shown(row.memo, codec)
    progress: Any = None if not isinstance(memo, dict) else cast("dict[str, Any]", memo).pop(PROGRESS, None)
    return {
        "id": row.workflow_id,
        "run_id": row.run_id,
        "type": row.workflow,
        "task_queue": row.task_queue,
        "status": row.status,
        "detail": detail,
        "started_at": row.started_at,
        "closed_at": row.closed_at,
        "wake_at": row.wake_at,
        "parent_id": row.parent_workflow_id,
        "parent_run_id": row.parent_run_id,
        "attempt": row.attempt,
        "length": row.length,
        "record": row.record,
        "version": row.version,
        "memo": memo,
        "progress": None if progress is None else Progress(*progress),
        "schedule": row.schedule,
        "scheduled_at": row.scheduled_at,
    }


def shown(payload: Payload, codec: Codec, *, many: bool = False) -> Any:
    """A value for people: one that nobody here can read says so, and hides no other."""
    try:
        return codec.decode(payload)
    except PayloadError as error:
        note = f"<unreadable: {error}>"
        return [note] if many else note


def _pending(row: Mapping[str, Any], codec: Codec) -> PendingActivity:
    heartbeat = row["heartbeat_details"]
    return PendingActivity(
        op=row["op"],
        name=row["name"],
        task_queue=row["task_queue"],
        state=row["state"],
        attempt=row["attempt"],
        next_attempt_at=row["next_attempt_at"],
        last_failure=failure_in(row["last_failure"], codec),
        heartbeat_details=() if heartbeat is None else tuple(shown(heartbeat, codec, many=True)),
        activity_id=row["activity_id"],
        paused=row["paused"],
    )


def _readable(value: Any, codec: Codec) -> Any:
    match value:
        case Payload():
            return failure_in(value, codec) if value.encoding == ENCODING else shown(value, codec)
        case Failure():
            return exception_of(value, codec)
        case Mapping():
            named = cast("Mapping[str, Any]", value)
            return {name: _readable(one, codec) for name, one in named.items()}
        case _:
            return value
