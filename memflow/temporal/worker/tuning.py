"""How a worker is tuned: slots, suppliers, pollers. memflow needs slots alone; the rest is accepted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

DEFAULT_SLOTS: Final = 100
MOST_BY_RESOURCES: Final = 500
"""Temporal's limit for slots by resources that are given none."""


@dataclass(frozen=True)
class PollerBehaviorSimpleMaximum:
    """Accepted: one statement claims for all."""

    maximum: int = 5


@dataclass(frozen=True)
class PollerBehaviorAutoscaling:
    """Accepted: one statement claims for all."""

    minimum: int = 1
    maximum: int = 100
    initial: int = 5


PollerBehavior = PollerBehaviorSimpleMaximum | PollerBehaviorAutoscaling


@dataclass(frozen=True)
class FixedSizeSlotSupplier:
    """So many at once."""

    num_slots: int


@dataclass(frozen=True)
class ResourceBasedTunerConfig:
    """How much of the machine may be used, from 0 to 1."""

    target_memory_usage: float
    target_cpu_usage: float


@dataclass(frozen=True)
class ResourceBasedSlotConfig:
    """Between how many and how many at once."""

    minimum_slots: int | None = None
    maximum_slots: int | None = None
    ramp_throttle: timedelta | None = None


@dataclass(frozen=True)
class ResourceBasedSlotSupplier:
    """So many as the machine has room for; memflow takes the maximum, 500 where none is given."""

    slot_config: ResourceBasedSlotConfig
    tuner_config: ResourceBasedTunerConfig


class SlotPermit:
    """The right to run one thing."""


class SlotInfo(Protocol):
    """What a slot is used for."""


class WorkflowSlotInfo(SlotInfo, Protocol):
    """A slot of a workflow."""

    workflow_type: str
    is_sticky: bool


class ActivitySlotInfo(SlotInfo, Protocol):
    """A slot of an activity."""

    activity_type: str


class LocalActivitySlotInfo(SlotInfo, Protocol):
    """A slot of a local activity."""

    activity_type: str


class SlotReserveContext(Protocol):
    """Who asks for a slot."""

    slot_type: str
    task_queue: str
    worker_identity: str
    worker_build_id: str
    is_sticky: bool


@dataclass(frozen=True)
class SlotMarkUsedContext:
    """What a slot is used for."""

    slot_info: SlotInfo
    permit: SlotPermit


@dataclass(frozen=True)
class SlotReleaseContext:
    """What a slot was used for."""

    slot_info: SlotInfo | None
    permit: SlotPermit


class CustomSlotSupplier(ABC):
    """Slots by rules of your own. Accepted; memflow gives 100, since it claims many at once."""

    @abstractmethod
    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        """Wait for a slot."""

    @abstractmethod
    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        """A slot, if there is one now."""

    @abstractmethod
    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        """The slot is used."""

    @abstractmethod
    def release_slot(self, ctx: SlotReleaseContext) -> None:
        """The slot is free."""


SlotSupplier = FixedSizeSlotSupplier | ResourceBasedSlotSupplier | CustomSlotSupplier


def slots_of(supplier: Any) -> int:
    """How many at once."""
    match supplier:
        case FixedSizeSlotSupplier(num_slots=number):
            return number
        case ResourceBasedSlotSupplier(slot_config=config):
            return config.maximum_slots or MOST_BY_RESOURCES
        case _:
            return DEFAULT_SLOTS


class WorkerTuner(ABC):
    """How many of what run at once."""

    @staticmethod
    def create_fixed(
        *,
        workflow_slots: int | None = None,
        activity_slots: int | None = None,
        local_activity_slots: int | None = None,
        nexus_slots: int | None = None,
    ) -> WorkerTuner:
        """So many; 100 by default."""
        return _Tuner(
            FixedSizeSlotSupplier(DEFAULT_SLOTS if workflow_slots is None else workflow_slots),
            FixedSizeSlotSupplier(DEFAULT_SLOTS if activity_slots is None else activity_slots),
            FixedSizeSlotSupplier(DEFAULT_SLOTS if local_activity_slots is None else local_activity_slots),
        )

    @staticmethod
    def create_resource_based(
        *,
        target_memory_usage: float,
        target_cpu_usage: float,
        workflow_config: ResourceBasedSlotConfig | None = None,
        activity_config: ResourceBasedSlotConfig | None = None,
        local_activity_config: ResourceBasedSlotConfig | None = None,
        nexus_config: ResourceBasedSlotConfig | None = None,
    ) -> WorkerTuner:
        """So many as the machine has room for."""
        target = ResourceBasedTunerConfig(target_memory_usage, target_cpu_usage)
        configs = (workflow_config, activity_config, local_activity_config)
        return _Tuner(*[ResourceBasedSlotSupplier(each or ResourceBasedSlotConfig(), target) for each in configs])

    @staticmethod
    def create_composite(
        *,
        workflow_supplier: SlotSupplier,
        activity_supplier: SlotSupplier,
        local_activity_supplier: SlotSupplier,
        nexus_supplier: SlotSupplier | None = None,
    ) -> WorkerTuner:
        """Each by its own supplier."""
        return _Tuner(workflow_supplier, activity_supplier, local_activity_supplier)

    @property
    @abstractmethod
    def workflow_slots(self) -> int:
        """How many workflows at once."""

    @property
    @abstractmethod
    def activity_slots(self) -> int:
        """How many activities at once."""


@dataclass(frozen=True)
class _Tuner(WorkerTuner):
    workflow: SlotSupplier
    activity: SlotSupplier
    local: SlotSupplier

    @property
    def workflow_slots(self) -> int:
        return slots_of(self.workflow)

    @property
    def activity_slots(self) -> int:
        return slots_of(self.activity)
