"""What the rest of the house asks of Postgres: values in, values out, and which of it is atomic.

Every list-taking method is one round trip for the whole list, and a member that fails never fails its neighbours.
`run` is the surrogate key of a run's row; `run_id` is the public id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from memflow.core.arrivals import Arrival, SignalReceived
from memflow.core.definition import Origin
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelWait,
    Emit,
    SendHook,
    SendSignal,
    StartChild,
    StopOther,
)
from memflow.errors import PayloadError
from memflow.filters import Filter
from memflow.firing import Action, ScheduleState
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.quick import quick
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.store.escalations import EscalationRows
from memflow.store.schedule_values import ScheduleRow, Served

# ------------------------------------------------------------------------------------------------- client to store


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


# ------------------------------------------------------------------------------------------------- worker and store


@quick
@dataclass(frozen=True, slots=True)
class Claim:
    """A run now owned by this worker, under a fresh token.

    `input` is there for a run that has no journal yet. `crashes` counts owners that died or fell silent since the last
    commit. `retries` counts turns that failed in a row (stuck runs).
    """

    run: int
    token: UUID
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    length: int
    arrived: int
    consumed: int
    turn: int                          # number of the last turn in the journal
    started_at: datetime
    last_at: datetime                  # time of the last turn; a run without journal: when its first turn is due
    first_arrivals: int                # inbox rows that came with the start: part of the first turn
    crashes: int
    retries: int
    input: Payload | None
    headers: Mapping[str, str]
    attempt: int
    first_run_id: str
    parent_workflow_id: str | None
    parent_run_id: str | None
    deadline: datetime | None          # run or execution timeout, whichever is earlier
    deadline_kind: str | None
    memo: Payload | None               # given at the start, as is `record`
    record: Payload | None             # fields given at the start
    retry: RetryPolicy | None = None   # what becomes of the chain when the run fails
    execution_deadline: datetime | None = None
    continued_run_id: str | None = None  # the run before this one in its chain
    unreadable: str | None = None      # why its payloads cannot be read: it may go on only when they can
    handed_on: Mapping[str, Payload] | None = None   # what sealed headers hold
    version: str | None = None         # of the code that advanced it last; None: of none that has a version
    pinned: bool = False               # to that version
    task_timeout: timedelta | None = None
    ending: bool = False               # its end met unread mail: the next turn takes all there is
    origins: Sequence[Origin] = ()


@quick
@dataclass(frozen=True, slots=True)
class Claims:
    """What a claim found, the database's time then, and when the next run of these queues falls due (None: unknown or none)."""

    claims: Sequence[Claim]
    now: datetime
    next_due: datetime | None


@quick
@dataclass(frozen=True, slots=True)
class Mail:
    """One inbox row."""

    run: int
    position: int
    arrival: Arrival
    unreadable: str | None = None      # why its payload cannot be read


@quick
@dataclass(frozen=True, slots=True)
class ActivityRow:
    """A durable activity to be written with a commit. `owner` and `token` set: it is running here already."""

    op: int
    name: str
    task_queue: str
    input: Payload
    options: ActivityOptions
    headers: Mapping[str, str]
    attempt: int                       # attempts begun so far
    next_attempt_at: datetime
    scheduled_at: datetime
    close_by: datetime | None          # schedule_to_close, absolute
    token: UUID | None = None          # set: owned by the committing worker
    last_failure: Payload | None = None
    heartbeat: Payload | None = None


Effect = StartChild | SendSignal | StopOther | AwaitSignal | CancelWait | Emit | AnswerUpdate | SendHook | AnswerHook
"""Interrupts that the commit turns into rows elsewhere, in the order asked."""


@quick
@dataclass(frozen=True, slots=True)
class NextRun:
    """The run of a chain that begins in the commit that ends the one before.

    It has that run's workflow id, parent, headers, priority and expiry, and gets the mail that was not read. None where it
    has the same as that run.
    """

    run_id: str
    attempt: int
    delay: timedelta
    record: Payload | None             # as `NewRun.search`
    memo: Payload | None
    input: Payload | None = None
    workflow: str | None = None
    task_queue: str | None = None
    run_timeout: timedelta | None = None
    retry: RetryPolicy | None = None
    headers: Mapping[str, str] | None = None
    signals: Sequence[SignalReceived] = ()     # read by that run, but taken by no code of it; before the unread mail


