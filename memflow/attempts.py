"""What the code of an activity sees of the attempt that runs it. Public as functions of `activity`."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from memflow.attempt_info import CancellationDetails as CancellationDetails
from memflow.attempt_info import Info as Info
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, NotInActivityError
from memflow.interceptors import ActivityOutbound

if TYPE_CHECKING:
    import asyncio


class Flag:
    """Raised once, from any thread; awaited by coroutines, waited for by threads."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    @property
    def raised(self) -> bool:
        """Whether it is."""
        return self._event.is_set()

    def raise_it(self) -> None:
        """From now on it is."""
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            loop.call_soon_threadsafe(_resolve, future)

    async def wait(self) -> None:
        """Until it is raised."""
        import asyncio  # here: who writes workflows alone need not load it

        loop = asyncio.get_running_loop()
        with self._lock:
            if self._event.is_set():
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
        await future

    def wait_in_thread(self, seconds: float | None) -> bool:
        """Until it is raised, at most for `seconds`. Whether it is."""
        return self._event.wait(seconds)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_making_flags = threading.Lock()


class ActivityContext(ABC):
    """The side of the worker: one per attempt, seen through `activity_context`. Subclassed by the worker and by tests."""

    connection: Any = None
    """The connection of the transaction, for a transactional activity."""

    outbound: ActivityOutbound | None = None
    """What `info` and `heartbeat` go through, where there are interceptors."""

    client: Any = None
    """The client of the worker."""

    details: CancellationDetails | None = None
    """Why it is asked to end."""

    may_open: bool = True
    """Whether it can be completed from outside."""

    asked: bool = False
    """Whether its code looks by itself whether it is asked to end; then no exception is put into its thread."""

    _cancel_flag: Flag | None = None
    _shutdown_flag: Flag | None = None
    _cancelled: bool = False
    _shut_down: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether the workflow, a timeout or a shutdown asks this attempt to end."""
        return self._cancelled

    @cancelled.setter
    def cancelled(self, value: bool) -> None:
        with _making_flags:
            self._cancelled = value
            flag = self._cancel_flag
        if value and flag is not None:
            flag.raise_it()

    @property
    def shutdown(self) -> bool:
        """Whether the worker is about to stop."""
        return self._shut_down

    @shutdown.setter
    def shutdown(self, value: bool) -> None:
        with _making_flags:
            self._shut_down = value
            flag = self._shutdown_flag
        if value and flag is not None:
            flag.raise_it()

    def cancel_flag(self) -> Flag:
        """What those wait on who wait to be cancelled. Made when first asked for: most attempts never are."""
        with _making_flags:
            if self._cancel_flag is None:
                self._cancel_flag = Flag()
                if self._cancelled:
                    self._cancel_flag.raise_it()
            return self._cancel_flag

    def shutdown_flag(self) -> Flag:
        """The same for the worker's stop."""
        with _making_flags:
            if self._shutdown_flag is None:
                self._shutdown_flag = Flag()
                if self._shut_down:
                    self._shutdown_flag.raise_it()
            return self._shutdown_flag

    @property
    @abstractmethod
    def info(self) -> Info:
        """The facts of this attempt."""

    @abstractmethod
    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """Report life. May be called from any thread."""

    def shield(self) -> AbstractContextManager[None]:
        """Keeps the cancellation out of the thread for as long as it is entered."""
        return nullcontext()


class CompleteAsync(BaseException):
    """Leaves the code of an attempt that is completed from outside. Raised by `raise_complete_async`, caught by the worker."""


activity_context: ContextVar[ActivityContext] = ContextVar("memflow_activity")


def idempotency_key(namespace: str, workflow_id: str, run_id: str, op: int) -> str:
    """One key for all attempts of one operation of one run."""
    return f"{namespace}/{workflow_id}/{run_id}/{op}"


def in_activity() -> bool:
    """Whether an activity runs here. True also in the thread of a sync one."""
    return activity_context.get(None) is not None


def info() -> Info:
    """The facts of the attempt that runs here.

    Raises:
        NotInActivityError: none does.
    """
    current = _current("info")
    return current.info if current.outbound is None else current.outbound.info()


def heartbeat(*details: Any) -> None:
    """Say that this attempt is alive, and keep `details` (plain JSON values) for the next one. Cheap; call it often.

    It is also how an attempt with a `heartbeat_timeout` avoids it.

    Raises:
        NotInActivityError: no activity runs here.
        PayloadError: `details` cannot be stored.
    """
    current = _current("heartbeat")
    if current.outbound is None:
        current.heartbeat(details)
    else:
        current.outbound.heartbeat(*details)


