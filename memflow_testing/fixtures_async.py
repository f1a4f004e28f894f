"""Environments for pytest-asyncio, in its strict and its auto mode. A test without `async` uses `memflow_env.run(...)`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from memflow_testing.asked import open_environment

if TYPE_CHECKING:
    from memflow_testing.clients import EnvironmentClient
    from memflow_testing.clock import SkippingClock
    from memflow_testing.environment import WorkflowEnvironment


@pytest_asyncio.fixture
async def memflow_env(
    request: pytest.FixtureRequest, memflow_place: str | None
) -> AsyncGenerator[WorkflowEnvironment]:
    """An environment for this test: a client, workers, and a clock that skips time. See `WorkflowEnvironment`."""
    async with await open_environment(request.node, memflow_place) as environment:
        yield environment


@pytest_asyncio.fixture
async def memflow_pg_env(request: pytest.FixtureRequest, memflow_dsn: str) -> AsyncGenerator[WorkflowEnvironment]:
    """The same, on Postgres whatever the options say."""
    async with await open_environment(request.node, memflow_dsn, store="postgres") as environment:
        yield environment


@pytest_asyncio.fixture
async def memflow_client(memflow_env: WorkflowEnvironment) -> EnvironmentClient:
    """`memflow_env.client`."""
    return memflow_env.client


@pytest_asyncio.fixture
async def memflow_clock(memflow_env: WorkflowEnvironment) -> SkippingClock:
    """`memflow_env.clock`."""
    return memflow_env.clock
