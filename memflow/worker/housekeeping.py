"""Deletes what has expired, in small batches: closed runs past their retention, early signals, old events, request ids."""

from __future__ import annotations

import asyncio
import logging
import random

from memflow.errors import DatabaseError
from memflow.store.base import Store

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""How often an idle worker looks. What has expired is in nobody's way, so once a minute is soon enough."""

BATCH = 500
"""Rows of one kind in one statement: small enough that nobody waits for its locks."""

PAUSE_SECONDS = 0.1
"""Between two batches while there is more, so that work goes first."""


async def keep_house(store: Store) -> None:
    """Delete expired rows for ever. Any number of workers may do so at once."""
    while True:
        await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))
        try:
            gone = BATCH
            while gone >= BATCH:
                gone = await store.prune(limit=BATCH)
                await asyncio.sleep(PAUSE_SECONDS)
        except DatabaseError:
            log.warning("cannot delete what has expired, trying again later", exc_info=True)
