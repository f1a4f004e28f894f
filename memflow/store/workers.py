"""Who lives: worker rows with a lease, session locks on the listening connection, and taking over from the dead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from memflow.store.database import Database
from memflow.store.notify import Listener

KEEP_EVENTS = timedelta(days=1)
"""How long published events are kept for subscribers who come back."""

KEEP_SIGNAL_REQUESTS = timedelta(days=30)
"""How long the request id of a signal by id is remembered. Those of messages to runs live as long as the chain of runs."""


async def register_worker(
    database: Database,
    listener: Listener,
    *,
    namespace: str,
    identity: str,
    task_queues: Sequence[str],
    types: Sequence[str],
    lease: timedelta,
    version: str | None,
) -> int:
    """A new worker, alive for `lease` and as long as it holds its lock."""
    row = await database.row("register_worker", namespace, identity, list(task_queues), list(types), version, lease)
    assert row is not None, "an insert gives its row"
    await listener.hold(row["id"], row["lock"])
    return int(row["id"])


async def beat_worker(database: Database, worker: int, *, lease: timedelta) -> bool:
    """Renew the lease. False: others took this worker for dead."""
    return await database.row("beat_worker", worker, lease) is not None


async def unregister_worker(database: Database, listener: Listener, worker: int) -> None:
    """Hand everything back at once."""
    await database.fetch("unregister_worker", worker)
    await listener.drop(worker)


async def release_silent(database: Database, worker: int) -> int:
    """Free what dead and silent workers held. How many runs and activities."""
    row = await database.row("release_silent", worker)
    return 0 if row is None else int(row["freed"])


async def prune(database: Database, *, limit: int) -> int:
    """Delete up to `limit` expired rows of each kind. How many went."""
    row = await database.row("prune", limit, KEEP_EVENTS, KEEP_SIGNAL_REQUESTS)
    return 0 if row is None else int(row["gone"])
