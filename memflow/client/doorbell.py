"""Waiting for something to look at: a notice from Postgres if notices arrive, polling as the net below.

A notice is a hint: lost, blocked or unavailable, everything still works, only later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from memflow.client.faults import may_pass
from memflow.errors import DatabaseError
from memflow.store.base import Store

logger = logging.getLogger(__name__)

NET_SECONDS = 2.0
"""How often to look although no notice came, while notices arrive. It bounds the delay of a lost one."""

FIRST_POLL_SECONDS = 0.05
LAST_POLL_SECONDS = 1.0
POLL_GROWTH = 1.5
"""Without notices: look soon, then ever later. 1 s is one cheap query a second for a client that waits for days."""

LISTEN_AGAIN_SECONDS = 5.0
"""When Postgres could not be reached for listening."""


class Doorbell:
    """One ear of the store, for one who waits."""

    def __init__(self, store: Store, ear: str) -> None:
        self._store = store
        self._ear = ear
        self._wake = asyncio.Event()
        self._due = False
        self._listening: asyncio.Task[None] | None = None
        self._stop: Callable[[], None] | None = None
        self._poll_seconds = FIRST_POLL_SECONDS

    def open(self) -> None:
        """Begin to listen, in the background: the store's first test of notices may take a second."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name=f"memflow listens for {self._ear}")

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None
        if self._stop is not None:
            self._stop()
            self._stop = None

    def ring(self) -> None:
        """There may be something new to look at."""
        self._due = True
        self._wake.set()

    def nudge(self) -> None:
        """Return from `wait` without a reason to look: the one who waits has something else to do."""
        self._wake.set()

    def take(self) -> bool:
        """Whether a look is due since the last time. Take it before looking, so that what rings meanwhile counts again."""
        due, self._due = self._due, False
        return due

    def soon(self) -> None:
        """Something just happened, so more may follow: poll eagerly again."""
        self._poll_seconds = FIRST_POLL_SECONDS

    async def wait(self) -> None:
        """Return when it rings, when it is nudged, or when it is time to look anyway."""
        heard = self._stop is not None and self._store.notifies
        try:
            async with asyncio.timeout(NET_SECONDS if heard else self._poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._due = True
            self._poll_seconds = min(self._poll_seconds * POLL_GROWTH, LAST_POLL_SECONDS)
        self._wake.clear()

    async def _listen(self) -> None:
        while True:
            try:
                self._stop = await self._store.listen(self._ear, self.ring)
            except DatabaseError as error:
                if not may_pass(error):
                    logger.warning("cannot listen for notices, polling instead", exc_info=error, extra={"ear": self._ear})
                    return
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)
            else:
                self.ring()          # what happened before we listened rang nobody
                return
