"""When a loop looks for work: a doorbell rang, something of ours falls due, or it is time to look anyway."""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import datetime, timedelta

from memflow.worker.clock import DatabaseClock


class Bell:
    """One loop's bell. A ring is a hint that may be lost, so nobody rests longer than the poll interval."""

    def __init__(self, clock: DatabaseClock, poll_interval: timedelta, *, leaps: bool = True) -> None:
        """`leaps`: it rings when the clock has leapt, since what its loop looks for falls due."""
        self._clock = clock
        self._poll_seconds = poll_interval.total_seconds()
        self._rung = asyncio.Event()
        if leaps:
            clock.on_leap(self._rung.set)

    def ring(self) -> None:
        """There may be something to look at."""
        self._rung.set()

    def ring_at(self, due: datetime) -> None:
        """Ring when `due` comes, if that is before the next look. What lies further ahead, the next look tells."""
        seconds = self._clock.seconds_until(due)
        if seconds < self._poll_seconds * 1.2:
            asyncio.get_running_loop().call_later(seconds, self._rung.set)

    @property
    def rung(self) -> bool:
        """Whether it has rung since it was hushed."""
        return self._rung.is_set()

    def hush(self) -> bool:
        """Before looking: what rings from now on counts again. Says whether it had rung."""
        rung = self._rung.is_set()
        self._rung.clear()
        return rung

    async def heard(self) -> None:
        """Until it rings."""
        await self._rung.wait()

    async def rest(self, due: datetime | None = None) -> None:
        """Until it rings, `due` comes, or it is time to look anyway."""
        if self._rung.is_set():
            return
        # A little jitter: workers that started together should not look together for ever.
        seconds = self._poll_seconds * (0.9 + random.random() / 5)
        if due is not None:
            seconds = min(seconds, self._clock.seconds_until(due))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
