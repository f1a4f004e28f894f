"""What workers and the store tell each other: claims, turns and their outcomes, activities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.quick import quick
from memflow.retry import RetryPolicy
from memflow.runs import Status


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
