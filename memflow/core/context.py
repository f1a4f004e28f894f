"""Which run's code runs now. Verbs ask here; so do the guard and the logger."""

from __future__ import annotations

import inspect

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
        name = verb or _caller()
        raise NotInWorkflowError(f"{name} was called outside a workflow; call it from the code of a workflow")
    return replay


def _caller() -> str:
    here = inspect.currentframe()
    verb = here.f_back.f_back if here is not None and here.f_back is not None else None
    return "a workflow verb" if verb is None else verb.f_code.co_name


def current_or_none() -> Replay | None:
    """The replay of the workflow that calls, or None outside workflows."""
    return CURRENT.get()


def in_workflow() -> bool:
    """Whether the code of a workflow calls."""
    return CURRENT.get() is not None
