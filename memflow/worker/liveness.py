"""Says that this worker lives, and frees the runs of those that no longer do.

Time is liveness, the token is safety: whoever is wrongly taken for dead loses only work that is done again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from memflow.errors import DatabaseError
from memflow.store.base import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often the silent are looked for. A dead worker's session lock is free at once, so this bounds the takeover."""


class Liveness:
    """The heartbeat of one worker."""

    def __init__(
        self, store: Store, *, lease: timedelta, pulse: Callable[[], None], declared_dead: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._pulse = pulse
        self._lease = lease
        self._declared_dead = declared_dead

    async def beat(self, worker: Callable[[], int]) -> None:
        """Renew the lease three times per lease. A row that is gone means that others took us for dead."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                alive = await self._store.beat_worker(worker(), lease=self._lease)
            except DatabaseError:
                log.warning("heartbeat failed, trying again", exc_info=True, extra={"worker": worker()})
                continue
            self._pulse()
            if not alive:
                await self._declared_dead()

    async def look(self, worker: Callable[[], int]) -> None:
        """Free what silent workers hold."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * (0.75 + random.random() / 2))
            try:
                freed = await self._store.release_silent(worker())
            except DatabaseError:
                log.warning("cannot look for silent workers, trying again", exc_info=True)
                continue
            if freed:
                log.warning("freed the work of silent workers", extra={"freed": freed})
