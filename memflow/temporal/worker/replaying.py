"""Replaying histories against today's code, without a database and without a worker."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from typing_extensions import TypedDict, Unpack

from memflow import errors
from memflow.core.entries import JournalEntry
from memflow.core.journal import rebuild
from memflow.core.replay import TurnFailed
from memflow.temporal.arguments import checked, with_options
from memflow.temporal.client import WorkflowHistory
from memflow.temporal.converter import DataConverter, PayloadCodec
from memflow.temporal.interception import Interceptor
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.telling import codec_of
from memflow.temporal.worker.decoding import decoded
from memflow.temporal.worker.guiding import replay_guided
from memflow.temporal.worker.imported import run_info
from memflow.temporal.worker.plugins import Plugin
from memflow.temporal.worker.runners import UnsandboxedWorkflowRunner, WorkflowRunner
from memflow.temporal.worker.turning import DYNAMIC, settings_of, workflow_definitions
from memflow.temporal.worker.workflow_sandbox import SandboxedWorkflowRunner
from memflow.temporal.workflow import NondeterminismError


class ReplayerConfig(TypedDict, total=False):
    """What a replayer is made of."""

    workflows: Sequence[type]
    workflow_task_executor: Any
    workflow_runner: WorkflowRunner
    unsandboxed_workflow_runner: WorkflowRunner
    namespace: str
    data_converter: DataConverter
    interceptors: Sequence[Interceptor]
    plugins: Sequence[Plugin]
    build_id: str | None
    identity: str | None
    workflow_failure_exception_types: Sequence[type[BaseException]]
    debug_mode: bool
    runtime: Any
    disable_safe_workflow_eviction: bool
    header_codec_behavior: Any


_OPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(ReplayerConfig.__annotations__),
    "workflow_runner": SandboxedWorkflowRunner(),
    "unsandboxed_workflow_runner": UnsandboxedWorkflowRunner(),
    "namespace": "ReplayNamespace",
    "data_converter": DataConverter.default,
    "interceptors": [],
    "plugins": [],
    "workflow_failure_exception_types": [],
    "debug_mode": False,
    "disable_safe_workflow_eviction": False,
}


@dataclass(frozen=True)
class WorkflowReplayResult:
    """What became of one history. `replay_failure` is None also where the workflow itself had failed."""

    history: WorkflowHistory
    replay_failure: Exception | None


@dataclass(frozen=True)
class WorkflowReplayResults:
    """What became of several: failures by run id."""

    replay_failures: Mapping[str, Exception]


class Replayer:
    """Replays histories against these workflow classes.

    Raises:
        ValueError: there is none, or one of them is no workflow.
    """

    @with_options(_OPTIONS, "workflows")
    def __init__(self, **options: Unpack[ReplayerConfig]) -> None:
        given = cast("ReplayerConfig", checked("Replayer.__init__", options, _OPTIONS))
        self._given = given.copy()
        for plugin in given.get("plugins", ()):
            given = plugin.configure_replayer(given)
        self._active = given
        config = self._config = cast("dict[str, Any]", given)
        if not config["workflows"]:
            raise ValueError("At least one workflow must be specified")
        settings = settings_of(
            config["interceptors"],
            config["workflow_failure_exception_types"],
            disable_eager_activity_execution=False,
            meter=MetricMeter.noop,
            build_id=config["build_id"] or "",
            runner=config["workflow_runner"],
            unsandboxed_runner=config["unsandboxed_workflow_runner"],
            debug_mode=config["debug_mode"],
        )
        self._definitions = workflow_definitions(config["workflows"], settings)
        self._codec = codec_of(config["data_converter"])

    def config(self, *, active_config: bool = False) -> ReplayerConfig:
        """What this replayer was made of; with `active_config` as its plugins have changed it."""
        return (self._active if active_config else self._given).copy()

    async def replay_workflow(
        self, history: WorkflowHistory, *, raise_on_replay_failure: bool = True
    ) -> WorkflowReplayResult:
        """Replay one history.

        Raises:
            NondeterminismError: the code asks for something other than the history holds.
        """
        result = await self._replay(history)
        if raise_on_replay_failure and result.replay_failure is not None:
            raise result.replay_failure
        return result

    async def replay_workflows(
        self, histories: AsyncIterator[WorkflowHistory], *, raise_on_replay_failure: bool = True
    ) -> WorkflowReplayResults:
        """Replay several; the first failure is raised, or all of them are told."""
        failures: dict[str, Exception] = {}
        async with self.workflow_replay_iterator(histories) as results:
            async for result in results:
                if result.replay_failure is None:
                    continue
                if raise_on_replay_failure:
                    raise result.replay_failure
                failures[result.history.run_id] = result.replay_failure
        return WorkflowReplayResults(failures)

    def workflow_replay_iterator(
        self, histories: AsyncIterator[WorkflowHistory]
    ) -> AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]:
        """The results one by one."""

        run: _Run = _each
        plugins: Sequence[Plugin] = self._config["plugins"]
        for plugin in reversed(plugins):
            run = _around(plugin, run)
        return run(self, histories)

    async def replay_one(self, history: WorkflowHistory) -> WorkflowReplayResult:
        """One history; whatever goes wrong is told in the result."""
        return await self._replay(history)

    async def _replay(self, history: WorkflowHistory) -> WorkflowReplayResult:
        started = history.events[0] if history.events else None
        if started is None:
            return WorkflowReplayResult(history, ValueError("the history has no events"))
        name = str(started.attributes.get("workflow_type", {}).get("name", ""))
        definition = self._definitions.get(name) or self._definitions.get(DYNAMIC)
        if definition is None:
            known = ", ".join(sorted(self._definitions))
            missing = f"Workflow class {name} is not registered on this worker, available workflows: {known}"
            return WorkflowReplayResult(history, _not_completed(missing))
        own = _own_journal(history)
        codec: PayloadCodec | None = self._config["data_converter"].payload_codec
        events = history.events
        if not own and codec is not None:
            try:
                events = await decoded(events, codec)
            except Exception as error:
                return WorkflowReplayResult(history, error)
        info = run_info(self._config["namespace"], history.workflow_id, history.run_id, events[0])
        try:
            if own:
                rebuild(definition, info, self._codec, own).close()
            else:
                replay_guided(definition, info, self._codec, events)
        except NondeterminismError as error:
            return WorkflowReplayResult(history, error)
        except errors.NondeterminismError as error:
            failure = NondeterminismError(str(error))
            failure.__cause__ = error
            return WorkflowReplayResult(history, failure)
        except TurnFailed as error:
            failed = _not_completed(str(error.__cause__ or error))
            failed.__cause__ = error.__cause__
            return WorkflowReplayResult(history, failed)
        return WorkflowReplayResult(history, None)


def _not_completed(why: str) -> RuntimeError:
    """A task that failed, which is no nondeterminism."""
    return RuntimeError(f"Workflow activation completion failed: {why}")


def _own_journal(history: WorkflowHistory) -> list[JournalEntry]:
    """The entries of memflow's own journal; none in a history of Temporal's."""
    return sorted((entry for event in history.events for entry in event.entries), key=lambda entry: entry.seq)


@asynccontextmanager
async def _each(
    replayer: Replayer, histories: AsyncIterator[WorkflowHistory]
) -> AsyncGenerator[AsyncIterator[WorkflowReplayResult]]:
    async def results() -> AsyncIterator[WorkflowReplayResult]:
        async for history in histories:
            yield await replayer.replay_one(history)

    yield results()


_Run = Callable[
    [Replayer, AsyncIterator[WorkflowHistory]], AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]]
]


def _around(plugin: Plugin, run: _Run) -> _Run:
    return lambda replayer, histories: plugin.run_replayer(replayer, histories, run)
