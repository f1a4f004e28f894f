"""Who takes which run. Counterpart of `functions/20_claim.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from memflow.store.turns import Claim, Claims
from memflow_testing.memory.rows import claim_of
from memflow_testing.memory.tables import NEVER, Run, Tables, Wake

PREFERRED_FOR = timedelta(seconds=0.5)
"""How long a run is left to the worker that has it in its cache."""


def claim_runs(tables: Tables, worker: int, queues: Sequence[str], limit: int, version: str | None) -> Claims:
    """Due runs of these queues, by priority and then by when they fell due.

    A worker of a version takes the runs pinned to it, and the others only while no newer version lives on its queues.
    """
    now, versions = tables.now(), _versions(tables, worker, queues, version)
    waiting = [
        (run, wake, wake.wake_at)
        for run in tables.open.values()
        if (wake := run.wake) is not None
        and wake.wake_at is not None
        and wake.owner is None
        and wake.queue in queues
        and wake.version in versions
    ]
    next_due = min((at for _, _, at in waiting if at > now), default=None)
    if worker not in tables.workers:
        return Claims([], now, next_due)
    due = [(run, wake, at) for run, wake, at in waiting if at <= now and _may_have(tables, worker, wake, at)]
    if len(due) < limit:                                 # what is left to another worker is anybody's soon
        for _, wake, at in waiting:
            if now - PREFERRED_FOR <= at <= now and wake.prefers not in (None, worker):
                next_due = min(at + PREFERRED_FOR, next_due or NEVER)
    due.sort(key=lambda each: _place(queues, versions, *each))
    token = uuid4()
    claims: list[Claim] = []
    for run, wake, _ in due[:limit]:
        wake.owner, wake.token, wake.wake_at = worker, token, None
        claims.append(claim_of(run, wake))
    return Claims(claims, now, next_due)


def _place(queues: Sequence[str], versions: Sequence[str], run: Run, wake: Wake, at: datetime) -> tuple[object, ...]:
    return queues.index(wake.queue), versions.index(wake.version), -wake.priority, at, run.id


def _versions(tables: Tables, worker: int, queues: Sequence[str], version: str | None) -> list[str]:
    if version is None:
        return [""]
    me = tables.workers.get(worker)
    since = None if me is None else me.since
    newer = since is not None and any(
        each.since is not None and each.since > since and each.lives(tables.wall()) and set(each.queues) & set(queues)
        for each in tables.workers.values()
    )
    return [version] if newer else [version, ""]


def _may_have(tables: Tables, worker: int, wake: Wake, at: datetime) -> bool:
    preferred = wake.prefers
    return (
        preferred is None
        or preferred == worker
        or preferred not in tables.workers
        or at < tables.now() - PREFERRED_FOR
    )


def owned_with_mail(tables: Tables, worker: int) -> list[int]:
    """Runs of a worker to which something came since their last commit."""
    return [
        run.id
        for run in tables.open.values()
        if run.wake is not None and run.wake.owner == worker and run.wake.wake_at is not None
    ]
