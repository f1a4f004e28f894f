"""Escalations as people see them, and what the calls of `client.escalations` are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID

from typing_extensions import TypedDict

from memflow.client.describe import shown
from memflow.codec import Codec
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, EscalationError
from memflow.names import check_name
from memflow.store.escalations import EscalationFilter, EscalationRow
from memflow.workflow.escalations import check_metadata

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


class EscalationFilters(TypedDict, total=False):
    """What `list` and `count` are narrowed to. `metadata` matches those that have all of it, nested too."""

    role: str | None
    roles: Sequence[str] | None
    type: str | None
    subtype: str | None
    entity: str | None
    status: Status | Sequence[Status] | None
    assigned_to: str | None
    workflow_id: str | None
    signal_id: str | None
    available: bool | None
    priority: int | None
    metadata: Mapping[str, Any] | None
    ids: Sequence[str | UUID] | None


def filter_of(given: EscalationFilters) -> EscalationFilter:
    """The filter as the store takes it.

    Raises:
        ConfigurationError: an unknown name, status or id.
    """
    unknown = [name for name in given if name not in EscalationFilters.__annotations__]
    if unknown:
        allowed = ", ".join(EscalationFilters.__annotations__)
        raise ConfigurationError(f"escalations have no {', '.join(unknown)} to filter by; there are {allowed}")
    role, roles, status, ids = given.get("role"), given.get("roles"), given.get("status"), given.get("ids")
    if role is not None and roles is not None:
        raise ConfigurationError("give role or roles, not both")
    return EscalationFilter(
        [role] if role is not None else texts(roles, "roles"),
        given.get("type"),
        given.get("subtype"),
        given.get("entity"),
        None if status is None else statuses_of([status] if isinstance(status, str) else status),
        given.get("assigned_to"),
        given.get("workflow_id"),
        given.get("signal_id"),
        given.get("available"),
        given.get("priority"),
        metadata_of(given.get("metadata")),
        None if ids is None else [id_of(each) for each in ids],
    )


WORDS = {
    "not_found": "it is not there",
    "claimed": "somebody else holds it",
    "claim_expired": "the claim has lapsed; claim it again",
    "wrong_assignee": "somebody else holds it, or nobody",
}


def error_of(which: str, reason: str) -> EscalationError:
    """Why one cannot be changed so."""
    said = WORDS.get(reason, f"it is {reason.removeprefix('already_')} already")
    return EscalationError(f"escalation {which}: {said}", reason=reason, escalation_id=which)


def escalation_from(row: EscalationRow, codec: Codec) -> Escalation:
    """A row as people see it."""
    return Escalation(
        id=str(row.id),
        status=cast("Status", row.status),
        workflow_type=row.workflow,
        payload=None if row.payload is None else shown(row.payload, codec),
        **{name: getattr(row, name) for name in SAME},
    )


SAME = tuple(name for name in Escalation.__dataclass_fields__ if name not in ("id", "status", "workflow_type", "payload"))


def statuses_of(given: Sequence[str]) -> list[str]:
    """Statuses, checked."""
    for each in given:
        if each not in STATUSES:
            raise ConfigurationError(f"status: {each!r} is not one of {', '.join(STATUSES)}")
    return list(given)


def id_of(given: str | UUID) -> UUID:
    """An id, checked."""
    try:
        return given if isinstance(given, UUID) else UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(f"escalation id: {given!r} is no UUID") from None


def ids_of(given: Sequence[str | UUID]) -> Sequence[UUID]:
    """Ids, checked; none of them twice."""
    wanted = [id_of(each) for each in given]
    if len(set(wanted)) < len(wanted):
        twice = next(each for each in wanted if wanted.count(each) > 1)
        raise ConfigurationError(f"escalation {twice} is there twice")
    return wanted


def text(value: object, what: str) -> str:
    """A name, checked; `what` it is."""
    return check_name(value, what=what)


def texts(values: Sequence[str] | None, what: str) -> Sequence[str] | None:
    """Names, checked."""
    if isinstance(values, str):
        raise ConfigurationError(f"{what}: {values!r} is one text; give a list")
    return None if values is None else [text(each, what) for each in values]


def metadata_of(metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Metadata, checked."""
    return None if metadata is None else check_metadata(metadata)


def positive(duration: Duration) -> timedelta:
    """A duration above 0."""
    found = to_timedelta(duration, what="duration")
    if found <= timedelta(0):
        raise ConfigurationError(f"duration: {duration!r} is no time at all; a claim is held for some")
    return found


def summed(rows: Any) -> tuple[int, int, int, int]:
    """Columns of counts, added up."""
    columns = list(zip(*rows, strict=True)) or [(0,)] * 4
    pending, claimed, created, resolved = (sum(column) for column in columns)
    return pending, claimed, created, resolved
