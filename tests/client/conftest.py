"""Clients over a schema of their own, one of them with every statement written down."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from memflow.client.client import Client


@pytest_asyncio.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    async with Client.connect(dsn, schema=schema) as client:
        yield client


@pytest_asyncio.fixture
async def watched(dsn: str, schema: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client over a pool of ours, and the text of each statement it sends."""
    statements: list[str] = []

    async def watch(connection: Any) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))

    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=5, init=watch)
    async with pool, Client.connect(pool=pool, schema=schema, listen_dsn=dsn) as client:
        yield client, statements
