"""`memflow run list`, `show` and `describe`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
from datetime import UTC, datetime
from typing import Any

from memflow.cli.connecting import with_client
from memflow.cli.output import ago, as_json, table
from memflow.cli.problems import Exit
from memflow.client.client import Client
from memflow.client.describe import HistoryEntry, RunDescription, RunSummary
from memflow.core.entries import JournalEntry
from memflow.core.timeline import duration, render, timeline


def list_runs(options: argparse.Namespace) -> int:
    """List runs, newest first."""

    async def collect(client: Client) -> list[RunSummary]:
        return [run async for run in client.workflow.list(options.where, limit=options.limit, order=options.order)]

    runs = with_client(options, collect)
    if options.output == "json":
        print(json.dumps([_plain(run) for run in runs], default=as_json, indent=2))
        return Exit.DONE
    now = datetime.now(UTC)
    heads = ("STATUS", "ID", "TYPE", "QUEUE", "STARTED", "TOOK", "DETAIL")
    rows = [
        (run.status.value, run.id, run.type, run.task_queue, ago(run.started_at, now), took(run), _detail(run))
        for run in runs
    ]
    print(table(heads, rows, empty="no runs"))
    return Exit.DONE


def show(options: argparse.Namespace) -> int:
    """Draw a run's timeline."""

    async def collect(client: Client) -> tuple[RunDescription, list[HistoryEntry]]:
        handle = client.workflow.get_handle(options.id, options.run_id)
        return await handle.describe(), await handle.history()

    run, history = with_client(options, collect)
    if options.output == "json":
        entries = [{"seq": e.seq, "turn": e.turn, "at": e.at, "kind": e.kind, "op": e.op, **e.attributes} for e in history]
        print(json.dumps(entries, default=as_json, indent=2))
        return Exit.DONE
    print(f"{run.type} {run.id}  {run.status.value}  {took(run)}".rstrip())
    journal = [JournalEntry(entry.seq, entry.turn, entry.at, entry.entry) for entry in history]
    width = shutil.get_terminal_size((100, 24)).columns
    print(render(timeline(journal), width=width, now=datetime.now(UTC) if run.is_open else None))
    return Exit.DONE


def describe(options: argparse.Namespace) -> int:
    """Tell all about a run."""

    async def collect(client: Client) -> RunDescription:
        return await client.workflow.get_handle(options.id, options.run_id).describe()

    run = with_client(options, collect)
    if options.output == "json":
        print(json.dumps(_plain(run), default=as_json, indent=2))
        return Exit.DONE
    facts: list[tuple[str, object]] = [
        ("id", run.id),
        ("run", run.run_id),
        ("status", run.status.value + (f" · {run.detail}" if run.detail else "")),
        ("type", run.type + (f" @ {run.version}" + (" (pinned)" if run.pinned else "") if run.version else "")),
        ("origin", f"{run.origin.kind} of {run.origin.id} (run {run.origin.run_id}) at {run.origin.seq}" if run.origin else ""),
        ("queue", run.task_queue),
        ("started", run.started_at.astimezone().isoformat(sep=" ", timespec="seconds")),
        ("took", took(run)),
        ("input", json.dumps(run.arguments, default=as_json)),
        ("result", json.dumps(run.result, default=as_json) if run.status.value == "completed" else ""),
        ("failure", f"{type(run.failure).__name__}: {run.failure}" if run.failure else ""),
        ("journal", f"{run.length} entries, {run.unread} unread in the inbox"),
        ("record", ", ".join(f"{name}={value}" for name, value in run.record.items())),
        ("progress", run.progress or ""),
        *(("waiting", one) for one in run.waiting),
        *(("pending", f"{one.name} (id {one.activity_id}), {one.state}, attempt {one.attempt}") for one in run.activities),
    ]
    print("\n".join(f"{name:<9}{value}" for name, value in facts if value != ""))
    return Exit.DONE


def _detail(run: RunSummary) -> str:
    return " · ".join(str(one) for one in (run.progress, run.detail) if one is not None)


def took(run: RunSummary) -> str:
    """How long a run took, or nothing while it is open."""
    return "" if run.closed_at is None else duration((run.closed_at - run.started_at).total_seconds())


def _plain(run: RunSummary) -> dict[str, Any]:
    return {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
