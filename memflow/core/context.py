"""Which run's code runs now. Verbs ask here; so do the guard and the logger."""

from __future__ import annotations

import sys

from memflow.core.replay import CURRENT, Replay
from memflow.errors import NotInWorkflowError


def current(verb: str | None = None) -> Replay:
    """The replay of the workflow that calls.

    `verb` is the name that the error gives; by default that of the calling function.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """
    replay = CURRENT.get()
    if replay is None:
        name = verb or sys._getframe(1).f_code.co_name  # pyright: ignore[reportPrivateUsage]
        raise NotInWorkflowError(f"{name} was called outside a workflow; call it from the code of a workflow")
    return replay


def current_or_none() -> Replay | None:
    """The replay of the workflow that calls, or None outside workflows."""
    return CURRENT.get()


def in_workflow() -> bool:
    """Whether the code of a workflow calls."""
    return CURRENT.get() is not None
