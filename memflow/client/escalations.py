"""`client.escalations`: what workflows ask people. List, claim, resolve; of everybody who tries at once, exactly one wins.

An escalation is pending until it is resolved, cancelled, or expired with its wait. A claim is a hold for a while: the status
stays `pending`, and when the time is up it is free again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

from memflow.client.link import Link
from memflow.client.values import encode_value
from memflow.codec import Codec
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, EscalationError
from memflow.names import check_name
from memflow.payload import Payload
from memflow.store.escalations import ORDERS, EscalationFilter, EscalationRow
from memflow.workflow.escalations import Escalation as Asked
from memflow.workflow.escalations import check_metadata, escalation_of, escalation_text

Status = Literal["pending", "resolved", "cancelled", "expired"]

STATUSES = ("pending", "resolved", "cancelled", "expired")
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
LARGEST_PRUNE = 100_000


@dataclass(frozen=True, slots=True)
class Escalation:
    """What people are asked, as it stands. `workflow_id` None: it was created alone, and no run waits for it.

    `available` says that anybody may claim it now. `payload` is what it was resolved with. `expires_at` is when the wait's own
    time is up.
    """

    id: str
    status: Status
    signal_id: str | None
    workflow_id: str | None
    run_id: str | None
    workflow_type: str | None
    task_queue: str | None
    role: str | None
    type: str | None
    subtype: str | None
    entity: str | None
    description: str | None
    priority: int
    metadata: Mapping[str, Any]
    assigned_to: str | None
    assigned_until: datetime | None
    claimed_at: datetime | None
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    expires_at: datetime | None
    payload: Any
    available: bool


@dataclass(frozen=True, slots=True)
class EscalationCounts:
    """`pending` and, of those, `claimed` now; `created` and `resolved` within the period."""

    pending: int = 0
    claimed: int = 0
    created: int = 0
    resolved: int = 0


@dataclass(frozen=True, slots=True)
class EscalationStats(EscalationCounts):
    """Counts together, and by role and type; what has neither is under None."""

    by_role: Mapping[str | None, EscalationCounts] | None = None
    by_type: Mapping[str | None, EscalationCounts] | None = None


class Listing:
    """A list that is still to be asked for: `await` it for all of it, or go through it with `async for`."""

    def __init__(self, fetch: Callable[[], Awaitable[list[Escalation]]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, list[Escalation]]:
        return self._fetch().__await__()

    async def __aiter__(self) -> AsyncIterator[Escalation]:
        for each in await self._fetch():
            yield each


class Escalations:
    """The escalations of a client's namespace. Ids are text or UUID.

    Every method that changes one raises `EscalationError` where it cannot: `reason` says why, and nothing was changed.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    # -- looking

    def list(
        self,
        *,
        role: str | None = None,
        roles: Sequence[str] | None = None,
        type: str | None = None,
        subtype: str | None = None,
        entity: str | None = None,
        status: Status | Sequence[Status] | None = None,
        assigned_to: str | None = None,
        workflow_id: str | None = None,
        signal_id: str | None = None,
        available: bool | None = None,
        priority: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        ids: Sequence[str | UUID] | None = None,
        order: str = "priority",
        limit: int = 50,
        offset: int = 0,
    ) -> Listing:
        """Those that match all that is given: `await` it, or `async for`. By priority, of equals the newest first.

        `metadata` matches those that have all of it, nested too. `order` is priority, created_at or updated_at, with a minus
        before it for the reverse.

        Raises:
            ConfigurationError: an unknown status or order, or a limit below 1.
        """
        where = _filter(
            role, roles, type, subtype, entity, status, assigned_to, workflow_id, signal_id, available, priority, metadata, ids
        )
        by = order.removeprefix("-")
        if by not in ORDERS:
            raise ConfigurationError(f"order: {order!r} is not one of {', '.join(ORDERS)}, perhaps with a minus before it")
        if limit < 1 or offset < 0:
            raise ConfigurationError(f"limit={limit}, offset={offset}: a limit is at least 1, an offset at least 0")

        async def fetch() -> list[Escalation]:
            rows = await self._link.store.escalations.find(
                where, order=by, descending=order.startswith("-"), limit=limit, offset=offset
            )
            return [_escalation(row, self._link.codec) for row in rows]

        return Listing(fetch)

    async def count(
        self,
        *,
        role: str | None = None,
        roles: Sequence[str] | None = None,
        type: str | None = None,
        subtype: str | None = None,
        entity: str | None = None,
        status: Status | Sequence[Status] | None = None,
        assigned_to: str | None = None,
        workflow_id: str | None = None,
        signal_id: str | None = None,
        available: bool | None = None,
        priority: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        ids: Sequence[str | UUID] | None = None,
    ) -> int:
        """How many match; as `list`."""
        where = _filter(
            role, roles, type, subtype, entity, status, assigned_to, workflow_id, signal_id, available, priority, metadata, ids
        )
        return await self._link.store.escalations.count(where)

    async def get(self, id: str | UUID) -> Escalation:
        """One, by its id.

        Raises:
            EscalationError: it is not there.
        """
        found = await self._link.store.escalations.find(EscalationFilter(ids=[_id(id)]), limit=1)
        if not found:
            raise _error(str(id), "not_found")
        return _escalation(found[0], self._link.codec)

    async def get_by_signal(self, signal_id: str) -> Escalation | None:
        """The newest one of a wait for this signal id, a pending one before those that ended; None: there is none."""
        check_name(signal_id, what="signal id")
        rows = self._link.store.escalations
        for statuses in (["pending"], None):
            where = EscalationFilter(signal_id=signal_id, statuses=statuses)
            found = await rows.find(where, order="created_at", descending=True, limit=1)
            if found:
                return _escalation(found[0], self._link.codec)
        return None

    async def types(self) -> Sequence[str]:
        """Every type there is, in order."""
        return await self._link.store.escalations.types()

    async def stats(self, *, roles: Sequence[str] | None = None, period: Duration = "24h") -> EscalationStats:
        """Counts, together and by role and type. `period` (a duration, such as "1h" or "7d") is for created and resolved."""
        span = PERIODS.get(period) if isinstance(period, str) else None
        rows = await self._link.store.escalations.stats(span or to_timedelta(period, what="period"), _texts(roles, "roles"))
        return EscalationStats(
            *_sum(row[2:] for row in rows),
            by_role={role: EscalationCounts(*_sum(row[2:] for row in rows if row[0] == role)) for role in {r[0] for r in rows}},
            by_type={kind: EscalationCounts(*_sum(row[2:] for row in rows if row[1] == kind)) for kind in {r[1] for r in rows}},
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
        wanted, held = _id(id), _positive(duration)
        more = _metadata(metadata)
        if not await self._link.store.escalations.claim(wanted, _text(assignee, "assignee"), held, more):
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
            having, _text(assignee, "assignee"), _positive(duration), _texts(roles, "roles"), _metadata(metadata)
        )
        if found is None:
            where = EscalationFilter(metadata=having, statuses=["pending"], roles=_texts(roles, "roles"))
            there = await self._link.store.escalations.count(where)
            raise _error(f"with {key}={value!r}", "claimed" if there else "not_found")
        return await self.get(found)

    async def release(self, id: str | UUID, *, assignee: str | None = None) -> Escalation:
        """Give one back before the time is up. With `assignee` only if that person holds it.

        Raises:
            EscalationError: not_found, wrong_assignee, or already_...
        """
        wanted = _id(id)
        if not await self._link.store.escalations.release(wanted, None if assignee is None else _text(assignee, "assignee")):
            raise await self._why_not(wanted, "wrong_assignee")
        return await self.get(wanted)

    async def escalate_to_role(self, id: str | UUID, role: str) -> Escalation:
        """Ask somebody else: a new role, and whoever held it holds it no longer.

        Raises:
            EscalationError: not_found, or already_...
        """
        return await self._update(id, role=_text(role, "role"))

    # -- making and changing

    async def create(self, escalation: Asked | Mapping[str, Any] | None = None, **named: Any) -> Escalation:
        """One that no run waits for: the fields of `workflow.Escalation`, as such, as a dict, or by name.

        Raises:
            ConfigurationError, PayloadError: a field cannot be.
        """
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
        return await self._update(id, priority=priority, description=description, metadata=_metadata(metadata))

    async def _update(self, id: str | UUID, **changes: Any) -> Escalation:
        wanted = _id(id)
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
        return await self._settle_one(_id(id), "resolved", encoded, assignee, metadata, connection)

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
            raise _error(f"with {key}={value!r}", "not_found")
        return await self.resolve(found[0].id, payload, assignee=assignee, metadata=metadata)

    async def resolve_many(
        self, ids: Sequence[str | UUID], payload: Any = None, *, metadata: Mapping[str, Any] | None = None
    ) -> Mapping[str, str]:
        """Answer several alike, each by itself. What became of each, by id: `done`, or the reason why not."""
        wanted = _ids(ids)
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
        wanted = _ids(list(payloads))
        encoded = [encode_value(each, self._link.codec) for each in payloads.values()]
        outcomes = await self._settle(wanted, "resolved", encoded, assignee=assignee, metadata=metadata, together=True)
        failed = [(str(id), outcome) for id, outcome in zip(wanted, outcomes, strict=True) if outcome != "done"]
        if failed:
            raise EscalationError(
                "none was resolved: " + "; ".join(f"{id}: {_WORDS.get(why, why)}" for id, why in failed),
                reason=failed[0][1],
                escalation_id=failed[0][0],
                failed=failed,
            )

    async def cancel(self, id: str | UUID, *, connection: Any = None) -> Escalation:
        """Nobody is to answer any more: the workflow's `wait_for` gives its `default`, or None.

        Raises:
            EscalationError: not_found, or already_...
        """
        return await self._settle_one(_id(id), "cancelled", None, None, None, connection)

    async def prune(
        self, *, older_than: Duration = "30 days", statuses: Sequence[Status] | None = None, limit: int = 10_000
    ) -> int:
        """Delete up to `limit` that ended so long ago. How many. Pending ones always stay.

        Raises:
            ConfigurationError: an unknown status, or a limit that is not from 1 to 100,000.
        """
        if not 1 <= limit <= LARGEST_PRUNE:
            raise ConfigurationError(f"limit={limit}: it is from 1 to {LARGEST_PRUNE}")
        kinds = list(STATUSES) if statuses is None else _statuses(statuses)
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
            raise _error(str(id), outcome)
        # Inside the caller's transaction only that sees the change.
        [row] = await self._link.store.escalations.find(EscalationFilter(ids=[id]), limit=1, connection=connection)
        return _escalation(row, self._link.codec)

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
            assignee=None if assignee is None else _text(assignee, "assignee"),
            metadata=_metadata(metadata),
            together=together,
            connection=connection,
        )

    async def _why_not(self, id: UUID, otherwise: str) -> EscalationError:
        status = (await self._link.store.escalations.statuses([id])).get(id)
        return _error(str(id), "not_found" if status is None else otherwise if status == "pending" else f"already_{status}")


