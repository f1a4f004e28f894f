"""Lines of the user's code: where a workflow asks, and where each of its coroutines waits.

A place reads `samples/order.py:31 in run`: the file as its module is imported, so that it is the same on every machine.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

_ASYNCIO = asyncio.__file__.rpartition("/")[0] + "/"
_MEMFLOW = __file__.rpartition("/core/")[0]
_OURS = (_MEMFLOW + "/", _ASYNCIO, "<frozen")
_SAMPLES = _MEMFLOW + "/dev/"  # workflows that come with the library as examples
_LONGEST_CHAIN = 100  # a recursive workflow may await itself deeply; nobody reads more

_known: dict[CodeType, tuple[str, bool]] = {}


def _file_of(code: CodeType, module: str) -> tuple[str, bool]:
    """The short file name of `code`, and whether it is the user's."""
    known = _known.get(code)
    if known is None:
        path = code.co_filename.replace("\\", "/")
        parts = path.split("/")
        depth = module.count(".") + (2 if parts[-1] == "__init__.py" else 1)
        known = "/".join(parts[-max(depth, 2) :]), not path.startswith(_OURS) or path.startswith(_SAMPLES)
        if len(_known) > 10_000:  # code made at run time must not pile up here
            _known.clear()
        _known[code] = known
    return known


def place_of(frame: FrameType) -> str | None:
    """The place of one frame, or None when it is not the user's code."""
    code = frame.f_code
    file, users = _file_of(code, frame.f_globals.get("__name__", ""))
    return f"{file}:{frame.f_lineno} in {code.co_name}" if users else None


def calling_place() -> str | None:
    """The innermost line of user code on the stack, or None."""
    # Not our own frame: a name for that would be a cycle, which keeps every frame below alive.
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        place = place_of(frame)
        if place is not None:
            return place
        if frame.f_code.co_name == "run_until_blocked":  # below it lies the worker, not the workflow
            return None
        frame = frame.f_back
    return None


def raised_at(error: BaseException) -> str | None:
    """The innermost line of user code that `error` passed through, or None."""
    found: str | None = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file, users = _file_of(code, trace.tb_frame.f_globals.get("__name__", ""))
        if users:
            found = f"{file}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return found


def awaiting_frames(awaitable: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, from the outermost await to the innermost."""
    for _ in range(_LONGEST_CHAIN):
        for frame_of, awaited_of in _KINDS_OF_AWAITABLE:
            frame: FrameType | None = getattr(awaitable, frame_of, None)
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, awaited_of, None)
                break
        else:
            return


_KINDS_OF_AWAITABLE = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
