"""What a run that a schedule started may know of the one before it."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from memflow.core import context
from memflow.core.definition import LAST_FAILURE_HEADER, LAST_RESULT_HEADER, RunInfo, payload_in
from memflow.failure import decode_failure, exception_of
from memflow.payload import Payload

R = TypeVar("R")


def has_last_completion_result() -> bool:
    """Whether a run of this schedule has completed before this one was started. Results above 64 KiB are not handed on."""
    return LAST_RESULT_HEADER in (context.current("has_last_completion_result").info.headers or {})


@overload
def get_last_completion_result() -> Any: ...
@overload
def get_last_completion_result(type_hint: type[R]) -> R | None: ...
def get_last_completion_result(type_hint: Any = Any) -> Any:
    """The result of the last run of this schedule that completed; None if there is none, as `has_last_completion_result` tells.

    Raises:
        PayloadError: it does not fit `type_hint`.
    """
    replay = context.current("get_last_completion_result")
    found = _left(replay.info, LAST_RESULT_HEADER)
    return None if found is None else replay.codec.decode(found, type_hint)


def get_last_failure() -> BaseException | None:
    """What the last run of this schedule failed with; None if it completed, or there is none."""
    replay = context.current("get_last_failure")
    found = _left(replay.info, LAST_FAILURE_HEADER)
    return None if found is None else exception_of(decode_failure(found), replay.codec)


def _left(info: RunInfo, header: str) -> Payload | None:
    return (info.handed_on or {}).get(header) or payload_in((info.headers or {}).get(header))
