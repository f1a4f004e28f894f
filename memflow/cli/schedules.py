"""`memflow schedule`: create, list, describe, pause, resume, trigger, backfill, delete, next."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from memflow.cli.connecting import with_client
from memflow.cli.output import ago, as_json, table
from memflow.cli.problems import Exit
from memflow.client.client import Client
from memflow.client.schedule_handle import ScheduleDescription
from memflow.errors import ConfigurationError
from memflow.schedule_spec import ScheduleSpec
from memflow.zones import zone_named

T = TypeVar("T")


def create(options: argparse.Namespace) -> int:
    """Create a schedule."""
    arguments = [_value(text) for text in options.arguments]

    async def act(client: Client) -> ScheduleDescription:
        handle = await client.schedule.create(
            options.id,
            options.workflow,
            args=arguments,
            spec=options.cron or (),
            every=options.every,
            offset=options.offset,
            zone=options.zone,
            jitter=options.jitter,
            task_queue=options.queue,
            overlap=options.overlap,
            catchup=options.catchup,
            limited_actions=options.limit,
            pause_on_failure=options.pause_on_failure,
            paused=options.paused,
            note=options.note,
        )
        return await handle.describe()

    return _tell(options, with_client(options, act))


def list_schedules(options: argparse.Namespace) -> int:
    """List schedules by id."""

    async def collect(client: Client) -> list[ScheduleDescription]:
        return [each async for each in client.schedule.list(limit=options.limit)]

    found = with_client(options, collect)
    if options.output == "json":
        print(json.dumps([_plain(each) for each in found], default=as_json, indent=2))
        return Exit.DONE
    now = datetime.now(UTC)
    heads = ("ID", "WORKFLOW", "QUEUE", "NEXT", "LAST", "RUNS", "MISSED", "ZONE", "WHEN")
    rows = [
        (
            each.id,
            each.workflow,
            each.task_queue,
            "paused" if each.paused else "" if each.next_at is None else ago(each.next_at, now),
            "" if each.last_at is None else ago(each.last_at, now),
            str(each.actions),
            str(each.missed),
            each.zone,
            each.spec.to_text(),
        )
        for each in found
    ]
    print(table(heads, rows, empty="no schedules"))
    return Exit.DONE


def describe(options: argparse.Namespace) -> int:
    """Tell all about a schedule."""

    async def collect(client: Client) -> ScheduleDescription:
        return await client.schedule.get_handle(options.id).describe()

    return _tell(options, with_client(options, collect))


def pause(options: argparse.Namespace) -> int:
    """Start nothing more."""
    return _act(options, lambda client: client.schedule.get_handle(options.id).pause(note=options.note))


def resume(options: argparse.Namespace) -> int:
    """Go on."""
    return _act(options, lambda client: client.schedule.get_handle(options.id).resume(note=options.note))


def trigger(options: argparse.Namespace) -> int:
    """Start a run now."""
    return _act(options, lambda client: client.schedule.get_handle(options.id).trigger(overlap=options.overlap))


def backfill(options: argparse.Namespace) -> int:
    """Start the runs of a time that has passed."""
    start, end = _instant(options.start), _instant(options.end)
    return _act(options, lambda client: client.schedule.get_handle(options.id).backfill(start, end, overlap=options.overlap))


def delete(options: argparse.Namespace) -> int:
    """Delete a schedule."""
    return _act(options, lambda client: client.schedule.get_handle(options.id).delete())


def next_times(options: argparse.Namespace) -> int:
    """Say when a cron line is due, in its zone and in UTC."""
    spec = ScheduleSpec(options.cron, zone=options.zone)
    after = datetime.now(UTC) if options.after is None else _instant(options.after)
    times = list(islice(spec.instants(after, datetime.max.replace(tzinfo=UTC)), max(0, options.count)))
    zone = zone_named(options.zone)
    if options.output == "json":
        print(json.dumps([{"utc": at, "local": at.astimezone(zone)} for at in times], default=as_json, indent=2))
        return Exit.DONE
    rows = [(at.astimezone(zone).strftime("%a"), at.astimezone(zone).isoformat(sep=" "), at.isoformat(sep=" ")) for at in times]
    print(table(("DAY", options.zone.upper(), "UTC"), rows, empty="never"))
    return Exit.DONE


def _tell(options: argparse.Namespace, found: ScheduleDescription) -> int:
    if options.output == "json":
        print(json.dumps(_plain(found), default=as_json, indent=2))
        return Exit.DONE
    zone = zone_named(found.zone)
    facts: list[tuple[str, object]] = [
        ("id", found.id),
        ("when", f"{found.spec.to_text()}  ({found.zone})"),
        ("workflow", f"{found.workflow} on queue {found.task_queue}"),
        ("input", json.dumps(found.arguments, default=as_json)),
        ("paused", "yes" if found.paused else ""),
        ("note", found.note or ""),
        ("overlap", found.overlap.value),
        ("runs", f"{found.actions} started, {found.missed} missed, {found.overlap_skipped} skipped"),
        ("dropped", found.buffer_dropped or ""),
        ("left", "" if found.remaining_actions is None else found.remaining_actions),
        *(("open", f"{run.workflow_id}  (run {run.run_id})") for run in found.running),
        *(("waiting", at.isoformat(sep=" ")) for at in found.waiting),
        *(("last", f"{run.workflow_id}  {run.started_at.isoformat(sep=' ', timespec='seconds')}") for run in found.recent),
        *(("next", f"{at.isoformat(sep=' ')}  {at.astimezone(zone).isoformat(sep=' ')}") for at in found.next_times),
    ]
    print("\n".join(f"{name:<10}{value}" for name, value in facts if value != ""))
    return Exit.DONE


def _plain(found: ScheduleDescription) -> dict[str, Any]:
    plain = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return {**plain, "spec": found.spec.to_json(), "zone": found.zone}


def _act(options: argparse.Namespace, act: Callable[[Client], Coroutine[Any, Any, None]]) -> int:
    with_client(options, act)
    return Exit.DONE


def _value(text: str) -> Any:
    """An argument from the command line: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is no time; write 2026-01-31T12:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
