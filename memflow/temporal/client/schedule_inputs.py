"""What the calls of a client about schedules carry through its interceptors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from memflow.temporal.client.inputs import Metadata

if TYPE_CHECKING:
    from memflow.temporal.client.schedules import (
        Schedule,
        ScheduleBackfill,
        ScheduleOverlapPolicy,
        ScheduleUpdate,
        ScheduleUpdateInput,
    )

@dataclass
class CreateScheduleInput:
    """A schedule to create."""

    id: str
    schedule: Schedule
    trigger_immediately: bool
    backfill: Sequence[ScheduleBackfill]
    memo: Mapping[str, Any] | None
    search_attributes: Any
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class ListSchedulesInput:
    """Schedules to list."""

    page_size: int
    next_page_token: bytes | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
    query: str | None = None


@dataclass
class BackfillScheduleInput:
    """A time to catch up on."""

    id: str
    backfills: Sequence[ScheduleBackfill]
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class DeleteScheduleInput:
    """A schedule to delete."""

    id: str
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class DescribeScheduleInput:
    """A schedule to describe."""

    id: str
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class PauseScheduleInput:
    """A schedule to pause."""

    id: str
    note: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class TriggerScheduleInput:
    """A schedule to fire now."""

    id: str
    overlap: ScheduleOverlapPolicy | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class UnpauseScheduleInput:
    """A schedule to go on."""

    id: str
    note: str | None
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None


@dataclass
class UpdateScheduleInput:
    """A schedule to change."""

    id: str
    updater: Callable[[ScheduleUpdateInput], ScheduleUpdate | Awaitable[ScheduleUpdate | None] | None]
    rpc_metadata: Metadata
    rpc_timeout: timedelta | None
