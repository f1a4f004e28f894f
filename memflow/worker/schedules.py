"""Serves the schedules of the namespace, whatever their task queues: any worker may, and of those that race one is served.

The store does the whole of it or nothing (`store/schedule_serving.py`), deciding by `firing.decide`. Here is only when to look:
when the next is due, when the doorbell rings (one was changed, or a run of one ended), and now and then in case it did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from memflow.store.base import Store
from memflow.store.schedule_values import Taker
from memflow.store.turns import Claim
from memflow.worker.bells import Bell
from memflow.worker.clock import DatabaseClock

BATCH = 100
"""Schedules in one transaction: each costs about a millisecond of it, and their rows are held that long."""

LOOK_SECONDS = 5.0
"""How often to look where doorbells are heard, in case one was not. Where none are, each poll looks."""

BUSY_SECONDS = 0.2
"""After finding something due but held by another worker."""


class Schedules:
    """One worker's part in serving schedules."""

    def __init__(
        self,
        store: Store,
        clock: DatabaseClock,
        bell: Bell,
        *,
        taker: Callable[[], Taker | None],
        take: Callable[[Sequence[Claim]], Awaitable[None]],
    ) -> None:
        """`taker` tells whether this worker would have what it starts, `take` gives it that."""
        self._store = store
        self._clock = clock
        self._bell = bell
        self._taker = taker
        self._take = take
        self._next: datetime | None = None

    async def step(self) -> None:
        """Look once, do what is to be done, and rest until there may be more."""
        self._bell.hush()
        served = await self._store.serve_schedules(limit=BATCH, taker=self._taker())
        self._clock.hear(served.now)
        self._next = served.next_look
        if served.claims:
            await self._take(served.claims)
        if not served.schedules and self._is_due():
            # Due, yet not ours: another worker holds it, and its commit may be a moment away.
            self._next = served.now + timedelta(seconds=BUSY_SECONDS)
        await self._rest()

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        # The clock is set by every reply that this worker gets, so time that jumps is noticed here without asking.
        while not self._is_due():
            await self._bell.rest(self._next)
            if self._bell.rung or not self._store.notifies or loop.time() - since >= LOOK_SECONDS:
                return

    def _is_due(self) -> bool:
        return self._next is not None and self._next <= self._clock.now()
