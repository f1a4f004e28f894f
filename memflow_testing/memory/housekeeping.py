"""What has expired goes. Counterpart of `functions/60_prune.sql`."""

from __future__ import annotations

from datetime import datetime, timedelta

from memflow_testing.memory.tables import Tables

_QUESTIONS_FOR = timedelta(minutes=5)


def prune(tables: Tables, now: datetime, limit: int) -> int:
    """Delete up to `limit` ended runs whose time to be kept is over, and early signals nobody came for. How many went."""
    runs = [run for run in tables.runs.values() if run.expires_at is not None and run.expires_at <= now]
    runs.sort(key=lambda run: run.expires_at or now)
    for run in runs[:limit]:
        tables.remove(run)
    stale = [each for each in tables.signals if each.expires_at is not None and each.expires_at <= now][:limit]
    for signal in stale:
        tables.signals.remove(signal)
    tables.questions = {id: each for id, each in tables.questions.items() if each.asked_at >= now - _QUESTIONS_FOR}
    return len(runs[:limit]) + len(stale)
