"""Workers: who lives, and taking over from the silent. Counterpart of `functions/50_workers.sql`.

Leases go by the wall clock. Nobody's connection can break here, so a lease is all there is to judge by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from memflow.runs import Status
from memflow_testing.memory.activities import due_unless_paused
from memflow_testing.memory.tables import Tables, WorkerRec


def register(
    tables: Tables, identity: str, queues: Sequence[str], types: Sequence[str], lease: timedelta, version: str | None
) -> int:
    """A new worker. The first of its version on its queue makes that the version for new runs there."""
    id, now, since = tables.new_id(), tables.wall(), None
    if version is not None and queues:
        since = max(tables.versions.setdefault((queue, version), now) for queue in queues)
    tables.workers[id] = WorkerRec(id, identity, tuple(queues), tuple(types), version, since, now, lease)
    return id


def beat(tables: Tables, worker: int, lease: timedelta) -> bool:
    """Renew a lease. False: it was taken for dead."""
    found = tables.workers.get(worker)
    if found is None:
        return False
    found.seen, found.lease = tables.wall(), lease
    return True


def unregister(tables: Tables, worker: int) -> None:
    """What it holds is due at once for others, and no crash is counted."""
    _free(tables, worker, lost=False)
    tables.workers.pop(worker, None)


def release_silent(tables: Tables, worker: int) -> int:
    """Free what workers held whose lease is over. How many runs and activities."""
    now = tables.wall()
    silent = [each.id for each in tables.workers.values() if each.id != worker and not each.lives(now)]
    freed = sum(_free(tables, each, lost=True) for each in silent)
    for each in silent:
        del tables.workers[each]
    return freed


def _free(tables: Tables, worker: int, *, lost: bool) -> int:
    freed = 0
    for run in tables.open.values():
        wake = run.wake
        if wake is not None and wake.owner == worker:
            wake.owner = wake.token = wake.prefers = None
            wake.wake_at = None if run.status is Status.PAUSED else tables.now()
            wake.crashes += lost
            freed += 1
            tables.ring(f"queue:{wake.queue}")
    for row in tables.activities.values():
        if row.owner == worker:
            row.owner = row.token = None
            row.due = due_unless_paused(row, tables.now())
            row.attempt, row.reset = 0 if row.reset else row.attempt, False
            freed += 1
            tables.ring(f"activities:{row.queue}")
    return freed
