"""Published events: read in commit order, after the last one seen."""

from __future__ import annotations

from memflow.store.database import Database
from memflow.store.rows import payload_or_nothing
from memflow.store.values import Event


async def events_after(database: Database, namespace: str, position: int | None, *, limit: int) -> tuple[list[Event], int]:
    """The next events and the position to ask from next. `position` None is the present: no events, only where it is."""
    if position is None:
        row = await database.row("last_event", namespace)
        return [], 0 if row is None else int(row["id"])
    rows = await database.fetch("events_after", namespace, position, limit)
    events = [
        Event(row["id"], row["topic"], payload_or_nothing(row["data"], row["encoding"]), row["at"], row["workflow_id"])
        for row in rows
    ]
    return events, events[-1].position if events else position
