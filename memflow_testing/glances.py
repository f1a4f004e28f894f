"""The store of an environment, which is spared a look at its schedules: who skipped the time to one has looked already.

A test that skips a year of a daily schedule waits for each round trip, and this is one of four.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from memflow.store.postgres import PostgresStore
from memflow.store.schedule_serving import Look, look_of
from memflow.store.schedule_values import Served, Taker

GOOD_FOR_SECONDS = 0.05
"""How old a look may be. Enough to wake a worker; what is decided on an old one is fenced, as it is for a worker that is slow."""


class GlancingStore(PostgresStore):
    """As any store of Postgres."""

    _glance: tuple[float, Look] | None = None

    def leave(self, rows: Sequence[Any]) -> None:
        """What a look has just shown, for the worker that comes first."""
        self._glance = time.monotonic(), look_of(rows)

    async def serve_schedules(self, *, limit: int, taker: Taker | None = None, look: Look | None = None) -> Served:
        if self._glance is not None:
            (since, left), self._glance = self._glance, None
            if time.monotonic() - since < GOOD_FOR_SECONDS:
                look = left
        return await super().serve_schedules(limit=limit, taker=taker, look=look)
