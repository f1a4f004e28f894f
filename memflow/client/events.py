"""Subscribing to what workflows emit: in commit order, from now on or from where one left off, across lost connections."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from memflow.client.doorbell import Doorbell
from memflow.client.faults import may_pass
from memflow.client.link import Link
from memflow.client.topics import TopicPattern
from memflow.codec import Codec
from memflow.errors import ConfigurationError, DatabaseError
from memflow.store import values
from memflow.store.base import Store

logger = logging.getLogger(__name__)

EVENTS_PER_LOOK = 500

RETRY_SECONDS = 0.5
"""Between questions while Postgres is away. A subscription outlives any outage; it only ends when it is left."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a workflow emitted. `position` orders all events of a namespace; hand it to `subscribe(after=...)` to resume."""

    topic: str
    payload: Any
    at: datetime
    workflow_id: str | None
    position: int


class Events:
    """`client.events`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._open: set[Subscription] = set()

    def subscribe(self, pattern: str, *, after: int | None = None) -> Subscription:
        """Follow the events whose topic matches `pattern` (`my.dog.*`: one segment; `my.dog.**`: all below).

        Without `after` it begins with the next event. `async with client.events.subscribe(...) as events:` has begun once
        the block is entered, so that nothing emitted from then on is missed; a bare `async for` begins at its first step.
        With `after`, the position of an event seen before, what came since is delivered first, as far back as events
        are kept (a day).

        Raises:
            ConfigurationError: the pattern cannot be read, or the client is closed.
        """
        subscription = Subscription(self._link.store, self._link.codec, TopicPattern(pattern), after, self._open.discard)
        self._open.add(subscription)
        return subscription

    async def close(self) -> None:
        """End all subscriptions: their `async for` loops end."""
        for subscription in list(self._open):
            await subscription.close()


class Subscription:
    """An async iterator of events. It reads at the pace of its reader, so a slow one holds up nobody and no memory."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        pattern: TopicPattern,
        after: int | None,
        left: Callable[[Subscription], None],
    ) -> None:
        self._store = store
        self._codec = codec
        self._pattern = pattern
        self._position = after
        self._left = left
        self._read: deque[values.Event] = deque()
        self._bell = Doorbell(store, "event")
        self._closed = False

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if not self._closed and self._position is None:
            await self._begin()
        while not self._closed:
            if self._read:
                return self._decoded(self._read.popleft())
            if not await self._look():
                await self._bell.wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End it. A loop over it ends at its next step."""
        self._closed = True
        self._left(self)
        self._bell.nudge()
        await self._bell.close()

    async def _begin(self) -> None:
        """Take the present as the place to begin, unless it was given."""
        if self._closed:
            raise ConfigurationError("the subscription is closed")
        self._bell.open()
        if self._position is None:
            _, self._position = await self._store.events_after(None, limit=0)

    async def _look(self) -> bool:
        """Read the next page. Whether there may be more at once."""
        self._bell.open()
        self._bell.take()
        try:
            page, self._position = await self._store.events_after(self._position, limit=EVENTS_PER_LOOK)
        except DatabaseError as error:
            if not may_pass(error):
                raise
            logger.info("cannot read events, trying again")
            await asyncio.sleep(RETRY_SECONDS)
            return True
        if page:
            self._bell.soon()
        self._read.extend(event for event in page if self._pattern.matches(event.topic))
        return bool(page)

    def _decoded(self, event: values.Event) -> Event:
        """Decoded one by one, so that a payload nobody can read costs its own step and not the page."""
        return Event(event.topic, self._codec.decode(event.payload), event.at, event.workflow_id, event.position)
