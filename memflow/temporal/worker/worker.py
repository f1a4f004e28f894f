"""The worker: runs workflows and activities of one task queue, on memflow's worker."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, cast

from typing_extensions import TypedDict, Unpack

from memflow.activity import ActivityDefinition as EngineActivity
from memflow.temporal.activity import ActivityDefinition
from memflow.temporal.arguments import checked, with_options
from memflow.temporal.client import Client
from memflow.temporal.common import VersioningBehavior, WorkerDeploymentVersion
from memflow.temporal.interception import Interceptor
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.missing import NotOffered
from memflow.temporal.worker.performing import Performers, not_registered
from memflow.temporal.worker.plugins import Plugin
from memflow.temporal.worker.runners import UnsandboxedWorkflowRunner, WorkflowRunner
from memflow.temporal.worker.shared import SharedStateManager
from memflow.temporal.worker.tuning import PollerBehavior, PollerBehaviorSimpleMaximum, WorkerTuner
from memflow.temporal.worker.turning import DYNAMIC, settings_of, workflow_definitions
from memflow.temporal.worker.workflow_sandbox import SandboxedWorkflowRunner
from memflow.temporal.workflow.define import WorkflowDefinition
from memflow.worker.worker import Worker as EngineWorker


@dataclass(frozen=True)
class PatchActivationInput:
    """A patch that a workflow asks about for the first time."""

    workflow_info: Any
    patch_id: str


@dataclass
class WorkerDeploymentConfig:
    """Which version of a deployment a worker is."""

    version: WorkerDeploymentVersion
    use_worker_versioning: bool
    default_versioning_behavior: VersioningBehavior = VersioningBehavior.UNSPECIFIED


class WorkerOptions(TypedDict, total=False):
    """Options of a worker."""

    task_queue: str
    activities: Sequence[Callable[..., Any]]
    nexus_service_handlers: Sequence[Any]
    workflows: Sequence[type]
    activity_executor: concurrent.futures.Executor | None
    workflow_task_executor: concurrent.futures.ThreadPoolExecutor | None
    nexus_task_executor: concurrent.futures.ThreadPoolExecutor | None
    workflow_runner: WorkflowRunner
    unsandboxed_workflow_runner: WorkflowRunner
    plugins: Sequence[Plugin]
    interceptors: Sequence[Interceptor]
    build_id: str | None
    identity: str | None
    max_cached_workflows: int
    max_concurrent_workflow_tasks: int | None
    max_concurrent_activities: int | None
    max_concurrent_local_activities: int | None
    max_concurrent_nexus_tasks: int | None
    tuner: WorkerTuner | None
    max_concurrent_workflow_task_polls: int | None
    nonsticky_to_sticky_poll_ratio: float
    max_concurrent_activity_task_polls: int | None
    no_remote_activities: bool
    sticky_queue_schedule_to_start_timeout: timedelta
    max_heartbeat_throttle_interval: timedelta
    default_heartbeat_throttle_interval: timedelta
    max_activities_per_second: float | None
    max_task_queue_activities_per_second: float | None
    max_eager_activity_reservations_per_workflow_task: int
    graceful_shutdown_timeout: timedelta
    plugin_shutdown_timeout: timedelta | None
    workflow_failure_exception_types: Sequence[type[BaseException]]
    shared_state_manager: SharedStateManager | None
    debug_mode: bool
    disable_eager_activity_execution: bool
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None
    use_worker_versioning: bool
    disable_safe_workflow_eviction: bool
    deployment_config: WorkerDeploymentConfig | None
    patch_activation_callback: Callable[[PatchActivationInput], bool] | None
    workflow_task_poller_behavior: PollerBehavior
    activity_task_poller_behavior: PollerBehavior
    nexus_task_poller_behavior: PollerBehavior
    disable_payload_error_limit: bool
    max_workflow_task_external_storage_concurrency: int


class WorkerConfig(WorkerOptions, total=False):
    """What a worker is made of."""

    client: Client


OPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(WorkerOptions.__annotations__),
    "activities": [],
    "nexus_service_handlers": [],
    "workflows": [],
    "workflow_runner": SandboxedWorkflowRunner(),
    "unsandboxed_workflow_runner": UnsandboxedWorkflowRunner(),
    "plugins": [],
    "interceptors": [],
    "max_cached_workflows": 1000,
    "nonsticky_to_sticky_poll_ratio": 0.2,
    "no_remote_activities": False,
    "sticky_queue_schedule_to_start_timeout": timedelta(seconds=10),
    "max_heartbeat_throttle_interval": timedelta(seconds=60),
    "default_heartbeat_throttle_interval": timedelta(seconds=30),
    "max_eager_activity_reservations_per_workflow_task": 3,
    "graceful_shutdown_timeout": timedelta(),
    "plugin_shutdown_timeout": timedelta(seconds=60),
    "workflow_failure_exception_types": [],
    "debug_mode": False,
    "disable_eager_activity_execution": False,
    "use_worker_versioning": False,
    "disable_safe_workflow_eviction": False,
    "workflow_task_poller_behavior": PollerBehaviorSimpleMaximum(5),
    "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(5),
    "nexus_task_poller_behavior": PollerBehaviorSimpleMaximum(5),
    "disable_payload_error_limit": False,
    "max_workflow_task_external_storage_concurrency": 3,
}
DEFAULT_ACTIVITIES: Final = 100
DEFAULT_BUILD_ID: Final = f"memflow-{sys.version_info.major}.{sys.version_info.minor}"
DEFAULT_WORKFLOWS: Final = 2000


class Worker:
    """Runs workflows and activities of one task queue. Several of one process may share a queue, or a client.

    Raises:
        ValueError: something listed is none, or an option cannot work.
    """

    @with_options(OPTIONS, "task_queue")
    def __init__(self, client: Client, **options: Unpack[WorkerOptions]) -> None:
        if "task_queue" not in options:
            raise TypeError("Worker.__init__() missing 1 required keyword-only argument: 'task_queue'")
        config = cast("WorkerConfig", {"client": client, **checked("Worker.__init__", options, OPTIONS)})
        self._given = config.copy()
        from_client = [each for each in client.plugins if isinstance(each, Plugin)]
        given = {type(each) for each in config.get("plugins", ())}
        for kind in [type(each) for each in from_client if type(each) in given]:
            warnings.warn(
                f"The same plugin type {kind} is present from both client and worker. It may run twice and may not be the"
                " intended behavior.",
                stacklevel=4,
            )
        self._plugins: list[Plugin] = [*from_client, *config.get("plugins", ())]
        for plugin in self._plugins:
            config = plugin.configure_worker(config)
        self._active = config
        self._config = cast("dict[str, Any]", config)
        self._client: Client = self._config["client"]
        self._client.service_client.check_process("create worker")
        self._check()
        self._engine: EngineWorker | None = None
        self._performers = self._make_performers()
        self._definitions = self._make_definitions()
        self._activities = self._make_activities()
        self._running: asyncio.Task[None] | None = None
        self._body: asyncio.Task[Any] | None = None
        self._started = False
        self._stopped = False
        self._stop = asyncio.Event()
        self._serving = ExitStack()
        self._moved = asyncio.Event()
        self._fatal: BaseException | None = None

    def _check(self) -> None:
        config = self._config
        if config["nexus_service_handlers"]:
            raise NotOffered("nexus_service_handlers", "call the other side's client in an activity")
        if not config["activities"] and not config["workflows"]:
            raise ValueError("At least one activity, Nexus service, or workflow must be specified")
        if config["use_worker_versioning"] and not config["build_id"]:
            raise ValueError("build_id must be specified when use_worker_versioning is True")
        if config["deployment_config"] is not None and (config["build_id"] or config["use_worker_versioning"]):
            raise ValueError("deployment_config cannot be used with build_id or use_worker_versioning")
        tuned = (
            "max_concurrent_workflow_tasks",
            "max_concurrent_activities",
            "max_concurrent_local_activities",
            "max_concurrent_nexus_tasks",
        )
        if config["tuner"] is not None and any(config[name] is not None for name in tuned):
            raise ValueError(
                "Cannot specify max_concurrent_workflow_tasks, max_concurrent_activities, max_concurrent_local_activities, or"
                " max_concurrent_nexus_tasks when also specifying tuner"
            )

    def _make_activities(self) -> list[EngineActivity]:
        made: dict[str, EngineActivity] = {}
        for fn in self._config["activities"]:
            activity = self._performers.definition(fn)
            if activity.name in made:
                if activity.dynamic:
                    raise TypeError("More than one dynamic activity")
                raise ValueError(f"More than one activity named {activity.name}")
            made[activity.name] = activity
        self._warn_of_few_threads()
        if made and DYNAMIC not in made:
            made[DYNAMIC] = not_registered(list(made))
        return list(made.values())

    def _warn_of_few_threads(self) -> None:
        """A number of activities that was asked for needs as many threads; without one, those of the executor do."""
        config = self._config
        if config["max_concurrent_activities"] is None and config["tuner"] is None:
            return
        executor = config["activity_executor"]
        threads: int | None = getattr(executor, "_max_workers", None)
        if threads is not None and threads < self._activity_slots:
            warnings.warn(
                f"Worker max_concurrent_activities is {self._activity_slots} but activity_executor's max_workers is only"
                f" {threads}",
                stacklevel=4,
            )

    @property
    def _activity_slots(self) -> int:
        slots: int | None = self._config["max_concurrent_activities"]
        tuner: WorkerTuner | None = self._config["tuner"]
        return slots or (tuner.activity_slots if tuner else DEFAULT_ACTIVITIES)

    @property
    def _interceptors(self) -> list[Interceptor]:
        from_client: list[Interceptor] = [
            each for each in self._client.interceptors if isinstance(each, Interceptor)
        ]
        return [*from_client, *self._config["interceptors"]]

    def _make_performers(self) -> Performers:
        config = self._config
        return Performers(
            client=lambda: self._client,
            executor=config["activity_executor"],
            interceptors=self._interceptors,
            shared_state=config["shared_state_manager"],
            meter=self._meter,
            broken=self._broken,
        )

    def _make_definitions(self) -> list[Any]:
        config = self._config
        settings = settings_of(
            self._interceptors,
            config["workflow_failure_exception_types"],
            disable_eager_activity_execution=config["disable_eager_activity_execution"],
            meter=self._meter,
            build_id=config["build_id"] or (self._version or "").rpartition(".")[2] or DEFAULT_BUILD_ID,
            deployment=self._deployment,
            activities=frozenset(ActivityDefinition.must_of(fn).name for fn in config["activities"]),
            runner=config["workflow_runner"],
            unsandboxed_runner=config["unsandboxed_workflow_runner"],
            long_history=self._client.service_client.long_history,
            debug_mode=config["debug_mode"],
        )
        self._check_versioning()
        return list(workflow_definitions(config["workflows"], settings).values())

    def _check_versioning(self) -> None:
        """Where versions count, each workflow says what becomes of its runs with a new one."""
        deployment: WorkerDeploymentConfig | None = self._config["deployment_config"]
        if deployment is None or not deployment.use_worker_versioning:
            return
        if deployment.default_versioning_behavior is not VersioningBehavior.UNSPECIFIED:
            return
        for cls in self._config["workflows"]:
            found = WorkflowDefinition.must_from_class(cls)
            if found.versioning_behavior is VersioningBehavior.UNSPECIFIED and found.dynamic_config is None:
                raise ValueError(
                    f"Workflow {found.name} must specify a versioning behavior using the `versioning_behavior` argument to"
                    " `@workflow.defn` or by defining a function decorated with `@workflow.dynamic_config`."
                )

    @property
    def _meter(self) -> MetricMeter:
        runtime = self._client.service_client.config.runtime
        return MetricMeter.noop if runtime is None else runtime.metric_meter

    @property
    def _version(self) -> str | None:
        deployment: WorkerDeploymentConfig | None = self._config["deployment_config"]
        if deployment is not None:
            return deployment.version.to_canonical_string() if deployment.use_worker_versioning else None
        build_id: str | None = self._config["build_id"]
        return build_id if self._config["use_worker_versioning"] else None

    @property
    def _deployment(self) -> WorkerDeploymentVersion | None:
        deployment: WorkerDeploymentConfig | None = self._config["deployment_config"]
        return None if deployment is None else deployment.version

    @property
    def _default_versioning(self) -> str:
        deployment: WorkerDeploymentConfig | None = self._config["deployment_config"]
        if deployment is not None and deployment.default_versioning_behavior is VersioningBehavior.PINNED:
            return "pinned"
        return "auto_upgrade"

    # ------------------------------------------------------------------------------------------------- facts

    def config(self, *, active_config: bool = False) -> WorkerConfig:
        """What this worker was made of; with `active_config` as its plugins have changed it."""
        return (self._active if active_config else self._given).copy()

    @property
    def task_queue(self) -> str:
        """The queue it serves."""
        queue: str = self._config["task_queue"]
        return queue

    @property
    def client(self) -> Client:
        """The client it uses."""
        return self._client

    @client.setter
    def client(self, value: Client) -> None:
        """Use another client from now on: while the worker runs, it moves over to that client's database and namespace."""
        self._client = value
        self._moved.set()

    @property
    def is_running(self) -> bool:
        """Whether it takes work now."""
        return self._started and not self._stopped

    @property
    def is_shutdown(self) -> bool:
        """Whether it has stopped for good."""
        return self._stopped

    # ------------------------------------------------------------------------------------------------- life

    async def run(self) -> None:
        """Work until cancelled or shut down.

        Raises:
            RuntimeError: it was run before; or it failed in a way that no retry can mend, which is the cause.
        """
        runs: Callable[[Worker], Awaitable[None]] = _run
        for plugin in reversed(self._plugins):
            runs = _around(plugin, runs)
        await runs(self)

    async def live(self) -> None:
        """Work until cancelled or shut down, plugins apart."""
        if self._started:
            raise RuntimeError("Already started")
        self._client.service_client.check_process("use worker")
        self._started = True
        engine = self._engine = await self._make_engine()
        try:
            await self._serve(engine)
        except BaseException as error:
            callback = self._config["on_fatal_error"]
            if callback is not None and not isinstance(error, asyncio.CancelledError):
                await callback(error)
            raise
        finally:
            self._stopped = True

    async def _serve(self, engine: EngineWorker) -> None:
        """Work until stopped; where the client is replaced meanwhile, on with that one."""
        try:
            while True:
                self._moved.clear()
                await self._work(engine)
                if self._stop.is_set():
                    break
                engine = self._engine = await self._make_engine()
        except Exception as error:
            raise RuntimeError(f"{'Workflow' if self._definitions else 'Activity'} worker failed") from error
        finally:
            self._performers.shutdown.set()
        if self._fatal is not None:
            raise RuntimeError("Activity worker failed") from self._fatal

    async def _work(self, engine: EngineWorker) -> None:
        self._announce()                         # to the client it has now
        async with engine:
            waits = [asyncio.ensure_future(each.wait()) for each in (self._stop, self._moved)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self._stop.set()
                raise
            finally:
                self._serving.close()
                for each in waits:
                    each.cancel()
                if self._stop.is_set():
                    self._performers.shutdown.set()

    def _broken(self, error: BaseException) -> None:
        """An executor can run nothing any more: the attempt is reported as failed, and the worker ends."""
        self._fatal = error
        self._stop.set()

    async def _make_engine(self) -> EngineWorker:
        config = self._config
        tuner = config["tuner"]
        workflows = config["max_concurrent_workflow_tasks"] or (tuner.workflow_slots if tuner else DEFAULT_WORKFLOWS)
        rates = [config["max_activities_per_second"], config["max_task_queue_activities_per_second"]]
        limits = [rate for rate in rates if rate is not None]
        return self._client.service_client.worker(
            await self._client.engine(),
            task_queue=self.task_queue,
            workflows=self._definitions,
            activities=[] if config["no_remote_activities"] and not self._definitions else self._activities,
            max_concurrent_activities=self._activity_slots,
            max_concurrent_workflows=workflows,
            max_cached_workflows=config["max_cached_workflows"],
            max_activities_per_second=min(limits, default=None),
            activity_executor=_NoThreads(),
            graceful_shutdown_timeout=config["graceful_shutdown_timeout"],
            version=self._version,
            default_versioning=self._default_versioning,
            identity=config["identity"] or self._client.identity,
            poll_interval=0.2 if config["debug_mode"] else 1,
        )

    async def shutdown(self) -> None:
        """Stop taking work, let activities end, hand back the rest. Returns when nothing of it is left."""
        if not self._started:
            self._stopped = True
            return
        self._performers.shutdown.set()
        self._stop.set()
        running = self._running
        if running is not None and running is not asyncio.current_task():
            await asyncio.wait({running})
        elif self._engine is not None:
            await self._engine.shutdown()

    async def __aenter__(self) -> Self:
        if self._started or self._running is not None:
            raise RuntimeError("Already started")
        self._announce()
        self._body = asyncio.current_task()
        self._running = asyncio.create_task(self.run(), name=f"memflow.temporal worker {self.task_queue}")
        self._running.add_done_callback(self._ended)
        return self

    def _announce(self) -> None:
        """Let starts of this client know of this worker, from now on until it stops."""
        self._serving.close()
        if self._definitions:
            self._serving.enter_context(self._client.service_client.serving(self.task_queue))

    def _ended(self, running: asyncio.Task[None]) -> None:
        self._serving.close()
        if not running.cancelled() and running.exception() is not None and self._body is not None:
            self._body.cancel()                  # the body must not wait for a dead worker

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._body = None
        running = self._running
        assert running is not None
        self._performers.shutdown.set()
        self._stop.set()
        await asyncio.shield(asyncio.wait({running}))
        failure = None if running.cancelled() else running.exception()
        if failure is not None and (kind is None or issubclass(kind, asyncio.CancelledError)):
            raise failure                        # what the body made of its cancellation goes before it


async def _run(worker: Worker) -> None:
    await worker.live()


def _around(plugin: Plugin, runs: Callable[[Worker], Awaitable[None]]) -> Callable[[Worker], Awaitable[None]]:
    async def around(worker: Worker) -> None:
        made = plugin.run_worker(worker, runs)
        if inspect.isawaitable(made):
            await made

    return around


class _NoThreads(concurrent.futures.Executor):
    """What memflow's worker is given: activities of Temporal's programs bring an executor of their own."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        raise RuntimeError("activities of memflow.temporal run in the executor that they were given")
