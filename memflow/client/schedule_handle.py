"""A handle on one schedule, and what its description says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Unpack

from memflow.client.describe import shown
from memflow.client.link import Link
from memflow.client.schedule_options import (
    TIMING,
    TimingOptions,
    backfill_of,
    changed,
    check_options,
    limit_of,
    note_of,
    overlap_of,
)
from memflow.errors import ScheduleNotFoundError
from memflow.firing import Action, Overlap, Wanted, resumed
from memflow.schedule_spec import ScheduleSpec
from memflow.store.schedule_values import ScheduleRow

NEXT_TIMES = 10

NEXT_TIMES_IN_LISTS = 3
"""Fewer: each costs some 0.3 ms of a cron line, and a page has 200 schedules."""


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a schedule started: for which instant, and when it was started."""

    workflow_id: str
    run_id: str
    scheduled_at: datetime
    started_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleDescription:
    """A schedule as it stands.

    `next_times` are the next ten instants (in lists three) without jitter, `recent` the last runs, oldest first.
    """

    id: str
    workflow: str
    task_queue: str
    arguments: Any
    spec: ScheduleSpec
    overlap: Overlap
    catchup: timedelta
    pause_on_failure: bool
    paused: bool
    note: str | None
    next_at: datetime | None
    """When the next run begins, jitter included; None when nothing more is due."""
    last_at: datetime | None
    next_times: tuple[datetime, ...]
    recent: tuple[ScheduledRun, ...]
    running: tuple[ScheduledRun, ...]
    waiting: tuple[datetime, ...]
    """Instants that are due but wait, for the run before them or for a worker."""
    actions: int
    """Runs started so far."""
    missed: int
    """Instants that nobody took within the catch-up window."""
    overlap_skipped: int
    """Instants that were skipped because a run was open."""
    buffer_dropped: int
    """Instants that were dropped because too many waited already."""
    remaining_actions: int | None
    created_at: datetime
    updated_at: datetime
    memo: Any = None

    @property
    def zone(self) -> str:
        """The zone of its clock."""
        return self.spec.zone


class ScheduleHandle:
    """One schedule. A handle asks nobody when it is made: a missing schedule shows on use, as `ScheduleNotFoundError`."""

    def __init__(self, link: Link, id: str) -> None:
        self._link = link
        self._id = id

    @property
    def id(self) -> str:
        """The schedule's id."""
        return self._id

    def __repr__(self) -> str:
        return f"<ScheduleHandle {self._id!r}>"

    async def describe(self) -> ScheduleDescription:
        """How the schedule stands: its spec and policies, what comes next, what it did last, which of its runs are open.

        Raises:
            ScheduleNotFoundError: there is none of this id.
        """
        row = await self._link.store.find_schedule(self._id)
        if row is None:
            raise self._missing()
        return description_of(self._link, row, await self._link.store.running_of(row.state))

    async def pause(self, *, note: str | None = None) -> None:
        """Start nothing more, but for triggers and backfills. What is due meanwhile is not made up for.

        Raises:
            ScheduleNotFoundError: there is none of this id.
        """
        said = note_of(note)
        await self._edit(lambda row: replace(row, state=replace(row.state, paused=True, note=said or row.state.note)))

    async def resume(self, *, note: str | None = None) -> None:
        """Go on with what is due from now on; the other end of `pause`.

        Raises:
            ScheduleNotFoundError: there is none of this id.
        """
        said = note_of(note)
        await self._edit(lambda row: replace(row, state=resumed(row.state, now=row.now, note=said)))

    async def unpause(self, *, note: str | None = None) -> None:
        """The same as `resume`."""
        await self.resume(note=note)

    async def trigger(self, *, overlap: Overlap | str | None = None) -> None:
        """Start a run now, also when paused. `overlap` is for this one; by default the schedule's own.

        Returns when the wish is stored; a worker starts the run within moments.

        Raises:
            ScheduleNotFoundError: there is none of this id.
            ConfigurationError: no such overlap policy.
        """
        policy = None if overlap is None else overlap_of(overlap)
        await self._edit(lambda row: triggered(row, policy))

    async def backfill(self, start: datetime, end: datetime, *, overlap: Overlap | str | None = None) -> None:
        """Take the instants from `start` to `end` (both included, aware) that lie in the past and have had no run.

        By default they run one after another (`buffer_all`); `overlap="allow_all"` starts them together.

        Raises:
            ScheduleNotFoundError: there is none of this id.
            ConfigurationError: the times cannot be used, or no such overlap policy.
        """
        wanted = backfill_of(start, end, overlap)
        await self._edit(lambda row: replace(row, state=replace(row.state, backfills=(*row.state.backfills, wanted))))

    async def update(
        self,
        change: Callable[[ScheduleDescription], Mapping[str, Any]] | None = None,
        *,
        args: Sequence[Any] | None = None,
        **options: Unpack[TimingOptions],
    ) -> None:
        """Change what is given and leave the rest: `update(spec="0 8 * * *", overlap="buffer_one")`.

        `change` is called with the description and returns such options, so that a change may depend on what is there;
        nobody else changes the schedule meanwhile. `args` are new arguments for its runs. Runs that are open go on.

        Raises:
            ScheduleNotFoundError: there is none of this id.
            ConfigurationError, PayloadError: an option cannot work; nothing was changed.
            TypeError: an unknown option.
        """
        given: dict[str, Any] = {**options} if args is None else {**options, "args": args}
        check_options("update", given, TIMING | {"args"})

        def apply(row: ScheduleRow) -> ScheduleRow:
            if change is None:
                return updated(self._link, row, given)
            self._link.codec.decode(row.action.input)    # `change` must not take words about bytes for arguments
            wanted = {**change(description_of(self._link, row, row.state.running)), **given}
            check_options("update", wanted, TIMING | {"args"})
            return updated(self._link, row, wanted)

        await self._edit(apply)

    async def delete(self) -> None:
        """Delete the schedule. Runs that it started go on.

        Raises:
            ScheduleNotFoundError: there is none of this id.
        """
        if not await self._link.store.delete_schedule(self._id):
            raise self._missing()

    async def _edit(self, change: Callable[[ScheduleRow], ScheduleRow]) -> None:
        if await self._link.store.edit_schedule(self._id, change) is None:
            raise self._missing()

    def _missing(self) -> ScheduleNotFoundError:
        return ScheduleNotFoundError(self._id, namespace=self._link.namespace)


