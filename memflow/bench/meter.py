"""What Postgres is asked about itself, on a connection of the benchmark's own, so that the measured ones are left alone.

All of it is exact, but of the whole server: on one that others use too, their transactions and their WAL are counted in.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any, Self

import asyncpg

from memflow.bench.machine import cpu_seconds_of_tree, postgres_of_backend
from memflow.errors import ConfigurationError
from memflow.store import faults
from memflow.store.database import CONNECT_SECONDS, without_hint
from memflow.store.sql import quote

PREFIX = "memflow_bench_"
"""How the schemas of benchmarks begin. Each is held by an advisory lock, so that one left behind is known as such."""

_LOCKS = 0x6D66_6265                   # first half of the lock's key: a number of our own
_FLUSHES = 40                          # commits to time; the median of so many holds still


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of Postgres at one moment. CPU is None where Postgres is not on this machine."""

    transactions: int                  # that wrote, since the server was made
    wal_bytes: int
    rows: int                          # in the schema
    cpu_seconds: float | None


class Meter:
    """A connection to the measured database. Made by `open`, closed by `close`, which drops the schema."""

    def __init__(self, conn: Any, schema: str, postmaster: int | None) -> None:
        self._conn = conn
        self._schema = schema
        self._postmaster = postmaster
        self.clock_offset = 0.0        # seconds by which the database's clock is ahead of ours

    @classmethod
    async def open(cls, dsn: str, schema: str) -> Self:
        """Connect, and take the name `schema`.

        Raises:
            DatabaseError, ConfigurationError: it cannot be reached, or the DSN cannot be read.
        """
        try:
            conn = await asyncpg.connect(without_hint(dsn)[0], timeout=CONNECT_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, *faults.Lost) as error:
            raise faults.translated(error, secrets=faults.secrets_of(dsn), doing="connecting") from error
        except ValueError as error:
            raise ConfigurationError(f"this DSN cannot be read: {error}") from error
        pid: int = await conn.fetchval("select pg_backend_pid()")
        database: str = await conn.fetchval("select current_database()")
        meter = cls(conn, schema, postgres_of_backend(pid, database=database))
        await conn.execute("select pg_advisory_lock($1, hashtext($2))", _LOCKS, schema)
        await meter._drop_left_behind()
        await meter._look_at_clock()
        return meter

    async def close(self) -> None:
        """Drop the schema and let go."""
        try:
            await self._conn.execute(f"drop schema if exists {quote(self._schema)} cascade")
        finally:
            await self._conn.close()

    async def facts(self) -> dict[str, Any]:
        """This Postgres, for a report."""
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size")
        found: dict[str, Any] = {}
        for name in names:
            found[name] = await self._conn.fetchval("select current_setting($1, true)", name)
        return {**found, "on_this_machine": self._postmaster is not None, "flush_ms": await self._flush_ms()}

    async def read(self) -> Reading:
        """The counters now."""
        row = await self._conn.fetchrow(
            "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xid,"
            " (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as wal"
        )
        tables = await self._conn.fetch("select tablename from pg_catalog.pg_tables where schemaname = $1", self._schema)
        rows = 0
        for table in tables:
            rows += await self._conn.fetchval(f"select count(*) from {quote(self._schema)}.{quote(table[0])}")
        return Reading(row["xid"], row["wal"], rows, self.cpu_seconds())

    def cpu_seconds(self) -> float | None:
        """CPU time of Postgres with all its processes, None where it is not on this machine."""
        return None if self._postmaster is None else cpu_seconds_of_tree(self._postmaster)

    async def count(self, view: str, condition: str = "true", *arguments: Any) -> int:
        """How many rows of a documented view fit."""
        found: int = await self._conn.fetchval(
            f"select count(*) from {quote(self._schema)}.{quote(view)} where {condition}", *arguments
        )
        return found

    async def until(self, least: int, view: str, condition: str, *arguments: Any, seconds: float) -> None:
        """Wait until that many rows fit. Looks seldom enough to cost less than a tenth of the time.

        Raises:
            TimeoutError: not within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while True:
            begun = time.monotonic()
            found = await self.count(view, condition, *arguments)
            if found >= least:
                return
            if begun > deadline:
                raise TimeoutError(f"after {seconds:g} seconds only {found:,} of {least:,} rows of {view} were as expected")
            await asyncio.sleep(max(0.02, 10 * (time.monotonic() - begun)))

    # ------------------------------------------------------------------------------------------------- inside

    async def _drop_left_behind(self) -> None:
        """Schemas of benchmarks that were killed: nobody holds their locks."""
        found = await self._conn.fetch("select nspname from pg_catalog.pg_namespace where nspname like $1", f"{PREFIX}%")
        for schema in (str(row[0]) for row in found):
            if schema == self._schema:
                continue
            if await self._conn.fetchval("select pg_try_advisory_lock($1, hashtext($2))", _LOCKS, schema):
                await self._conn.execute(f"drop schema if exists {quote(schema)} cascade")
                await self._conn.execute("select pg_advisory_unlock($1, hashtext($2))", _LOCKS, schema)

    async def _look_at_clock(self) -> None:
        best = float("inf")
        for _ in range(5):
            sent = time.time()
            theirs: float = await self._conn.fetchval("select extract(epoch from clock_timestamp())::float8")
            back = time.time()
            if back - sent < best:
                best, self.clock_offset = back - sent, theirs - (sent + back) / 2

    async def _flush_ms(self) -> float:
        """What a flush adds to a commit: the difference between commits that wait for it and such that do not."""
        probe = f"{quote(self._schema)}.flush_probe"
        await self._conn.execute(f"create table {probe} (n int)")
        await self._conn.execute(f"insert into {probe} values (0)")
        took: dict[str, list[float]] = {"on": [], "off": []}
        try:
            for _ in range(_FLUSHES):
                for mode, times in took.items():
                    await self._conn.execute(f"set synchronous_commit = {mode}")
                    begun = time.perf_counter()
                    await self._conn.execute(f"update {probe} set n = n + 1")
                    times.append(time.perf_counter() - begun)
        finally:
            await self._conn.execute(f"reset synchronous_commit; drop table {probe}")
        return round(max(0.0, statistics.median(took["on"]) - statistics.median(took["off"])) * 1000, 3)
