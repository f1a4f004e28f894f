"""Taking a suspended workflow out of memory, on purpose.

Dropping a parked coroutine would run its `finally` blocks whenever the garbage collector comes by, and an `await` there
would fail. So each coroutine is unwound now, with an exception that no `except Exception` stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from memflow.core.ordering import WorkflowTask
from memflow.core.places import awaiting_frames, place_of

THROWS = 100  # code that catches BaseException in a loop is given up after so many tries


class Evicted(BaseException):
    """The run leaves this worker's memory; it goes on elsewhere, or later. Never catch it without raising it again."""


class Refusals:
    """Verbs called by code that is being unwound: they raise, so that the code ends.

    Code that swallows each refusal and asks again would never return to us, so after some they stop raising: the code
    then comes to an `await` that never ends, and there it can be left.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = THROWS

    def refuse(self) -> None:
        """Raise `Evicted`, at most 100 times."""
        if self._left > 0:
            self._left -= 1
            raise Evicted


def unwind(loop: asyncio.AbstractEventLoop, tasks: Iterable[WorkflowTask], first: Callable[[], BaseException]) -> list[str]:
    """End every task: `first()` is thrown into each, then `Evicted` until it ends. Inner tasks go before outer ones.

    Returns where those stand that would not end. Must be called with `loop` set as the running one. Never raises.
    """
    undead = [place for task in reversed(list(tasks)) if (place := _unwind_task(loop, task, first)) is not None]
    return undead


def _unwind_task(loop: asyncio.AbstractEventLoop, task: WorkflowTask, first: Callable[[], BaseException]) -> str | None:
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the task never learns of its end; that is meant
    coroutine: Any = task.get_coro()  # None for an eager task that has ended
    if coroutine is None or task.done():
        return None
    error = first()
    asyncio.tasks._enter_task(loop, task)
    try:
        for _ in range(THROWS):
            try:
                task.ran_in.run(coroutine.throw, error)
            except BaseException:  # whatever it ends with, it has ended
                return None
            error = Evicted()
    finally:
        asyncio.tasks._leave_task(loop, task)
    _make_immortal(coroutine)
    places = [place for frame in awaiting_frames(coroutine) if (place := place_of(frame)) is not None]
    return places[-1] if places else repr(coroutine)


def _make_immortal(coroutine: object) -> None:
    """Let a coroutine that would not end never be collected, not even when the process ends.

    Python throws GeneratorExit into a coroutine that it collects. Code that catches that too, and then meets an error
    instead of an `await`, would go round for ever, in whatever thread the collector ran. A small leak, with a warning, is
    the better end.
    """
    import ctypes  # only ever needed here

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
