"""What the parts of one client share: the store, the codec, and the three streams of calls that travel in batches."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from memflow.client.batcher import Batcher
from memflow.client.replies import Replies
from memflow.client.values import encode_value
from memflow.client.waiters import Waiters
from memflow.codec import Codec
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.interceptors import OutboundClient
from memflow.names import check_name
from memflow.store.base import Store
from memflow.store.values import NewRun, Sent, Started, ToRun, ToSignalId

BUSY_SECONDS, BUSY_LONGEST = 0.02, 0.5
"""When a message is offered again to a run that is just ending: that takes it a turn and a commit."""


class Link:
    """An open client from the inside. A call with a `connection` joins the caller's transaction and so travels alone."""

    def __init__(self, store: Store, codec: Codec, outbound: OutboundClient | None = None) -> None:
        self._store = store
        self.codec = codec
        self.outbound = outbound                             # what calls go through, where there are interceptors
        self.namespace = store.namespace
        self.waiters = Waiters(store)
        self.replies = Replies(store)
        # Looked up at each call, so that a store whose methods are watched (counted, traced) is watched here too.
        # A run is known by its id, which the client made: the store answers a repeat with the run that is there.
        self._starts = Batcher[NewRun, Started](lambda runs: store.start_runs(runs), repeatable=lambda run: True)
        self._messages = Batcher[ToRun, Sent](
            lambda messages: store.send(messages, patient=True), repeatable=lambda message: message.request_id is not None
        )
        self._signals = Batcher[ToSignalId, Sent](
            lambda signals: store.signal(signals), repeatable=lambda signal: signal.request_id is not None
        )
        self._closed = False

    @property
    def store(self) -> Store:
        """The store, while the client is open.

        Raises:
            ConfigurationError: the client is closed.
        """
        self.check_open()
        return self._store

    def check_open(self) -> None:
        """Refuse to go on after `close`.

        Raises:
            ConfigurationError: the client is closed.
        """
        if self._closed:
            raise ConfigurationError("the client is closed; use it inside its `async with`, or connect again")

    async def start(self, run: NewRun, connection: Any) -> Started:
        """Start a run."""
        if connection is None:
            self.check_open()
            return await self._starts.submit(run)
        [started] = await self.store.start_runs([run], connection=connection)
        return started

    async def send(self, message: ToRun, connection: Any = None) -> Sent:
        """Leave an arrival in one run's inbox."""
        if connection is None:
            pause = BUSY_SECONDS
            while True:
                self.check_open()
                sent = await self._messages.submit(message)
                if sent.outcome != "busy":
                    return sent
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(BUSY_LONGEST, pause * 2)
        [sent] = await self.store.send([message], connection=connection)
        return sent

    async def signal(self, signal: ToSignalId, connection: Any = None) -> Sent:
        """Send a signal to whoever waits for its id."""
        if connection is None:
            self.check_open()
            return await self._signals.submit(signal)
        [sent] = await self.store.signal([signal], connection=connection)
        return sent

    async def give(self, signal_id: str, payload: Any, expire: Duration | None, request_id: str | None, connection: Any) -> None:
        """Send a signal by id, from values."""
        await self.signal(
            ToSignalId(
                self.namespace,
                check_name(signal_id, what="signal id"),
                encode_value(payload, self.codec),
                expire=None if expire is None else to_timedelta(expire, what="expire"),
                request_id=None if request_id is None else check_name(request_id, what="request id"),
            ),
            connection,
        )

    async def close(self) -> None:
        """See off what is on its way, then close the store."""
        if self._closed:
            return
        self._closed = True
        await self._starts.close()
        await self._messages.close()
        await self._signals.close()
        await self.waiters.close()
        await self.replies.close()
        await self._store.close()