_WORDS = {
    "not_found": "it is not there",
    "claimed": "somebody else holds it",
    "claim_expired": "the claim has lapsed; claim it again",
    "wrong_assignee": "somebody else holds it, or nobody",
}


def _error(which: str, reason: str) -> EscalationError:
    said = _WORDS.get(reason, f"it is {reason.removeprefix('already_')} already")
    return EscalationError(f"escalation {which}: {said}", reason=reason, escalation_id=which)


def _escalation(row: EscalationRow, codec: Codec) -> Escalation:
    return Escalation(
        id=str(row.id),
        status=cast("Status", row.status),
        workflow_type=row.workflow,
        payload=None if row.payload is None else codec.decode(row.payload),
        **{name: getattr(row, name) for name in _SAME},
    )


_SAME = tuple(name for name in Escalation.__dataclass_fields__ if name not in ("id", "status", "workflow_type", "payload"))


def _filter(
    role: str | None,
    roles: Sequence[str] | None,
    type: str | None,
    subtype: str | None,
    entity: str | None,
    status: Status | Sequence[Status] | None,
    assigned_to: str | None,
    workflow_id: str | None,
    signal_id: str | None,
    available: bool | None,
    priority: int | None,
    metadata: Mapping[str, Any] | None,
    ids: Sequence[str | UUID] | None,
) -> EscalationFilter:
    if role is not None and roles is not None:
        raise ConfigurationError("give role or roles, not both")
    return EscalationFilter(
        [role] if role is not None else _texts(roles, "roles"),
        type,
        subtype,
        entity,
        None if status is None else _statuses([status] if isinstance(status, str) else status),
        assigned_to,
        workflow_id,
        signal_id,
        available,
        priority,
        _metadata(metadata),
        None if ids is None else [_id(each) for each in ids],
    )


