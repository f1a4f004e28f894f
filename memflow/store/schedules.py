"""Schedules: put one, change one, list them.

Those that are due are served in `schedule_serving.py`; `schedule_rows.py` knows their columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from memflow import firing
from memflow.firing import Action, ScheduleState
from memflow.store.database import Database
from memflow.store.rows import columns
from memflow.store.schedule_rows import COLUMNS, schedule_columns, schedule_row
from memflow.store.schedule_values import ScheduleRow


async def create_schedule(database: Database, namespace: str, row: ScheduleRow) -> bool:
    """Put a new schedule. False: its id is taken."""
    state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
    edit = uuid4()
    made: list[bool] = []

    async def put(conn: Any) -> None:
        values = (*schedule_columns(replace(row, state=state), look_at), edit)
        if await database.row("create_schedule", namespace, *values, connection=conn) is not None:
            await database.fetch("ring_schedules", namespace, connection=conn)
            made.append(True)
            return
        # Somebody else's, or ours, whose COMMIT was done but not heard of.
        found = await database.row("find_schedule", namespace, row.id, connection=conn)
        made.append(found is not None and found["edit"] == edit)

    await database.in_transaction(put, doing="create_schedule")
    return made[-1]


async def find_schedule(database: Database, namespace: str, id: str) -> ScheduleRow | None:
    """One schedule."""
    found = await database.row("find_schedule", namespace, id)
    return None if found is None else schedule_row(found)


async def list_schedules(database: Database, namespace: str, *, after: str | None, limit: int) -> list[ScheduleRow]:
    """Schedules by id, beginning after `after`."""
    return [schedule_row(each) for each in await database.fetch("list_schedules", namespace, after, limit)]


async def edit_schedule(
    database: Database, namespace: str, id: str, change: Callable[[ScheduleRow], ScheduleRow]
) -> ScheduleRow | None:
    """Change a schedule while nobody else does; `change` may be called again. None: there is none of that id."""
    token = uuid4()
    after: list[ScheduleRow | None] = []

    async def edit(conn: Any) -> None:
        found = await database.row("hold_schedule", namespace, id, connection=conn)
        if found is None:
            after.append(None)
            return
        if found["edit"] == token:                       # done, but the answer to COMMIT was lost
            after.append(schedule_row(found))
            return
        row = change(schedule_row(found))
        state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
        row = replace(row, state=state)
        await _save(database, namespace, [(row, look_at, token)], conn)
        await database.fetch("ring_schedules", namespace, connection=conn)
        after.append(row)

    await database.in_transaction(edit, doing="edit_schedule")
    return after[-1]


async def delete_schedule(database: Database, namespace: str, id: str) -> bool:
    """Delete a schedule; its runs go on. False: there was none."""
    return await database.row("delete_schedule", namespace, id, repeat=False) is not None


async def running_now(database: Database, namespace: str, state: ScheduleState) -> list[Action]:
    """Those of a schedule's runs that are open."""
    if not state.running:
        return []
    workflow_ids, run_ids = [each.workflow_id for each in state.running], [each.run_id for each in state.running]
    rows = await database.fetch("open_runs_of", namespace, workflow_ids, run_ids)
    still = {row["run_id"] for row in rows}
    return [each for each in state.running if each.run_id in still]


async def _save(
    database: Database, namespace: str, rows: Sequence[tuple[ScheduleRow, datetime | None, UUID | None]], conn: Any
) -> None:
    values = [(*schedule_columns(row, look_at), edit) for row, look_at, edit in rows]
    await database.fetch("save_schedules", namespace, *columns(values, COLUMNS + 1), connection=conn)
