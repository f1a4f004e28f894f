"""Runs that are paused, resumed, or pinned to a version. Counterpart of `functions/16_pause.sql`."""

from __future__ import annotations

from memflow.runs import Status
from memflow.store.values import Sent
from memflow_testing.memory.tables import Tables


def pause(tables: Tables, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
    """Keep a run from going on. It keeps its mail, is not due, and its owner is rung to let go of it."""
    run = tables.find(workflow_id, run_id)
    if run is None:
        return Sent("not_found")
    if run.wake is None:
        return Sent("closed", run.status)
    run.status, run.pause_reason = Status.PAUSED, reason
    # Due for an owner only, who looks and leaves.
    run.wake.wake_at = None if run.wake.owner is None else tables.now()
    if run.wake.owner is not None:
        tables.ring(f"worker:{run.wake.owner}")
    return Sent("delivered", Status.PAUSED)


def resume(tables: Tables, workflow_id: str, run_id: str | None) -> Sent:
    """Let a paused run go on; one that is not paused goes on anyway."""
    run = tables.find(workflow_id, run_id)
    if run is None:
        return Sent("not_found")
    wake = run.wake
    if wake is None:
        return Sent("closed", run.status)
    if run.status is Status.PAUSED:
        run.status, run.pause_reason = Status.RUNNING, None
        wake.wake_at = max(tables.now(), run.last_at) if run.length == 0 else tables.now()   # a delayed start stays so
        tables.ring(f"queue:{run.task_queue}" if wake.owner is None else f"worker:{wake.owner}")
    return Sent("delivered", Status.RUNNING)


def repin(tables: Tables, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
    """Pin an open run to a version, or to none. It is due at once: it may have waited for that."""
    run = tables.find(workflow_id, run_id)
    if run is None:
        return Sent("not_found")
    if run.wake is None:
        return Sent("closed", run.status)
    run.pinned, run.version = version is not None, version or run.version
    run.wake.version, run.wake.prefers = version or "", None
    if run.status is Status.RUNNING and run.length > 0:
        run.wake.wake_at = tables.now()
    tables.ring(f"queue:{run.task_queue}")
    return Sent("delivered", run.status)
