"""Worker: what a person writes to have workflows and activities run in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any, Self

from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.interceptors import WorkerInterceptor
from memflow.names import check_name
from memflow.options import VersioningBehavior, versioning_of
from memflow.worker.engine import Connected, Engine, Settings, TraceSink
from memflow.worker.registry import Registry

TRACE_SINKS = "memflow.trace_sinks"
"""Entry-point group of callables that receive what `workflow.trace` sends."""


class Worker:
    """Runs workflows and activities of one task queue.

    `workflows` lists decorated functions, classes or modules that hold some; `activities` decorated functions, instances
    with decorated methods, or modules; `hooks` async functions that may be started in its runs by name, as its workflow
    functions may. `lease` is how long this worker may be silent before others take over its work.
    `poll_interval` is how often it looks when no doorbell rings. `graceful_shutdown_timeout` is how long running
    activities may go on when it stops; what is not done by then is handed back and runs again elsewhere.
    Durations are timedelta, text or seconds. `interceptors` come behind those of the client that are worker interceptors too.

    With a `version` (or `build_id`) the runs that it begins stay with workers of that version, unless they are declared with
    `versioning_behavior="auto_upgrade"` or `default_versioning` says so. New runs go to the newest version that lives on the
    queue.

    Raises:
        ConfigurationError: an option or a listed thing cannot work.
    """

    def __init__(
        self,
        client: Connected,
        *,
        task_queue: str = "default",
        workflows: Sequence[Any] = (),
        activities: Sequence[Any] = (),
        hooks: Sequence[Any] = (),
        max_concurrent_activities: int = 100,
        max_concurrent_local_activities: int = 100,
        max_concurrent_workflows: int = 2000,
        max_cached_workflows: int = 1000,
        max_activities_per_second: float | None = None,
        activity_executor: Executor | None = None,
        graceful_shutdown_timeout: Duration = 5,
        version: str | None = None,
        build_id: str | None = None,
        default_versioning: VersioningBehavior | str = VersioningBehavior.PINNED,
        identity: str | None = None,
        lease: Duration = "10 seconds",
        poll_interval: Duration = 1,
        on_fatal_error: Callable[[BaseException], None] | None = None,
        trace_sinks: Sequence[TraceSink] | None = None,
        interceptors: Sequence[WorkerInterceptor] = (),
    ) -> None:
        self._client = client
        self._registry = Registry(workflows, activities, hooks)
        around = _interceptors(client, interceptors)
        if around:
            self._registry.intercept(around)
        if not self._registry.workflows and not self._registry.has_activities:
            raise ConfigurationError("this worker has nothing to run: list workflows=[...] or activities=[...]")
        for name, count, least in (
            ("max_concurrent_activities", max_concurrent_activities, 1),
            ("max_concurrent_local_activities", max_concurrent_local_activities, 1),
            ("max_concurrent_workflows", max_concurrent_workflows, 1),
            ("max_cached_workflows", max_cached_workflows, 0),
        ):
            if count < least:
                raise ConfigurationError(f"{name}={count} cannot work; give at least {least}")
        rate = max_activities_per_second
        if rate is not None and not rate > 0:
            raise ConfigurationError(f"max_activities_per_second={rate} cannot work; give more than 0, or None")
        if version is not None and build_id is not None and version != build_id:
            raise ConfigurationError(f"version={version!r} and build_id={build_id!r} are two names of one thing; give one")
        code_version = build_id if version is None else version
        term = to_timedelta(lease)
        if term.total_seconds() < 0.5:
            raise ConfigurationError(f"lease={lease!r} cannot work; give at least 0.5 seconds")
        poll = to_timedelta(poll_interval)
        if poll.total_seconds() < 0.001:
            raise ConfigurationError(f"poll_interval={poll_interval!r} cannot work; give at least 1 millisecond")
        self._own_executor = None if activity_executor is not None else ThreadPoolExecutor(
            max_workers=max_concurrent_activities + max_concurrent_local_activities, thread_name_prefix="memflow-activity"
        )
        executor = activity_executor or self._own_executor
        assert executor is not None
        self._settings = Settings(
            task_queue=check_name(task_queue, what="task queue"),
            max_concurrent_activities=max_concurrent_activities,
            max_concurrent_local_activities=max_concurrent_local_activities,
            max_concurrent_workflows=max_concurrent_workflows,
            max_cached_workflows=max_cached_workflows,
            max_activities_per_second=max_activities_per_second,
            graceful_shutdown_timeout=to_timedelta(graceful_shutdown_timeout),
            lease=term,
            poll_interval=poll,
            identity=identity or f"{os.getpid()}@{socket.gethostname()}",
            version=None if code_version is None else check_name(code_version, what="version"),
            pins=versioning_of(default_versioning, what="default_versioning") is VersioningBehavior.PINNED,
            executor=executor,
            trace_sinks=tuple(trace_sinks) if trace_sinks is not None else _installed_sinks(),
            interceptors=around,
        )
        self._on_fatal_error = on_fatal_error
        self._engine: Engine | None = None
        self._main: asyncio.Task[None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._stop = asyncio.Event()
        self._fatal: BaseException | None = None

    @property
    def task_queue(self) -> str:
        """The queue this worker serves."""
        return self._settings.task_queue

    @property
    def is_running(self) -> bool:
        """Whether it takes work now."""
        return self._main is not None and not self._main.done()

    async def run(self) -> None:
        """Work until cancelled, until `shutdown()`, or until SIGTERM; then drain and return.

        Raises:
            Exception: what no retry can mend, after `on_fatal_error` has seen it.
        """
        async with self:
            self._body = None                            # nobody to interrupt: this task waits for nothing else
            on_term = _OnTerm(self._stop)
            try:
                stopped = asyncio.ensure_future(self._stop.wait())
                assert self._main is not None
                await asyncio.wait({stopped, self._main}, return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
            finally:
                on_term.close()

    async def shutdown(self) -> None:
        """Stop taking work, drain, hand back. Returns when nothing of this worker is left."""
        self._stop.set()
        main, engine = self._main, self._engine
        if main is None or engine is None:
            return
        self._main = self._engine = None
        try:
            if not main.done():
                await engine.drain()
        finally:
            main.cancel()
            await asyncio.wait({main})
            engine.close()
            if self._own_executor is not None:
                self._own_executor.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        if self._engine is not None:
            raise ConfigurationError("this worker runs already; make one Worker per run")
        self._stop.clear()
        engine = Engine(self._client, self._registry, self._settings)
        await engine.start()
        self._engine = engine
        self._body = asyncio.current_task()
        self._main = asyncio.create_task(engine.live(), name=f"memflow worker {self.task_queue}")
        self._main.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._body = None
        # A caller that cancels us still gets an orderly end: what is half-done is written or handed back.
        await asyncio.shield(asyncio.ensure_future(self.shutdown()))
        if self._fatal is not None:
            raise self._fatal

    def _ended(self, main: asyncio.Task[None]) -> None:
        if main.cancelled() or main.exception() is None:
            return
        self._fatal = error = _only_member(main.exception())
        self._stop.set()
        if self._on_fatal_error is not None and error is not None:
            self._on_fatal_error(error)
        if self._body is not None:
            self._body.cancel()                          # the body of `async with` must not wait for a dead worker


def _only_member(error: BaseException | None) -> BaseException | None:
    """What a task group wraps, when it is one error."""
    members: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _only_member(members[0]) if len(members) == 1 else error


class _OnTerm:
    """One SIGTERM handler for all workers of a process: the first signal drains them, a second one kills as usual."""

    _stops: set[asyncio.Event] = set()                   # noqa: RUF012 - shared on purpose

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._armed = threading.current_thread() is threading.main_thread() and os.name == "posix"
        if self._armed:
            if not self._stops:
                self._loop.add_signal_handler(signal.SIGTERM, self._term)
            self._stops.add(stop)

    def _term(self) -> None:
        for stop in list(self._stops):
            stop.set()
        self._loop.remove_signal_handler(signal.SIGTERM)

    def close(self) -> None:
        if self._armed:
            self._stops.discard(self._stop)
            if not self._stops:
                self._loop.remove_signal_handler(signal.SIGTERM)


def _interceptors(client: Connected, given: Sequence[object]) -> tuple[WorkerInterceptor, ...]:
    for each in given:
        if not isinstance(each, WorkerInterceptor):
            raise ConfigurationError(
                f"interceptors: {each!r} is no WorkerInterceptor; give instances of a class derived from"
                " memflow.interceptors.Interceptor or WorkerInterceptor"
            )
    of_client = getattr(client, "interceptors", ())
    return tuple(each for each in (*of_client, *given) if isinstance(each, WorkerInterceptor))


def _installed_sinks() -> tuple[TraceSink, ...]:
    return tuple(found.load() for found in entry_points(group=TRACE_SINKS))
