"""Fixtures that every test may use: a real Postgres, a database for this process, a schema for this test."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from memflow import embedded

DATABASE = "memflow_test_"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server_dsns() -> Iterator[tuple[str, str]]:
    """A Postgres server: $MEMFLOW_TEST_DSN, else an embedded one that all processes of this machine's test runs share.

    Two ways to it: the shortest, and one over TCP, for programs that may not reach its Unix socket.
    """
    named = os.environ.get("MEMFLOW_TEST_DSN")
    if named:
        yield named, named
        return
    settings = {**embedded.TEST_SETTINGS, "max_connections": "200"}
    with embedded.start(embedded.default_root() / "tests", idle=5, settings=settings) as server:
        yield server.dsn, server.tcp_dsn


@pytest.fixture(scope="session")
def server_dsn(server_dsns: tuple[str, str]) -> str:
    """The shortest way to the server."""
    return server_dsns[0]


@pytest.fixture(scope="session")
def dsn(server_dsn: str) -> Iterator[str]:
    """A database of this test process alone, gone afterwards."""
    name = f"{DATABASE}{os.getpid()}"
    asyncio.run(_make_database(server_dsn, name))
    yield urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}"))
    asyncio.run(_execute(server_dsn, f"drop database if exists {name} with (force)"))


@pytest.fixture(scope="session")
def tcp_dsn(dsn: str, server_dsns: tuple[str, str]) -> str:
    """The same database as `dsn`, over TCP."""
    return urlunsplit(urlsplit(server_dsns[1])._replace(path=urlsplit(dsn).path))


@pytest.fixture
def schema(dsn: str) -> Iterator[str]:
    """The name of a schema that does not exist yet; dropped after the test."""
    name = f"mf_{next(_numbers)}"
    yield name
    asyncio.run(_execute(dsn, f"drop schema if exists {name} cascade"))


async def _make_database(dsn: str, name: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        found = await conn.fetch("select datname from pg_database where datname like $1", f"{DATABASE}%")
        for leftover in (str(row[0]) for row in found):
            if not _is_alive(int(leftover.removeprefix(DATABASE))):
                await conn.execute(f"drop database if exists {leftover} with (force)")
        await conn.execute(f"drop database if exists {name} with (force)")
        await conn.execute(f"create database {name}")
    finally:
        await conn.close()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _execute(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()


@pytest.fixture(scope="session")
def memflow_dsn(dsn: str) -> str:
    """Where `memflow_env` lives: the database of this test process."""
    return dsn
