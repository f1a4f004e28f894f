"""What a failed test says of its runs: the timeline of each, what it waits for, and what its workers complained about."""

from __future__ import annotations

import logging
import traceback
from datetime import datetime

from memflow.client.describe import waiting_of
from memflow.core.timeline import render, timeline
from memflow.failure import ENCODING
from memflow.store.base import Store
from memflow.store.values import RunRow
from memflow_testing.waiting import in_words

RUNS = 10
"""Runs drawn in one report."""

PROBLEMS = 50
"""Complaints kept per environment: the first tell most."""


class Problems(logging.Handler):
    """Keeps what memflow logs as a warning or worse, until `close`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logging.getLogger("memflow").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) >= PROBLEMS:
            return
        line = f"{record.levelname.lower()}: {record.getMessage()}"
        workflow_id = getattr(record, "workflow_id", None)
        if workflow_id is not None:
            line += f" ({workflow_id})"
        if record.exc_info and record.exc_info[1] is not None:
            shown = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
            line += "\n" + "\n".join(f"    {each}" for each in shown.splitlines()[-12:])
        self.lines.append(line)

    def close(self) -> None:
        """Listen no longer."""
        logging.getLogger("memflow").removeHandler(self)
        super().close()


async def report(store: Store, problems: list[str], *, place: str) -> str:
    """All runs of a store, newest last, for people."""
    rows = await store.list_runs(None, limit=RUNS + 1)
    now = await store.now()
    parts = [f"{place}, {now:%Y-%m-%d %H:%M:%S} UTC there" + ("" if rows else "; no run was started")]
    for row in reversed(rows[:RUNS]):
        parts.append(await _run(store, row, now))
    if len(rows) > RUNS:
        parts.append(f"and more runs; the newest {RUNS} are shown")
    if problems:
        parts.append("workers said:\n" + "\n".join(f"  {line}" for line in problems))
    return "\n\n".join(parts)


async def _run(store: Store, row: RunRow, now: datetime) -> str:
    lines = [f"{row.workflow} {row.workflow_id}  {row.status.value}"]
    lines.append(render(timeline(await store.history(row.run)), width=100, now=now if row.status.is_open else None))
    if row.detail:
        lines.append(f"  {row.detail}")
    lines.extend(f"  waiting: {each}" for each in waiting_of(row))
    if row.status.is_open:
        for activity in await store.activities_of(row.run):
            lines.append(f"  activity {activity['name']}: {activity['state']}, {activity['attempt']} attempts begun")
            if activity["last_failure"] is not None:
                lines.append(f"    failed with {in_words(activity['last_failure'])}")
    if row.result is not None and row.result.encoding == ENCODING:
        lines.append(f"  ended by {in_words(row.result)}")
    return "\n".join(lines)
