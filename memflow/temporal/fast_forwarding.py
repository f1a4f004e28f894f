"""The environments of `WorkflowEnvironment.start_time_skipping_v2`: time passes where a test says so, on one clock for all."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from memflow.temporal.client import WorkflowContinuedAsNewError, WorkflowFailureError
from memflow.temporal.testing import WorkflowEnvironment
from memflow.temporal.time_skipping import TimeSkippingConfig


class FastForwarding(WorkflowEnvironment):
    """Time skips while a result is awaited, unless `config` says that it does not; `fast_forward` lets it pass."""

    def __init__(self, like: WorkflowEnvironment, config: TimeSkippingConfig) -> None:
        super().__init__(like.client)
        beneath = like.beneath
        assert beneath is not None, "time skips in environments of our own only"
        self._beneath = self._clock = beneath
        self._still = ExitStack()
        if not config.enabled:
            self._still.enter_context(beneath.auto_time_skipping_disabled())

    async def sleep(self, duration: timedelta | float) -> None:
        """Not here.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "env.sleep is not supported in time-skipping V2 environments; use env.fast_forward(handle, duration) on a specific"
            " workflow."
        )

    async def get_current_time(self, handle: Any = None) -> datetime:
        """The time of a workflow.

        Raises:
            RuntimeError: of none.
        """
        if handle is None:
            raise RuntimeError(
                "env.get_current_time requires a workflow handle in time-skipping V2 environments; each workflow has its own"
                " virtual clock."
            )
        return await self._clock.get_current_time()

    @property
    def supports_time_skipping_v1(self) -> bool:
        return False

    @property
    def supports_time_skipping_v2(self) -> bool:
        return True

    @contextmanager
    def auto_time_skipping_disabled(self) -> Generator[None]:
        """Not here.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "env.auto_time_skipping_disabled is not supported in time-skipping V2 environments; use"
            " env.with_time_skipping_disabled() to suspend time-skipping config stamping on newly-started workflows."
        )
        yield

    @contextmanager
    def with_time_skipping_disabled(self) -> Generator[None]:
        with self._clock.auto_time_skipping_disabled():
            yield

    async def fast_forward(self, handle: Any, duration: timedelta | float | None = None, /) -> bool:
        if duration is not None:
            await self._clock.sleep(duration)
            return (await handle.describe()).close_time is None
        self._still.close()
        with suppress(WorkflowFailureError, WorkflowContinuedAsNewError):
            await handle.result(follow_runs=False)
        return False
