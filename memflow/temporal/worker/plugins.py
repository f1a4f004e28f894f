"""Worker plugins: they see how a worker, or a replayer, is configured and run."""

from __future__ import annotations

from abc import ABC
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memflow.temporal.client import WorkflowHistory
    from memflow.temporal.worker.replaying import Replayer, ReplayerConfig, WorkflowReplayResult
    from memflow.temporal.worker.worker import Worker, WorkerConfig


class Plugin(ABC):  # noqa: B024 - as Temporal's: every method has a default
    """Changes workers. One that is a client plugin too applies to the workers of its client."""

    def name(self) -> str:
        """Who it is."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Change what a worker is made of."""
        return config

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        """Run around the worker."""
        await next(worker)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Change what a replayer is made of."""
        return config

    def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        """Run around the replayer."""
        return next(replayer, histories)
