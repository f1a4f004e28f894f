"""Whose payload a converter is looking at. Converters that care implement `with_context`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self


class SerializationContext(ABC):  # noqa: B024 - as Temporal's
    """Whose payload it is."""


@dataclass(frozen=True)
class WorkflowSerializationContext(SerializationContext):
    """A workflow's."""

    namespace: str
    workflow_id: str


@dataclass(frozen=True)
class ActivitySerializationContext(SerializationContext):
    """An activity's."""

    namespace: str
    activity_id: str | None
    activity_type: str | None
    activity_task_queue: str | None
    workflow_id: str | None
    workflow_type: str | None
    is_local: bool


class WithSerializationContext(ABC):
    """What can be told whose payload it looks at."""

    @abstractmethod
    def with_context(self, context: SerializationContext) -> Self:
        """The same for one workflow or activity."""
