"""Queries that every workflow answers: where it waits, and what it can be asked."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

from memflow.core import stacks
from memflow.core.definition import Handler
from memflow.core.places import awaiting_frames, place_of
from memflow.payload import Payload as Stored
from memflow.temporal.api.sdk.v1 import (
    EnhancedStackTrace,
    StackTrace,
    StackTraceFileLocation,
    StackTraceFileSlice,
    StackTraceSDKInfo,
    WorkflowDefinition,
    WorkflowInteractionDefinition,
    WorkflowMetadata,
)
from memflow.temporal.service import __version__
from memflow.temporal.workflow.running import Running


def _stack_trace(running: Running, name: str, input: Stored) -> str:
    return stacks.in_words(running.replay.waiting())


def _enhanced_stack_trace(running: Running, name: str, input: Stored) -> EnhancedStackTrace:
    found = [StackTrace([_location(frame) for frame in frames]) for frames in _waiting_frames(running)]
    files = {location.file_path for stack in found for location in stack.locations if not location.internal_code}
    sources = {path: StackTraceFileSlice(0, "".join(linecache.getlines(path))) for path in sorted(files)}
    return EnhancedStackTrace(StackTraceSDKInfo("memflow", __version__), sources, found)


def _waiting_frames(running: Running) -> Iterator[list[FrameType]]:
    for task in running.replay.tasks():
        frames = list(awaiting_frames(task.get_coro()))
        if frames:
            yield frames


def _location(frame: FrameType) -> StackTraceFileLocation:
    code = frame.f_code
    return StackTraceFileLocation(code.co_filename, frame.f_lineno, 0, code.co_name, place_of(frame) is None)


def _metadata(running: Running, name: str, input: Stored) -> WorkflowMetadata:
    handlers = running.replay.handlers

    def listed(kind: str) -> list[WorkflowInteractionDefinition]:
        return [WorkflowInteractionDefinition(each.name or "", each.description or "") for each in handlers.known(kind)]

    definition = WorkflowDefinition(running.replay.info.workflow, listed("query"), listed("signal"), listed("update"))
    return WorkflowMetadata(definition, running.details)


def _query(name: str, function: Any) -> Handler:
    return Handler("query", name, function, (), 0, Any, raw=True)


BUILTIN_QUERIES: Final = (
    _query("__enhanced_stack_trace", _enhanced_stack_trace),
    _query("__stack_trace", _stack_trace),
    _query("__temporal_workflow_metadata", _metadata),
)
