"""Activities in other processes: how they report heartbeats and hear that they are to end."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import inspect
import multiprocessing.managers
import queue
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from memflow.temporal.activity import Info
from memflow.temporal.attempt import ATTEMPT, Attempt, Flag, in_its_context
from memflow.temporal.converter import DataConverter


class SharedHeartbeatSender(ABC):
    """Sends heartbeats from the process of an activity. Can be pickled."""

    @abstractmethod
    def send_heartbeat(self, task_token: bytes, *details: Any) -> None:
        """Send one."""


class SharedStateManager(ABC):
    """What a worker and the processes of its activities share."""

    @staticmethod
    def create_from_multiprocessing(
        mgr: multiprocessing.managers.SyncManager, queue_poller_executor: concurrent.futures.Executor | None = None
    ) -> SharedStateManager:
        """One over a manager of `multiprocessing`."""
        return _Multiprocessing(mgr, queue_poller_executor)

    @abstractmethod
    def new_event(self) -> threading.Event:
        """An event that both sides see."""

    @abstractmethod
    async def register_heartbeater(self, task_token: bytes, heartbeat: Callable[..., None]) -> SharedHeartbeatSender:
        """Have `heartbeat` called for what is sent under that token."""

    @abstractmethod
    async def unregister_heartbeater(self, task_token: bytes) -> None:
        """The activity has ended. What was sent before is delivered first."""


class _Multiprocessing(SharedStateManager):
    def __init__(
        self, manager: multiprocessing.managers.SyncManager, executor: concurrent.futures.Executor | None
    ) -> None:
        self._manager = manager
        self._executor = executor or concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="memflow-heartbeats")
        self._beats: queue.Queue[tuple[bytes, tuple[Any, ...] | None]] = manager.Queue(1000)
        self._listeners: dict[bytes, Callable[..., None]] = {}
        self._ended: dict[bytes, asyncio.Future[None]] = {}
        self._reader: asyncio.Future[None] | None = None

    def new_event(self) -> threading.Event:
        return self._manager.Event()

    async def register_heartbeater(self, task_token: bytes, heartbeat: Callable[..., None]) -> SharedHeartbeatSender:
        loop = asyncio.get_running_loop()
        self._listeners[task_token] = heartbeat
        if self._reader is None or self._reader.done():
            self._reader = loop.run_in_executor(self._executor, self._read, loop)
        return _Sender(self._beats)

    async def unregister_heartbeater(self, task_token: bytes) -> None:
        loop = asyncio.get_running_loop()
        ended = self._ended[task_token] = loop.create_future()
        # Behind everything that the activity sent: when it comes out, nothing is left in the queue.
        await loop.run_in_executor(None, self._beats.put, (task_token, None))
        await ended

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                token, details = self._beats.get()
            except (EOFError, OSError):
                return
            if details is None:
                loop.call_soon_threadsafe(self._end, token)
                if len(self._listeners) <= 1:
                    return
            else:
                heartbeat = self._listeners.get(token)
                if heartbeat is not None:
                    loop.call_soon_threadsafe(heartbeat, *details)

    def _end(self, token: bytes) -> None:
        self._listeners.pop(token, None)
        ended = self._ended.pop(token, None)
        if ended is not None and not ended.done():
            ended.set_result(None)


@dataclass(frozen=True)
class _Sender(SharedHeartbeatSender):
    beats: queue.Queue[tuple[bytes, tuple[Any, ...] | None]]

    def send_heartbeat(self, task_token: bytes, *details: Any) -> None:
        self.beats.put((task_token, details), timeout=30)


class _SharedFlag(Flag):
    """An event of the manager, as a flag."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._thread = event


async def perform_in_process(
    shared: SharedStateManager,
    executor: concurrent.futures.Executor,
    fn: Callable[..., Any],
    args: Sequence[Any],
    attempt: Attempt,
    watch: Callable[[asyncio.Future[Any]], Awaitable[Any]],
    stopping: threading.Event,
) -> Any:
    """Run an activity in another process; `watch` waits for it. `stopping` is set when the worker is about to stop."""
    info = attempt.info()
    token = info.task_token or uuid.uuid4().bytes
    cancelled = shared.new_event()
    attempt.cancelled = _SharedFlag(cancelled)
    listen = attempt.heartbeat
    # Facts that cannot be pickled stay here; heartbeat details were values once.
    facts = dataclasses.replace(info, task_token=token)
    sender = await shared.register_heartbeater(token, in_its_context(listen))
    try:
        call = asyncio.get_running_loop().run_in_executor(executor, _run, fn, list(args), facts, sender, cancelled, stopping)
        return await watch(call)
    finally:
        await shared.unregister_heartbeater(token)


def _run(
    fn: Callable[..., Any],
    args: list[Any],
    facts: Info,
    sender: SharedHeartbeatSender,
    cancelled: threading.Event,
    stopping: threading.Event,
) -> Any:
    """The other process: the activity, with a context of its own."""
    ATTEMPT.set(
        Attempt(
            info=lambda: facts,
            heartbeat=lambda *details: sender.send_heartbeat(facts.task_token, *details),
            converter=DataConverter.default.payload_converter,
            is_async=False,
            cancelled=_SharedFlag(cancelled),
            shutdown=_SharedFlag(stopping),
            details=None,
        )
    )
    result = fn(*args)
    if inspect.isawaitable(result):
        raise TypeError("an async activity cannot run in another process")
    return result