@dataclass(slots=True)
class TurnCommit:
    """One run's share of a group commit: everything it did since its last one, fenced by token and length."""

    run: int
    token: UUID
    length: int                        # of the journal as loaded: the compare in compare-and-swap
    entries: Sequence[JournalEntry]
    consumed: int                      # inbox position read up to and including
    release: bool                      # give up ownership (always so for a closing commit)
    wake_at: datetime | None = None    # when released: earliest timer or deadline. More mail than consumed wins over it
    status: Status = Status.RUNNING    # anything else closes the run; refused while arrived > consumed
    result: Payload | None = None      # result or failure (encoding "failure") of a closing run
    waiting_at: str | None = None
    detail: str | None = None
    retries: int = 0
    activities: Sequence[ActivityRow] = ()
    cancelled_activities: Sequence[int] = ()   # ops whose row gets the cancel mark
    dropped_activities: Sequence[int] = ()     # ops whose row goes away (answered here, or abandoned)
    effects: Sequence[Effect] = ()
    mail: Sequence[Arrival] = ()               # answers known here but not in a turn yet: into the run's own inbox
    record: Payload | None = None              # the whole record, if it changed
    memo: Payload | None = None                # the whole memo, if it changed
    next: NextRun | None = None                # of a closing run that goes on: then it may close over unread mail
    version: tuple[str, bool] | None = None    # of the code, where it changed, and whether the run is pinned to it
    sticky: bool = True                        # prefer this worker next time, and keep the run while there is mail;
                                               # False: let it go even over unread mail, due at `wake_at` for anybody


@quick
@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a TurnCommit.

    `outcome` is `won`; `fenced` (the run is no longer ours: drop it); `unread` (it tried to close over unread mail, or to leave
    a wait whose escalation somebody has just answered) or `paused` (it may not go on: let go of it), where nothing of it was
    written and it is still ours; `busy` (it sends to a run that is just ending: the same commit is to come again, still ours); or
    `refused` (Postgres cannot take one of its values; still ours).
    `arrived` is the inbox position now. A commit that asked for release but found mail (arrived > consumed) keeps the run
    owned, `released` False: read the mail and go on.
    """

    run: int
    outcome: str
    arrived: int
    released: bool
    reason: str | None = None          # of a refusal


@quick
@dataclass(frozen=True, slots=True)
class ActivityClaim:
    """A durable activity now owned by this worker. `attempt` is the one to run now (1, 2, ...)."""

    run: int
    op: int
    token: UUID
    workflow_id: str
    run_id: str
    workflow: str
    name: str
    task_queue: str
    input: Payload
    options: ActivityOptions
    headers: Mapping[str, str]
    attempt: int
    scheduled_at: datetime
    close_by: datetime | None
    last_failure: Payload | None
    heartbeat: Payload | None
    cancel_requested: bool
    unreadable: str | None = None      # why its payloads cannot be read
    late: str | None = None            # which time of an open attempt was up: it is to be judged, not run


@quick
@dataclass(frozen=True, slots=True)
class ActivityClaims:
    claims: Sequence[ActivityClaim]
    now: datetime
    next_due: datetime | None


@quick
@dataclass(frozen=True, slots=True)
class Settle:
    """The end of a durable activity: its row goes, the arrival goes into the run's inbox, if the token still fits."""

    run: int
    op: int
    token: UUID
    arrival: Arrival


@quick
@dataclass(frozen=True, slots=True)
class Retry:
    """A failed attempt that is tried again at `delay` after now, if the token still fits."""

    run: int
    op: int
    token: UUID
    delay: timedelta
    last_failure: Payload | None
    counts: bool = True                # False: handed back without having run, the attempt is not counted


