"""What the code of an activity sees of the attempt that runs it. Public as functions of `activity`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memflow.temporal.converter import PayloadConverter
from memflow.temporal.exceptions import CancelledError
from memflow.temporal.metrics import MetricMeter

if TYPE_CHECKING:
    from memflow.temporal.activity import Info
    from memflow.temporal.client import Client


@dataclass(frozen=True)
class ActivityCancellationDetails:
    """Why an activity was cancelled."""

    not_found: bool = False
    cancel_requested: bool = False
    paused: bool = False
    reset: bool = False
    timed_out: bool = False
    worker_shutdown: bool = False


class Flag:
    """An event for tasks and threads alike."""

    def __init__(self) -> None:
        self._thread = threading.Event()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._thread.is_set()

    def set(self) -> None:
        """Let everybody go who waits, now and later. From any thread."""
        self._thread.set()
        while self._waiters:
            loop, future = self._waiters.pop()
            loop.call_soon_threadsafe(_resolve, future)

    async def wait(self) -> None:
        """Wait in a task."""
        if self._thread.is_set():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiters.append((loop, future))
        await future

    def wait_sync(self, seconds: float | None) -> bool:
        """Wait in a thread, at most so long. Whether it has been set."""
        return self._thread.wait(seconds)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ThreadRaiser:
    """Raises `CancelledError` in the thread that runs an activity, unless it is shielded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._shields = 0
        self._pending = False

    def run(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn`; while it runs, `cancel` reaches it."""
        with self._lock:
            self._thread = threading.get_ident()
        try:
            return fn(*args)
        finally:
            with self._lock:
                self._thread = None

    def cancel(self) -> None:
        """Raise it now, or when the last shield ends."""
        with self._lock:
            if self._thread is None:
                return
            if self._shields:
                self._pending = True
            else:
                self._raise(self._thread)

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Nothing is raised inside."""
        with self._lock:
            self._shields += 1
        try:
            yield
        finally:
            with self._lock:
                self._shields -= 1
                due = self._pending and not self._shields
                self._pending = self._pending and not due
            if due:
                raise CancelledError

    def _raise(self, thread: int) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(CancelledError))


@dataclass(eq=False)
class Attempt:
    """One attempt of an activity, as its code sees it."""

    info: Callable[[], Info]
    heartbeat: Callable[..., None]
    converter: PayloadConverter
    meter: MetricMeter = MetricMeter.noop
    is_async: bool = True
    client: Client | None = None
    cancelled: Flag = field(default_factory=Flag)
    shutdown: Flag = field(default_factory=Flag)
    details: ActivityCancellationDetails | None = None
    raiser: ThreadRaiser | None = None

    def cancel(self, details: ActivityCancellationDetails) -> None:
        """Tell the activity that it is to end."""
        if self.details is None:
            self.details = details
        self.cancelled.set()


ATTEMPT: ContextVar[Attempt] = ContextVar("memflow_temporal_attempt")
