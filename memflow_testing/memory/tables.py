"""The tables of a Store in memory. Rows are plain objects; a method of the store changes them without ever awaiting, and that
is what a transaction is here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.definition import Origin
from memflow.core.entries import JournalEntry
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.store.schedule_values import ScheduleRow
from memflow.store.values import Event

SOON = timedelta(seconds=2)
"""What is due within this time is rung for: an idle worker looks again after a second or so."""

NEVER = datetime.max.replace(tzinfo=UTC)
"""When something is due that is not due: `infinity` in Postgres."""


@dataclass(slots=True, eq=False)
class Wake:
    """When an open run is due, and who holds it."""

    queue: str
    priority: int
    wake_at: datetime | None
    owner: int | None = None
    token: UUID | None = None
    prefers: int | None = None
    crashes: int = 0
    version: str = ""                  # of a pinned run


@dataclass(slots=True)
class Letter:
    """One inbox row."""

    position: int
    at: datetime
    arrival: Arrival
    dedupe: str | None = None


@dataclass(slots=True, eq=False)
class Run:
    """A run, its journal and its inbox."""

    id: int
    workflow_id: str
    run_id: str
    first_run_id: str
    workflow: str
    task_queue: str
    started_at: datetime
    last_at: datetime
    input: Payload
    slot: int = 0                      # 0: the latest of its workflow id
    status: Status = Status.RUNNING
    closed_at: datetime | None = None
    next_run_id: str | None = None
    continued_run_id: str | None = None
    request_id: str | None = None
    deadline: datetime | None = None
    deadline_kind: str | None = None
    run_timeout: timedelta | None = None
    execution_deadline: datetime | None = None
    retry: RetryPolicy | None = None
    attempt: int = 1
    priority: int = 0
    parent: int | None = None
    parent_op: int | None = None
    parent_policy: str | None = None
    parent_workflow_id: str | None = None
    parent_run_id: str | None = None
    first_arrivals: int = 0
    turn: int = 0
    arrived: int = 0
    consumed: int = 0
    retries: int = 0
    result: Payload | None = None
    memo: Payload | None = None
    memo_now: Payload | None = None
    search: Payload | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    waiting_at: str | None = None
    detail: str | None = None
    version: str | None = None
    expire: timedelta | None = None
    expires_at: datetime | None = None
    record: dict[str, Any] | None = None
    pinned: bool = False
    pause_reason: str | None = None
    task_timeout: timedelta | None = None
    ending_until: datetime | None = None
    schedule: str | None = None
    scheduled_at: datetime | None = None
    origin_kind: str | None = None
    origin_workflow_id: str | None = None
    origin_run_id: str | None = None
    origin_seq: int | None = None
    origins: Sequence[Origin] = ()
    wake: Wake | None = None           # None: closed
    journal: list[JournalEntry] = field(default_factory=list[JournalEntry])
    inbox: list[Letter] = field(default_factory=list[Letter])

    @property
    def length(self) -> int:
        """Of the journal."""
        return len(self.journal)


@dataclass(slots=True, eq=False)
class ActivityRec:
    """A durable activity."""

    run: int
    op: int
    name: str
    queue: str
    input: Payload
    options: ActivityOptions
    headers: Mapping[str, str]
    due: datetime
    scheduled_at: datetime
    close_by: datetime | None
    attempt: int
    owner: int | None = None
    token: UUID | None = None
    cancel_requested: bool = False
    last_failure: Payload | None = None
    heartbeat: Payload | None = None
    attempt_by: datetime | None = None     # set: the attempt is open (or judged late); when its start_to_close is up
    paused_due: datetime | None = None     # set: paused; when it would be due
    reset: bool = False

    @property
    def activity_id(self) -> str:
        """As its author named it, else its number."""
        return self.options.activity_id or str(self.op)


@dataclass(slots=True, eq=False)
class SignalRec:
    """A run that waits for a signal id (`run` is set), or a signal kept for the first who will."""

    id: int
    signal_id: str
    run: int | None
    op: int | None
    payload: Payload | None
    expires_at: datetime | None
    escalation: UUID | None = None


@dataclass(slots=True, eq=False)
class EscalationRec:
    """What people are asked, with a wait of a run or alone."""

    id: UUID
    run: int | None
    op: int | None
    signal_id: str | None
    workflow_id: str | None
    run_id: str | None
    workflow: str | None
    task_queue: str | None
    role: str | None
    type: str | None
    subtype: str | None
    entity: str | None
    description: str | None
    priority: int
    metadata: dict[str, Any]
    assigned_to: str | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    status: str = "pending"
    assigned_until: datetime | None = None
    claimed_at: datetime | None = None
    closed_at: datetime | None = None
    payload: Payload | None = None


@dataclass(slots=True)
class HookRec:
    """A hook that an operation of another run waits for."""

    run: int                           # that it runs in
    caller: int
    op: int


@dataclass(slots=True, eq=False)
class ScheduleRec:
    """A schedule, and when a worker has to look at it."""

    row: ScheduleRow
    look_at: datetime | None


@dataclass(slots=True)
class QuestionRec:
    """A query under way."""

    id: UUID
    run: int
    name: str
    input: Payload
    asked_at: datetime
    arrived: int
    headers: Mapping[str, str]
    taken_at: datetime | None = None
    outcome: str | None = None
    answer: Payload | None = None


@dataclass(slots=True)
class WorkerRec:
    """A registered worker."""

    id: int
    identity: str
    queues: tuple[str, ...]
    types: tuple[str, ...]
    version: str | None
    since: datetime | None             # since when its version is known on its queues
    seen: datetime                     # by the wall clock, as its lease
    lease: timedelta

    def lives(self, at: datetime) -> bool:
        """Whether its lease holds, by the wall clock."""
        return self.seen + self.lease > at


@dataclass(slots=True)
class ReplyRec:
    """What became of an update."""

    outcome: str
    payload: Payload | None


class Tables:
    """All rows of one namespace, their clock and their doorbells.

    `now` stands still within a call of the store, as it does within a statement of Postgres. Leases go by the wall clock:
    who skips time kills no workers.
    """

    def __init__(
        self, namespace: str, source: Callable[[], datetime], wall: Callable[[], datetime], ring: Callable[[str], None]
    ) -> None:
        self.namespace = namespace
        self.source = source
        self.wall = wall
        self.ring = ring
        self._at = source()
        self.runs: dict[int, Run] = {}
        self.latest: dict[str, Run] = {}                     # by workflow id
        self.by_run_id: dict[tuple[str, str], Run] = {}
        self.by_request: dict[str, Run] = {}                 # by request id of the start
        self.by_parent: dict[int, dict[int, Run]] = {}
        self.open: dict[int, Run] = {}                       # runs that have a wake
        self.activities: dict[tuple[int, int], ActivityRec] = {}
        self._ops: dict[int, set[int]] = {}                  # of those, by run
        self.signals: list[SignalRec] = []
        self.hooks: dict[str, HookRec] = {}
        self.escalations: dict[UUID, EscalationRec] = {}
        self.requests: dict[tuple[str, str], datetime | None] = {}   # scope, request id; when, for those that expire
        self.replies: dict[tuple[str, str], ReplyRec] = {}   # chain, update id
        self.questions: dict[UUID, QuestionRec] = {}
        self.workers: dict[int, WorkerRec] = {}
        self.versions: dict[tuple[str, str], datetime] = {}  # queue, version: since when
        self.events: list[Event] = []
        self.last_event = 0
        self.schedules: dict[str, ScheduleRec] = {}
        self.schedule_ends: list[tuple[str, int]] = []       # schedule, run
        self._ids = itertools.count(1)

    # ------------------------------------------------------------------------------------------------- time

    def tick(self) -> datetime:
        """Look at the clock: a call begins."""
        self._at = self.source()
        return self._at

    def now(self) -> datetime:
        """The time of this call."""
        return self._at

    # ------------------------------------------------------------------------------------------------- runs

    def new_id(self) -> int:
        """The next surrogate key."""
        return next(self._ids)

    def find(self, workflow_id: str | None, run_id: str | None = None) -> Run | None:
        """A run by workflow id: the latest, or the one named."""
        if workflow_id is None:
            return None
        return self.latest.get(workflow_id) if run_id is None else self.by_run_id.get((workflow_id, run_id))

    def find_open(self, workflow_id: str, run_id: str | None) -> Run | None:
        """The same, and on to the run of its chain that has not ended, if there is one."""
        run = self.find(workflow_id, run_id)
        while run is not None and run.next_run_id is not None:
            run = self.find(workflow_id, run.next_run_id)
        return run

    def add(self, run: Run, due: datetime) -> None:
        """A new run takes its workflow id over, and is due."""
        run.wake = Wake(run.task_queue, run.priority, due, version=(run.version or "") if run.pinned else "")
        old = self.latest.get(run.workflow_id)
        if old is not None:
            old.slot = old.id
        self.runs[run.id] = self.open[run.id] = self.latest[run.workflow_id] = run
        self.by_run_id[run.workflow_id, run.run_id] = run
        if run.request_id is not None:
            self.by_request[run.request_id] = run
        if run.parent is not None:
            self.by_parent.setdefault(run.parent, {})[run.id] = run
        if due <= self.now() + SOON:
            self.ring(f"queue:{run.task_queue}")

    def adopt(self, child: Run, parent: Run) -> None:
        """A child answers to another run from now on."""
        if child.parent is not None:
            self.by_parent.get(child.parent, {}).pop(child.id, None)
        child.parent, child.parent_run_id = parent.id, parent.run_id
        self.by_parent.setdefault(parent.id, {})[child.id] = child

    def remove(self, run: Run) -> None:
        """A run that has expired goes, with all that is its own."""
        del self.runs[run.id], self.by_run_id[run.workflow_id, run.run_id]
        if self.latest.get(run.workflow_id) is run:
            del self.latest[run.workflow_id]
        if run.request_id is not None:
            self.by_request.pop(run.request_id, None)
        if run.parent is not None:
            self.by_parent.get(run.parent, {}).pop(run.id, None)
        self.by_parent.pop(run.id, None)
        self.escalations = {id: each for id, each in self.escalations.items() if each.run != run.id}
        if run.next_run_id is None:
            chain = run.first_run_id
            self.requests = {key: at for key, at in self.requests.items() if key[0] != chain}
            self.replies = {key: reply for key, reply in self.replies.items() if key[0] != chain}

    def is_open(self, run: int) -> bool:
        """Whether a run is there and has not ended."""
        found = self.runs.get(run)
        return found is not None and found.status.is_open

    def children(self, run: int) -> list[Run]:
        """Open children, in the order of their ids."""
        found = self.by_parent.get(run)
        return [] if not found else [found[id] for id in sorted(found) if found[id].status.is_open]

    # ------------------------------------------------------------------------------------------------- activities

    def add_activity(self, row: ActivityRec) -> None:
        """A new row."""
        self.activities[row.run, row.op] = row
        self._ops.setdefault(row.run, set()).add(row.op)

    def drop_activity(self, run: int, op: int) -> ActivityRec | None:
        """A row goes, if it is there."""
        ops = self._ops.get(run)
        if ops is not None:
            ops.discard(op)
            if not ops:
                del self._ops[run]
        return self.activities.pop((run, op), None)

    def activities_of(self, run: int) -> list[ActivityRec]:
        """Durable activities of a run, by op."""
        return [self.activities[run, op] for op in sorted(self._ops.get(run, ()))]

    # ------------------------------------------------------------------------------------------------- request ids

    def take_request(self, scope: str, request_id: str, at: datetime | None = None) -> bool:
        """Whether a request id is new; it is taken then. `at`: it expires, a time after that."""
        if (scope, request_id) in self.requests:
            return False
        self.requests[scope, request_id] = at
        return True
