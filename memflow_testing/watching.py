"""A store that is watched: which calls are in flight, and when one has come back.

While a call is in flight something is under way that the database may not know of yet, so time must not be skipped.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, cast

from memflow.store.base import Store

UNWATCHED = frozenset({"now", "twin", "close", "listen", "migrate", "check_schema", "beat_worker", "release_silent", "prune"})
"""Calls that move nothing, or that come by the wall clock."""


class WatchedStore:
    """Any store, call by call the same."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.in_flight = 0
        self.came_back = asyncio.Event()

    @property
    def watched(self) -> Store:
        """This object, as what it stands for."""
        return cast("Store", self)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in UNWATCHED or not inspect.iscoroutinefunction(found):
            return found
        call = self._watch(found)
        setattr(self, name, call)
        return call

    def _watch(self, found: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self.in_flight += 1
            try:
                return await found(*arguments, **options)
            finally:
                self.in_flight -= 1
                self.came_back.set()

        return call