def _statuses(given: Sequence[str]) -> list[str]:
    for each in given:
        if each not in STATUSES:
            raise ConfigurationError(f"status: {each!r} is not one of {', '.join(STATUSES)}")
    return list(given)


def _id(given: str | UUID) -> UUID:
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"escalation id: {given!r} is no UUID") from None


def _ids(given: Sequence[str | UUID]) -> Sequence[UUID]:
    wanted = [_id(each) for each in given]
    if len(set(wanted)) < len(wanted):
        twice = next(each for each in wanted if wanted.count(each) > 1)
        raise ConfigurationError(f"escalation {twice} is there twice")
    return wanted


def _text(value: object, what: str) -> str:
    return check_name(value, what=what)


def _texts(values: Sequence[str] | None, what: str) -> Sequence[str] | None:
    if isinstance(values, str):
        raise ConfigurationError(f"{what}: {values!r} is one text; give a list")
    return None if values is None else [_text(each, what) for each in values]


def _metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if metadata is None else check_metadata(metadata)


def _positive(duration: Duration) -> timedelta:
    found = to_timedelta(duration, what="duration")
    if found <= timedelta(0):
        raise ConfigurationError(f"duration: {duration!r} is no time at all; a claim is held for some")
    return found


def _sum(rows: Any) -> tuple[int, int, int, int]:
    columns = list(zip(*rows, strict=True)) or [(0,)] * 4
    pending, claimed, created, resolved = (sum(column) for column in columns)
    return pending, claimed, created, resolved
