"""Where a process learns the time. What is due in a run is told by Postgres' clock alone, `memflow.now()`."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time that a test can hold in its hand."""

    def now(self) -> datetime:
        """This moment, aware, in UTC."""
        ...

    async def wait_until(self, instant: datetime) -> None:
        """Return when `instant` has come, at once if it has passed."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait_until(self, instant: datetime) -> None:
        seconds = (instant - self.now()).total_seconds()
        await asyncio.sleep(max(0.0, seconds))
        if self.now() < instant:                 # the wall clock was set back while we waited
            await self.wait_until(instant)
