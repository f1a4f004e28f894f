"""Open operations: whose answer wakes whom, and what happens when the one who waits is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Protocol

from memflow.core.arrivals import Answer, ChildCancelled, ChildCompleted, ChildFailed
from memflow.core.interrupts import Interrupt


class Host(Protocol):
    """What waiting needs of the replay."""

    @property
    def refusing(self) -> bool:
        """Whether the code is being unwound: nothing is asked any more."""
        ...

    def next_op(self) -> int: ...
    def ask(self, interrupt: Interrupt) -> None: ...
    def new_future(self) -> asyncio.Future[Any]: ...
    def is_open(self, op: int) -> bool: ...
    def forget(self, op: int) -> None: ...


class Answers:
    """Who waits for which op. An answer that comes before anybody waits is kept for who will."""

    __slots__ = ("_early", "_futures", "_host")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._futures: dict[int, list[asyncio.Future[Answer]]] = {}
        self._early: dict[int, list[Answer]] = {}

    def give(self, op: int, answer: Answer) -> None:
        """Wake all who wait for `op`, or keep the answer."""
        futures = self._futures.pop(op, None)
        if futures is None:
            self._early.setdefault(op, []).append(answer)
            return
        for future in futures:
            if not future.done():
                future.set_result(answer)

    def by_future(self) -> dict[int, int]:
        """For each future that waits here, by its id(), the op."""
        return {id(future): op for op, futures in self._futures.items() for future in futures}

    def clear(self) -> None:
        """Forget everybody; the run is over."""
        self._futures.clear()
        self._early.clear()

    async def wait(self, op: int, on_cancel: Callable[[], Interrupt | None] | None, wait: bool) -> Answer:
        """The answer to `op`. See `Replay.answer`."""
        host = self._host
        early = self._early.get(op)
        if early is not None:
            return self._take_early(op, early)
        future = self._expect(op)
        try:
            return await future
        except asyncio.CancelledError:
            if host.refusing:
                raise
            if future.done() and not future.cancelled():
                # The answer and the cancellation came in one turn, so there is nothing left to cancel.
                if wait:
                    _absorb()
                    return future.result()
                if isinstance(future.result(), ChildCompleted | ChildFailed | ChildCancelled):
                    self._early.setdefault(op, []).append(future.result())  # its handle may ask again
                raise
            self._leave(op, future)
            asked = None if on_cancel is None else on_cancel()
            if asked is not None:
                host.ask(asked)
            if not wait:
                host.forget(op)
                raise
            _absorb()
        return await self._insist(op)

    async def _insist(self, op: int) -> Answer:
        """Wait for the real answer, whatever cancels us: it was asked to end, and how it ends is what counts."""
        while True:
            future = self._expect(op)
            try:
                return await future
            except asyncio.CancelledError:
                if self._host.refusing:
                    raise
                _absorb()
                if future.done() and not future.cancelled():
                    return future.result()
                self._leave(op, future)

    def _expect(self, op: int) -> asyncio.Future[Answer]:
        host = self._host
        if not (host.is_open(op) or host.refusing):
            raise RuntimeError(f"op {op} has been answered already, or was never asked")
        future = host.new_future()
        waiting = self._futures.get(op)
        if waiting is None:
            self._futures[op] = [future]
        else:
            waiting.append(future)
        return future

    def _leave(self, op: int, future: asyncio.Future[Answer]) -> None:
        waiting = self._futures.get(op)
        if waiting is not None:
            waiting[:] = [each for each in waiting if each is not future]
            if not waiting:
                del self._futures[op]

    def _take_early(self, op: int, early: list[Answer]) -> Answer:
        answer = early.pop(0)
        if not early:
            del self._early[op]
        return answer


def _absorb() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


class Conditions:
    """Pending conditions, in the order they were registered."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: list[tuple[Callable[[], bool], asyncio.Future[None], Context]] = []

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, fn: Callable[[], bool], future: asyncio.Future[None]) -> None:
        """Let `future` end when `fn()` is true. `fn` runs in the caller's context."""
        self._pending.append((fn, future, copy_context()))

    def evaluate(self) -> bool:
        """Ask each condition once, resolve those that hold. Whether any did."""
        pending, self._pending = self._pending, []
        resolved = False
        for condition in pending:
            fn, future, context = condition
            if future.done():
                continue
            try:
                holds = context.run(fn)
            except Exception as error:
                future.set_exception(error)
                resolved = True
                continue
            if holds:
                future.set_result(None)
                resolved = True
            else:
                self._pending.append(condition)
        return resolved

    def ids(self) -> list[int]:
        """The id() of each pending condition's future."""
        return [id(future) for _, future, _ in self._pending]

    def clear(self) -> None:
        """Forget all; the run is over."""
        self._pending.clear()
