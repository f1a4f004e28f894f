"""All who wait for the answer to a query, or for what becomes of an update: woken by the doorbell `reply`, polling as the net."""

from __future__ import annotations

import asyncio
import logging
import time
from uuid import UUID

from memflow.client.doorbell import Doorbell
from memflow.client.faults import may_pass
from memflow.client.waiters import LONGEST_REST_SECONDS, LOOKING_SHARE, UNREACHABLE_SECONDS
from memflow.errors import ConfigurationError
from memflow.store.base import Store
from memflow.store.values import Answer, Reply, UpdateKey

logger = logging.getLogger(__name__)

FINAL = ("completed", "failed", "rejected")
"""What an update comes to. `accepted` is on the way there."""


class Replies:
    """Queries and updates that somebody waits for, asked about together."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bell = Doorbell(store, "reply")
        self._queries: dict[UUID, asyncio.Future[Answer]] = {}
        self._updates: dict[asyncio.Future[Reply], tuple[UpdateKey, bool]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    async def answer(self, id: UUID) -> Answer:
        """The answer to a query, however long it takes.

        Raises:
            DatabaseError: Postgres refused the question, or could not be reached for a minute.
        """
        self._begin()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queries[id] = future
        try:
            return await future
        finally:
            self._queries.pop(id, None)

    async def reply(self, key: UpdateKey, *, final: bool) -> Reply:
        """How an update ends, or without `final` the first that is known of it; also when no run is left to answer it.

        Raises:
            DatabaseError: as for `answer`.
        """
        self._begin()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._updates[future] = key, final
        try:
            return await future
        finally:
            self._updates.pop(future, None)

    @property
    def updates(self) -> list[UpdateKey]:
        """The updates whose end somebody waits for."""
        return [key for key, final in self._updates.values() if final]

    def give_up(self, error: Exception) -> None:
        """Tell all who wait now that they wait in vain."""
        self._fail(error)

    async def close(self) -> None:
        """Stop waiting. Whoever still waits is told that the client is closed."""
        self._closed = True
        self._fail(ConfigurationError("the client was closed while it waited for a reply"))
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        await self._bell.close()

    def _begin(self) -> None:
        if self._closed:
            raise ConfigurationError("the client is closed")
        self._bell.ring()
        if self._pump is None:
            self._bell.open()
            self._pump = asyncio.create_task(self._run(), name="memflow replies")

    async def _run(self) -> None:
        unreachable_since: float | None = None
        try:
            while self._queries or self._updates:
                try:
                    await self._round()
                    unreachable_since = None
                except Exception as error:  # not only ours: whatever broke, those who wait must not wait for ever
                    unreachable_since = unreachable_since or time.monotonic()
                    if not may_pass(error) or time.monotonic() - unreachable_since > UNREACHABLE_SECONDS:
                        self._fail(error)
                        return
                    logger.info("cannot ask for replies, trying again", extra={"queries": len(self._queries)})
                    self._bell.ring()
                    await asyncio.sleep(LONGEST_REST_SECONDS)
        finally:
            self._pump = None

    async def _round(self) -> None:
        await self._bell.wait()
        if not self._bell.take():
            return
        began = time.monotonic()
        found = await self._look_at_queries()
        found = await self._look_at_updates() or found
        if found:
            self._bell.soon()
        took = time.monotonic() - began
        await asyncio.sleep(min(took / LOOKING_SHARE - took, LONGEST_REST_SECONDS))

    async def _look_at_queries(self) -> bool:
        if not self._queries:
            return False
        answers = await self._store.answers(list(self._queries))
        for answer in answers:
            future = self._queries.pop(answer.id, None)
            if future is not None and not future.done():
                future.set_result(answer)
        return bool(answers)

    async def _look_at_updates(self) -> bool:
        asked = list(self._updates.items())
        if not asked:
            return False
        found = False
        for (future, (_, final)), reply in zip(asked, await self._store.replies([key for _, (key, _) in asked]), strict=True):
            known = reply.outcome in FINAL or not reply.open or (reply.outcome is not None and not final)
            if known and not future.done():
                found = True
                self._updates.pop(future, None)
                future.set_result(reply)
        return found

    def _fail(self, error: Exception) -> None:
        waiting: list[asyncio.Future[Answer] | asyncio.Future[Reply]] = [*self._queries.values(), *self._updates]
        self._queries.clear()
        self._updates.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
