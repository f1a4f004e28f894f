"""Handlers written as older programs wrote them: they work, and are told that there is a newer way."""

from __future__ import annotations

import inspect
import warnings
from typing import Any


def warn_of_old_ways(kind: str, fn: Any, *, dynamic: bool, level: int) -> None:
    """Warn at `level` of the caller's stack.

    Raises:
        RuntimeError: the way was never one for updates.
    """
    if kind == "query" and inspect.iscoroutinefunction(fn):
        warnings.warn("Queries as async def functions are deprecated", DeprecationWarning, stacklevel=level)
    if dynamic and any(each.kind is each.VAR_POSITIONAL for each in inspect.signature(fn).parameters.values()):
        if kind == "update":
            raise RuntimeError("Dynamic updates do not support a vararg third param, use Sequence[RawValue]")
        several = "queries" if kind == "query" else "signals"
        text = f"Dynamic {several} with vararg third param is deprecated, use Sequence[RawValue]"
        warnings.warn(text, DeprecationWarning, stacklevel=level)
