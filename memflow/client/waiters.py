"""All who wait for a run's end, served by one query: woken by the doorbell `done`, with polling as the net."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence

from memflow.client.doorbell import Doorbell
from memflow.client.faults import may_pass
from memflow.errors import ConfigurationError
from memflow.store.base import Store
from memflow.store.values import Outcome

logger = logging.getLogger(__name__)

RUNS_PER_LOOK = 1000
"""Runs asked about in one query: about 1.5 ms of index look-ups. More would delay the ends already found."""

LOOKING_SHARE = 0.2
"""The part of the time spent asking while notices pour in. Of 10,000 waiters one sweep costs 15 ms, so it is repeated every
75 ms at most; a single waiter is asked for again after a millisecond."""

LONGEST_REST_SECONDS = 0.25

UNREACHABLE_SECONDS = 60.0
"""How long Postgres may be away before those who wait are told. Shorter absences (a restart, a failover) go unnoticed."""


class Waiters:
    """The runs somebody waits for. However many wait for one run, it is asked about once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bell = Doorbell(store, "done")
        self._waiting: dict[int, set[asyncio.Future[Outcome]]] = {}       # in the order they came: old runs tend to end first
        self._fresh: list[int] = []                                        # never asked about yet
        self._sweep: deque[int] = deque()                                  # still to be asked about since the last ring
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    async def outcome(self, run: int) -> Outcome:
        """Wait until this run has ended.

        Raises:
            DatabaseError: Postgres refused the question, or could not be reached for a minute.
        """
        if self._closed:
            raise ConfigurationError("the client is closed")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        futures = self._waiting.get(run)
        if futures is None:
            futures = self._waiting[run] = set()
            self._fresh.append(run)
            self._bell.nudge()
        futures.add(future)
        if self._pump is None:
            self._bell.open()
            self._pump = asyncio.create_task(self._run(), name="memflow waiters")
        try:
            return await future
        finally:
            self._leave(run, future)

    @property
    def runs(self) -> list[int]:
        """The runs that somebody waits for."""
        return list(self._waiting)

    def give_up(self, error: Exception) -> None:
        """Tell all who wait now that they wait in vain."""
        self._fail(error)

    async def close(self) -> None:
        """Stop waiting. Whoever still waits is told that the client is closed."""
        self._closed = True
        self._fail(ConfigurationError("the client was closed while it waited for a result"))
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        await self._bell.close()

    def _leave(self, run: int, future: asyncio.Future[Outcome]) -> None:
        futures = self._waiting.get(run)
        if futures is None:
            return
        futures.discard(future)
        if not futures:
            del self._waiting[run]

    async def _run(self) -> None:
        unreachable_since: float | None = None
        try:
            while self._waiting:
                try:
                    await self._round()
                    unreachable_since = None
                except Exception as error:  # not only ours: whatever broke, those who wait must not wait for ever
                    unreachable_since = unreachable_since or time.monotonic()
                    if not may_pass(error) or time.monotonic() - unreachable_since > UNREACHABLE_SECONDS:
                        self._fail(error)
                        return
                    logger.info("cannot ask for results, trying again", extra={"waiting": len(self._waiting)})
                    self._sweep.clear()
                    self._bell.ring()        # ask about everybody again, the newcomers of the lost question too
                    await asyncio.sleep(LONGEST_REST_SECONDS)
        finally:
            self._pump = None

    async def _round(self) -> None:
        """Look at the newcomers, and at the next part of everybody if it rang; with nobody to look at, wait for a ring."""
        newcomers, self._fresh = self._fresh[:RUNS_PER_LOOK], self._fresh[RUNS_PER_LOOK:]
        others = [self._sweep.popleft() for _ in range(min(RUNS_PER_LOOK - len(newcomers), len(self._sweep)))]
        asked = [run for run in (*newcomers, *others) if run in self._waiting]
        if asked:
            began = time.monotonic()
            await self._look(asked)
            took = time.monotonic() - began
            if others:
                await asyncio.sleep(min(took / LOOKING_SHARE - took, LONGEST_REST_SECONDS))
        elif not self._sweep and not self._fresh:
            await self._bell.wait()
            if self._bell.take():
                self._sweep.extend(self._waiting)

    async def _look(self, runs: Sequence[int]) -> None:
        for outcome in await self._store.outcomes(runs):
            self._bell.soon()
            for future in self._waiting.pop(outcome.run, ()):
                if not future.done():
                    future.set_result(outcome)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        self._fresh.clear()
        self._sweep.clear()
        for futures in waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)
