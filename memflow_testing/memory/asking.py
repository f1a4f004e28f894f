"""Escalations for those who list, claim and resolve them. Counterpart of `sql/escalations.sql`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

from memflow.core.arrivals import Arrival, SignalReceived, WaitCancelled
from memflow.payload import NOTHING, Payload
from memflow.store.escalations import Counted, EscalationFilter, EscalationRow, EscalationRows
from memflow_testing.memory.escalations import Escalations, contains
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import EscalationRec, Run, Tables


class MemoryEscalations(EscalationRows):
    """The escalations of one namespace, in memory: every method in its own words, none over a database."""

    def __init__(
        self, tables: Tables, mail: MailRoom, escalations: Escalations, refuse: Callable[[], NoReturn]
    ) -> None:
        self._tables = tables
        self._mail = mail
        self._all = escalations
        self._refuse = refuse

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
        await self._turn(connection)
        found = sorted(self._matching(where), key=lambda each: each.id.bytes)
        found.sort(key=lambda each: each.created_at, reverse=True)
        found.sort(key=lambda each: getattr(each, order), reverse=descending)
        return [self._row(each) for each in found[offset : offset + limit]]

    async def count(self, where: EscalationFilter) -> int:
        await self._turn()
        return len(self._matching(where))

    async def create(self, about: str) -> UUID:
        await self._turn()
        id = self._all.escalate(None, None, None, about)
        self._tables.escalations[id].expires_at = None
        return id

    async def claim(self, id: UUID, assignee: str, duration: timedelta, metadata: Mapping[str, Any] | None) -> bool:
        await self._turn()
        found = self._pending(id)
        if found is None or not self._free_for(found, assignee):
            return False
        self._take(found, assignee, duration, metadata)
        return True

    async def claim_by_metadata(
        self,
        having: Mapping[str, Any],
        assignee: str,
        duration: timedelta,
        roles: Sequence[str] | None,
        metadata: Mapping[str, Any] | None,
    ) -> UUID | None:
        await self._turn()
        free = [
            each
            for each in self._tables.escalations.values()
            if each.status == "pending"
            and contains(each.metadata, _plain(having))
            and (roles is None or each.role in roles)
            and self._free_for(each, assignee)
        ]
        if not free:
            return None
        found = min(free, key=lambda each: (each.priority, each.created_at, each.id.bytes))
        self._take(found, assignee, duration, metadata)
        return found.id

    async def release(self, id: UUID, assignee: str | None) -> bool:
        await self._turn()
        found = self._pending(id)
        if found is None or (assignee is not None and found.assigned_to != assignee):
            return False
        found.assigned_to = found.assigned_until = found.claimed_at = None
        found.updated_at = self._tables.now()
        return True

    async def update(
        self,
        id: UUID,
        *,
        role: str | None = None,
        priority: int | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        await self._turn()
        found = self._pending(id)
        if found is None:
            return False
        found.priority = found.priority if priority is None else priority
        found.description = found.description if description is None else description
        if role is not None:
            found.role = role
            found.assigned_to = found.assigned_until = found.claimed_at = None
        self._merge(found, metadata)
        return True

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
        await self._turn(connection)
        outcomes = [self._may_settle(id, assignee) for id in ids]
        if together and any(each != "done" for each in outcomes):
            return outcomes
        letters: list[tuple[Run, Arrival]] = []
        for id, payload, outcome in zip(ids, payloads, outcomes, strict=True):
            if outcome == "done":
                letters += self._settle(self._tables.escalations[id], status, payload, metadata)
        for run, arrival in letters:
            if run.status.is_open:
                self._mail.deliver(run, arrival)
        return outcomes

    async def statuses(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        await self._turn()
        found = self._tables.escalations
        return {id: found[id].status for id in ids if id in found}

    async def stats(self, period: timedelta, roles: Sequence[str] | None) -> list[Counted]:
        await self._turn()
        now = self._tables.now()
        since = now - period
        counts: dict[tuple[str | None, str | None], list[int]] = {}
        for each in self._tables.escalations.values():
            recent = each.created_at >= since or (each.closed_at is not None and each.closed_at >= since)
            if (roles is not None and each.role not in roles) or not (each.status == "pending" or recent):
                continue
            tally = counts.setdefault((each.role, each.type), [0, 0, 0, 0])
            pending = each.status == "pending"
            held = each.assigned_to is not None and (each.assigned_until is None or each.assigned_until > now)
            tally[0] += pending
            tally[1] += pending and held
            tally[2] += each.created_at >= since
            tally[3] += each.status == "resolved" and each.closed_at is not None and each.closed_at >= since
        return [(role, type, n[0], n[1], n[2], n[3]) for (role, type), n in counts.items()]

    async def types(self) -> list[str]:
        await self._turn()
        return sorted({each.type for each in self._tables.escalations.values() if each.type is not None})

    async def prune(self, older_than: timedelta, statuses: Sequence[str], limit: int) -> int:
        await self._turn()
        before = self._tables.now() - older_than
        old = [
            each
            for each in self._tables.escalations.values()
            if each.status != "pending" and each.status in statuses and each.closed_at is not None and each.closed_at <= before
        ]
        old.sort(key=lambda each: each.closed_at or before)
        for each in old[:limit]:
            del self._tables.escalations[each.id]
        return len(old[:limit])

    # ------------------------------------------------------------------------------------------------- rows

    async def _turn(self, connection: Any = None) -> None:
        if connection is not None:
            self._refuse()
        await asyncio.sleep(0)
        self._tables.tick()

    def _pending(self, id: UUID) -> EscalationRec | None:
        found = self._tables.escalations.get(id)
        return found if found is not None and found.status == "pending" else None

    def _lapsed(self, found: EscalationRec) -> bool:
        return found.assigned_until is not None and found.assigned_until <= self._tables.now()

    def _free_for(self, found: EscalationRec, assignee: str) -> bool:
        return found.assigned_to in (None, assignee) or self._lapsed(found)

    def _available(self, found: EscalationRec) -> bool:
        return found.status == "pending" and (found.assigned_to is None or self._lapsed(found))

    def _take(
        self, found: EscalationRec, assignee: str, duration: timedelta, metadata: Mapping[str, Any] | None
    ) -> None:
        now = self._tables.now()
        if found.assigned_to != assignee or found.assigned_until is None or found.assigned_until <= now:
            found.claimed_at = now
        found.assigned_to, found.assigned_until = assignee, now + duration
        self._merge(found, metadata)

    def _merge(self, found: EscalationRec, metadata: Mapping[str, Any] | None) -> None:
        found.metadata = {**found.metadata, **_plain(metadata or {})}
        found.updated_at = self._tables.now()

    def _may_settle(self, id: UUID, assignee: str | None) -> str:
        found = self._tables.escalations.get(id)
        if found is None:
            return "not_found"
        if found.status != "pending":
            return f"already_{found.status}"
        if assignee is None or found.assigned_to is None:
            return "done"
        if found.assigned_to == assignee:
            return "claim_expired" if self._lapsed(found) else "done"
        return "done" if self._lapsed(found) else "claimed"

    def _settle(
        self, found: EscalationRec, status: str, payload: Payload | None, metadata: Mapping[str, Any] | None
    ) -> list[tuple[Run, Arrival]]:
        tables = self._tables
        self._all.end(found.id, status, payload)
        self._merge(found, metadata)
        waits = [each for each in tables.signals if each.run is not None and (each.run, each.op) == (found.run, found.op)]
        letters: list[tuple[Run, Arrival]] = []
        for each in waits[:1]:
            tables.signals.remove(each)
            assert each.run is not None and each.op is not None, "a wait is of a run"
            arrival: Arrival = (
                SignalReceived(each.signal_id, payload or NOTHING, op=each.op)
                if status == "resolved"
                else WaitCancelled(each.op, each.signal_id)
            )
            letters.append((tables.runs[each.run], arrival))
        return letters

    def _matching(self, where: EscalationFilter) -> list[EscalationRec]:
        return [each for each in self._tables.escalations.values() if self._matches(each, where)]

    def _matches(self, found: EscalationRec, where: EscalationFilter) -> bool:
        return (
            (where.roles is None or found.role in where.roles)
            and where.type in (None, found.type)
            and where.subtype in (None, found.subtype)
            and where.entity in (None, found.entity)
            and (where.statuses is None or found.status in where.statuses)
            and where.assigned_to in (None, found.assigned_to)
            and where.workflow_id in (None, found.workflow_id)
            and where.signal_id in (None, found.signal_id)
            and where.available in (None, self._available(found))
            and where.priority in (None, found.priority)
            and (where.metadata is None or contains(found.metadata, _plain(where.metadata)))
            and (where.ids is None or found.id in where.ids)
        )

    def _row(self, found: EscalationRec) -> EscalationRow:
        names = (name for name in EscalationRow.__dataclass_fields__ if name not in ("metadata", "available"))
        return EscalationRow(
            **{name: getattr(found, name) for name in names},
            metadata=_plain(found.metadata),
            available=self._available(found),
        )


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, as JSON would give it back: nobody else's to change."""
    found: dict[str, Any] = json.loads(json.dumps(dict(value)))
    return found
