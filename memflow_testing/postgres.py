"""Environments on a real Postgres: a schema of their own, lent from a few that are kept ready, with a clock that can be moved.

Making a schema takes some 200 ms and dropping it 20, deleting the rows of a small one less than 1. So schemas stay, and an
advisory lock says who has one: processes of one test run share a database, and a killed one leaves nothing taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from memflow import embedded
from memflow.errors import DatabaseError
from memflow.store.base import Store
from memflow.store.postgres import PostgresStore
from memflow.store.schedule_serving import FEW
from memflow.store.sql import Statements
from memflow_testing.clock import Clockwork, Look
from memflow_testing.glances import GlancingStore

DSN_VARIABLE = "MEMFLOW_TEST_DSN"

DATABASE = "memflow_environments"
"""Of the embedded server."""

PREFIX = "memflow_test_"

SCHEMAS = 500
"""Environments at a time in one database."""

_CLOCK = Path(__file__).with_name("sql") / "clock.sql"


@cache
def _server() -> embedded.Embedded:
    """The embedded Postgres of this project's tests, held until this process ends. One for all processes."""
    settings = {**embedded.TEST_SETTINGS, "max_connections": "200"}
    return embedded.start(embedded.default_root() / "tests", idle=5, settings=settings)


def find_dsn() -> str:
    """Where environments live: $MEMFLOW_TEST_DSN, else a database of the embedded server, which is started. Blocks.

    Raises:
        ConfigurationError: there is neither.
        DatabaseError: Postgres does not start.
    """
    return os.environ.get(DSN_VARIABLE) or urlunsplit(urlsplit(_server().dsn)._replace(path=f"/{DATABASE}"))


async def make_ready(dsn: str) -> None:
    """Make sure that `dsn` can be used, and that a schema is there for the first environment, which else would wait for it.

    Raises:
        DatabaseError: Postgres cannot be reached, or refuses.
    """
    conn = await _connect(dsn)
    try:
        await _lend(conn, dsn)
    finally:
        await conn.close()


