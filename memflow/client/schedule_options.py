"""The options of a schedule: what a person may say, checked once, as the row that the store keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, TypedDict, cast

from memflow.client.link import Link
from memflow.client.starting import definition_for, new_run
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.firing import Backfill, Overlap, Policy, ScheduleState
from memflow.names import MAX_BYTES, check_name
from memflow.retry import RetryPolicy
from memflow.schedule_spec import ScheduleInterval, ScheduleSpec
from memflow.store.schedule_values import ScheduleAction

LONGEST_INSTANT = len("-2026-01-31T12:00:00.000000Z")

SHORTEST_CATCHUP = timedelta(seconds=10)
"""What is no later than this is not missed: a worker that restarts takes as long. Shorter windows count as this one."""

BackfillRange = tuple[datetime, datetime]
"""First and last instant, both included; aware datetimes."""


class ActionOptions(TypedDict, total=False):
    """How a schedule's runs are started. The same words as for `client.workflow.start`."""

    workflow_id: str | None
    """What the ids of the runs begin with, before the instant; by default the schedule's id."""
    task_queue: str
    execution_timeout: Duration | None
    run_timeout: Duration | None
    retry: RetryPolicy | None
    expire: Duration | None
    search: Mapping[str, Any] | None
    entity: Mapping[str, Any] | None
    memo: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    priority: int


class TimingOptions(ActionOptions, total=False):
    """When a schedule is due, and how it behaves. Durations are a timedelta, text or seconds."""

    spec: ScheduleSpec | str | Sequence[str]
    """A cron line, several of them, or a `ScheduleSpec`."""
    every: Duration | None
    """An interval, counted from 1970 on: every="10 minutes" is due at :00, :10, :20 ..."""
    offset: Duration | None
    """What moves those instants: with offset="3 minutes" at :03, :13, :23 ..."""
    zone: str
    """The clock on which cron lines and calendars are read; "UTC" by default."""
    start_at: datetime | None
    """Nothing is due before."""
    end_at: datetime | None
    """Nothing is due after."""
    jitter: Duration
    """Each run begins up to this much later, by an amount of its own."""
    overlap: Overlap | str
    """If the run before is still open: skip (the default), buffer_one, buffer_all, cancel_other, terminate_other or allow_all."""
    catchup: Duration
    """How late an instant that was missed (no worker, a restart) is still taken; a year by default, 10 seconds at least."""
    limited_actions: int | None
    """After so many runs nothing more is due. Triggers and backfills do not count."""
    pause_on_failure: bool
    """Pause when a run fails or times out."""
    note: str | None
    """A line for people."""


class ScheduleOptions(TimingOptions, total=False):
    """All that can be said when a schedule is created."""

    paused: bool
    """Begin paused."""
    trigger_immediately: bool
    """Start one run at once, besides."""
    backfill: Sequence[BackfillRange]
    """Ranges of the past whose instants are to be taken."""


TIMING = frozenset(TimingOptions.__annotations__)
ALL = frozenset(ScheduleOptions.__annotations__)
ACTION = frozenset(ActionOptions.__annotations__)


