"""What the code of an activity sees of the attempt that runs it. Public as functions of `activity`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memflow.temporal.converter import PayloadConverter
from memflow.temporal.metrics import MetricMeter
from memflow.worker.injection import ThreadCancel

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
        self._echoes: list[threading.Event] = []

    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._thread.is_set()

    def set(self) -> None:
        """Let everybody go who waits, now and later. From any thread."""
        self._thread.set()
        while self._waiters:
            loop, future = self._waiters.pop()
            loop.call_soon_threadsafe(_resolve, future)
        while self._echoes:
            with contextlib.suppress(OSError, EOFError):     # whoever shared it may have gone
                self._echoes.pop().set()

    def echo(self, event: threading.Event) -> None:
        """Have an event of other processes set with this one."""
        if self.is_set():
            event.set()
        else:
            self._echoes.append(event)

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
    raiser: ThreadCancel | None = None
    told: Callable[[], ActivityCancellationDetails | None] | None = None
    """Asks why it was cancelled, where nobody calls `cancel`."""

    def why(self) -> ActivityCancellationDetails | None:
        """Why it is to end; None while it is not."""
        return self.details if self.details is not None or self.told is None else self.told()

    def cancel(self, details: ActivityCancellationDetails) -> None:
        """Tell the activity that it is to end."""
        if self.details is None:
            self.details = details
        self.cancelled.set()


ATTEMPT: ContextVar[Attempt] = ContextVar("memflow_temporal_attempt")


def in_its_context(heartbeat: Callable[..., None]) -> Callable[..., None]:
    """The heartbeat in the context of the attempt, wherever it is called from."""
    context = contextvars.copy_context()

    def beat(*details: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the attempt has ended meanwhile
            context.copy().run(heartbeat, *details)

    return beat
