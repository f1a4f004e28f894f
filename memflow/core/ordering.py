"""asyncio keeps tasks and futures in sets, whose order depends on where objects lie in memory. Here that order repeats.

`asyncio.wait`, `as_completed` and `TaskGroup` walk such sets, and workflow code sees the order. So whatever a `TurnLoop`
makes has a hash that counts: the same in every process that replays the run. Two corners of asyncio need help beyond that:
`as_completed` puts bare coroutines into a set, and `gather` makes its future without asking the loop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from contextvars import Context
from types import FrameType
from typing import Any, ClassVar, Protocol, TypeGuard
from zlib import crc32


class Ordered(Protocol):
    """A loop that numbers what it makes."""

    counts_for_memflow: bool

    def next_order(self) -> int: ...


def first_order(run_id: str) -> int:
    """Where the counting of a run begins: far from other runs, as all tasks of a process share one `WeakSet`."""
    return crc32(run_id.encode("utf-8", "surrogatepass"))


class WorkflowTask(asyncio.Task[Any]):
    """A task whose hash is its number in the run, and which knows the context it runs in."""

    __slots__ = ("order", "ran_in")

    outlived: ClassVar[bool] = False
    """Whether what it waits for has rules of its own for the end of the run, so that nothing is dropped with the task."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        order: int,
        *,
        loop: asyncio.AbstractEventLoop,
        name: str,
        context: Context,
        **options: Any,
    ) -> None:
        self.order = order  # before asyncio registers the task in a set
        self.ran_in = context
        super().__init__(coroutine, loop=loop, name=name, context=context, **options)

    def __hash__(self) -> int:
        return self.order


class WorkflowFuture(asyncio.Future[Any]):
    """A future whose hash is its number in the run."""

    __slots__ = ("order",)

    def __init__(self, order: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self.order = order
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.order


def _counts(loop: Any) -> TypeGuard[Ordered]:
    return getattr(loop, "counts_for_memflow", False) is True


_plain_as_completed = asyncio.as_completed
_AS_COMPLETED_BODIES = {
    _plain_as_completed.__code__,
    *(getattr(asyncio.tasks, name).__init__.__code__ for name in ("_AsCompletedIterator",) if hasattr(asyncio.tasks, name)),
}


def _as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Any:
    """`asyncio.as_completed`; inside a workflow, coroutines become tasks in the order given, not in that of a set."""
    loop = asyncio._get_running_loop()
    if _counts(loop) and not asyncio.isfuture(fs) and not asyncio.iscoroutine(fs):
        fs = [asyncio.ensure_future(each) for each in dict.fromkeys(fs)]
    return _plain_as_completed(fs, timeout=timeout)


def called_by_plain_as_completed() -> bool:
    """Whether `create_task` was called by an `as_completed` that was imported by name before this module was."""
    # Not our own frame: a name for that would be a cycle, which keeps every frame below alive.
    caller = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    if not caller.f_code.co_name.endswith("ensure_future"):
        return False
    frame: FrameType | None = caller.f_back
    for _ in range(4):
        if frame is None:
            return False
        if frame.f_code in _AS_COMPLETED_BODIES:
            return True
        frame = frame.f_back
    return False


def _hash_of_gather(self: Any) -> int:
    loop = self.get_loop()
    if not _counts(loop):
        return object.__hash__(self)
    order: int | None = getattr(self, "memflow_order", None)
    if order is None:
        order = self.memflow_order = loop.next_order()
    return order


def _install() -> None:
    _as_completed.__name__ = _as_completed.__qualname__ = "as_completed"
    for module in (asyncio, asyncio.tasks):
        vars(module)["as_completed"] = _as_completed
    gathering: Any = getattr(asyncio.tasks, "_GatheringFuture", None)
    if gathering is not None:
        gathering.__hash__ = _hash_of_gather


_install()
