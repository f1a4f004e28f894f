"""`ActivityEnvironment`: runs one activity alone, with what it would see in a worker, and shows what it reported."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, cast, overload

from memflow.activity import Activity
from memflow.attempts import ActivityContext, CancellationDetails, Info, activity_context, idempotency_key
from memflow.codec import Codec, JsonCodec
from memflow.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")


def default_info() -> Info:
    """What `activity.info()` tells where a test says nothing else."""
    now = datetime.now(UTC)
    return Info(
        workflow_id="test",
        run_id="test-run",
        workflow="test",
        activity="test",
        activity_id="1",
        attempt=1,
        task_queue="test",
        namespace="default",
        idempotency_key=idempotency_key("default", "test", "test-run", 1),
        headers={},
        scheduled_at=now,
        started_at=now,
        deadline=None,
        heartbeat_timeout=None,
        heartbeat_details=(),
        is_local=False,
    )


class ActivityEnvironment:
    """Runs activities one at a time.

        env = ActivityEnvironment()
        env.on_heartbeat = lambda *details: env.cancel() if details == (3,) else None
        with pytest.raises(asyncio.CancelledError):
            await env.run(copy_pages, "book")
        assert env.heartbeats == [(1,), (2,), (3,)]

    Set `info`, `on_heartbeat` and `connection` before `run`. `info` takes the name of the activity by itself.
    """

    def __init__(self, *, info: Info | None = None, codec: Codec | None = None, connection: Any = None) -> None:
        self.info = info or default_info()
        self.on_heartbeat: Callable[..., Any] = lambda *details: None
        """Called with the details of each heartbeat, in the thread of the activity."""
        self.heartbeats: list[tuple[Any, ...]] = []
        """The details of each heartbeat so far."""
        self.connection = connection
        """What a transactional activity gets from `activity.connection()`."""
        self.cancellation_details: str | None = None
        self._codec = codec or JsonCodec()
        self._context: _Context | None = None
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def set(self, **facts: Any) -> None:
        """Change fields of `info`: `env.set(attempt=3, heartbeat_details=("page", 7))`.

        Raises:
            ConfigurationError: there is no such field; the message lists them.
        """
        known = [field.name for field in dataclasses.fields(Info)]
        for name in facts:
            if name not in known:
                raise ConfigurationError(f"activity.info() has no field {name!r}; it has {', '.join(known)}")
        self.info = dataclasses.replace(self.info, **facts)

    @property
    def is_cancelled(self) -> bool:
        """Whether the activity was asked to end."""
        return self._context is not None and self._context.cancelled

    def cancel(self, cancellation_details: str = "cancelled by the test") -> None:
        """Ask the running activity to end, as its workflow would: an async one is cancelled, a thread sees `is_cancelled()`."""
        self._stop(cancellation_details, CancellationDetails(cancel_requested=True))

    def worker_shutdown(self) -> None:
        """Ask the running activity to end, as a worker that stops does: `is_worker_shutdown()` is true from then on."""
        self._stop("the worker shuts down", CancellationDetails(worker_shutdown=True))

    @overload
    async def run(self, activity: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def run(self, activity: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def run(self, activity: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run an activity (decorated or not; a sync one in a thread) and return its result, or raise what it raises.

        Raises:
            ConfigurationError: one is running here already.
            PayloadError: a heartbeat's details cannot be stored.
        """
        if self._context is not None:
            raise ConfigurationError("this environment runs an activity already; make one ActivityEnvironment per run")
        function: Callable[..., Any] = cast("Activity[..., Any]", activity).fn if isinstance(activity, Activity) else activity
        if self.info.activity == "test":
            self.set(activity=cast("Any", activity).name if isinstance(activity, Activity) else function.__name__)
        self._loop = asyncio.get_running_loop()
        self._context = _Context(self, self._codec)
        self._context.connection = self.connection
        context = contextvars.copy_context()
        context.run(activity_context.set, self._context)
        try:
            if inspect.iscoroutinefunction(function):
                self._task = self._loop.create_task(function(*args, **kwargs), context=context)
                return await self._task
            with ThreadPoolExecutor(1, thread_name_prefix="memflow-activity") as thread:
                call = functools.partial(context.run, function, *args, **kwargs)
                return await self._loop.run_in_executor(thread, call)
        finally:
            self._context = self._task = None

    def _stop(self, text: str, details: CancellationDetails) -> None:
        context, loop = self._context, self._loop
        if context is None or loop is None:
            raise ConfigurationError("no activity runs in this environment now")
        self.cancellation_details = text
        context.details = details
        if details.worker_shutdown:
            context.shutdown = True
        context.cancelled = True
        task = self._task
        if task is not None:
            loop.call_soon_threadsafe(task.cancel, text)


class _Context(ActivityContext):
    def __init__(self, environment: ActivityEnvironment, codec: Codec) -> None:
        self._environment = environment
        self._codec = codec

    @property
    def info(self) -> Info:
        return self._environment.info

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        self._codec.encode(list(details))                # what could not be stored is refused here, too
        self._environment.heartbeats.append(details)
        self._environment.on_heartbeat(*details)