async def _connect(dsn: str) -> Any:
    try:
        return await asyncpg.connect(dsn, statement_cache_size=100)
    except asyncpg.InvalidCatalogNameError:
        if urlsplit(dsn).path != f"/{DATABASE}":
            raise
    conn = await asyncpg.connect(urlunsplit(urlsplit(dsn)._replace(path="/postgres")))
    try:
        await conn.execute(f"create database {DATABASE}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass                                             # another process was faster
    finally:
        await conn.close()
    return await asyncpg.connect(dsn, statement_cache_size=100)


@cache
def _generation() -> str:
    """Names what a schema of this library holds: another version of the code has schemas of its own."""
    statements = Statements("memflow")
    texts = [each.text for each in statements.migrations()] + statements.programs() + [_CLOCK.read_text()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]


class PostgresGround:
    """A schema for one environment, and the store in it. Made by `take`."""

    clockwork: Clockwork | None

    def __init__(self, store: GlancingStore, lease: Any, schema: str, dsn: str, *, skipping: bool, drop: str | None) -> None:
        self.store: Store = store
        self.schema = schema
        self.dsn = dsn
        self.place = f"schema {schema}"
        self._kept = False
        self._lease = lease
        self._drop = drop                                # where to go to drop our own database
        self.clockwork = PostgresClockwork(lease, schema, store) if skipping else None

    @classmethod
    async def take(cls, dsn: str | None = None, *, skipping: bool = True, own_database: bool = False) -> PostgresGround:
        """An empty schema that nobody else has until `close`, its clock at the present; perhaps in a database of its own.

        Raises:
            DatabaseError: Postgres cannot be reached, or all schemas are taken.
        """
        found: str = dsn if dsn is not None else await asyncio.to_thread(find_dsn)
        drop = None
        if own_database:
            drop, found = found, await _new_database(found)
        lease = await _connect(found)
        try:
            schema = await _lend(lease, found)
            await lease.execute(Statements(schema).with_schema("select memflow.test_wipe()"))
            store = await GlancingStore.connect(found, schema=schema)
        except BaseException:
            lease.terminate()
            raise
        return cls(store, lease, schema, found, skipping=skipping, drop=drop)

    async def keep(self) -> str | None:
        # On a connection of its own: the caller may be in another thread than the one that this ground was taken in.
        await _execute(self.dsn, Statements(self.schema).with_schema("update memflow.test_clock set kept = true"))
        self._kept = True
        return f"memflow run list --schema {self.schema} --dsn '{self.dsn}'"

    async def close(self) -> None:
        await self.store.close()
        await self._lease.close()
        if self._drop is not None and not self._kept:
            await _execute(self._drop, f"drop database if exists {urlsplit(self.dsn).path[1:]} with (force)")


async def _new_database(dsn: str) -> str:
    """A database beside that of `dsn`."""
    name = f"memflow_own_{uuid4().hex[:12]}"
    await (await _connect(dsn)).close()
    await _execute(dsn, f"create database {name}")
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _execute(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


async def _lend(lease: Any, dsn: str) -> str:
    """The first schema that nobody has, made if it is not there; the lock on it goes with the connection."""
    for number in range(1, SCHEMAS + 1):
        name = f"{PREFIX}{_generation()}_{number}"
        if not await lease.fetchval("select pg_try_advisory_lock(hashtextextended($1, 0))", name):
            continue
        if await lease.fetchval("select to_regclass($1)", f"{name}.test_clock") is None:
            await _make(lease, dsn, name)
        elif await lease.fetchval(Statements(name).with_schema("select kept from memflow.test_clock")):
            continue                                     # somebody wants to look at it; the lock does no harm
        return name
    raise DatabaseError(f"all {SCHEMAS} test schemas are taken; is something not closing its environments?")


async def _make(lease: Any, dsn: str, schema: str) -> None:
    """Build a schema, and drop those of other versions of the library that nobody uses."""
    rows = await lease.fetch("select nspname from pg_namespace where nspname like $1", PREFIX + "%")
    for name in (str(row[0]) for row in rows):
        if not name.startswith(f"{PREFIX}{_generation()}_") and await lease.fetchval(
            "select pg_try_advisory_lock(hashtextextended($1, 0))", name
        ):
            await lease.execute(f'drop schema if exists "{name}" cascade')
            await lease.execute("select pg_advisory_unlock(hashtextextended($1, 0))", name)
    await lease.execute(f'drop schema if exists "{schema}" cascade')       # half made by a process that was killed
    store = await PostgresStore.connect(dsn, schema=schema)
    try:
        await store.migrate()
    finally:
        await store.close()
    await lease.execute(Statements(schema).with_schema(_CLOCK.read_text()))


class PostgresClockwork:
    """The clock of a schema: what it calls lies in `sql/clock.sql`. One statement at a time, on a connection of its own."""

    def __init__(self, connection: Any, schema: str, store: GlancingStore) -> None:
        self._connection = connection
        self._store = store
        self._alone = asyncio.Lock()
        with_schema = Statements(schema).with_schema
        self._now = with_schema("select memflow.now()")
        self._skip = with_schema(
            "select * from memflow.test_skip_and_look($1::bigint[], $2::timestamptz, $3::bigint[], $4::text, $5::int)"
        )
        self._advance = with_schema("select memflow.test_advance($1::double precision, $2::bigint[])")
        self._settled = with_schema("select memflow.test_settled()")

    async def now(self) -> datetime:
        now: datetime = await self._ask(self._now)
        return now

    async def skip(self, *, awaited: Sequence[int], until: datetime | None, told: Sequence[int]) -> Look:
        async with self._alone:
            rows = await self._connection.fetch(self._skip, list(awaited), until, list(told), self._store.namespace, FEW + 1)
        skipped, *glance = rows
        if glance:
            self._store.leave(glance)
        return Look(skipped["became"], skipped["at"], int(skipped["progress"] or 0), skipped["kinds"])

    async def advance(self, by: timedelta, *, told: Sequence[int]) -> datetime:
        now: datetime = await self._ask(self._advance, by.total_seconds(), list(told))
        return now

    async def settled(self) -> bool:
        settled: bool = await self._ask(self._settled)
        return settled

    async def _ask(self, statement: str, *arguments: object) -> Any:
        async with self._alone:
            return await self._connection.fetchval(statement, *arguments)
