"""What a schedule does when it is looked at: which runs it starts, which it stops, and what it remembers. Pure.

A worker that looks at a schedule calls `decide` with the present and with what became of the runs it had started, does what
the `Decision` says, tells it by `started` which runs came about, and writes the state back, all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from memflow.runs import Status
from memflow.schedule_spec import ScheduleSpec

LONGEST_BUFFER = 1_000
"""Starts that wait for the run before them, per schedule. What comes on top is dropped, and counted."""

KEPT_RECENT = 10
"""Actions that a description shows."""

MOST_WATCHED = 200
"""Open runs that a schedule keeps an eye on; with `allow_all` there may be more, and the oldest are let go."""

_FAILED = (Status.FAILED, Status.TIMED_OUT)


class Overlap(StrEnum):
    """What happens when a run is due while the one before is still open."""

    SKIP = "skip"
    """It is not started."""
    BUFFER_ONE = "buffer_one"
    """It starts when that one ends; at most one waits."""
    BUFFER_ALL = "buffer_all"
    """It starts when those before have ended, one after another."""
    CANCEL_OTHER = "cancel_other"
    """The other is asked to cancel; it starts when that has ended. A later one takes its place in the queue."""
    TERMINATE_OTHER = "terminate_other"
    """The other is terminated, and it starts at once."""
    ALLOW_ALL = "allow_all"
    """It starts at once, beside the other."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a schedule behaves. `catchup` is how late a missed instant may still be taken."""

    overlap: Overlap = Overlap.SKIP
    catchup: timedelta = timedelta(days=365)
    pause_on_failure: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A start that is due or waits for others. `at` is its instant, without jitter: part of the run's id.

    `overlap` None is the schedule's own. A manual one (a trigger, a backfill) counts neither as paused nor against a limit.
    """

    at: datetime
    overlap: Overlap | None = None
    manual: bool = False


@dataclass(frozen=True, slots=True)
class Backfill:
    """Instants of the past, in (start, end], that are wanted after all."""

    start: datetime
    end: datetime
    overlap: Overlap | None


@dataclass(frozen=True, slots=True)
class Action:
    """A run that a schedule started: for which instant, when, and which. `cancelled`: it has been asked to cancel."""

    at: datetime
    started_at: datetime
    workflow_id: str
    run_id: str
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """What a schedule has done. `missed` came after the catch-up window, `skipped` met an open run, `dropped` a full buffer."""

    taken: int = 0
    missed: int = 0
    skipped: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What a schedule remembers. Every instant up to `cursor` has been dealt with; `remaining` None is without limit."""

    cursor: datetime
    paused: bool = False
    note: str | None = None
    remaining: int | None = None
    next_at: datetime | None = None
    last_at: datetime | None = None
    wanted: tuple[Wanted, ...] = ()
    backfills: tuple[Backfill, ...] = ()
    running: tuple[Action, ...] = ()
    recent: tuple[Action, ...] = ()
    result_of: str | None = None
    """The run whose result the next one is handed; `failure_of` likewise. What is sealed opens as theirs."""
    failure_of: str | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def exhausted(self) -> bool:
        """Whether the limit of actions is used up."""
        return self.remaining == 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and what the schedule remembers if it is done."""

    state: ScheduleState
    start: tuple[Wanted, ...] = ()
    cancel: tuple[Action, ...] = ()
    terminate: tuple[Action, ...] = ()
    look_at: datetime | None = None
    """When to look again by the clock alone; the end of a run is told apart."""


def workflow_id(schedule_id: str, at: datetime) -> str:
    """The id of the run for an instant: what keeps it from being started twice."""
    text = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto")
    return f"{schedule_id}-{text}Z"


def decide(
    id: str,
    spec: ScheduleSpec,
    policy: Policy,
    state: ScheduleState,
    *,
    now: datetime,
    ended: Mapping[str, Status | None],
    most: int,
) -> Decision:
    """Look at a schedule. `ended` tells of the runs of `state.running` that are not open, by run id, how they ended (None: gone).

    At most about `most` instants are dealt with at a time; where there are more, `look_at` is now.
    """
    state = _settled(policy, state, ended)
    state, more = _due(id, spec, policy, state, now=now, most=most)
    state, more_backfill = _backfilled(spec, state, now=now, most=most)
    decision = _resolved(policy, state)
    state = _with_next(id, spec, decision.state, now)
    look_at = now if more or more_backfill else _look_at(state)
    return replace(decision, state=state, look_at=look_at)


def started(decision: Decision, wanted: Wanted, action: Action | None) -> Decision:
    """The decision after a start: `action` is the run, or None where that instant had its run before."""
    state = decision.state
    if action is not None:
        state = replace(
            state,
            running=(*state.running, action)[-MOST_WATCHED:],
            recent=(*state.recent, action)[-KEPT_RECENT:],
            counts=replace(state.counts, taken=state.counts.taken + 1),
            last_at=action.started_at,
        )
    else:
        # Others may wait for the end of a run that is not: look again at once, which any instant of the past says.
        decision = replace(decision, look_at=wanted.at if state.wanted else decision.look_at)
        if not wanted.manual and state.remaining is not None:
            state = replace(state, remaining=state.remaining + 1)
    return replace(decision, state=state)


def resumed(state: ScheduleState, *, now: datetime, note: str | None) -> ScheduleState:
    """No longer paused. What would have been due meanwhile is not made up for."""
    return replace(state, paused=False, note=note, cursor=max(state.cursor, now) if state.paused else state.cursor)


def refreshed(id: str, spec: ScheduleSpec, state: ScheduleState, now: datetime) -> tuple[ScheduleState, datetime | None]:
    """The state with its next instant computed anew, and when to look at it: after a change from outside."""
    state = _with_next(id, spec, state, now)
    return state, now if state.wanted or state.backfills else _look_at(state)


def _with_next(id: str, spec: ScheduleSpec, state: ScheduleState, now: datetime) -> ScheduleState:
    after = max(state.cursor, now) if state.paused else state.cursor
    following = None if state.exhausted else spec.next_after(after)
    return replace(state, next_at=None if following is None else spec.jittered(following, id))


def _look_at(state: ScheduleState) -> datetime | None:
    return None if state.paused else state.next_at


def _settled(policy: Policy, state: ScheduleState, ended: Mapping[str, Status | None]) -> ScheduleState:
    """Forget runs that have ended; one that failed may pause the schedule."""
    gone = [each for each in state.running if each.run_id in ended]
    if not gone:
        return state
    failed = next((each for each in gone if ended[each.run_id] in _FAILED), None)
    state = replace(state, running=tuple(each for each in state.running if each.run_id not in ended))
    if failed is not None and policy.pause_on_failure and not state.paused:
        how = "timed out" if ended[failed.run_id] is Status.TIMED_OUT else "failed"
        state = replace(state, paused=True, note=f"paused because {failed.workflow_id} {how}")
    return state


def _due(
    id: str, spec: ScheduleSpec, policy: Policy, state: ScheduleState, *, now: datetime, most: int
) -> tuple[ScheduleState, bool]:
    """Take up the instants that have come. True: there are more."""
    if state.paused or state.exhausted:
        return state, False
    wanted, cursor, missed = list(state.wanted), state.cursor, 0
    more = True
    for _ in range(most):
        instant = spec.next_after(cursor)
        if instant is None or spec.jittered(instant, id) > now:
            more = False
            break
        cursor = instant
        if now - instant > policy.catchup:
            missed += 1
        else:
            wanted.append(Wanted(instant))
    counts = replace(state.counts, missed=state.counts.missed + missed)
    return replace(state, wanted=tuple(wanted), cursor=cursor, counts=counts), more


def _backfilled(spec: ScheduleSpec, state: ScheduleState, *, now: datetime, most: int) -> tuple[ScheduleState, bool]:
    """Take up instants of the first backfill. True: there are more."""
    if not state.backfills:
        return state, False
    first, *others = state.backfills
    wanted = list(state.wanted)
    at = first.start
    for _ in range(most):
        # An instant that has not come is the schedule's own business.
        following = spec.next_after(at)
        if following is None or following > min(first.end, now):
            return replace(state, wanted=tuple(wanted), backfills=tuple(others)), bool(others)
        at = following
        wanted.append(Wanted(at, first.overlap, manual=True))
    left = replace(first, start=at)
    return replace(state, wanted=tuple(wanted), backfills=(left, *others)), True


def _resolved(policy: Policy, state: ScheduleState) -> Decision:
    """Which of those wanted start now, wait, or are dropped, by their overlap policies, in their order."""
    start: list[Wanted] = []
    keep: list[Wanted] = []
    alone: Wanted | None = None            # of `start`, the one that others must not overlap
    running, cancel, terminate = state.running, False, False
    skipped = dropped = 0
    left = state.remaining
    for each in state.wanted:
        if not each.manual and (state.paused or left == 0):
            continue
        overlap = each.overlap or policy.overlap
        if overlap is Overlap.ALLOW_ALL:
            start.append(each)
        elif alone is None and (terminate or not running):
            start.append(each)
            alone = each
        elif overlap in (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER) and alone is not None:
            # The one before has not even begun: this one takes its place.
            start.remove(alone)
            skipped += 1
            if not alone.manual and left is not None:
                left += 1
            start.append(each)
            alone = each
        elif overlap is Overlap.TERMINATE_OTHER:
            terminate = True
            start.append(each)
            alone = each
        else:
            if overlap is Overlap.CANCEL_OTHER:
                cancel = True
                waiting = [one for one in keep if (one.overlap or policy.overlap) is Overlap.CANCEL_OTHER]
                keep = [one for one in keep if one not in waiting]
                skipped += len(waiting)
            if overlap is Overlap.SKIP or (overlap is Overlap.BUFFER_ONE and _waits(policy, keep, Overlap.BUFFER_ONE)):
                skipped += 1
            elif len(keep) >= LONGEST_BUFFER:
                dropped += 1
            else:
                keep.append(each)
            continue
        if not each.manual and left is not None:
            left -= 1
    to_cancel = tuple(each for each in running if not each.cancelled) if cancel and not terminate else ()
    counts = replace(state.counts, skipped=state.counts.skipped + skipped, dropped=state.counts.dropped + dropped)
    after = replace(
        state,
        wanted=tuple(keep),
        remaining=left,
        counts=counts,
        running=() if terminate else tuple(replace(each, cancelled=True) if each in to_cancel else each for each in running),
    )
    return Decision(after, tuple(start), to_cancel, running if terminate else ())


def _waits(policy: Policy, keep: list[Wanted], overlap: Overlap) -> bool:
    return any((each.overlap or policy.overlap) is overlap for each in keep)


# ----------------------------------------------------------------------------------------------------------- as JSON


def state_to_json(state: ScheduleState) -> dict[str, Any]:
    """What has no column of its own, as JSON."""
    return {
        "cursor": state.cursor.isoformat(),
        "note": state.note,
        "remaining": state.remaining,
        "wanted": [[each.at.isoformat(), each.overlap, each.manual] for each in state.wanted],
        "backfills": [[each.start.isoformat(), each.end.isoformat(), each.overlap] for each in state.backfills],
        "running": [_action_to_json(each) for each in state.running],
        "recent": [_action_to_json(each) for each in state.recent],
        "outcomes": [state.result_of, state.failure_of],
        "counts": [state.counts.taken, state.counts.missed, state.counts.skipped, state.counts.dropped],
    }


def state_from_json(
    found: dict[str, Any], *, paused: bool, next_at: datetime | None, last_at: datetime | None
) -> ScheduleState:
    """The state that `state_to_json` and three columns hold."""
    result_of, failure_of = found.get("outcomes", (None, None))
    return ScheduleState(
        cursor=datetime.fromisoformat(found["cursor"]),
        paused=paused,
        note=found["note"],
        remaining=found["remaining"],
        next_at=next_at,
        last_at=last_at,
        wanted=tuple(Wanted(datetime.fromisoformat(at), _overlap(overlap), manual) for at, overlap, manual in found["wanted"]),
        backfills=tuple(
            Backfill(datetime.fromisoformat(start), datetime.fromisoformat(end), _overlap(overlap))
            for start, end, overlap in found["backfills"]
        ),
        running=tuple(_action_from_json(each) for each in found["running"]),
        recent=tuple(_action_from_json(each) for each in found["recent"]),
        result_of=result_of,
        failure_of=failure_of,
        counts=Counts(*found["counts"]),
    )


def _overlap(word: str | None) -> Overlap | None:
    return None if word is None else Overlap(word)


def _action_to_json(action: Action) -> list[Any]:
    return [action.at.isoformat(), action.started_at.isoformat(), action.workflow_id, action.run_id, action.cancelled]


def _action_from_json(found: list[Any]) -> Action:
    at, started_at, workflow, run_id, cancelled = found
    return Action(datetime.fromisoformat(at), datetime.fromisoformat(started_at), workflow, run_id, cancelled)
