"""Keeps the lease while code blocks the event loop: `time.sleep` in an async activity must not cost a worker all it holds.

A thread of its own looks whether the loop still renews the lease. If not, it says in the log where the loop is held up, and
renews from a connection of its own, for a while. A process that is frozen as a whole is silent here, too, as it should be.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta

from memflow.errors import MemflowError
from memflow.store.base import Store

log = logging.getLogger(__name__)

HOLD_SECONDS = 60.0
"""How long a worker whose loop does not answer may keep its lease. Then others take over: it may never come back."""


class Pulse:
    """Started with a worker, on its thread; `beat` tells that the loop renewed the lease itself."""

    def __init__(self, store: Store, *, lease: timedelta, worker: Callable[[], int]) -> None:
        self._store = store
        self._lease = lease
        self._worker = worker
        self._patience = lease.total_seconds() / 2
        self._beaten_at = time.monotonic()
        self._over = threading.Event()
        self._loops_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="memflow-pulse", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def beat(self) -> None:
        """The loop renewed the lease: it answers."""
        self._beaten_at = time.monotonic()

    def stop(self) -> None:
        """Watch no longer. Does not wait for the thread, which may be waiting for Postgres."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._patience / 2):
            if time.monotonic() - self._beaten_at > self._patience:
                self._report()
                asyncio.run(self._hold())

    def _report(self) -> None:
        frame = sys._current_frames().get(self._loops_thread)  # pyright: ignore[reportPrivateUsage]  # the only way to another stack
        where = "" if frame is None else "".join(traceback.format_stack(frame, limit=8))
        log.warning(
            "the event loop of this worker has not answered for %.1f s; something blocks it, probably in an async activity "
            "(make it a plain `def`, so that it runs in a thread). It is here:\n%s",
            time.monotonic() - self._beaten_at,
            where,
            extra={"worker": self._worker()},
        )

    async def _hold(self) -> None:
        """Renew the lease from here until the loop is back, or for as long as it is worth it."""
        since = self._beaten_at
        try:
            twin = await self._store.twin()
        except MemflowError:
            return
        if twin is None:
            return
        try:
            while self._beaten_at == since and time.monotonic() - since < HOLD_SECONDS and not self._over.is_set():
                if not await twin.beat_worker(self._worker(), lease=self._lease):
                    return                               # too late; the loop will find out
                await asyncio.sleep(self._patience / 2)
        except MemflowError:
            log.warning("cannot renew the lease", exc_info=True, extra={"worker": self._worker()})
        finally:
            await twin.close()