def check_options(verb: str, options: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Refuse a misspelt option, naming the near one.

    Raises:
        TypeError: as for any unknown keyword.
    """
    for name in options:
        if name not in allowed:
            near = get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TypeError(f"{verb}() has no option {name!r}; {hint}options: {', '.join(sorted(allowed))}")


def schedule_id(id: object, *, what: str = "schedule id") -> str:
    """`id` if it can be a schedule's, or what the ids of its runs begin with.

    Raises:
        ConfigurationError: it cannot; the message says why.
    """
    name = check_name(id, what=what)
    if len(name.encode()) > MAX_BYTES - LONGEST_INSTANT:
        raise ConfigurationError(
            f"{what}: {name[:40]!r}... has {len(name.encode())} bytes; at most {MAX_BYTES - LONGEST_INSTANT} are possible, "
            "because its runs are named by it and their instant"
        )
    return name


def action_of(link: Link, workflow: object, arguments: Sequence[Any], options: Mapping[str, Any]) -> ScheduleAction:
    """The run that the schedule starts, checked as a start is.

    Raises:
        ConfigurationError, TypeError, PayloadError: as for `client.workflow.start`.
    """
    named = options.get("workflow_id")
    given = {n: v for n, v in options.items() if n in ACTION and n != "workflow_id"}
    run = new_run(link, workflow, definition_for(workflow), arguments, given)
    return ScheduleAction(
        workflow=run.workflow,
        task_queue=run.task_queue,
        input=run.input,
        run_timeout=run.run_timeout,
        execution_timeout=run.execution_timeout,
        headers=run.headers,
        memo=run.memo,
        search=run.search,
        expire=run.expire,
        priority=run.priority,
        retry=run.retry,
        workflow_id=None if named is None else schedule_id(named, what="workflow id"),
    )


def action_with(link: Link, old: ScheduleAction, options: Mapping[str, Any]) -> ScheduleAction:
    """The run of a schedule with some of its options changed: those that are given.

    Raises:
        ConfigurationError, PayloadError: as for `client.workflow.start`.
    """
    given = {name: value for name, value in options.items() if name in ACTION}
    arguments = options.get("args")
    if not given and arguments is None:
        return old
    new = action_of(link, old.workflow, () if arguments is None else arguments, given)
    changes: dict[str, Any] = {name: getattr(new, name) for name in given if name != "entity"}
    if "entity" in given:
        changes["search"] = new.search
    if arguments is not None:
        changes["input"] = new.input
    return replace(old, **changes)


def spec_of(options: Mapping[str, Any], old: ScheduleSpec | None = None) -> ScheduleSpec:
    """When the schedule is due. What is not given stays as in `old`.

    Raises:
        ConfigurationError: nothing says when, it cannot be read, or it never comes.
    """
    spec, every = options.get("spec"), options.get("every")
    source = spec if isinstance(spec, ScheduleSpec) else old
    parts: dict[str, Any] = {}
    if source is not None:
        for name in ("cron", "intervals", "calendars", "skip", "zone", "start_at", "end_at", "jitter"):
            parts[name] = getattr(source, name)
    if spec is not None and not isinstance(spec, ScheduleSpec):
        if not isinstance(spec, str | list | tuple):
            raise ConfigurationError(f'spec: {spec!r} is no spec; give a cron line such as "0 9 * * MON-FRI", or a ScheduleSpec')
        parts.update(cron=spec, intervals=(), calendars=(), skip=())
    if every is not None:
        interval = ScheduleInterval(every, options.get("offset") or 0)
        if spec is None:
            parts.update(cron=(), calendars=(), skip=())
        parts["intervals"] = (*(parts.get("intervals", ()) if spec is not None else ()), interval)
    elif options.get("offset") is not None:
        raise ConfigurationError("offset: there is no `every` that it could move")
    parts.update({name: options[name] for name in ("zone", "start_at", "end_at", "jitter") if name in options})
    return ScheduleSpec(parts.pop("cron", ()), **parts)


def policy_of(options: Mapping[str, Any], old: Policy | None = None) -> Policy:
    """How the schedule behaves. What is not given stays as in `old`.

    Raises:
        ConfigurationError: an option cannot work.
    """
    policy = Policy() if old is None else old
    if "overlap" in options:
        policy = replace(policy, overlap=overlap_of(options["overlap"]))
    if "catchup" in options:
        policy = replace(policy, catchup=max(SHORTEST_CATCHUP, to_timedelta(options["catchup"], what="catchup")))
    if "pause_on_failure" in options:
        policy = replace(policy, pause_on_failure=_flag(options["pause_on_failure"], "pause_on_failure"))
    return policy


def first_state(options: Mapping[str, Any], now: datetime) -> ScheduleState:
    """What a new schedule remembers: nothing that was due before now.

    Raises:
        ConfigurationError: an option cannot work.
    """
    ranges = options.get("backfill", ())
    if not isinstance(ranges, list | tuple):
        raise ConfigurationError("backfill: a list of (first, last) instants is needed")
    backfills: list[Backfill] = []
    for each in cast("Sequence[object]", ranges):
        if not isinstance(each, list | tuple) or len(cast("Sequence[object]", each)) != 2:
            raise ConfigurationError(f"backfill: {each!r} is no pair of a first and a last instant")
        first, last = cast("Sequence[object]", each)
        backfills.append(backfill_of(first, last, None))
    return ScheduleState(
        cursor=now,
        paused=_flag(options.get("paused", False), "paused"),
        note=note_of(options.get("note")),
        remaining=limit_of(options.get("limited_actions")),
        backfills=tuple(backfills),
    )


def overlap_of(word: object) -> Overlap:
    """The policy of that name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return Overlap(cast("str", word))
    except ValueError:
        raise ConfigurationError(f"overlap: {word!r} is not one of {', '.join(Overlap)}") from None


def backfill_of(first: object, last: object, overlap: object) -> Backfill:
    """A range of the past, both ends included. Without a policy of its own its runs come one after another.

    Raises:
        ConfigurationError: no aware datetimes, or in the wrong order.
    """
    start, end = _instant(first, "start"), _instant(last, "end")
    if end < start:
        raise ConfigurationError(f"backfill: the end ({end.isoformat()}) is before the start ({start.isoformat()})")
    policy = Overlap.BUFFER_ALL if overlap is None else overlap_of(overlap)
    return Backfill(start - timedelta(microseconds=1), end, policy)


def limit_of(value: object) -> int | None:
    """How many actions there may be.

    Raises:
        ConfigurationError: no whole number of at least 1.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ConfigurationError(f"limited_actions: {value!r} is not a whole number of at least 1; leave it out for no limit")


def note_of(value: object) -> str | None:
    """A line for people.

    Raises:
        ConfigurationError: no text.
    """
    if value is None or isinstance(value, str):
        return value
    raise ConfigurationError(f"note: {value!r} is no text")


def changed(
    link: Link, options: Mapping[str, Any]
) -> Callable[[ScheduleSpec, Policy, ScheduleAction], tuple[ScheduleSpec, Policy, ScheduleAction]]:
    """What these options make of a schedule's parts."""

    def change(spec: ScheduleSpec, policy: Policy, action: ScheduleAction) -> tuple[ScheduleSpec, Policy, ScheduleAction]:
        return spec_of(options, spec), policy_of(options, policy), action_with(link, action, options)

    return change


def _flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{what}: {value!r} is not True or False")


def _instant(value: object, what: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigurationError(f"{what}: {value!r} is no datetime with a zone; write datetime(..., tzinfo=UTC)")
    return value.astimezone(UTC)
