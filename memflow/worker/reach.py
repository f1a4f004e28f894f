"""How far back a claim looks. While somebody holds an old snapshot of the database (a dump, a report), Postgres keeps the index
entries of all runs that were claimed since, and a claim that begins at the oldest steps over each of them: 20 ms after 100,000.

So once such a look was slow and has found all there was, the next ones begin a second before it. What was due longer, and
shows only now since its transaction took that long, is found by the next look that begins at the very first again: those may
take a hundredth of the time. On a healthy database every look is one of those.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from memflow.worker.clock import DatabaseClock

MARGIN = timedelta(seconds=1)
"""Longer than most transactions, and than a run is left to the worker that has it in memory."""

SLOW_SECONDS = 0.005
"""A look at everything that took less may come again at once."""

SHARE = 100
"""One that took longer rests for this many times as long, so that at most a hundredth of the claims are slow."""

LONGEST_SECONDS = 5.0
"""At least this often everything is looked at."""


class Reach:
    """Since when the claims of one loop look, and when they look at everything again."""

    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock
        self._since: datetime | None = None
        self._everything_at = 0.0                        # by the loop's clock

    def since(self, seconds: float) -> datetime | None:
        """Where the look at `seconds`, a time of the loop's clock, begins; None: at the very first."""
        return None if seconds >= self._everything_at else self._since

    def looked(self, now: datetime, *, everything: bool, found_all: bool, began: float, ended: float) -> None:
        """A look was answered at `now`, by the database; it `began` and `ended` by the loop's clock."""
        if everything:
            took = ended - began
            self._everything_at = 0.0 if took < SLOW_SECONDS else ended + min(LONGEST_SECONDS, SHARE * took)
            if found_all:
                self._since = now - MARGIN

    def rest_until(self, due: datetime | None, seconds: float) -> datetime:
        """Until when to rest after a look that did not begin at the first: everything is to be looked at soon."""
        soon = self._clock.now() + timedelta(seconds=max(0.0, self._everything_at - seconds))
        return soon if due is None else min(due, soon)
