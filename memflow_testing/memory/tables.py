"""The tables of a Store in memory. Rows are plain objects; a method of the store changes them without ever awaiting, and that
is what a transaction is here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.entries import JournalEntry
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.store.base import Event


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


@dataclass(slots=True, eq=False)
class SignalRec:
    """A run that waits for a signal id (`run` is set), or a signal kept for the first who will."""

    id: int
    signal_id: str
    run: int | None
    op: int | None
    payload: Payload | None
    expires_at: datetime | None


@dataclass(slots=True)
class QuestionRec:
    """A query under way."""

    id: UUID
    run: int
    name: str
    input: Payload
    asked_at: datetime
    arrived: int
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
    seen: datetime
    lease: timedelta


@dataclass(slots=True)
class ReplyRec:
    """What became of an update."""

    outcome: str
    payload: Payload | None


class Tables:
    """All rows of one namespace."""

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}
        self.latest: dict[str, Run] = {}                     # by workflow id
        self.by_run_id: dict[tuple[str, str], Run] = {}
        self.by_request: dict[str, Run] = {}                 # by request id of the start
        self.activities: dict[tuple[int, int], ActivityRec] = {}
        self.signals: list[SignalRec] = []
        self.requests: set[tuple[str, str]] = set()          # scope, request id
        self.replies: dict[tuple[str, str], ReplyRec] = {}   # chain, update id
        self.questions: dict[UUID, QuestionRec] = {}
        self.workers: dict[int, WorkerRec] = {}
        self.events: list[Event] = []
        self._ids = itertools.count(1)

    def new_id(self) -> int:
        """The next surrogate key."""
        return next(self._ids)

    def find(self, workflow_id: str, run_id: str | None = None) -> Run | None:
        """A run by workflow id: the latest, or the one named."""
        return self.latest.get(workflow_id) if run_id is None else self.by_run_id.get((workflow_id, run_id))

    def find_open(self, workflow_id: str, run_id: str | None) -> Run | None:
        """The same, and on to the run of its chain that has not ended, if there is one."""
        run = self.find(workflow_id, run_id)
        while run is not None and run.next_run_id is not None:
            run = self.find(workflow_id, run.next_run_id)
        return run

    def add(self, run: Run) -> None:
        """A new run takes its workflow id over."""
        old = self.latest.get(run.workflow_id)
        if old is not None:
            old.slot = old.id
        self.runs[run.id] = self.latest[run.workflow_id] = run
        self.by_run_id[run.workflow_id, run.run_id] = run
        if run.request_id is not None:
            self.by_request[run.request_id] = run

    def remove(self, run: Run) -> None:
        """A run that has expired goes, with all that is its own."""
        del self.runs[run.id], self.by_run_id[run.workflow_id, run.run_id]
        if self.latest.get(run.workflow_id) is run:
            del self.latest[run.workflow_id]
        if run.request_id is not None:
            self.by_request.pop(run.request_id, None)
        if run.next_run_id is None:
            self.requests = {each for each in self.requests if each[0] != run.first_run_id}
            self.replies = {key: reply for key, reply in self.replies.items() if key[0] != run.first_run_id}

    def children(self, run: int) -> list[Run]:
        """Open children, in the order of their ids."""
        return [each for each in self.runs.values() if each.parent == run and each.status.is_open]

    def activities_of(self, run: int) -> list[ActivityRec]:
        """Durable activities of a run, by op."""
        return sorted((each for each in self.activities.values() if each.run == run), key=lambda each: each.op)
