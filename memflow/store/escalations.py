"""Escalations: rows that people list, claim, and resolve. What ends one ends the wait of its run in the same transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from memflow.payload import Payload
from memflow.store.database import Database, Record
from memflow.store.rows import data_of, encoding_of, payload

Counted = tuple[str | None, str | None, int, int, int, int]
"""Role, type; pending, claimed, created, resolved."""

ORDERS = ("priority", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class EscalationRow:
    """One escalation. Those without a run (`workflow_id` None) were created alone."""

    id: UUID
    signal_id: str | None
    workflow_id: str | None
    run_id: str | None
    workflow: str | None
    task_queue: str | None
    role: str | None
    type: str | None
    subtype: str | None
    entity: str | None
    description: str | None
    priority: int
    metadata: Mapping[str, Any]
    status: str
    assigned_to: str | None
    assigned_until: datetime | None
    claimed_at: datetime | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    expires_at: datetime | None
    payload: Payload | None
    available: bool


@dataclass(frozen=True, slots=True)
class EscalationFilter:
    """What a list is narrowed to; None: not by this."""

    roles: Sequence[str] | None = None
    type: str | None = None
    subtype: str | None = None
    entity: str | None = None
    statuses: Sequence[str] | None = None
    assigned_to: str | None = None
    workflow_id: str | None = None
    signal_id: str | None = None
    available: bool | None = None
    priority: int | None = None
    metadata: Mapping[str, Any] | None = None
    ids: Sequence[UUID] | None = None

    def parameters(self) -> list[Any]:
        """As the statements take them, after the namespace."""
        return [
            self.roles,
            self.type,
            self.subtype,
            self.entity,
            self.statuses,
            self.assigned_to,
            self.workflow_id,
            self.signal_id,
            self.available,
            self.priority,
            _json(self.metadata),
            self.ids,
        ]


class EscalationRows:
    """The escalations of one namespace."""

    def __init__(self, database: Database, namespace: str) -> None:
        self._database = database
        self._namespace = namespace

    async def find(
        self,
        where: EscalationFilter,
        *,
        order: str = "priority",
        descending: bool = False,
        limit: int = 50,
        offset: int = 0,
        connection: Any = None,
    ) -> list[EscalationRow]:
        """Those that match; of equals the newest first."""
        rows = await self._database.fetch(
            "list_escalations",
            self._namespace,
            *where.parameters(),
            order,
            descending,
            limit,
            offset,
            connection=connection,
        )
        return [_row(each) for each in rows]

    async def count(self, where: EscalationFilter) -> int:
        """How many match."""
        row = await self._database.row("count_escalations", self._namespace, *where.parameters())
        return 0 if row is None else int(row["count"])

    async def create(self, about: str) -> UUID:
        """One that no run waits for; `about` is a JSON object."""
        row = await self._database.row("create_escalation", self._namespace, about, repeat=False)
        assert row is not None, "an insert gives its row"
        return UUID(str(row["id"]))

    async def claim(self, id: UUID, assignee: str, duration: timedelta, metadata: Mapping[str, Any] | None) -> bool:
        """Take one, or hold it longer. False: it is not free, not there, or ended."""
        return await self._changed("claim_escalation", id, assignee, duration, _json(metadata))

    async def claim_by_metadata(
        self,
        having: Mapping[str, Any],
        assignee: str,
        duration: timedelta,
        roles: Sequence[str] | None,
        metadata: Mapping[str, Any] | None,
    ) -> UUID | None:
        """Take the most urgent that matches and is free."""
        row = await self._database.row(
            "claim_escalation_by_metadata",
            self._namespace,
            _json(having),
            assignee,
            duration,
            roles,
            _json(metadata),
            repeat=False,
        )
        return None if row is None else UUID(str(row["id"]))

    async def release(self, id: UUID, assignee: str | None) -> bool:
        """Give one back. False: it is not that person's, not there, or ended."""
        return await self._changed("release_escalation", id, assignee)

    async def update(
        self,
        id: UUID,
        *,
        role: str | None = None,
        priority: int | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Change a pending one; a new role takes it from whoever holds it."""
        return await self._changed("update_escalation", id, role, priority, description, _json(metadata))

    async def settle(
        self,
        ids: Sequence[UUID],
        status: str,
        payloads: Sequence[Payload | None],
        *,
        assignee: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        together: bool = False,
        connection: Any = None,
    ) -> list[str]:
        """Resolve or cancel; see `functions/16_escalations.sql` for the words that answer."""
        row = await self._database.row(
            "settle_escalations",
            self._namespace,
            ids,
            status,
            [encoding_of(each) for each in payloads],
            [data_of(each) for each in payloads],
            assignee,
            _json(metadata),
            together,
            connection=connection,
            repeat=False,
        )
        assert row is not None, "the function always gives one row"
        outcomes: list[str] = row["outcomes"]
        return outcomes

    async def statuses(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Of those that are there, the status."""
        rows = await self._database.fetch("escalation_statuses", self._namespace, ids)
        return {UUID(str(row["id"])): row["status"] for row in rows}

    async def stats(self, period: timedelta, roles: Sequence[str] | None) -> list[Counted]:
        """By role and type: pending, claimed, created and resolved within the period."""
        rows = await self._database.fetch("escalation_stats", self._namespace, period, roles)
        return [(r["role"], r["type"], r["pending"], r["claimed"], r["created"], r["resolved"]) for r in rows]

    async def types(self) -> list[str]:
        """Every type there is."""
        return [row["type"] for row in await self._database.fetch("escalation_types", self._namespace)]

    async def prune(self, older_than: timedelta, statuses: Sequence[str], limit: int) -> int:
        """Delete some that ended so long ago. How many."""
        return len(await self._database.fetch("prune_escalations", self._namespace, older_than, statuses, limit))

    async def _changed(self, statement: str, *parameters: Any) -> bool:
        return await self._database.row(statement, self._namespace, *parameters, repeat=False) is not None


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(dict(value))


def _row(row: Record) -> EscalationRow:
    names = EscalationRow.__dataclass_fields__
    found = {name: row[name] for name in names if name not in ("id", "metadata", "payload")}
    return EscalationRow(
        id=UUID(str(row["id"])),
        metadata=json.loads(row["metadata"]),
        payload=payload(row["payload"], row["payload_encoding"]),
        **found,
    )
