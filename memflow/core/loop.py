"""An asyncio event loop without IO: a queue of callbacks, and a clock that only turns move.

`gather`, `TaskGroup`, `timeout`, `wait_for` and the rest of asyncio work on it unchanged, and become durable: a callback
for later is a timer that the run asks for.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

from memflow.core.chain import continuation_in
from memflow.core.dialect import Sandbox
from memflow.core.noio import LoopWithoutIO
from memflow.core.ordering import WorkflowFuture, WorkflowTask, called_by_plain_as_completed, first_order
from memflow.core.places import calling_place, raised_at
from memflow.core.unwinding import Refusals
from memflow.duration import seconds_between
from memflow.errors import ConfigurationError, DeterminismError, ReadOnlyError

log = logging.getLogger(__name__)

Ts = TypeVarTuple("Ts")
T = TypeVar("T", bound=WorkflowTask)

LAST_YEAR = 9000  # Postgres goes further, Python's datetime to 9999; zones must still fit
_swap_task: Any = getattr(asyncio.tasks, "_swap_current_task", None)  # since 3.12
_ONE_TASK_PER_THREAD = sys.version_info >= (3, 14)
"""CPython 3.14 keeps the current task per thread, not per loop, and refuses to enter a second one."""


def _references_of_a_local() -> int:
    kept = [object()]
    held = kept.pop()
    return sys.getrefcount(held)


_REFERENCES_OF_A_LOCAL = _references_of_a_local()
"""What `sys.getrefcount` says of an object that nobody else holds; it differs between versions of CPython."""


class Host(Protocol):
    """What the loop needs of the replay."""

    now: datetime
    silent: bool

    def check_writable(self, wanted: str) -> None: ...
    def start_timer(self, timer: Timer, due: datetime) -> None: ...
    def cancel_timer(self, timer: Timer) -> None: ...
    def broke(self, error: BaseException) -> None: ...


class Callback(asyncio.Handle):
    """A call that is due. Leaner than asyncio's own, whose slots stay empty."""

    __slots__ = ("args", "callback", "context", "dropped")

    def __init__(self, callback: Callable[..., object], args: Sequence[Any], context: Context | None) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.dropped = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped

    def __repr__(self) -> str:
        return f"<Callback {self.callback!r}>"


class Timer(asyncio.TimerHandle):
    """A call for later. `op` is set when the run asked for a durable timer."""

    __slots__ = ("args", "callback", "context", "dropped", "host", "op")

    def __init__(
        self, when: float, callback: Callable[..., object], args: Sequence[Any], context: Context | None, host: Host
    ) -> None:
        self._when = when
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.dropped = False
        self.host = host
        self.op: int | None = None

    def cancel(self) -> None:
        if not self.dropped:
            self.dropped = True
            if self.op is not None:
                self.host.cancel_timer(self)

    def cancelled(self) -> bool:
        return self.dropped

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<Timer op={self.op} {self.callback!r}>"


