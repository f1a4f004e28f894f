"""One listening connection, many ears. A notice is a hint: lost, blocked or unavailable, all works by polling, only later.

The same connection holds the session locks that say which workers live: when the process dies Postgres frees them at
once. Both need a direct connection; a test at the start finds out whether notices sent through the pool arrive here. Through a
pooler in transaction mode they do not, and then locks would not mean anything either.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from memflow.errors import MemflowError
from memflow.store import faults
from memflow.store.database import CONNECT_SECONDS, Database

log = logging.getLogger(__name__)

TEST_SECONDS = 1.0
"""How long the test notice may take. Under load a notice takes milliseconds."""

PING_SECONDS = 10.0
"""How often the connection is tried out: a network that swallows packets tells nobody."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0

_GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost)


class Listener:
    """Rings callbacks when their ear's channel is notified, and keeps workers' locks."""

    def __init__(self, database: Database, *, dsn: str | None, pool: Any, namespace: str) -> None:
        self._database = database
        self._dsn = dsn
        self._pool = pool                                # a pool of the caller's lends a connection when there is no DSN
        self._namespace = namespace
        self._secrets = faults.secrets_of(dsn)
        self._callbacks: dict[str, list[Callable[[], None]]] = {}
        self._channels: dict[str, str] = {}              # ear to channel
        self._locks: dict[int, int] = {}                 # worker to the key of its lock
        self._held: set[int] = set()                     # workers whose lock this connection holds
        self._connection: Any = None
        self._lost = asyncio.Event()
        self._decided = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.notifies = False

    # ------------------------------------------------------------------------------------------------- for the store

    async def listen(self, ear: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the ear rings. Returns how to stop."""
        await self._start()
        if ear not in self._channels:
            row = await self._database.row("channel", self._namespace, ear)
            assert row is not None, "the statement always gives one row"
            self._channels[ear] = row["channel"]
        channel = self._channels[ear]
        callbacks = self._callbacks.setdefault(channel, [])
        callbacks.append(callback)
        if len(callbacks) == 1:
            await self._add(channel)

        def stop() -> None:
            with suppress(ValueError):
                callbacks.remove(callback)

        return stop

    async def hold(self, worker: int, key: int) -> None:
        """Take a worker's lock, now and after each loss of the connection."""
        await self._start()
        self._locks[worker] = key
        if self.notifies:
            await self._lock(worker, key)

    async def drop(self, worker: int) -> None:
        """Give a worker's lock back."""
        key = self._locks.pop(worker, None)
        self._held.discard(worker)
        if key is not None and self._connection is not None:
            with suppress(*_GONE):
                await self._connection.execute(self._database.sql["unlock_worker"], key)

    async def close(self) -> None:
        """Stop listening, and let go of the locks."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        self.notifies = False

    # ------------------------------------------------------------------------------------------------- the connection

    async def _start(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="memflow listener")
        await self._decided.wait()

    async def _keep(self) -> None:
        """Connect, listen until the connection is lost, and again."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._connection = await self._connect()
                if self._connection is None or not await self._hears():
                    self._warn_deaf()
                    return
                await self._take_up()
                self._decided.set()
                pause = FIRST_PAUSE
                await self._until_lost()
            except (*_GONE, MemflowError) as error:
                log.info("the listening connection is lost, trying again", extra={"reason": self._safe(error)})
            finally:
                self.notifies = False
                connection, self._connection = self._connection, None
                if connection is not None:
                    await self._let_go(connection)
            self._decided.set()
            await self._unlocked()
            await asyncio.sleep(pause * (0.5 + random.random()))
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _connect(self) -> Any:
        self._lost.clear()
        if self._dsn is None:
            if self._pool.get_max_size() < 2:
                return None                              # the only connection is needed for statements
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        else:
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_SECONDS,
                statement_cache_size=0,
                server_settings={"application_name": "memflow listener"},
            )
        connection.add_termination_listener(self._on_loss)
        return connection

    def _on_loss(self, _connection: Any) -> None:
        self._lost.set()

    async def _hears(self) -> bool:
        """Whether a notice sent through the pool arrives here."""
        channel = f"memflow_test_{random.getrandbits(64):016x}"
        heard = asyncio.Event()

        def hear(*_: Any) -> None:
            heard.set()

        await self._connection.add_listener(channel, hear)
        try:
            await self._database.fetch("ring", channel)
            async with asyncio.timeout(TEST_SECONDS):
                await heard.wait()
        except TimeoutError:
            return False
        finally:
            with suppress(*_GONE):
                await self._connection.remove_listener(channel, hear)
        return True

    def _warn_deaf(self) -> None:
        log.warning(
            "notices do not arrive here (a pooler in transaction mode, or a pool of one connection?); polling instead."
            " Give Client.connect(listen_dsn=...) a direct connection to Postgres for faster reactions"
        )
        self._decided.set()

    async def _take_up(self) -> None:
        self.notifies = True
        for channel in self._callbacks:
            await self._add(channel)
        for worker, key in list(self._locks.items()):
            await self._lock(worker, key)
        for callbacks in list(self._callbacks.values()):
            for callback in list(callbacks):
                callback()                               # whatever rang while we were deaf

    async def _until_lost(self) -> None:
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._lost.wait()
            except TimeoutError:
                await self._connection.execute("select 1", timeout=PING_SECONDS / 2)
                for worker, key in list(self._locks.items()):
                    await self._lock(worker, key)

    async def _let_go(self, connection: Any) -> None:
        with suppress(*_GONE):
            connection.remove_termination_listener(self._on_loss)
        connection.terminate()                           # a connection with listeners and locks is nothing to give back
        if self._dsn is None:
            with suppress(*_GONE):
                await self._pool.release(connection)

    async def _add(self, channel: str) -> None:
        if self._connection is not None and self.notifies:
            with suppress(*_GONE):                       # lost meanwhile: the next connection listens to it
                await self._connection.add_listener(channel, self._on_notice)

    def _on_notice(self, _connection: Any, _pid: int, channel: str, _payload: object) -> None:
        for callback in list(self._callbacks.get(channel, ())):
            callback()

    # ------------------------------------------------------------------------------------------------- locks

    async def _lock(self, worker: int, key: int) -> None:
        """Take a lock and say that it may be believed, in this order: whoever sees the word finds the lock."""
        if worker in self._held or self._connection is None:
            return
        try:
            row = await self._connection.fetchrow(self._database.sql["lock_worker"], key)
        except _GONE:
            return                                       # lost meanwhile: the next connection takes it
        if row is not None and row["held"]:
            self._held.add(worker)
            await self._database.fetch("mark_locked", worker, True)

    async def _unlocked(self) -> None:
        """The locks are free although their workers live: take the word back, before others act on it."""
        for worker in list(self._held):
            with suppress(MemflowError):
                await self._database.fetch("mark_locked", worker, False)
        self._held.clear()

    def _safe(self, error: BaseException) -> str:
        return str(error) if isinstance(error, MemflowError) else str(faults.translated(error, secrets=self._secrets))
