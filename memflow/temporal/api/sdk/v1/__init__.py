"""What the queries that every workflow answers tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memflow.temporal.api.sdk.v1.user_metadata_pb2 import UserMetadata

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
