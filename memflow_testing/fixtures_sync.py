"""Environments where pytest-asyncio is not installed: tests are plain functions and use `memflow_env.run(...)`."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from memflow_testing.asked import open_environment

if TYPE_CHECKING:
    from memflow_testing.clients import EnvironmentClient
    from memflow_testing.clock import SkippingClock
    from memflow_testing.environment import WorkflowEnvironment


@pytest.fixture
def memflow_env(request: pytest.FixtureRequest, memflow_place: str | None) -> Generator[WorkflowEnvironment]:
    """An environment for this test: a client, workers, and a clock that skips time. See `WorkflowEnvironment`."""
    with _opened(request.node, memflow_place, None) as environment:
        yield environment


@pytest.fixture
def memflow_pg_env(request: pytest.FixtureRequest, memflow_dsn: str) -> Generator[WorkflowEnvironment]:
    """The same, on Postgres whatever the options say."""
    with _opened(request.node, memflow_dsn, "postgres") as environment:
        yield environment


@pytest.fixture
def memflow_client(memflow_env: WorkflowEnvironment) -> EnvironmentClient:
    """`memflow_env.client`."""
    return memflow_env.client


@pytest.fixture
def memflow_clock(memflow_env: WorkflowEnvironment) -> SkippingClock:
    """`memflow_env.clock`."""
    return memflow_env.clock


@contextmanager
def _opened(node: pytest.Item, dsn: str | None, store: str | None) -> Generator[WorkflowEnvironment]:
    with asyncio.Runner() as runner:
        environment = runner.run(open_environment(node, dsn, store=store))
        try:
            yield environment
        finally:
            runner.run(environment.close())