@quick
@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat of a running durable activity; `details` None leaves the last ones."""

    run: int
    op: int
    token: UUID
    details: Payload | None


@quick
@dataclass(frozen=True, slots=True)
class Beaten:
    """`lost`: the row is gone or somebody else's: stop. `cancel_requested`: the run asks it to stop.

    `paused` and `reset`: an operator did that to the activity.
    """

    run: int
    op: int
    lost: bool
    cancel_requested: bool
    paused: bool = False
    reset: bool = False


@quick
@dataclass(frozen=True, slots=True)
class Open:
    """An attempt whose function returned without a result: somebody outside ends it, until `attempt_by` at the latest."""

    run: int
    op: int
    token: UUID
    attempt_by: datetime | None


@quick
@dataclass(frozen=True, slots=True)
class ActivityKey:
    """Which activity: by workflow and activity id, or by the token of one attempt (then `run` and `op` are set)."""

    workflow_id: str | None = None
    run_id: str | None = None
    activity_id: str | None = None
    run: int | None = None
    op: int | None = None
    token: UUID | None = None


@quick
@dataclass(frozen=True, slots=True)
class FoundActivity:
    """A pending activity. `token` None: nobody runs it, and `attempt` attempts have been begun."""

    run: int
    op: int
    token: UUID | None
    name: str
    activity_id: str
    workflow_id: str
    options: ActivityOptions
    attempt: int
    scheduled_at: datetime
    close_by: datetime | None
    cancel_requested: bool
    paused: bool
    reset: bool


@quick
@dataclass(frozen=True, slots=True)
class ActOnActivity:
    """What an operator does: `pause`, `resume`, `reset` or `update`. `delay`: not to begin before that long from now."""

    verb: str
    delay: timedelta = timedelta()
    keep_paused: bool = False
    forget_heartbeats: bool = False
    options: ActivityOptions | None = None


class Store(Protocol):
    """The one door to Postgres. Errors are memflow's; a broken COMMIT is `OutcomeUnknownError`."""

    namespace: str

    # -- life
    async def migrate(self) -> None: ...
    async def check_schema(self) -> None: ...
    async def close(self) -> None: ...
    async def now(self) -> datetime: ...
    async def twin(self) -> Store | None:
        """The same store with connections of its own, for the event loop of another thread. None over a caller's pool."""
        ...


    # -- clients
    async def start_runs(self, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]: ...
    async def send(self, messages: Sequence[ToRun], *, connection: Any = None, patient: bool = False) -> list[Sent]: ...
    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]: ...
    async def terminate(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent: ...
    async def pause(self, workflow_id: str, run_id: str | None, reason: str | None) -> Sent: ...
    async def resume(self, workflow_id: str, run_id: str | None) -> Sent: ...
    async def repin(self, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
        """Pin a run to a version; None: to none."""
        ...

    async def branch_base(self, run: int) -> BranchBase | None: ...
    async def branch(self, branch: Branch) -> Branched:
        """Begin a run with a copied journal; a reset ends the latest run of its id in the same transaction."""
        ...

    async def find_run(self, workflow_id: str, run_id: str | None = None) -> RunRow | None: ...
    async def outcomes(self, runs: Sequence[int]) -> list[Outcome]: ...
    async def list_runs(
        self, where: Filter | None, *, limit: int, after: RunRow | None = None, order: tuple[str, bool] | None = None
    ) -> list[RunRow]:
        """A page of runs. `order` is a field of `records.ORDERS`, and whether it descends; None: newest first."""
        ...

    async def count_runs(self, where: Filter | None) -> int: ...
    async def history(self, run: int) -> list[JournalEntry]: ...
    async def facts_of(self, run: int) -> RunFacts | None: ...
    async def activities_of(self, run: int) -> list[Mapping[str, Any]]:
        """The columns of `v_activities` by op, but `last_failure` and `heartbeat_details` as `Payload | None`."""
        ...

    async def events_after(self, position: int | None, *, limit: int) -> tuple[list[Event], int]: ...

    @property
    def escalations(self) -> EscalationRows:
        """What people are asked."""
        ...

    async def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        """How far updates are, in the order given."""
        ...

    async def ask_question(
        self, id: UUID, workflow_id: str, run_id: str | None, name: str, input: Payload, headers: Mapping[str, str] = ...
    ) -> bool:
        """Leave a query for a worker. False: there is no such run. A repeat with the same id is the same question."""
        ...

    async def answers(self, ids: Sequence[UUID]) -> list[Answer]: ...

    # -- schedules
    async def create_schedule(self, row: ScheduleRow) -> bool:
        """Put a new schedule, due when its state says. False: its id is taken."""
        ...

    async def find_schedule(self, id: str) -> ScheduleRow | None: ...
    async def list_schedules(self, *, after: str | None, limit: int) -> list[ScheduleRow]: ...
    async def edit_schedule(self, id: str, change: Callable[[ScheduleRow], ScheduleRow]) -> ScheduleRow | None:
        """Change a schedule while nobody else does; `change` may be called again. None: there is none of that id."""
        ...

    async def delete_schedule(self, id: str) -> bool: ...
    async def running_of(self, state: ScheduleState) -> list[Action]:
        """Those of a schedule's runs that are open."""
        ...

    async def serve_schedules(self, *, limit: int) -> Served:
        """Look at up to `limit` schedules that are due or had a run end, and do what is to be done: one transaction."""
        ...

    # -- workers
    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int: ...
    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool: ...
    async def unregister_worker(self, worker: int) -> None: ...
    async def release_silent(self, worker: int) -> int: ...
    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None
    ) -> Claims: ...
    async def load_journals(self, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry] | PayloadError]:
        """The entries of each run after the seq given with it, or why they cannot be read."""
        ...

    async def run_ids(self, runs: Sequence[int]) -> list[RunIds]:
        """What names these runs, of those that are there."""
        ...

    async def activity_ops(self, runs: Sequence[int]) -> Mapping[int, set[int]]: ...
    async def owned_with_mail(self, worker: int) -> list[int]: ...
    async def read_inbox(self, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]: ...
    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]: ...
    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims: ...
    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]: ...
    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]: ...
    async def beat_activities(self, beats: Sequence[Beat]) -> list[Beaten]: ...
    async def open_activities(self, opened: Sequence[Open]) -> list[bool]: ...
    async def find_activity(self, key: ActivityKey) -> FoundActivity | str:
        """The activity, or why there is none: `maybe` (soon, perhaps), `not_found`, `closed` or `missing` (its run)."""
        ...

    async def finish_activity(self, found: FoundActivity, arrival: Arrival, *, exact: bool) -> bool:
        """End it from outside. `exact`: this very attempt, else whichever it is at. False: it is gone."""
        ...

    async def fail_attempt(self, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool) -> bool: ...
    async def beat_activity(self, found: FoundActivity, details: Payload | None) -> Beaten: ...
    async def act_on_activity(self, found: FoundActivity, act: ActOnActivity) -> bool: ...
    async def take_questions(
        self, worker: int, *, task_queues: Sequence[str], types: Sequence[str], limit: int, version: str | None = None
    ) -> tuple[list[Question], int]:
        """Queries to runs of these types that can be answered now, and how many cannot yet: their run has mail to read
        first, has not begun, or is in another worker's memory (for a second)."""
        ...

    async def answer_questions(self, answers: Sequence[Answer]) -> None: ...
    async def prune(self, *, limit: int) -> int: ...

    # -- doorbells: hints only, everything works without them
    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when `ear` rings. Returns how to stop.

        `queue:NAME` (a run is due there), `activities:NAME` (an activity is), `worker:ID` (mail, a cancelled activity),
        `questions:NAME` (a run of that queue is asked), `reply` (a query or update was answered), `done` (a run closed), `event`,
        `schedules` (one was changed, or a run of one ended).
        """
        ...

    @property
    def notifies(self) -> bool:
        """Whether notices arrive (a self-test decides at the first `listen`); if not, poll."""
        ...

    # -- the caller's own transactions
    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A connection inside a transaction, for transactional activities."""
        ...
