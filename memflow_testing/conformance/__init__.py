"""What every Store promises, as tests: `memflow/store/base.py` says it, this holds a store to it.

    from memflow_testing.conformance import StoreConformance

    class TestMyStore(StoreConformance):
        async def make_store(self) -> Store:
            return await MyStore.connect(...)

It needs pytest and pytest-asyncio. The store must be empty, of namespace `default`, and nobody else may work in it. Where a store
has to be closed, or stands on other fixtures, override the fixture `store` instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

_PARTS = (
    "activities", "chains", "commits", "deliveries", "doorbells", "escalations", "hooks", "lists", "overdue", "questions",
    "schedules", "signals", "starts", "steering", "steps", "workers",
)
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from memflow.store.base import Store  # noqa: E402
from memflow_testing.conformance.activities import Activities  # noqa: E402
from memflow_testing.conformance.chains import Chains  # noqa: E402
from memflow_testing.conformance.commits import Commits  # noqa: E402
from memflow_testing.conformance.deliveries import Deliveries  # noqa: E402
from memflow_testing.conformance.doorbells import Doorbells  # noqa: E402
from memflow_testing.conformance.escalations import Escalations  # noqa: E402
from memflow_testing.conformance.hooks import Hooks  # noqa: E402
from memflow_testing.conformance.lists import Lists  # noqa: E402
from memflow_testing.conformance.overdue import Overdue  # noqa: E402
from memflow_testing.conformance.questions import Questions  # noqa: E402
from memflow_testing.conformance.schedules import Schedules  # noqa: E402
from memflow_testing.conformance.signals import Signals  # noqa: E402
from memflow_testing.conformance.starts import Starts  # noqa: E402
from memflow_testing.conformance.steering import Steering  # noqa: E402
from memflow_testing.conformance.steps import Steps  # noqa: E402
from memflow_testing.conformance.workers import Workers  # noqa: E402

__all__ = ["StoreConformance"]


@pytest.mark.asyncio
class StoreConformance(
    Activities, Chains, Commits, Deliveries, Doorbells, Escalations, Hooks, Lists, Overdue, Questions, Schedules, Signals,
    Starts, Steering, Steps, Workers,
):
    """All of it. A subclass named `Test...` says how to make the store."""

    async def make_store(self) -> Store:
        """An empty store, for one test."""
        raise NotImplementedError("say how to make your store: async def make_store(self) -> Store")

    @pytest_asyncio.fixture
    async def store(self) -> AsyncIterator[Store]:
        """The store of one test."""
        store = await self.make_store()
        yield store
        await store.close()

    @pytest.fixture
    def other(self, store: Store) -> Store:
        """The same store, as another process has it. Override this where there are processes."""
        return store
