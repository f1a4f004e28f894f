"""Connections: one statement at a time, each on a clean connection, tried again where that is safe.

Every statement is a transaction of its own, and leaves no session state behind: that is what a pooler in transaction mode
needs. After a timeout or a cancelled await a connection is in an unknown state: it is terminated, never used again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from memflow.errors import ConfigurationError, MemflowError, OutcomeUnknownError
from memflow.store import faults
from memflow.store.faults import Fault
from memflow.store.known_types import KnowingConnection
from memflow.store.sql import Statements

log = logging.getLogger(__name__)

Record: TypeAlias = "asyncpg.Record"

LARGEST_POOL = 5
"""Connections of a pool of ours: more lower the throughput (DESIGN 3)."""

FOR_USERS = 3
"""Connections that transactions of user code may hold at a time; commits and heartbeats need the others."""

TRY_FOR_SECONDS = 10.0
"""How long a statement is tried again: a restart or a failover of Postgres takes seconds."""

STATEMENT_SECONDS = 60.0
"""After this long without an answer a connection counts as dead: a network that swallows packets tells nobody."""

CONNECT_SECONDS = 10.0

CLOSE_SECONDS = 5.0
"""How long closing waits for statements under way."""

_IS_DIRECT = "do $body$ begin if pg_backend_pid() <> {} then raise exception 'a pooler'; end if; end $body$"

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class Database:
    """A pool of connections, ours or the caller's, and how statements are sent through it."""

    def __init__(self, dsn: str | None, pool: Any, statements: Statements) -> None:
        self.sql = statements
        self.dsn: str | None = None
        self.pooler = False
        if dsn is not None:
            self.dsn, self.pooler = without_hint(dsn)
        self._secrets = faults.secrets_of(dsn)
        self._pool: Any = pool
        self._given = pool is not None
        self._plain_settings = self.pooler
        self._closed = False
        self._rebuilding = asyncio.Lock()
        self._retired: list[asyncio.Task[None]] = []
        self._for_users = asyncio.Semaphore(FOR_USERS)
        self._at_hand: list[Any] = []                    # connections that we have of our pool, and nobody uses
        self._waiting = 0                                # for one of the pool

    # ------------------------------------------------------------------------------------------------- life

    async def open(self) -> None:
        """Connect, so that a wrong DSN shows at once.

        Raises:
            DatabaseError, ConfigurationError: it cannot be reached, or the DSN cannot be read.
        """
        if not self._given:
            await self._retrying(self._build, doing="connecting", first=True)
        if not self.pooler:
            await self._retrying(self._look_for_pooler, doing="connecting")

    async def close(self) -> None:
        """Let go of all connections; a pool of the caller's stays open."""
        self._closed = True
        if self._given or self._pool is None:
            return
        pool, self._pool = self._pool, None
        await self._give_back(pool)
        await asyncio.gather(_closed(pool), *self._retired)

    async def _build(self) -> None:
        settings = {"application_name": "memflow"}
        if not self._plain_settings:
            settings["default_transaction_isolation"] = "read committed"   # a role's default may be another
        try:
            self._pool = await asyncpg.create_pool(
                self.dsn,
                min_size=1,
                max_size=LARGEST_POOL,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                statement_cache_size=0 if self.pooler else 200,
                max_cached_statement_lifetime=0,
                server_settings=settings,
                # asyncpg's own reset is a second round trip for each statement; nothing here leaves anything to reset.
                reset=_nothing,
                connection_class=KnowingConnection,
            )
        except asyncpg.PostgresError as error:
            if self._plain_settings or "startup parameter" not in str(error):
                raise
            self._plain_settings = True                  # PgBouncer takes only the settings it knows
            await self._build()
        except ValueError as error:
            if isinstance(error, asyncpg.InterfaceError):
                raise
            raise asyncpg.ClientConfigurationError(str(error)) from error

    async def _look_for_pooler(self) -> None:
        """Whether somebody stands between us and Postgres: then the process that we were told of is not the one that answers.

        It has to be known before the first prepared statement: a server connection may hold one of the same name that
        another process prepared, and would run that.
        """
        used = self._pool
        async with self.connection() as conn:
            try:
                await conn.execute(_IS_DIRECT.format(conn.get_server_pid()))
                return
            except asyncpg.RaiseError:
                pass
            if self._given:
                mark = f"memflow {random.getrandbits(64):016x}"
                async with conn.transaction():
                    named = await conn.fetchval(
                        f"select count(*) from pg_catalog.pg_prepared_statements where statement like '%{mark}%' -- {mark}"
                    )
                if named:
                    raise ConfigurationError(
                        "this pool goes through a pooler such as PgBouncer: make it with statement_cache_size=0, or give a DSN"
                    )
        await self._go_plain(used)

    async def _go_plain(self, used: Any) -> None:
        """Behind a pooler in transaction mode no prepared statement survives: do without."""
        async with self._rebuilding:
            if self.pooler:
                return
            log.info("a pooler stands before Postgres: going on without prepared statements")
            self.pooler = True
            if self._given:
                return
            await self._build()
            await self._give_back(used)
            # What is still under way on the old connections may end there.
            self._retired.append(asyncio.create_task(_closed(used), name="memflow closes a pool"))

    # ------------------------------------------------------------------------------------------------- statements

    async def fetch(self, name: str, *arguments: Any, connection: Any = None, repeat: bool = True) -> list[Record]:
        """Run a named statement; with `connection` on the caller's, inside the caller's transaction.

        `repeat` says that a second run is harmless, so that a broken connection is no reason to give up.

        Raises:
            OutcomeUnknownError: the connection broke under way, and `repeat` is False.
            DatabaseError: Postgres refused, or could not be reached for 10 s.
        """
        text = self.sql[name]
        if connection is not None:
            try:
                found: list[Record] = await connection.fetch(text, *arguments)
                return found
            except (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost) as error:
                raise faults.translated(error, secrets=self._secrets, doing=name) from error
        rows: list[Record] = await self._retrying(partial(self._once, text, arguments), doing=name, repeat=repeat)
        return rows

    async def fetch_text(self, text: str, arguments: Sequence[Any], *, doing: str) -> list[Record]:
        """Run a reading statement that is not one of the named."""
        found: list[Record] = await self._retrying(partial(self._once, text, tuple(arguments)), doing=doing)
        return found

    async def row(self, name: str, *arguments: Any, connection: Any = None, repeat: bool = True) -> Record | None:
        """The first row of a named statement, if there is one. See `fetch`."""
        rows = await self.fetch(name, *arguments, connection=connection, repeat=repeat)
        return rows[0] if rows else None

    async def fetch_marked(self, name: str, *arguments: Any) -> list[Record]:
        """A statement whose last parameter says "this is a repeat", and which finds what it did under the mark it was given."""
        try:
            return await self.fetch(name, *arguments, False, repeat=False)
        except OutcomeUnknownError:
            return await self.fetch(name, *arguments, True)

    async def _once(self, text: str, arguments: tuple[Any, ...]) -> list[Record]:
        async with self.connection() as conn:
            if not self.pooler:
                found: list[Record] = await conn.fetch(text, *arguments)
                return found
            # Without a prepared statement, parsing and executing are two messages: only a transaction keeps them together.
            async with conn.transaction():
                found = await conn.fetch(text, *arguments)
            return found

    def connection(self) -> Lent:
        """A connection of the pool. It is terminated if what happens inside leaves it in doubt."""
        return Lent(self)

    async def lend(self) -> tuple[Any, Any]:
        """The pool, and a connection of it; for `Lent`."""
        pool = self._pool
        if self._closed or pool is None:
            raise ConfigurationError("the connection to Postgres is closed")
        return pool, await self._take(pool)

    async def returned(self, pool: Any, conn: Any) -> None:
        """Take a connection back; for `Lent`."""
        # A pool of asyncpg's takes a task and five rounds of the event loop to lend a connection, a third of what a
        # small statement costs us. So a connection stays at hand, unless somebody waits for the pool.
        if self._given or self._waiting or pool is not self._pool or _is_gone(conn):
            await pool.release(conn)
        else:
            self._at_hand.append(conn)

    async def _take(self, pool: Any) -> Any:
        while self._at_hand:
            conn = self._at_hand.pop()                   # the one used last: the others may time out in peace
            if not _is_gone(conn):
                return conn
            await pool.release(conn)
        self._waiting += 1
        try:
            return await pool.acquire(timeout=CONNECT_SECONDS)
        except (OSError, EOFError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise _NotConnected(error) from error
        finally:
            self._waiting -= 1

    async def _give_back(self, pool: Any) -> None:
        """What is at hand goes back to its pool, which is about to be closed."""
        at_hand, self._at_hand = self._at_hand, []
        for conn in at_hand:
            await pool.release(conn)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        """A connection inside a transaction, for user code. Its session is cleaned before anybody else has it.

        Raises:
            OutcomeUnknownError: the connection broke during COMMIT.
            DatabaseError: Postgres refused to begin or to commit.
        """
        async with self._for_users, self.connection_for_users() as conn:
            transaction = conn.transaction()
            await transaction.start()
            try:
                yield conn
            except BaseException:
                if not conn.is_closed():
                    try:
                        await transaction.rollback()
                    except (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost):
                        _drop(conn)
                raise
            try:
                await transaction.commit()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost) as error:
                if faults.fault_of(error) is Fault.LOST:
                    raise faults.unknown("COMMIT") from error
                raise faults.translated(error, secrets=self._secrets, doing="COMMIT") from error
            if not self.pooler:
                await conn.reset()

    async def in_transaction(self, run: Callable[[Any], Awaitable[None]], *, doing: str) -> None:
        """Several statements in one transaction of ours, tried again as a whole: `run` must be harmless to repeat.

        Raises:
            DatabaseError: Postgres refused, or could not be reached for 10 s.
        """

        async def once() -> None:
            async with self.connection() as conn, conn.transaction():
                try:
                    await run(conn)
                except MemflowError as error:
                    # Statements on a connection that was given translate their errors; whether to repeat tells the original.
                    if isinstance(error.__cause__, (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost)):
                        raise error.__cause__ from None
                    raise

        await self._retrying(once, doing=doing)

    @asynccontextmanager
    async def connection_for_users(self) -> AsyncGenerator[Any]:
        """As `connection`, with errors of getting one translated, and those of user code left alone."""
        acquiring = self.connection()
        try:
            conn = await acquiring.__aenter__()
        except _NotConnected as error:
            raise faults.translated(error.reason, secrets=self._secrets) from error.reason
        try:
            yield conn
        except BaseException as error:
            await acquiring.__aexit__(type(error), error, error.__traceback__)
            raise
        else:
            await acquiring.__aexit__(None, None, None)

    # ------------------------------------------------------------------------------------------------- trying again

    async def _retrying(self, run: Callable[[], Awaitable[Any]], *, doing: str, repeat: bool = True, first: bool = False) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + TRY_FOR_SECONDS
        pause = _FIRST_PAUSE
        poolers = 0
        while True:
            used = self._pool
            try:
                return await run()
            except (_NotConnected, asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost) as caught:
                # The timeout of an await around us is no OSError of a socket: asyncio raises it outside, not in here.
                error = caught.reason if isinstance(caught, _NotConnected) else caught
                fault = faults.fault_of(error)
                if isinstance(caught, _NotConnected) and used is not self._pool and not self._closed:
                    continue                             # that pool was replaced meanwhile
                if fault is Fault.POOLER and poolers < LARGEST_POOL:
                    poolers += 1                         # as many as may have been under way when it was found out
                    await self._go_plain(used)
                    continue
                heard = fault is Fault.LOST and not isinstance(caught, _NotConnected)
                if heard and not repeat:
                    raise faults.unknown(doing) from error
                passing = fault in (Fault.PASSING, Fault.LOST) and not (first and isinstance(error, faults.Lost))
                if not passing or self._closed or loop.time() + pause > until:
                    raise self._translated(error, doing) from error
            await asyncio.sleep(pause * (0.5 + random.random()))
            pause = min(_LONGEST_PAUSE, pause * 2)

    def _translated(self, error: BaseException, doing: str) -> MemflowError:
        return faults.translated(error, secrets=self._secrets, doing=doing)


