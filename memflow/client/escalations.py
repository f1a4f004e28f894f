"""`client.escalations`: what workflows ask people. List, claim, resolve; of everybody who tries at once, exactly one wins.

An escalation is pending until it is resolved, cancelled, or expired with its wait. A claim is a hold for a while: the status
stays `pending`, and when the time is up it is free again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from typing_extensions import Unpack

from memflow.client.escalation_values import (
    LARGEST_PRUNE,
    PERIODS,
    STATUSES,
    WORDS,
    Escalation,
    EscalationCounts,
    EscalationFilters,
    EscalationStats,
    Listing,
    Status,
    error_of,
    escalation_from,
    filter_of,
    id_of,
    ids_of,
    metadata_of,
    positive,
    statuses_of,
    summed,
    text,
    texts,
)
from memflow.client.link import Link
from memflow.client.values import encode_value
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, EscalationError
from memflow.payload import Payload
from memflow.store.escalations import ORDERS, EscalationFilter
from memflow.workflow.escalations import Escalation as Asked
from memflow.workflow.escalations import check_metadata, escalation_of, escalation_text


class Escalations:
    """The escalations of a client's namespace. Ids are text or UUID.

    Every method that changes one raises `EscalationError` where it cannot: `reason` says why, and nothing was changed.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    # -- looking

    def list(
        self, *, order: str = "priority", limit: int = 50, offset: int = 0, **filters: Unpack[EscalationFilters]
    ) -> Listing:
        """Those that match all that is given: `await` it, or `async for`. By priority, of equals the newest first.

        `order` is priority, created_at or updated_at, with a minus before it for the reverse.

        Raises:
            ConfigurationError: an unknown filter, status or order, or a limit below 1.
        """
        where = filter_of(filters)
        by = order.removeprefix("-")
        if by not in ORDERS:
            raise ConfigurationError(f"order: {order!r} is not one of {', '.join(ORDERS)}, perhaps with a minus before it")
        if limit < 1 or offset < 0:
            raise ConfigurationError(f"limit={limit}, offset={offset}: a limit is at least 1, an offset at least 0")

        async def fetch() -> list[Escalation]:
            rows = await self._link.store.escalations.find(
                where, order=by, descending=order.startswith("-"), limit=limit, offset=offset
            )
            return [escalation_from(row, self._link.codec) for row in rows]

        return Listing(fetch)

    async def count(self, **filters: Unpack[EscalationFilters]) -> int:
        """How many match; as `list`."""
        return await self._link.store.escalations.count(filter_of(filters))

    async def get(self, id: str | UUID) -> Escalation:
        """One, by its id.

        Raises:
            EscalationError: it is not there.
        """
        found = await self._link.store.escalations.find(EscalationFilter(ids=[id_of(id)]), limit=1)
        if not found:
            raise error_of(str(id), "not_found")
        return escalation_from(found[0], self._link.codec)

    async def get_by_signal(self, signal_id: str) -> Escalation | None:
        """The newest one of a wait for this signal id, a pending one before those that ended; None: there is none."""
        text(signal_id, "signal id")
        rows = self._link.store.escalations
        for statuses in (["pending"], None):
            where = EscalationFilter(signal_id=signal_id, statuses=statuses)
            found = await rows.find(where, order="created_at", descending=True, limit=1)
            if found:
                return escalation_from(found[0], self._link.codec)
        return None

    async def types(self) -> Sequence[str]:
        """Every type there is, in order."""
        return await self._link.store.escalations.types()

    async def stats(self, *, roles: Sequence[str] | None = None, period: Duration = "24h") -> EscalationStats:
        """Counts, together and by role and type. `period` (a duration, such as "1h" or "7d") is for created and resolved."""
        span = PERIODS.get(period) if isinstance(period, str) else None
        rows = await self._link.store.escalations.stats(span or to_timedelta(period, what="period"), texts(roles, "roles"))
        return EscalationStats(
            *summed(row[2:] for row in rows),
            by_role={role: EscalationCounts(*summed(row[2:] for row in rows if row[0] == role)) for role in {r[0] for r in rows}},
            by_type={kind: EscalationCounts(*summed(row[2:] for row in rows if row[1] == kind)) for kind in {r[1] for r in rows}},
        )

    # -- claims

    async def claim(
        self, id: str | UUID, *, assignee: str, duration: Duration = "1 minute", metadata: Mapping[str, Any] | None = None
    ) -> Escalation:
        """Hold one for `duration`: nobody else can claim it meanwhile. By the same person again it is held longer.

        `metadata` is merged into its own.

        Raises:
            EscalationError: not_found, claimed (by somebody else), or already_...
        """
        wanted, held = id_of(id), positive(duration)
        more = metadata_of(metadata)
        if not await self._link.store.escalations.claim(wanted, text(assignee, "assignee"), held, more):
            raise await self._why_not(wanted, "claimed")
        return await self.get(wanted)

    async def claim_by_metadata(
        self,
        key: str,
        value: Any,
        *,
        assignee: str,
        duration: Duration = "1 minute",
        roles: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Escalation:
        """Hold the most urgent one whose metadata have this value, and that is free. Many may ask at once: each gets another.

        Raises:
            EscalationError: not_found, or claimed: all that match are held by others.
        """
        having = check_metadata({key: value})
        found = await self._link.store.escalations.claim_by_metadata(
            having, text(assignee, "assignee"), positive(duration), texts(roles, "roles"), metadata_of(metadata)
        )
        if found is None:
            where = EscalationFilter(metadata=having, statuses=["pending"], roles=texts(roles, "roles"))
            there = await self._link.store.escalations.count(where)
            raise error_of(f"with {key}={value!r}", "claimed" if there else "not_found")
        return await self.get(found)

    async def release(self, id: str | UUID, *, assignee: str | None = None) -> Escalation:
        """Give one back before the time is up. With `assignee` only if that person holds it.

        Raises:
            EscalationError: not_found, wrong_assignee, or already_...
        """
        wanted = id_of(id)
        if not await self._link.store.escalations.release(wanted, None if assignee is None else text(assignee, "assignee")):
            raise await self._why_not(wanted, "wrong_assignee")
        return await self.get(wanted)

    async def escalate_to_role(self, id: str | UUID, role: str) -> Escalation:
        """Ask somebody else: a new role, and whoever held it holds it no longer.

        Raises:
            EscalationError: not_found, or already_...
        """
        return await self._update(id, role=text(role, "role"))

    # -- making and changing

    async def create(self, escalation: Asked | Mapping[str, Any] | None = None, **named: Any) -> Escalation:
        """One that no run waits for: the fields of `workflow.Escalation`, as such, as a dict, or by name.

        Raises:
            ConfigurationError, PayloadError: a field cannot be.
        """
        if escalation is not None and named:
            raise ConfigurationError(f"create: give an escalation or its fields by name ({', '.join(named)}), not both")
        about = escalation_of(named if escalation is None else escalation)
        return await self.get(await self._link.store.escalations.create(escalation_text(about, expires_at=None)))

    async def update(
        self,
        id: str | UUID,
        *,
        priority: int | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Escalation:
        """Change a pending one; `metadata` are merged into its own.

        Raises:
            EscalationError: not_found, or already_...
        """
        escalation_of(Asked(priority=5 if priority is None else priority, description=description))
        return await self._update(id, priority=priority, description=description, metadata=metadata_of(metadata))

    async def _update(self, id: str | UUID, **changes: Any) -> Escalation:
        wanted = id_of(id)
        if not await self._link.store.escalations.update(wanted, **changes):
            raise await self._why_not(wanted, "not_found")
        return await self.get(wanted)

    # -- the end

    async def resolve(
        self,
        id: str | UUID,
        payload: Any = None,
        *,
        assignee: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        connection: Any = None,
    ) -> Escalation:
        """Answer: the workflow's `wait_for` gives `payload`, in the same transaction. Of several who resolve, cancel, signal
        or come when the time is up, exactly one wins; the others change nothing.

        `assignee` asserts that the claim is that person's, or nobody's. `metadata` is merged into its own. `connection` (asyncpg,
        inside a transaction) does it if and only if the caller commits.

        Raises:
            EscalationError: not_found, already_..., claimed (by another than `assignee`), claim_expired.
            PayloadError: the payload cannot be stored.
            OutcomeUnknownError: the connection broke meanwhile; `get` tells.
        """
        encoded = encode_value(payload, self._link.codec)
        return await self._settle_one(id_of(id), "resolved", encoded, assignee, metadata, connection)

    async def resolve_by_metadata(
        self, key: str, value: Any, payload: Any = None, *, assignee: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Escalation:
        """Answer the most urgent pending one whose metadata have this value.

        Raises:
            EscalationError: not_found, or as `resolve`.
        """
        where = EscalationFilter(metadata=check_metadata({key: value}), statuses=["pending"])
        found = await self._link.store.escalations.find(where, limit=1)
        if not found:
            raise error_of(f"with {key}={value!r}", "not_found")
        return await self.resolve(found[0].id, payload, assignee=assignee, metadata=metadata)

    async def resolve_many(
        self, ids: Sequence[str | UUID], payload: Any = None, *, metadata: Mapping[str, Any] | None = None
    ) -> Mapping[str, str]:
        """Answer several alike, each by itself. What became of each, by id: `done`, or the reason why not."""
        wanted = ids_of(ids)
        encoded = encode_value(payload, self._link.codec)
        outcomes = await self._settle(wanted, "resolved", [encoded] * len(wanted), metadata=metadata)
        return {str(id): outcome for id, outcome in zip(wanted, outcomes, strict=True)}

    async def resolve_all_or_none(
        self,
        payloads: Mapping[str, Any] | Mapping[UUID, Any],
        *,
        assignee: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Answer several, each with its own payload: all of them in one transaction, or none.

        Raises:
            EscalationError: some cannot be; `failed` names each with the reason. None was resolved.
            ConfigurationError: one is there twice.
        """
        wanted = ids_of(list(payloads))
        encoded = [encode_value(each, self._link.codec) for each in payloads.values()]
        outcomes = await self._settle(wanted, "resolved", encoded, assignee=assignee, metadata=metadata, together=True)
        failed = [(str(id), outcome) for id, outcome in zip(wanted, outcomes, strict=True) if outcome != "done"]
        if failed:
            raise EscalationError(
                "none was resolved: " + "; ".join(f"{id}: {WORDS.get(why, why)}" for id, why in failed),
                reason=failed[0][1],
                escalation_id=failed[0][0],
                failed=failed,
            )

    async def cancel(self, id: str | UUID, *, connection: Any = None) -> Escalation:
        """Nobody is to answer any more: the workflow's `wait_for` gives its `default`, or None.

        Raises:
            EscalationError: not_found, or already_...
        """
        return await self._settle_one(id_of(id), "cancelled", None, None, None, connection)

    async def prune(
        self, *, older_than: Duration = "30 days", statuses: Sequence[Status] | None = None, limit: int = 10_000
    ) -> int:
        """Delete up to `limit` that ended so long ago. How many. Pending ones always stay.

        Raises:
            ConfigurationError: an unknown status, or a limit that is not from 1 to 100,000.
        """
        if not 1 <= limit <= LARGEST_PRUNE:
            raise ConfigurationError(f"limit={limit}: it is from 1 to {LARGEST_PRUNE}")
        kinds = list(STATUSES) if statuses is None else statuses_of(statuses)
        return await self._link.store.escalations.prune(to_timedelta(older_than, what="older_than"), kinds, limit)

    async def _settle_one(
        self,
        id: UUID,
        status: str,
        payload: Payload | None,
        assignee: str | None,
        metadata: Mapping[str, Any] | None,
        connection: Any,
    ) -> Escalation:
        [outcome] = await self._settle([id], status, [payload], assignee=assignee, metadata=metadata, connection=connection)
        if outcome != "done":
            raise error_of(str(id), outcome)
        # Inside the caller's transaction only that sees the change.
        found = await self._link.store.escalations.find(EscalationFilter(ids=[id]), limit=1, connection=connection)
        if not found:                                    # it was pruned meanwhile
            raise error_of(str(id), "not_found")
        return escalation_from(found[0], self._link.codec)

    async def _settle(
        self,
        ids: Sequence[UUID],
        status: str,
        payloads: Sequence[Payload | None],
        *,
        assignee: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        together: bool = False,
        connection: Any = None,
    ) -> Sequence[str]:
        if not ids:
            return []
        return await self._link.store.escalations.settle(
            ids,
            status,
            payloads,
            assignee=None if assignee is None else text(assignee, "assignee"),
            metadata=metadata_of(metadata),
            together=together,
            connection=connection,
        )

    async def _why_not(self, id: UUID, otherwise: str) -> EscalationError:
        status = (await self._link.store.escalations.statuses([id])).get(id)
        return error_of(str(id), "not_found" if status is None else otherwise if status == "pending" else f"already_{status}")
