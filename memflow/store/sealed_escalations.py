"""Escalations under payload codecs: what they are resolved with is sealed, what describes them is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from uuid import UUID

from memflow.payload import Payload
from memflow.store import sealing_rows
from memflow.store.escalations import EscalationFilter, EscalationRow, EscalationRows
from memflow.store.sealing import Visit, maybe

T = TypeVar("T")


class Through(Protocol):
    """Seals, or opens, every payload that a walk meets."""

    def __call__(self, walk: Callable[[Visit], T]) -> Awaitable[T]: ...


class SealedEscalations(EscalationRows):
    """The escalations of one namespace. A payload is bound as the signal that its wait gets, which is the same bytes."""

    def __init__(self, rows: EscalationRows, namespace: str, seal: Through, open: Through) -> None:
        super().__init__(rows._database, namespace)
        self._seal = seal
        self._open = open

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
        rows = await super().find(
            where, order=order, descending=descending, limit=limit, offset=offset, connection=connection
        )
        return await self._open(lambda visit: [sealing_rows.escalation(visit, self._namespace, row) for row in rows])

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
        if any(each is not None for each in payloads):
            rows = await super().find(EscalationFilter(ids=ids), limit=len(ids), connection=connection)
            named = {row.id: row.signal_id for row in rows}

            def place(id: UUID) -> tuple[str, ...]:
                signal = named.get(id)
                return (self._namespace, "escalation", str(id)) if signal is None else (self._namespace, "signal id", signal)

            def walk(visit: Visit) -> list[Payload | None]:
                return [maybe(visit, each, place(id)) for id, each in zip(ids, payloads, strict=True)]

            payloads = await self._seal(walk)
        return await super().settle(
            ids, status, payloads, assignee=assignee, metadata=metadata, together=together, connection=connection
        )