class Lent:
    """A connection for the time of an `async with`. A class, not a generator: it is entered for each statement there is."""

    __slots__ = ("_conn", "_database", "_pool")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Any:
        self._pool, self._conn = await self._database.lend()
        return self._conn

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        conn = self._conn
        if error is not None and _in_doubt(error):
            _drop(conn)
        await self._database.returned(self._pool, conn)


def _in_doubt(error: BaseException) -> bool:
    """Whether a connection is in an unknown state after `error`, or of no more use."""
    if isinstance(error, asyncpg.PostgresError):
        return faults.fault_of(error) in (Fault.LOST, Fault.POOLER) or error.sqlstate == "25006"
    return not isinstance(error, asyncpg.InterfaceError)


class _NotConnected(Exception):
    """No connection could be had, so nothing was sent."""

    def __init__(self, reason: BaseException) -> None:
        self.reason = reason
        super().__init__(str(reason))


async def _closed(pool: Any) -> None:
    """Close a pool once its connections are back, or by force."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pool.terminate()


def _drop(conn: Any) -> None:
    """Terminate a connection; one that broke may have left the pool by itself."""
    try:
        conn.terminate()
    except asyncpg.InterfaceError:
        log.debug("the connection was gone already")


def _is_gone(conn: Any) -> bool:
    """Whether a connection was closed, or has left the pool by itself."""
    try:
        return bool(conn.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _nothing(_connection: Any) -> None:
    return None


def without_hint(dsn: str) -> tuple[str, bool]:
    """The DSN without our own `pgbouncer=1`, and whether it was there."""
    if "pgbouncer=" not in dsn:
        return dsn, False
    parts = urlsplit(dsn)
    query = parse_qsl(parts.query, keep_blank_values=True)
    hint = any(name == "pgbouncer" and value.lower() in ("1", "true", "yes", "on") for name, value in query)
    rest = urlencode([(name, value) for name, value in query if name != "pgbouncer"])
    return urlunsplit(parts._replace(query=rest)), hint