def triggered(row: ScheduleRow, overlap: Overlap | None) -> ScheduleRow:
    """The row with a run wanted at once, for the present as its instant."""
    at = row.now
    while any(each.at == at for each in row.state.wanted):
        at += timedelta(microseconds=1)
    return replace(row, state=replace(row.state, wanted=(*row.state.wanted, Wanted(at, overlap, manual=True))))


def updated(link: Link, row: ScheduleRow, options: Mapping[str, Any]) -> ScheduleRow:
    """The row with these options changed. A new spec counts from now on."""
    spec, policy, action = changed(link, options)(row.spec, row.policy, row.action)
    state = row.state
    if spec != row.spec:
        state = replace(state, cursor=max(state.cursor, row.now))
    if "limited_actions" in options:
        state = replace(state, remaining=limit_of(options["limited_actions"]))
    if "note" in options:
        state = replace(state, note=note_of(options["note"]))
    return replace(row, spec=spec, policy=policy, action=action, state=state)


def description_of(link: Link, row: ScheduleRow, running: Sequence[Action], *, times: int = NEXT_TIMES) -> ScheduleDescription:
    """A row for people, with so many of the instants to come."""
    state = row.state
    return ScheduleDescription(
        id=row.id,
        workflow=row.action.workflow,
        task_queue=row.action.task_queue,
        arguments=shown(row.action.input, link.codec),
        spec=row.spec,
        overlap=row.policy.overlap,
        catchup=row.policy.catchup,
        pause_on_failure=row.policy.pause_on_failure,
        paused=state.paused,
        note=state.note,
        next_at=state.next_at,
        last_at=state.last_at,
        next_times=() if state.exhausted else _to_come(row, times),
        recent=tuple(map(_scheduled_run, state.recent)),
        running=tuple(map(_scheduled_run, running)),
        waiting=tuple(each.at for each in state.wanted),
        actions=state.counts.taken,
        missed=state.counts.missed,
        overlap_skipped=state.counts.skipped,
        buffer_dropped=state.counts.dropped,
        remaining_actions=state.remaining,
        created_at=row.created_at,
        updated_at=row.updated_at,
        memo=None if row.action.memo is None else shown(row.action.memo, link.codec),
    )


def _to_come(row: ScheduleRow, times: int) -> tuple[datetime, ...]:
    most = times if row.state.remaining is None else min(times, row.state.remaining)
    after = max(row.state.cursor, row.now) if row.state.paused else row.state.cursor
    return tuple(islice(row.spec.instants(after, datetime.max.replace(tzinfo=row.now.tzinfo)), most))


def _scheduled_run(action: Action) -> ScheduledRun:
    return ScheduledRun(action.workflow_id, action.run_id, action.at, action.started_at)
