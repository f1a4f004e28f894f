"""A store over a schema of its own, a second one beside it, and a bare connection to look behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from memflow.store.postgres import PostgresStore


@pytest_asyncio.fixture
async def store(dsn: str, schema: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.connect(dsn, schema=schema)
    await store.migrate()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def other(dsn: str, schema: str, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """Another process' store over the same schema."""
    other = await PostgresStore.connect(dsn, schema=schema)
    yield other
    await other.close()


@pytest_asyncio.fixture
async def sql(dsn: str, schema: str, store: PostgresStore) -> AsyncIterator[Any]:
    """A connection of the test's own, with the schema as its search path."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f'set search_path = "{schema}"')
    yield connection
    await connection.close()
