"""Whose line it is that calls what the guard guards: workflow code, infrastructure below it, or one of the run's own modules."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType

from memflow.core.dialect import Sandbox
from memflow.core.replay import CURRENT

_IMPORTS = frozenset({"importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport"})
INFRASTRUCTURE = frozenset(
    {"logging", "warnings", "linecache", "traceback", "loguru", "structlog", "opentelemetry", "sentry_sdk"}
    | _IMPORTS
    | {"bdb", "pdb", "pydevd", "debugpy", "coverage", "_pytest"}
)
"""Top-level modules that may use clocks, files and sockets below workflow code: what they learn does not return to it."""

_EXCUSED = INFRASTRUCTURE - _IMPORTS

UNGUARDED: ContextVar[bool] = ContextVar("memflow_unguarded", default=False)
"""Set where workflow code takes it upon itself that what it calls changes nothing: it meets the real world there."""

WRAPPERS = {id(globals())}
"""Whose frames do not count as callers, by the identity of their globals: this file and those that wrap for it."""

_LOOP_FRAME = "run_until_blocked"  # below it lies the worker, not the workflow


def check(call: str) -> None:
    """Have the run's sandbox judge a call: whether the very line that calls lies in one of the run's own modules."""
    sandbox = current_sandbox()
    if sandbox is not None and (frame := own_caller(sandbox)) is not None:
        sandbox.check(call, frame.f_globals)


def current_sandbox() -> Sandbox | None:
    """The sandbox of the run whose code runs; None outside sandboxes, and where code has taken leave of it."""
    replay = CURRENT.get()
    return None if replay is None or UNGUARDED.get() else replay.definition.dialect.sandbox


def own_caller(sandbox: Sandbox) -> FrameType | None:
    """The innermost frame, if it is of one of the run's own modules.

    Code that was given to `exec` with globals of its own belongs to whoever ran it.
    """
    innermost: FrameType | None = None
    frame = inspect.currentframe()
    while frame is not None:
        its = frame.f_globals
        if id(its) not in WRAPPERS:
            innermost = innermost or frame
            if "__name__" in its:
                return innermost if sandbox.holds(its) else None
        frame = frame.f_back
    return None


def excused() -> bool:
    """Whether logging, a debugger or the like is among the callers, imports aside."""
    return any(module in _EXCUSED for _, module in callers())


def below_infrastructure() -> bool:
    """Whether logging, an import or the like is among the callers, or this library is the first that is not Python's own."""
    undecided = True
    for _, module in callers():
        if module in INFRASTRUCTURE:
            return True
        if undecided and module not in sys.stdlib_module_names:
            if module == "memflow":
                return True
            undecided = False
    return False


def callers() -> Iterator[tuple[FrameType, str]]:
    """The frames of the workflow without those of this file, from the innermost outwards, each with its top-level module."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != _LOOP_FRAME:
        if id(frame.f_globals) not in WRAPPERS:  # a wrapper may also lie between two of Python's own
            yield frame, str(frame.f_globals.get("__name__", "")).partition(".")[0]
        frame = frame.f_back
