"""History events as programs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from memflow.core.entries import JournalEntry
from memflow.temporal.api.enums.v1 import EventType
from memflow.temporal.api.sdk.v1.user_metadata_pb2 import UserMetadata
from memflow.temporal.api.times import Duration, Timestamp

ATTRIBUTES = {
    each: each.name.removeprefix("EVENT_TYPE_").lower() + "_event_attributes" for each in EventType if each.value
}
"""The field of an event that holds what belongs to its type."""
ATTRIBUTES[EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED] = "workflow_properties_modified_event_attributes"


@dataclass
class HistoryEvent:
    """One event. What belongs to its type is in the field named after it: `activity_task_scheduled_event_attributes`.

    `entries` are the entries of memflow's journal that it stands for; a Replayer replays those.
    """

    event_id: int
    event_type: EventType
    event_time: Timestamp
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    entries: Sequence[JournalEntry] = field(default=(), repr=False)
    user_metadata: UserMetadata = field(default_factory=UserMetadata, repr=False)

    def HasField(self, name: str) -> bool:
        """Whether the attributes of that name are this event's."""
        if name == "user_metadata":
            return self.user_metadata != UserMetadata()
        return name == ATTRIBUTES.get(self.event_type) or name == "event_time"

    def WhichOneof(self, group: str) -> str | None:
        """The name of the field that is set."""
        return ATTRIBUTES.get(self.event_type)

    def __getattr__(self, name: str) -> Any:
        if not name.endswith("_event_attributes"):
            raise AttributeError(f"a history event has no field {name!r}")
        own = name == ATTRIBUTES.get(self.event_type)
        return Attributes(self.attributes if own else {})


class Attributes(SimpleNamespace):
    """What belongs to an event. A field that is not there is empty."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__(**{name: value if name in _BY_NAME else _nested(value) for name, value in fields.items()})

    def HasField(self, name: str) -> bool:
        """Whether the field is set."""
        return bool(vars(self).get(name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.endswith(_SPANS):
            return Duration()
        return Attributes({}) if name in _MESSAGES else ""

    def __bool__(self) -> bool:
        return bool(vars(self))


def _nested(value: Any) -> Any:
    match value:
        case Mapping():
            return Attributes(cast("Mapping[str, Any]", value))
        case timedelta():
            return Duration.of(value)
        case datetime():
            return Timestamp.of(value)
        case _:
            return value


_BY_NAME = frozenset({"fields", "indexed_fields"})
"""Fields that hold payloads by names of the program's own."""

_SPANS = ("_timeout", "_backoff", "_interval")
"""How the names of fields end that hold spans of time."""

_MESSAGES = frozenset(
    {"activity_type", "workflow_type", "workflow_execution", "task_queue", "input", "result", "failure", "header", "memo"}
    | {"details", "priority"}
)
