"""How a run ends by an error: failed, cancelled, or not at all because the error is a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from memflow import errors
from memflow.codec import Codec
from memflow.core.definition import Definition
from memflow.core.interrupts import Cancelled, Fail
from memflow.failure import failure_of


def ending_by(error: BaseException, definition: Definition, codec: Codec, *, cancelling: bool) -> Fail | Cancelled | None:
    """What a run asks whose code raised `error`; None for an error that does not end runs, so that the turn is tried again.

    `cancelling` says that the run was asked to cancel itself.
    """
    if cancelling and _is_cancellation(error):
        return Cancelled(failure_of(error, codec))
    if isinstance(error, errors.CancelledError) or _fails_run(error, definition):
        return Fail(failure_of(error, codec))
    return None


def _fails_run(error: BaseException, definition: Definition) -> bool:
    if isinstance(error, MemoryError | errors.UnreadablePayloadError):  # a lack of this worker, not of the workflow
        return False
    if isinstance(error, definition.fails_on):
        return True
    members = _members(error)
    return bool(members) and all(_fails_run(each, definition) for each in members)


def _is_cancellation(error: BaseException | None) -> bool:
    """Whether `error` is how a cancelled run ends: cancelled itself, or because what it awaited was."""
    match error:
        case errors.CancelledError() | asyncio.CancelledError():
            return True
        case errors.ActivityError() | errors.ChildWorkflowError() | errors.HookError():
            return _is_cancellation(error.__cause__)
        case _:
            members = _members(error)
            return bool(members) and all(_is_cancellation(each) for each in members)


def _members(error: BaseException | None) -> Sequence[BaseException]:
    """What an ExceptionGroup holds; nothing for any other error."""
    return cast("BaseExceptionGroup[BaseException]", error).exceptions if isinstance(error, BaseExceptionGroup) else ()
