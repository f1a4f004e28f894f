"""Runs that are steered from outside: paused, moved to another version, begun again from a point of a journal."""

from __future__ import annotations

import json
from typing import Any

from memflow.core.arrivals import RunTerminated
from memflow.core.entries import to_row
from memflow.core.options_json import activity_options_to_json
from memflow.core.points import lost_hook
from memflow.failure import Failure, encode_failure
from memflow.runs import Status
from memflow.store.database import Database, Record
from memflow.store.rows import columns, data_of, encoding_of, headers_text, origins_of, origins_text, payload
from memflow.store.runs import PARENT_CLOSED, terminated
from memflow.store.values import Branch, BranchBase, Branched, Sent

_CANCELLED = encode_failure(Failure("cancelled", "cancelled")).data


async def pause(database: Database, namespace: str, workflow_id: str, run_id: str | None, reason: str | None) -> Sent:
    """Keep a run from going on. Twice is once, with the later reason."""
    return _sent(await database.row("pause_run", namespace, workflow_id, run_id, True, reason))


async def resume(database: Database, namespace: str, workflow_id: str, run_id: str | None) -> Sent:
    """Let a paused run go on; one that is not paused goes on anyway."""
    return _sent(await database.row("pause_run", namespace, workflow_id, run_id, False, None))


async def repin(database: Database, namespace: str, workflow_id: str, run_id: str | None, version: str | None) -> Sent:
    """Pin a run to a version of the code, or to none."""
    return _sent(await database.row("repin_run", namespace, workflow_id, run_id, version))


def _sent(row: Record | None) -> Sent:
    assert row is not None, "the function always gives one row"
    return Sent(row["outcome"], None if row["status"] is None else Status(row["status"]))


async def branch_base(database: Database, run: int) -> BranchBase | None:
    """What a run was given, and where its own first turns come from."""
    row = await database.row("origins", run)
    if row is None:
        return None
    return BranchBase(
        payload(row["memo"], row["memo_encoding"]), payload(row["search"], row["search_encoding"]), origins_of(row["origins"])
    )


async def branch(database: Database, namespace: str, branch: Branch) -> Branched:
    """Begin a run with a copied journal. A repeat, by its run id, is the same one."""
    reason = branch.reason or f"reset to entry {branch.seq}"
    activities: list[tuple[Any, ...]] = []
    for each in branch.activities:
        options = activity_options_to_json(each.options)
        activities.append(
            (
                each.op,
                each.name,
                each.task_queue,
                each.close_by,
                json.dumps(options, separators=(",", ":")) if options else None,
                headers_text(each.headers),
                each.input.data,
                each.input.encoding,
            )
        )
    row = await database.row(
        "branch_run",
        namespace,
        branch.workflow_id,
        branch.run_id,
        branch.fork,
        branch.seq,
        branch.turn,
        branch.last_at,
        branch.new_workflow_id,
        branch.new_run_id,
        branch.version,
        origins_text(branch.origins),
        branch.reapply,
        data_of(branch.memo),
        encoding_of(branch.memo),
        data_of(branch.record),
        encoding_of(branch.record),
        *columns(activities, 8),
        list(branch.cancelled),
        list(branch.waits),
        [each.signal_id for each in branch.waits.values()],
        [each.escalation for each in branch.waits.values()],
        list(branch.children),
        [each.workflow_id for each in branch.children.values()],
        [each.run_id for each in branch.children.values()],
        list(branch.hooks),
        [each.hook_id for each in branch.hooks.values()],
        [encode_failure(lost_hook(each)).data for each in branch.hooks.values()],
        to_row(RunTerminated(reason)).attributes,
        encode_failure(terminated(reason)).data,
        PARENT_CLOSED,
        _CANCELLED,
    )
    assert row is not None, "the function always gives one row"
    return Branched(row["outcome"], row["about"], row["run"])
