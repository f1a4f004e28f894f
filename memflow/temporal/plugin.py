"""A plugin for the usual wishes: a converter, interceptors, more activities and workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar, cast

from memflow.temporal.client import ClientConfig, WorkflowHistory
from memflow.temporal.client import Interceptor as ClientInterceptor
from memflow.temporal.client import Plugin as ClientPlugin
from memflow.temporal.converter import DataConverter
from memflow.temporal.interception import Interceptor as WorkerInterceptor
from memflow.temporal.service import ConnectConfig, ServiceClient
from memflow.temporal.worker import Plugin as WorkerPlugin
from memflow.temporal.worker import Replayer, ReplayerConfig, Worker, WorkerConfig, WorkflowReplayResult, WorkflowRunner

__all__ = ["SimplePlugin"]

T = TypeVar("T")


class SimplePlugin(ClientPlugin, WorkerPlugin):
    """A plugin for client, worker and replayer. Each argument is a value, or a function of what was there before."""

    def __init__(
        self,
        name: str,
        *,
        data_converter: DataConverter | Callable[[DataConverter | None], DataConverter] | None = None,
        interceptors: Sequence[ClientInterceptor | WorkerInterceptor] | None = None,
        activities: Any = None,
        nexus_service_handlers: Any = None,
        workflows: Any = None,
        workflow_runner: WorkflowRunner | Callable[[WorkflowRunner | None], WorkflowRunner] | None = None,
        workflow_failure_exception_types: Any = None,
        run_context: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        self._name = name
        self._data_converter = data_converter
        self._interceptors = list(interceptors or ())
        self._activities = activities
        self._workflows = workflows
        self._workflow_runner = workflow_runner
        self._failure_types = workflow_failure_exception_types
        self._run_context = run_context

    def name(self) -> str:
        return self._name

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        changed = config.copy()
        before = cast("dict[str, Any]", config)
        changed["data_converter"] = _one(before["data_converter"], self._data_converter)
        own = [each for each in self._interceptors if isinstance(each, ClientInterceptor)]
        changed["interceptors"] = [*before["interceptors"], *own]
        return changed

    async def connect_service_client(
        self, config: ConnectConfig, next: Callable[[ConnectConfig], Awaitable[ServiceClient]]
    ) -> ServiceClient:
        return await next(config)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        changed = config.copy()
        before = cast("dict[str, Any]", config)
        changed["activities"] = _several(before["activities"], self._activities)
        changed["workflows"] = _several(before["workflows"], self._workflows)
        changed["workflow_runner"] = _one(before["workflow_runner"], self._workflow_runner)
        changed["workflow_failure_exception_types"] = _several(
            before["workflow_failure_exception_types"], self._failure_types
        )
        # One that is a client interceptor too comes to the worker with its client.
        own = [
            each
            for each in self._interceptors
            if isinstance(each, WorkerInterceptor) and not isinstance(each, ClientInterceptor)
        ]
        changed["interceptors"] = [*before["interceptors"], *own]
        return changed

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        changed = config.copy()
        before = cast("dict[str, Any]", config)
        changed["data_converter"] = _one(before["data_converter"], self._data_converter)
        changed["workflows"] = _several(before["workflows"], self._workflows)
        changed["workflow_failure_exception_types"] = _several(
            before["workflow_failure_exception_types"], self._failure_types
        )
        own = [each for each in self._interceptors if isinstance(each, WorkerInterceptor)]
        changed["interceptors"] = [*before["interceptors"], *own]
        return changed

    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:
        if self._run_context is None:
            await next(worker)
        else:
            async with self._run_context():
                await next(worker)

    def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: Callable[
            [Replayer, AsyncIterator[WorkflowHistory]],
            AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
        ],
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        return next(replayer, histories)


def _one(before: T, wish: Any) -> T:
    """A value: the wish itself, or what it makes of what was there."""
    if wish is None:
        return before
    return cast("T", wish(before)) if callable(wish) and not isinstance(wish, type) else cast("T", wish)


def _several(before: Sequence[T], wish: Any) -> Sequence[T]:
    """Values: those there were and the wished ones, or what it makes of those there were."""
    if wish is None:
        return before
    return cast("Sequence[T]", wish(before)) if callable(wish) else [*before, *wish]
