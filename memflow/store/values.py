"""What clients and the store tell each other: values in, values out.

`run` is the surrogate key of a run's row; `run_id` is the public id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.definition import Origin
from memflow.core.interrupts import (
    AwaitSignal,
    SendHook,
    StartChild,
)
from memflow.payload import Payload
from memflow.quick import quick
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.store.turns import ActivityRow


@quick
@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to start. `search` goes into its record, `signal` is delivered with its first turn."""

    namespace: str
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    input: Payload
    on_conflict: str = "fail"          # fail | use_existing | terminate_existing
    reuse: str = "allow"               # allow | failed_only | reject
    request_id: str | None = None      # the same id again answers with the run it made
    start_delay: timedelta | None = None
    run_timeout: timedelta | None = None
    execution_timeout: timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    memo: Payload | None = None
    search: Payload | None = None      # a JSON object
    expire: timedelta | None = None    # how long after its end the run is kept
    priority: int = 0
    signal: tuple[str, Payload] | None = None
    retry: RetryPolicy | None = None   # what becomes of the chain when the run fails
    task_timeout: timedelta | None = None


@quick
@dataclass(frozen=True, slots=True)
class Started:
    """What became of a NewRun. `created` is False when `use_existing`, or a repeated request id, found a run."""

    run: int
    run_id: str
    created: bool
    conflict: str | None = None        # why it was refused; then `run` and `run_id` name the run that holds the id


@quick
@dataclass(frozen=True, slots=True)
class ToRun:
    """A message to one run, for its inbox. `kind` and the rest are an arrival's row."""

    namespace: str
    workflow_id: str
    run_id: str | None                 # None: the latest run of that id
    arrival: Arrival
    request_id: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class ToSignalId:
    """A signal for whoever waits for `signal_id`, kept for the first who will."""

    namespace: str
    signal_id: str
    payload: Payload
    expire: timedelta | None = None
    request_id: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message: `delivered`, `kept` (early signal), `duplicate`, `closed`, or `not_found`; `busy` if the run is
    about to end and the sender said that it would come again.

    `chain` is the first run id of the run that it was meant for.
    """

    outcome: str
    status: Status | None = None
    chain: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class UpdateKey:
    """An update: to whom, in which chain of runs (its first run id), and its id."""

    workflow_id: str
    chain: str
    update_id: str


@quick
@dataclass(frozen=True, slots=True)
class Reply:
    """How far an update is: None (not taken up), `accepted`, `completed`, `failed` or `rejected`, with the result or failure.

    `open` says whether a run of its chain is still there to answer.
    """

    outcome: str | None
    payload: Payload | None
    open: bool


@quick
@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a query: `answered` with the result, or `failed` with the failure."""

    id: UUID
    outcome: str
    payload: Payload | None


@quick
@dataclass(frozen=True, slots=True)
class Question:
    """A query that a worker has taken, and the run it asks: enough to rebuild it."""

    id: UUID
    name: str
    input: Payload
    run: int
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    length: int
    started_at: datetime
    headers: Mapping[str, str]
    attempt: int
    first_run_id: str
    parent_workflow_id: str | None
    parent_run_id: str | None
    continued_run_id: str | None = None
    memo: Payload | None = None        # given at the start, as is `record`
    record: Payload | None = None
    origins: Sequence[Origin] = ()
    asked_headers: Mapping[str, str] = field(default_factory=dict[str, str])   # of the query; `headers` are the run's
    handed_on: Mapping[str, Payload] | None = None                             # what sealed headers of the run hold


@quick
@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as its row tells. `waiting_at` is the JSON text of `Replay.waiting()` at the last commit."""

    run: int
    namespace: str
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    status: Status
    detail: str | None
    waiting_at: str | None
    started_at: datetime
    closed_at: datetime | None
    length: int
    arrived: int
    consumed: int
    owner: int | None
    wake_at: datetime | None
    parent_workflow_id: str | None
    parent_run_id: str | None
    first_run_id: str
    next_run_id: str | None
    attempt: int
    input: Payload
    result: Payload | None             # of a completed run; a failed one has its failure here, encoding "failure"
    record: Mapping[str, Any]
    memo: Payload | None
    schedule: str | None = None        # that started it, and for which instant
    scheduled_at: datetime | None = None
    version: str | None = None
    pinned: bool = False
    unserved: bool = False             # pinned to a version of which no worker lives on its queue
    due: bool = False                  # by the database's clock
    pause_reason: str | None = None
    task_timeout: timedelta | None = None
    origin_kind: str | None = None     # reset or fork, of the run below
    origin_workflow_id: str | None = None
    origin_run_id: str | None = None
    origin_seq: int | None = None
    continued_run_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])   # of one that was looked up, not of lists


@quick
@dataclass(frozen=True, slots=True)
class Branch:
    """A run that begins with a copy of another's journal up to `seq`, the end of turn `turn`: a reset, or a fork.

    The rest is what that part leaves open, as its journal tells, and the record and memo as it left them.
    """

    workflow_id: str
    run_id: str
    fork: bool
    seq: int
    turn: int
    last_at: datetime
    new_workflow_id: str
    new_run_id: str
    first_run_id: str                  # of the new run's chain
    version: str | None                # None: as the run that is copied
    origins: Sequence[Origin]
    reapply: bool
    memo: Payload | None
    record: Payload | None
    activities: Sequence[ActivityRow]
    cancelled: Sequence[int]           # activities whose cancellation was asked for and not answered
    waits: Mapping[int, AwaitSignal]
    children: Mapping[int, StartChild]
    hooks: Mapping[int, SendHook]      # sent to other runs
    reason: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Branched:
    """`done`; or `not_found`, `taken` (a fork's id, by the run `about`), `children` (those in `about` have not ended), `hooks`
    (those sent to the workflows in `about` have not).
    """

    outcome: str
    about: str | None
    run: int | None


@quick
@dataclass(frozen=True, slots=True)
class BranchBase:
    """What a branch needs to know of a run besides its row and journal: what it was given, and its own origins."""

    memo: Payload | None
    record: Payload | None
    origins: Sequence[Origin]


@quick
@dataclass(frozen=True, slots=True)
class RunIds:
    """What names a run. Its headers name the schedule that started it."""

    run: int
    workflow_id: str
    run_id: str
    first_run_id: str
    headers: Mapping[str, str]
    origins: Sequence[Origin] = ()


@quick
@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a rebuild needs of a run besides its row and its journal. `record` and `memo` are as given at its start."""

    headers: Mapping[str, str]
    continued_run_id: str | None
    record: Payload | None
    memo: Payload | None
    origins: Sequence[Origin] = ()


@quick
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `next_run_id` follows a chain (continued as new, retried)."""

    run: int
    status: Status
    result: Payload | None
    next_run_id: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """One published event. `position` orders events and is what a subscriber remembers."""

    position: int
    topic: str
    payload: Payload
    at: datetime
    workflow_id: str | None