class TurnLoop(LoopWithoutIO):
    """The loop of one run. It runs only inside a turn, on the thread that brings the turn."""

    counts_for_memflow = True
    sandbox: Sandbox | None = None

    def __init__(self, host: Host, run_id: str, context: Context) -> None:
        self.host = host
        self.tasks: dict[WorkflowTask, None] = {}
        self.failed: list[WorkflowTask] = []
        self.halted = False
        self.refusals = Refusals()
        self.began: datetime | None = None  # loop.time() counts from the first turn: small numbers keep microseconds exact
        self._ready: deque[Callback | Timer] = deque()
        self._context = context
        self._outside = Context()
        self._order = first_order(run_id)
        self._tasks_made = 0

    # ------------------------------------------------------------------------------------------------- turns

    def enter(self) -> tuple[Any, Any, Any]:
        """Become the running loop of this thread; what was is given back by `leave`."""
        outer = asyncio._get_running_loop()
        task: Any = None
        if _ONE_TASK_PER_THREAD and outer is not None:
            task = _swap_task(outer, None)
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(None, self._drop_generator)
        if self.sandbox is not None:
            self.sandbox.enter()
        return outer, task, hooks

    def leave(self, before: tuple[Any, Any, Any]) -> None:
        """Give the thread back to the loop and task that had it."""
        outer, task, hooks = before
        if self.sandbox is not None:
            self.sandbox.leave()
        sys.set_asyncgen_hooks(*hooks)
        asyncio._set_running_loop(outer)
        if task is not None:
            _swap_task(outer, task)

    def run_until_blocked(self) -> None:
        """Call back until nothing is due."""
        ready = self._ready
        handle: Callback | Timer | None = None
        while ready:
            handle = ready.popleft()
            if handle.dropped:
                continue
            try:
                handle.context.run(handle.callback, *handle.args)
            except Exception as error:
                self._callback_failed(error)
            except BaseException as error:  # SystemExit in workflow code ends the turn, not the worker
                self.host.broke(error)
        handle = None  # tracebacks keep this frame, and it would keep the last task

    def halt(self) -> None:
        """Nothing runs any more, neither what is due nor what comes."""
        self.halted = True
        self._ready.clear()

    def fire(self, timer: Timer) -> None:
        """A timer's time has come."""
        timer.op = None
        self._ready.append(timer)

    def next_order(self) -> int:
        """Number the next object that a set may hold."""
        self._order += 1
        return self._order

    # ------------------------------------------------------------------------------------------------- asyncio's questions

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Debug mode measures with the wall clock; a workflow has none."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        """Seconds since the run's first turn. Moves only between turns."""
        return 0.0 if self.began is None else seconds_between(self.began, self.host.now)

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Callback:
        handle = Callback(callback, args, context)
        if not self.halted:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        timer = Timer(self.time() + delay, callback, args, context, self.host)
        if delay > 0 or delay != delay:
            self.host.start_timer(timer, later(self.host.now, delay))
        elif not self.halted:
            self._ready.append(timer)
        return timer

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> Timer:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def create_future(self) -> WorkflowFuture:
        return WorkflowFuture(self.next_order(), loop=self)

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None, **options: Any
    ) -> WorkflowTask:
        try:
            self.host.check_writable("a task")
        except ReadOnlyError:
            coro.close()
            raise
        if self.halted:
            coro.close()
            self.refusals.refuse()
        if called_by_plain_as_completed():
            coro.close()
            raise DeterminismError(
                "as_completed of bare coroutines, imported by name before memflow,",
                instead="write asyncio.as_completed(...), or give it tasks",
                where=calling_place() or "an unknown line",
            )
        task: WorkflowTask = self._make_task(coro, name, copy_context() if context is None else context, options)
        task.add_done_callback(self._task_ended, context=self._outside)
        return task

    def start(
        self,
        coroutine: Coroutine[Any, Any, Any],
        context: Context,
        ended: Callable[[Any], None],
        *,
        name: str = "main",
        at_once: bool = False,
    ) -> WorkflowTask:
        """The run's main task, or one of a handler. `ended` is called outside the workflow's context.

        `at_once` lets it run before whatever else is due.
        """
        task: WorkflowTask = self._make_task(coroutine, name, context, {})
        if at_once:
            self._ready.appendleft(self._ready.pop())
        task.add_done_callback(ended, context=self._outside)
        return task

    def create_task_of(self, kind: type[T], coro: Coroutine[Any, Any, Any], name: str) -> T:
        """`create_task` with a class of task that can do more.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        if self.halted:
            coro.close()
            self.refusals.refuse()
        task: T = self._make_task(coro, name, copy_context(), {}, kind)
        task.add_done_callback(self._task_ended, context=self._outside)
        return task

    def _make_task(
        self, coro: Any, name: object, context: Context, options: dict[str, Any], kind: type[Any] = WorkflowTask
    ) -> Any:
        self._tasks_made += 1
        named = f"task-{self._tasks_made}" if name is None else str(name)
        task = kind(coro, self.next_order(), loop=self, name=named, context=context, **options)
        self.tasks[task] = None
        return task

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    # ------------------------------------------------------------------------------------------------- what goes wrong

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """asyncio found something amiss, often from a finalizer: say so, unless the run is being rebuilt or taken down."""
        if self.halted or self.host.silent:
            return
        error = context.get("exception")
        where = raised_at(error) if error is not None else None
        log.error("%s (at %s)", context.get("message"), where or "an unknown line", exc_info=error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def left_by_failed(self) -> BaseException | None:
        """The first error among failed tasks that nobody awaited by which the run continues as new."""
        for task in self.failed:
            error = task._exception if task._log_traceback else None
            if error is not None and continuation_in(error) is not None:
                return error
        return None

    def report_failed(self, *, all_of_them: bool) -> None:
        """Log the failures that nobody has looked at: of tasks that nobody can await any more, or of all.

        asyncio does so from a finalizer, at a moment that depends on the garbage collector.
        """
        kept: list[WorkflowTask] = []
        while self.failed:
            task = self.failed.pop()
            if not task._log_traceback:  # somebody has seen it
                continue
            if not all_of_them and sys.getrefcount(task) > _REFERENCES_OF_A_LOCAL:
                kept.append(task)
                continue
            error = task.exception()
            if error is not None and continuation_in(error) is None and not self.host.silent:
                log.error("task %r failed and nobody awaited it (at %s)", task.get_name(), raised_at(error), exc_info=error)
        self.failed.extend(reversed(kept))

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        assert isinstance(task, WorkflowTask)
        self.tasks.pop(task, None)
        if task.cancelled() or not task._log_traceback:
            return
        error: BaseException | None = task._exception  # exception() would count as looking
        if isinstance(error, Exception) or (error is not None and continuation_in(error) is not None):
            self.failed.append(task)
        elif error is not None:
            self.host.broke(error)

    def _callback_failed(self, error: Exception) -> None:
        if not self.host.silent:
            log.error("a callback failed (at %s)", raised_at(error), exc_info=error)

    def _drop_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """An asynchronous generator was left before its end: close it in the run's own time, as asyncio does."""
        if not self.halted:
            self.call_soon(self.create_task, generator.aclose(), context=self._context.copy())


def later(now: datetime, delay: float) -> datetime:
    """`now` plus `delay` seconds.

    Raises:
        ConfigurationError: not a number, or after the year 9000.
    """
    if delay != delay:
        raise ConfigurationError("a timer needs a number of seconds, not NaN")
    try:
        due = now + timedelta(seconds=delay)
    except OverflowError:
        due = None
    if due is None or due.year > LAST_YEAR:
        raise ConfigurationError(f"a timer of {delay:g} seconds would fire after the year {LAST_YEAR}; give it a shorter one")
    return due