def is_cancelled() -> bool:
    """Whether this attempt is asked to end.

    An async activity is also cancelled, and a thread has `CancelledError` raised in it, unless it has looked here before:
    code that looks is left to end by itself.

    Raises:
        NotInActivityError: no activity runs here.
    """
    current = _current("is_cancelled")
    current.asked = True
    return current.cancelled


def cancellation_details() -> CancellationDetails | None:
    """Why this attempt is asked to end; None while it is not.

    Raises:
        NotInActivityError: no activity runs here.
    """
    return _current("cancellation_details").details


async def wait_for_cancelled() -> None:
    """Until this attempt is asked to end. An async activity that waits here is cancelled as well: shield what must go on.

    Raises:
        NotInActivityError: no activity runs here.
    """
    await _current("wait_for_cancelled").cancel_flag().wait()


def wait_for_cancelled_sync(timeout: Duration | None = None) -> None:
    """The same in a thread, for at most `timeout` (timedelta, text or seconds). Look at `is_cancelled()` afterwards.

    Raises:
        NotInActivityError: no activity runs here.
    """
    current = _current("wait_for_cancelled_sync")
    current.asked = True
    current.cancel_flag().wait_in_thread(_seconds(timeout))


def is_worker_shutdown() -> bool:
    """Whether the worker is about to stop. Activities may go on for its `graceful_shutdown_timeout`, then they are cancelled.

    Raises:
        NotInActivityError: no activity runs here.
    """
    return _current("is_worker_shutdown").shutdown


async def wait_for_worker_shutdown() -> None:
    """Until the worker is about to stop.

    Raises:
        NotInActivityError: no activity runs here.
    """
    await _current("wait_for_worker_shutdown").shutdown_flag().wait()


def wait_for_worker_shutdown_sync(timeout: Duration | None = None) -> None:
    """The same in a thread, for at most `timeout`. Look at `is_worker_shutdown()` afterwards.

    Raises:
        NotInActivityError: no activity runs here.
    """
    _current("wait_for_worker_shutdown_sync").shutdown_flag().wait_in_thread(_seconds(timeout))


def shield_thread_cancel_exception() -> AbstractContextManager[None]:
    """`with` it, no `CancelledError` is raised in the thread of a sync activity; one that came meanwhile is raised at its end.

    Raises:
        NotInActivityError: no activity runs here.
    """
    return _current("shield_thread_cancel_exception").shield()


def raise_complete_async() -> NoReturn:
    """End this function, but not the attempt: somebody outside completes it, by `client.get_activity_handle(...)`.

    Hand `info().task_token`, or the ids of workflow and activity, to whoever will. The timeouts go on: an attempt that is not
    completed by then is tried again by its policy. It outlives its worker.

    Raises:
        NotInActivityError: no activity runs here.
        ConfigurationError: the activity is transactional or local, and so ends with its function.
    """
    current = _current("raise_complete_async")
    if current.connection is not None:
        raise ConfigurationError("activity.raise_complete_async(): a transactional activity ends with its transaction")
    if not current.may_open:
        raise ConfigurationError(
            "activity.raise_complete_async(): a local activity ends in its worker; call it by workflow.execute_activity instead"
        )
    raise CompleteAsync


def client() -> Any:
    """The client of the worker that runs this activity.

    Raises:
        NotInActivityError: no activity runs here.
        ConfigurationError: there is none, as in a unit test.
    """
    found = _current("client").client
    if found is None:
        raise ConfigurationError("activity.client(): this activity is run without a client")
    return found


def _seconds(timeout: Duration | None) -> float | None:
    return None if timeout is None else to_timedelta(timeout, what="timeout").total_seconds()


def connection() -> Any:
    """The `asyncpg.Connection` of a transactional activity, inside its transaction. It is only lent: do not close it.

    Any to type checkers, since asyncpg comes without types.

    Raises:
        NotInActivityError: no activity runs here.
        ConfigurationError: the activity is not transactional.
    """
    lent = _current("connection").connection
    if lent is None:
        raise ConfigurationError("activity.connection(): this activity has none; declare it @activity.defn(transactional=True)")
    return lent


def _current(verb: str) -> ActivityContext:
    current = activity_context.get(None)
    if current is None:
        raise NotInActivityError(f"activity.{verb}() is for the code of an activity while a worker runs it")
    return current


class _ActivityLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the ids of the running activity to `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        current = activity_context.get(None)
        if current is not None:
            facts = current.info
            ids = {
                "workflow_id": facts.workflow_id,
                "run_id": facts.run_id,
                "activity": facts.activity,
                "attempt": facts.attempt,
            }
            kwargs["extra"] = {**ids, **(kwargs.get("extra") or {})}
        return msg, kwargs


logger = _ActivityLogger(logging.getLogger("memflow.activity"), {})
"""A logger whose records carry the ids of the running activity."""
