"""What people are asked. Counterpart of `functions/16_escalations.sql`; the statements of `sql/escalations.sql` are in
`asking.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from memflow.payload import Payload
from memflow_testing.memory.tables import EscalationRec, Run, Tables


class Escalations:
    """How escalations begin and end with the waits of runs."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def escalate(self, run: Run | None, op: int | None, signal_id: str | None, about: str) -> UUID:
        """People are asked, by a wait of a run or alone. `about` is a JSON object, as the journal has it."""
        now, said = self._tables.now(), json.loads(about)
        expires_at: str | None = said.get("expires_at")
        found = EscalationRec(
            uuid4(), None if run is None else run.id, op, signal_id, None if run is None else run.workflow_id,
            None if run is None else run.run_id, None if run is None else run.workflow, None if run is None else run.task_queue,
            said.get("role"), said.get("type"), said.get("subtype"), said.get("entity"), said.get("description"),
            int(said["priority"]), said.get("metadata") or {}, said.get("assigned_to"), said.get("created_by"), now, now,
            None if expires_at is None else datetime.fromisoformat(expires_at),
        )
        self._tables.escalations[found.id] = found
        return found.id

    def end(self, id: UUID | None, status: str, payload: Payload | None) -> None:
        """One that is pending ends, as its wait has just done."""
        found = None if id is None else self._tables.escalations.get(id)
        if found is not None and found.status == "pending":
            found.status, found.payload = status, payload
            found.closed_at = found.updated_at = self._tables.now()

    def drop_waits(self, run: int) -> None:
        """A run has ended: nobody waits there any more, and nobody is asked."""
        tables = self._tables
        gone = [each for each in tables.signals if each.run == run]
        if gone:
            tables.signals = [each for each in tables.signals if each.run != run]
        for each in gone:
            self.end(each.escalation, "cancelled", None)


def contains(found: Any, wanted: Any) -> bool:
    """Whether a JSON value has another in it, as `@>` of jsonb says."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return False
        fields, needed = cast("dict[str, Any]", found), cast("dict[str, Any]", wanted)
        return all(name in fields and contains(fields[name], each) for name, each in needed.items())
    if isinstance(wanted, list):
        if not isinstance(found, list):
            return False
        items, those = cast("Sequence[Any]", found), cast("Sequence[Any]", wanted)
        return all(any(contains(one, each) for one in items) for each in those)
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)
