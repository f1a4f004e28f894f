"""What the rest of the house asks of Postgres: values in, values out, and which of it is atomic.

Every list-taking method is one round trip for the whole list, and a member that fails never fails its neighbours.
`run` is the surrogate key of a run's row; `run_id` is the public id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from memflow.core.arrivals import Arrival
from memflow.core.entries import JournalEntry
from memflow.errors import PayloadError
from memflow.filters import Filter
from memflow.firing import Action, ScheduleState
from memflow.payload import Payload
from memflow.store.escalations import EscalationRows
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.turns import (
    ActivityClaims,
    ActivityKey,
    ActOnActivity,
    Beat,
    Beaten,
    Claims,
    Committed,
    FoundActivity,
    Mail,
    Open,
    Retry,
    Settle,
    TurnCommit,
)
from memflow.store.values import (
    Answer,
    Branch,
    BranchBase,
    Branched,
    Event,
    NewRun,
    Outcome,
    Question,
    Reply,
    RunFacts,
    RunIds,
    RunRow,
    Sent,
    Started,
    ToRun,
    ToSignalId,
    UpdateKey,
)


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
    async def start_and_send(self, run: NewRun, message: ToRun, *, connection: Any = None) -> tuple[Started, Sent | None]:
        """Start a run, or use the open one, and leave it a message, in one transaction. A start that is refused sends nothing."""
        ...

    async def signal(self, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]: ...
    async def terminate(
        self, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None = None
    ) -> Sent:
        """End a run at once. `failure` is what it failed with, encoded; by default one that says the reason."""
        ...

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

    async def knows_update(self, update: UpdateKey) -> bool:
        """Whether the update was ever sent."""
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

    async def serve_schedules(self, *, limit: int, taker: Taker | None = None) -> Served:
        """Look at up to `limit` schedules that are due or had a run end, and do what is to be done: one transaction.

        Of what is started the taker may own some at once, as if it had claimed it.
        """
        ...

    # -- workers
    async def register_worker(
        self, *, identity: str, task_queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
    ) -> int: ...
    async def beat_worker(self, worker: int, *, lease: timedelta) -> bool: ...
    async def unregister_worker(self, worker: int) -> None: ...
    async def release_silent(self, worker: int) -> int: ...
    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None,
        since: datetime | None = None,
    ) -> Claims:
        """Take up to `limit` due runs. What fell due before `since` may be left for a later look."""
        ...

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
    async def prune(self, *, limit: int) -> int:
        """Delete what has expired, up to `limit` of each kind: how many. Ends runs that are late where no worker serves them."""
        ...


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
