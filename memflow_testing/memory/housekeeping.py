"""What has expired goes. Counterpart of `functions/60_prune.sql`."""

from __future__ import annotations

from datetime import timedelta

from memflow.store.workers import KEEP_EVENTS, KEEP_SIGNAL_REQUESTS
from memflow_testing.memory.tables import Tables

_QUESTIONS_FOR = timedelta(minutes=5)


def prune(tables: Tables, limit: int) -> int:
    """Delete up to `limit` of each: ended runs with all that is theirs, early signals nobody came for, old events, old request
    ids of signals. How many went.
    """
    now = tables.now()
    runs = [run for run in tables.runs.values() if run.expires_at is not None and run.expires_at <= now]
    runs.sort(key=lambda run: run.expires_at or now)
    for run in runs[:limit]:
        tables.remove(run)
    stale = [each for each in tables.signals if each.expires_at is not None and each.expires_at <= now][:limit]
    for signal in stale:
        tables.signals.remove(signal)
    tables.schedule_ends = [each for each in tables.schedule_ends if each[0] in tables.schedules]
    tables.questions = {id: each for id, each in tables.questions.items() if each.asked_at >= now - _QUESTIONS_FOR}
    events = sum(each.at < now - KEEP_EVENTS for each in tables.events[:limit])
    del tables.events[:events]
    requests = [key for key, at in tables.requests.items() if at is not None and at < now - KEEP_SIGNAL_REQUESTS][:limit]
    for key in requests:
        del tables.requests[key]
    return len(runs[:limit]) + len(stale) + events + len(requests)
