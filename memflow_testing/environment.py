"""`WorkflowEnvironment`: a client, workers and a clock for one test, with nothing shared and nothing left behind."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar
from uuid import uuid4
from weakref import WeakSet

from memflow.activity import Activity
from memflow.client.client import Client
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError, MemflowError
from memflow.store.base import Store
from memflow_testing.clients import EnvironmentClient
from memflow_testing.clock import Ground, SkippingClock
from memflow_testing.fakes import Fake, Replacement
from memflow_testing.grounds import ground
from memflow_testing.reports import Problems, report
from memflow_testing.waiting import ForgottenWarning, NeverEndsError, waiting_lines
from memflow_testing.watching import WatchedStore
from memflow_testing.workers import EnvironmentWorker

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

PATIENCE: Duration = "5 seconds"
"""How long (real time) nothing may happen before those who await results are told that they wait in vain."""


OPEN: WeakSet[WorkflowEnvironment] = WeakSet()
"""Environments that are not closed, for the report of a test that failed in one."""

LEFT: list[str] = []
"""What was to be said of environments that a failing test has left already."""


class WorkflowEnvironment:
    """Where a test runs workflows. Made by `start_time_skipping`, `start_local` or `from_client`; closed by `async with`.

        async with await WorkflowEnvironment.start_time_skipping() as env:
            async with env.worker(reminder_workflow, activities=[send_mail]):
                handle = await env.client.workflow.start(reminder_workflow, "ann", task_queue=env.task_queue)
                assert await handle.result() == "reminded after 30 days"
    """

    def __init__(
        self, client: EnvironmentClient, *, ground: Ground | None, watched: WatchedStore | None, patience: timedelta
    ) -> None:
        """Applications use `start_time_skipping` and its like."""
        self._client = client
        self._ground = ground
        self._watched = watched
        self._clients: list[EnvironmentClient] = [client]
        self._workers: list[EnvironmentWorker] = []
        self._make_worker: Callable[..., EnvironmentWorker] = EnvironmentWorker
        self._closed = False
        self.failed = False
        """Set by the pytest plugin when the test has failed."""
        self._loop = asyncio.get_running_loop()
        self.problems = Problems()
        OPEN.add(self)
        self.task_queue = f"test-{uuid4().hex[:8]}"
        self._clock: SkippingClock | None = None
        if ground is not None and ground.clockwork is not None and watched is not None:
            self._clock = SkippingClock(ground.clockwork, self, watched.came_back, patience=patience)
            self._clock.start()

    @classmethod
    async def start_time_skipping(
        cls,
        dsn: str | None = None,
        *,
        store: str | None = None,
        patience: Duration = PATIENCE,
        **options: Any,
    ) -> WorkflowEnvironment:
        """An environment whose time is skipped while the test awaits a result.

        `store` is `memory`, the default: nothing to install, and a start costs less than a millisecond; or `postgres`, as it
        is where a `dsn` is given. `postgres` without a `dsn` means $MEMFLOW_TEST_DSN, else the embedded Postgres of the
        project's tests (extra `dev`). `patience` is how long nothing may happen before an awaited result fails with what each run
        waits for. The other options are those of the client, as for `Client.connect`: `codec` and the like.

        Raises:
            ConfigurationError: there is no Postgres to be had, no such store, or a `dsn` for the one in memory.
            DatabaseError: Postgres cannot be reached or refuses.
        """
        return await cls._begin(await ground(store, dsn, skipping=True), patience=patience, **options)

    @classmethod
    async def start_local(cls, dsn: str | None = None, *, store: str | None = None, **options: Any) -> WorkflowEnvironment:
        """The same with real time: `sleep` takes as long as it says.

        Raises:
            ConfigurationError, DatabaseError: as `start_time_skipping`.
        """
        return await cls._begin(await ground(store, dsn, skipping=False), **options)

    @classmethod
    async def _begin(cls, place: Ground, **options: Any) -> WorkflowEnvironment:
        try:
            return cls.on(place, **options)
        except BaseException:
            await place.close()
            raise

    @classmethod
    def from_client(cls, client: Client) -> WorkflowEnvironment:
        """An environment over a client of yours, with real time. The client stays open."""
        return cls(EnvironmentClient(client.store, codec=client.codec), ground=None, watched=None, patience=timedelta())

    @classmethod
    def on(cls, place: Ground, *, patience: Duration = PATIENCE, **options: Any) -> Self:
        """An environment on any store that fits; see `clock.Ground`. It is closed with the environment."""
        term = to_timedelta(patience, what="patience")
        watched = WatchedStore(place.store)
        return cls(EnvironmentClient(watched.watched, **options), ground=place, watched=watched, patience=term)

    # ------------------------------------------------------------------------------------------------- for tests

    @property
    def client(self) -> EnvironmentClient:
        """The client of this environment."""
        return self._client

    @property
    def clock(self) -> SkippingClock:
        """The clock of this environment.

        Raises:
            ConfigurationError: time is real here.
        """
        if self._clock is None:
            raise ConfigurationError("time is real in this environment; start one with WorkflowEnvironment.start_time_skipping()")
        return self._clock

    @property
    def supports_time_skipping(self) -> bool:
        """Whether time can be moved here."""
        return self._clock is not None

    def worker(
        self,
        *workflows: Any,
        activities: Sequence[Any] = (),
        replace: Mapping[Activity[P, R], Fake[P, R]] | Sequence[Replacement] | None = None,
        task_queue: str | None = None,
        **options: Any,
    ) -> EnvironmentWorker:
        """A worker for `async with`. It serves `env.task_queue`, or the one given.

        `replace` has fakes run in place of activities: `replace={charge: fake_charge}`. A fake has the parameters and the
        result of its activity, and runs under its name and options. Type checkers hold one signature per dict; for several,
        `replace=[replacing(charge, fake_charge), replacing(ship, fake_ship)]`. The options are those of `Worker`.

        Raises:
            ConfigurationError: an option cannot work, what is to be replaced is not among `activities`, or a fake does not fit.
        """
        worker = self._make_worker(
            self._client,
            task_queue=task_queue or self.task_queue,
            workflows=workflows,
            activities=activities,
            replace=replace or {},
            calls=self._client.calls,
            **options,
        )
        self._workers.append(worker)
        return worker

    def include(self, made: EnvironmentClient | EnvironmentWorker) -> None:
        """Another client, or worker, on this environment's store: time skips for what it awaits, and stands for what it does."""
        if isinstance(made, EnvironmentClient):
            self._clients.append(made)
        else:
            self._workers.append(made)

    async def sleep(self, duration: Duration) -> None:
        """Let so much time pass; what falls due meanwhile happens in order and at its time. See `SkippingClock.sleep`."""
        if self._clock is None:
            await asyncio.sleep(to_timedelta(duration, what="sleep").total_seconds())
        else:
            await self._clock.sleep(duration)

    async def advance(self, duration: Duration | None = None, **units: float) -> datetime:
        """Jump forward at once: `advance("1 day")` or `advance(days=1)`. See `SkippingClock.advance`.

        Raises:
            ConfigurationError: backwards, or time is real here.
        """
        if (duration is None) == (not units):
            raise ConfigurationError('advance: give a duration such as "1 day", or units such as days=1')
        return await self.clock.advance(timedelta(**units) if duration is None else duration)

    async def get_current_time(self) -> datetime:
        """The time in this environment."""
        return await self._client.store.now()

    def auto_time_skipping_disabled(self) -> AbstractContextManager[None]:
        """Inside, awaiting a result skips no time."""
        return _nothing() if self._clock is None else self._clock.auto_time_skipping_disabled()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """For tests without `async`: run a coroutine in this environment's event loop, until it is done.

        Raises:
            RuntimeError: that loop is running, so that the test is async: await the coroutine.
        """
        return self._loop.run_until_complete(work)

    # ------------------------------------------------------------------------------------------------- for the clock

    def awaited_runs(self) -> list[int]:
        """The runs whose result is awaited."""
        return [run for client in self._clients for run in client.awaited_runs()]

    async def awaits_update(self) -> bool:
        """Whether the end of an update is awaited that has not come yet."""
        return any([await client.awaits_update() for client in self._clients])

    def busy(self) -> bool:
        """Whether a call is in flight or a worker has something in its hands."""
        return bool(self._watched and self._watched.in_flight) or any(worker.busy for worker in self._workers)

    def workers(self) -> list[int]:
        """The workers of this environment that run now."""
        return [id for worker in self._workers if (id := worker.id) is not None]

    def tell(self, now: datetime, due: Collection[str] | None = None) -> None:
        """Tell them that the clock was moved, and what has fallen due; None: nobody knows."""
        for worker in self._workers:
            worker.hear(now, due)

    async def give_up(self, why: str) -> Exception:
        """Fail those who await results, with what each open run waits for."""
        try:
            lines = await waiting_lines(self.store)
        except MemflowError as error:
            lines = f"  what runs wait for cannot be read: {error}"
        told = NeverEndsError(f"what is awaited will not come: {why}.\n{lines}")
        for client in self._clients:
            client.give_up(told)
        return told

    @property
    def store(self) -> Store:
        """The store of this environment."""
        return self._client.store

    @property
    def ground(self) -> Ground | None:
        """What it stands on; None: a client of yours."""
        return self._ground

    # ------------------------------------------------------------------------------------------------- life

    async def close(self) -> None:
        """Stop workers that still run, let go of everything, and warn of what was forgotten.

        Warns:
            ForgottenWarning: a worker was never entered, or never left; or a run is open whose result nobody awaited.
        """
        for each in await self._close():
            if not self.failed:                          # a test that failed half-way had no chance to look after anything
                warnings.warn(each, ForgottenWarning, stacklevel=2)

    async def _close(self) -> list[str]:
        if self._closed:
            return []
        self._closed = True
        OPEN.discard(self)
        forgotten = [words for worker in self._workers if (words := worker.forgotten()) is not None]
        try:
            if self._clock is not None:                  # first: what is handed back on the way out is nobody's to skip to
                await self._clock.close()
            for worker in self._workers:
                if worker.is_running:
                    await worker.shutdown()
            with suppress(ConfigurationError):           # the test has closed the client itself
                forgotten += await self._client.forgotten_runs()
        finally:
            for client in self._clients[1:]:
                await client.detach()
            if self._ground is None:
                await self._client.detach()
            else:
                await self._client.close()
                await self._ground.close()
            self.problems.close()
        return forgotten

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
            return
        if self._ground is not None and not self._closed:
            with suppress(Exception):                    # what the test failed with is what counts
                LEFT.append(await report(self.store, self.problems.lines, place=self._ground.place))
        with suppress(Exception):
            await self._close()


@contextmanager
def _nothing() -> Generator[None]:
    yield
