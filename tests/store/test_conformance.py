"""Both stores keep what a Store promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from memflow.store.base import Store
from memflow.store.postgres import PostgresStore
from memflow_testing.conformance import StoreConformance
from memflow_testing.memory import MemoryStore
from memflow_testing.postgres import PostgresGround


class TestMemoryStore(StoreConformance):
    async def make_store(self) -> Store:
        return MemoryStore()


class TestPostgresStore(StoreConformance):
    @pytest_asyncio.fixture
    async def ground(self, dsn: str) -> AsyncIterator[PostgresGround]:
        ground = await PostgresGround.take(dsn)          # its schemas are made once: a new one takes longer than a test
        yield ground
        await ground.close()

    @pytest.fixture
    def store(self, ground: PostgresGround) -> Store:  # pyright: ignore[reportIncompatibleMethodOverride]  # a fixture for one
        return ground.store

    @pytest_asyncio.fixture
    async def other(  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]  # a fixture for one
        self, ground: PostgresGround
    ) -> AsyncIterator[Store]:
        other = await PostgresStore.connect(ground.dsn, schema=ground.schema)
        yield other
        await other.close()
