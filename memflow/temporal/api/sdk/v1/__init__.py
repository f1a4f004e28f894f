"""What the queries that every workflow answers tell of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, cast

from memflow.temporal.api.sdk.v1.user_metadata_pb2 import UserMetadata
from memflow.temporal.arguments import is_list

__all__ = [
    "EnhancedStackTrace",
    "StackTrace",
    "StackTraceFileLocation",
    "StackTraceFileSlice",
    "StackTraceSDKInfo",
    "UserMetadata",
    "WorkflowDefinition",
    "WorkflowInteractionDefinition",
    "WorkflowMetadata",
]


@dataclass
class StackTraceSDKInfo:
    """Which library tells."""

    name: str = ""
    version: str = ""


@dataclass
class StackTraceFileSlice:
    """A source file."""

    line_offset: int = 0
    content: str = ""


@dataclass
class StackTraceFileLocation:
    """One line at which code waits. `internal_code`: not the workflow's own."""

    file_path: str = ""
    line: int = 0
    column: int = 0
    function_name: str = ""
    internal_code: bool = False


@dataclass
class StackTrace:
    """One coroutine that waits, outermost line first."""

    locations: Sequence[StackTraceFileLocation] = field(default_factory=list[StackTraceFileLocation])


@dataclass
class EnhancedStackTrace:
    """All coroutines that wait, and the files their lines are in."""

    sdk: StackTraceSDKInfo = field(default_factory=StackTraceSDKInfo)
    sources: Mapping[str, StackTraceFileSlice] = field(default_factory=dict[str, StackTraceFileSlice])
    stacks: Sequence[StackTrace] = field(default_factory=list[StackTrace])


@dataclass
class WorkflowInteractionDefinition:
    """A handler. Without a name: of any name."""

    name: str = ""
    description: str = ""


@dataclass
class WorkflowDefinition:
    """What a workflow answers."""

    type: str = ""
    query_definitions: Sequence[WorkflowInteractionDefinition] = field(default_factory=list[WorkflowInteractionDefinition])
    signal_definitions: Sequence[WorkflowInteractionDefinition] = field(default_factory=list[WorkflowInteractionDefinition])
    update_definitions: Sequence[WorkflowInteractionDefinition] = field(default_factory=list[WorkflowInteractionDefinition])


@dataclass
class WorkflowMetadata:
    """The same, and the text about where it stands."""

    definition: WorkflowDefinition = field(default_factory=WorkflowDefinition)
    current_details: str = ""


# ------------------------------------------------------------------------------------------------- as JSON


def as_json(value: Any) -> Any:
    """A message as protobuf's JSON: names in its spelling, and what is empty left out."""
    if is_dataclass(value):
        shown = {_camel(each.name): as_json(getattr(value, each.name)) for each in fields(value)}
        return {name: each for name, each in shown.items() if each}
    match value:
        case Mapping():
            return {name: as_json(each) for name, each in cast("Mapping[str, Any]", value).items()}
        case _ if is_list(value):
            return [as_json(each) for each in value]
        case _:
            return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)


def _reading(cls: type[Any], **parts: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of messages. `parts` read the fields that are no plain values."""

    def read(body: Mapping[str, Any]) -> Any:
        known = {each.name: _camel(each.name) for each in fields(cls)}
        given = {name: body[shown] for name, shown in known.items() if shown in body}
        return cls(**{name: parts[name](value) if name in parts else value for name, value in given.items()})

    return read


def _several(one: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda body: [one(each) for each in body]


_handlers = _several(_reading(WorkflowInteractionDefinition))
_stacks = _several(_reading(StackTrace, locations=_several(_reading(StackTraceFileLocation))))
_source = _reading(StackTraceFileSlice)
_definition = _reading(
    WorkflowDefinition, query_definitions=_handlers, signal_definitions=_handlers, update_definitions=_handlers
)

READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "temporal.api.sdk.v1.EnhancedStackTrace": _reading(
        EnhancedStackTrace,
        sdk=_reading(StackTraceSDKInfo),
        sources=lambda body: {path: _source(each) for path, each in body.items()},
        stacks=_stacks,
    ),
    "temporal.api.sdk.v1.WorkflowMetadata": _reading(WorkflowMetadata, definition=_definition),
}
"""What makes messages of their JSON, by the names that payloads carry."""

NAMES: Final[Mapping[type[Any], str]] = {
    EnhancedStackTrace: "temporal.api.sdk.v1.EnhancedStackTrace",
    WorkflowMetadata: "temporal.api.sdk.v1.WorkflowMetadata",
}
"""The names of messages that go as payloads."""
