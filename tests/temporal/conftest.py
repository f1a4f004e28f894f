"""A client on the database of the test, and queues of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from memflow import Client as EngineClient
from memflow.temporal.client import Client

_numbers = itertools.count(1)


@pytest.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    """A Temporal client on a schema of its own."""
    engine = await EngineClient.connect(dsn, schema=schema)
    made = Client.from_memflow(engine)
    yield made
    await made.close()


@pytest.fixture
def queue() -> str:
    """A task queue that no other test has."""
    return f"queue-{next(_numbers)}"
