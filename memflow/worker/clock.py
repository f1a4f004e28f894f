"""The database's time, between two answers of the database.

Only Postgres' clock counts, but asking it for every turn would cost a statement. A reply that carries `memflow.now()` is
at least as old as its arrival here, so counting on from the arrival never runs ahead: no timer fires early.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta


class DatabaseClock:
    """`now()` is at most the database's time, and close to it while replies keep coming."""

    __slots__ = ("_at", "_heard")

    def __init__(self, now: datetime) -> None:
        self._at = now
        self._heard = time.monotonic()

    def hear(self, now: datetime) -> None:
        """A reply said that it is at least `now`."""
        heard = time.monotonic()
        if now > self._at + timedelta(seconds=heard - self._heard) or now < self._at:
            # Later than we thought: catch up. Earlier than what it once said: its clock was set back, so follow it.
            self._at, self._heard = now, heard

    def now(self) -> datetime:
        """The database's time, never early."""
        return self._at + timedelta(seconds=time.monotonic() - self._heard)

    def seconds_until(self, instant: datetime) -> float:
        """Seconds from now to `instant`, 0 when it has passed."""
        return max(0.0, (instant - self.now()).total_seconds())
