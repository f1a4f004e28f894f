"""Tests of workflows and activities, as Temporal's programs write them, over `memflow_testing`: no second server, no download.

The database of `start_local` and `start_time_skipping` is $MEMFLOW_TEST_DSN, else the embedded Postgres of the project's tests.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

from memflow.client import Client as EngineClient
from memflow.client.codecs import AnyCodec
from memflow.store.base import Store
from memflow.temporal.activity import ActivityDefinition, Info
from memflow.temporal.attempt import ATTEMPT, ActivityCancellationDetails, Attempt, Flag
from memflow.temporal.client import Client, Interceptor, Plugin
from memflow.temporal.common import HeaderCodecBehavior, Priority, QueryRejectCondition, RetryPolicy
from memflow.temporal.converter import DataConverter
from memflow.temporal.exceptions import ApplicationError, CancelledError
from memflow.temporal.interception import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from memflow.temporal.interception import Interceptor as WorkerInterceptor
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.missing import not_offered
from memflow.temporal.service import LONG_HISTORY, ConnectConfig, ServiceClient
from memflow.temporal.telling import codec_of
from memflow.temporal.time_skipping import TimeSkippingConfig
from memflow.worker.injection import ThreadCancel
from memflow.worker.worker import Worker as EngineWorker

if TYPE_CHECKING:
    from memflow_testing.environment import WorkflowEnvironment as Beneath

__all__ = ["ActivityEnvironment", "TimeSkippingConfig", "WorkflowEnvironment"]

_SKIPPER = "use WorkflowEnvironment.start_time_skipping_v2(): time skips for all of its workflows"
__getattr__ = not_offered(__name__, {"TimeSkipper": _SKIPPER})

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowEnvironment:
    """A client on a database for tests; with `start_time_skipping` one whose time skips while a result is awaited."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._beneath: Beneath | None = None

    @staticmethod
    def from_client(client: Client) -> WorkflowEnvironment:
        """An environment over a client of yours, with real time."""
        return WorkflowEnvironment(_asserting(client))

    @staticmethod
    async def start_local(
        *,
        namespace: str = "default",
        data_converter: DataConverter = DataConverter.default,
        interceptors: Sequence[Interceptor] = [],
        plugins: Sequence[Plugin] = [],
        default_workflow_query_reject_condition: QueryRejectCondition | None = None,
        retry_config: Any = None,
        rpc_metadata: Any = None,
        identity: str | None = None,
        tls: Any = False,
        ip: str = "127.0.0.1",
        port: int | None = None,
        download_dest_dir: str | None = None,
        ui: bool = False,
        runtime: Any = None,
        search_attributes: Sequence[Any] = (),
        header_codec_behavior: HeaderCodecBehavior = HeaderCodecBehavior.NO_CODEC,
        **accepted: Any,
    ) -> WorkflowEnvironment:
        """An environment with real time. What is about a server to download and start has no effect, except for the setting
        `limit.historyCount.suggestContinueAsNew` among the `dev_server_extra_args`.

        Raises:
            ConfigurationError, DatabaseError: there is no Postgres to be had.
        """
        from memflow_testing.environment import WorkflowEnvironment as Beneath  # only tests have it

        codec = codec_of(data_converter)
        beneath = await Beneath.start_local(codec=codec)
        return WorkflowEnvironment._over(
            beneath,
            _long_history(accepted.get("dev_server_extra_args", ())),
            data_converter=data_converter,
            interceptors=interceptors,
            plugins=plugins,
            default_workflow_query_reject_condition=default_workflow_query_reject_condition,
            header_codec_behavior=header_codec_behavior,
        )

    @staticmethod
    async def start_time_skipping(
        *,
        data_converter: DataConverter = DataConverter.default,
        interceptors: Sequence[Interceptor] = [],
        plugins: Sequence[Plugin] = [],
        default_workflow_query_reject_condition: QueryRejectCondition | None = None,
        retry_config: Any = None,
        rpc_metadata: Any = None,
        identity: str | None = None,
        port: int | None = None,
        download_dest_dir: str | None = None,
        runtime: Any = None,
        header_codec_behavior: HeaderCodecBehavior = HeaderCodecBehavior.NO_CODEC,
        **accepted: Any,
    ) -> WorkflowEnvironment:
        """An environment whose time skips while a result is awaited, from one due instant to the next.

        Raises:
            ConfigurationError, DatabaseError: there is no Postgres to be had.
        """
        from memflow_testing.environment import WorkflowEnvironment as Beneath  # only tests have it

        codec = codec_of(data_converter)
        beneath = await Beneath.start_time_skipping(codec=codec)
        return WorkflowEnvironment._over(
            beneath,
            LONG_HISTORY,
            data_converter=data_converter,
            interceptors=interceptors,
            plugins=plugins,
            default_workflow_query_reject_condition=default_workflow_query_reject_condition,
            header_codec_behavior=header_codec_behavior,
        )

    @staticmethod
    async def start_time_skipping_v2(
        *,
        ts_config: TimeSkippingConfig = TimeSkippingConfig(),  # noqa: B008 - a constant
        **options: Any,
    ) -> WorkflowEnvironment:
        """An environment whose time also passes by `fast_forward`. Unlike Temporal's it has one clock for all workflows.

        The other options are those of `start_time_skipping`.

        Raises:
            ConfigurationError, DatabaseError: there is no Postgres to be had.
        """
        from memflow.temporal.fast_forwarding import FastForwarding  # which is one of us

        return FastForwarding(await WorkflowEnvironment.start_time_skipping(**options), ts_config)

    @staticmethod
    def _over(beneath: Beneath, long_history: int, **config: Any) -> WorkflowEnvironment:
        service = _EnvironmentService(beneath)
        service.long_history = long_history
        client = Client(service, namespace=beneath.store.namespace, **config)
        made = WorkflowEnvironment(_asserting(client))
        made._beneath = beneath
        return made

    @property
    def beneath(self) -> Beneath | None:
        """The environment of memflow's that this one stands on; None: a client of yours."""
        return self._beneath

    @property
    def client(self) -> Client:
        """The client of this environment."""
        return self._client

    async def connect_client(self, **kwargs: Any) -> Client:
        """Another client of this environment, with these of its settings changed."""
        config: Any = {**self._client.config(), **kwargs}
        return Client(**config)

    async def sleep(self, duration: timedelta | float) -> None:
        """Let so much time pass; where time skips, at once, and what falls due meanwhile happens in order."""
        if self._beneath is None:
            await asyncio.sleep(duration.total_seconds() if isinstance(duration, timedelta) else duration)
        else:
            await self._beneath.sleep(duration)

    async def get_current_time(self, handle: Any = None) -> datetime:
        """The time in this environment: for all of its workflows the same."""
        if self._beneath is None:
            return datetime.now(UTC)
        return await self._beneath.get_current_time()

    @property
    def supports_time_skipping(self) -> bool:
        """Whether time skips here."""
        return self._beneath is not None and self._beneath.supports_time_skipping

    @property
    def supports_time_skipping_v1(self) -> bool:
        """Whether time skips here, and `sleep` lets it pass."""
        return self.supports_time_skipping

    @property
    def supports_time_skipping_v2(self) -> bool:
        """Whether `fast_forward` lets time pass."""
        return False

    async def fast_forward(self, handle: Any, duration: timedelta | float | None = None, /) -> bool:
        """Let so much time pass, or what a workflow needs to end. Whether it is still under way then.

        Raises:
            RuntimeError: this is no environment of `start_time_skipping_v2`.
        """
        raise RuntimeError(
            "fast_forward requires a time-skipping environment; use WorkflowEnvironment.start_time_skipping_v2()."
        )

    @contextmanager
    def with_time_skipping_disabled(self) -> Generator[None]:
        """Inside, awaiting a result skips no time, where `fast_forward` is to be had."""
        yield

    @contextmanager
    def auto_time_skipping_disabled(self) -> Generator[None]:
        """Inside, awaiting a result skips no time."""
        if self._beneath is None:
            yield
        else:
            with self._beneath.auto_time_skipping_disabled():
                yield

    async def shutdown(self) -> None:
        """Let go of everything. A client of yours stays open."""
        if self._beneath is not None:
            with warnings.catch_warnings():
                # Tests of Temporal's programs may leave workflows open.
                warnings.simplefilter("ignore")
                await self._beneath.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shutdown()


def _long_history(arguments: Sequence[str]) -> int:
    """What the arguments of a development server say of long histories."""
    for argument in arguments:
        name, _, value = argument.removeprefix("--dynamic-config-value=").partition("=")
        if name == "limit.historyCount.suggestContinueAsNew" and value.isdecimal():
            return int(value)
    return LONG_HISTORY


class _EnvironmentService(ServiceClient):
    """The way to the database of an environment. Clients and workers made over it are known to the environment."""

    def __init__(self, beneath: Beneath) -> None:
        super().__init__(ConnectConfig("", identity="test", namespace=beneath.store.namespace))
        self._beneath = beneath

    async def store(self) -> Store:
        return self._beneath.store

    def client_over(self, store: Store, codec: AnyCodec) -> EngineClient:
        from memflow_testing.clients import EnvironmentClient  # only tests have it

        # In Temporal's environments time skips for results alone: a test may wait for an update and answer it meanwhile.
        made = EnvironmentClient(store, codec=codec, identity=self.config.identity, skips_for_updates=False)
        self._beneath.include(made)
        return made

    def worker(self, client: EngineClient, **options: Any) -> EngineWorker:
        from memflow_testing.workers import EnvironmentWorker  # only tests have it

        made = EnvironmentWorker(client, replace={}, calls={}, **options)
        self._beneath.include(made)
        return made

    async def close(self) -> None:
        """The environment closes what it has opened."""


# ------------------------------------------------------------------------------------------------- failed assertions


def _asserting(client: Client) -> Client:
    config = client.config()
    given = config.get("interceptors", ())
    if any(isinstance(each, _AssertionInterceptor) for each in given):
        return client
    config["interceptors"] = [*given, _AssertionInterceptor()]
    return Client(**config)


class _AssertionInterceptor(Interceptor, WorkerInterceptor):
    """An assertion that fails in workflow code fails the workflow, rather than its turn again and again."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        return _AssertionInbound


class _AssertionInbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        with _as_failure():
            return await super().execute_workflow(input)

    async def handle_signal(self, input: HandleSignalInput) -> None:
        with _as_failure():
            return await super().handle_signal(input)


@contextmanager
def _as_failure() -> Generator[None]:
    try:
        yield
    except AssertionError as error:
        raise ApplicationError(str(error), type="AssertionError", non_retryable=True) from error


# ------------------------------------------------------------------------------------------------- one activity


class ActivityEnvironment:
    """Runs activities with a context of their own, in this process.

    Set `info`, `on_heartbeat`, `payload_converter` and `metric_meter` before `run`.
    """

    def __init__(self, client: Client | None = None) -> None:
        self.info = ActivityEnvironment.default_info()
        self.on_heartbeat: Callable[..., None] = lambda *details: None
        self.payload_converter = DataConverter.default.payload_converter
        self.metric_meter: MetricMeter = MetricMeter.noop
        self._client = client
        self._cancelled: ActivityCancellationDetails | None = None
        self._shut_down = False
        self._running: list[_Running] = []

    @staticmethod
    def default_info() -> Info:
        """What `activity.info()` tells where a test says nothing else."""
        at = datetime.fromtimestamp(0, UTC)
        return Info(
            activity_id="test",
            activity_type="unknown",
            attempt=1,
            current_attempt_scheduled_time=at,
            heartbeat_details=[],
            heartbeat_timeout=None,
            is_local=False,
            namespace="default",
            schedule_to_close_timeout=timedelta(seconds=1),
            scheduled_time=at,
            start_to_close_timeout=timedelta(seconds=1),
            started_time=at,
            task_queue="test",
            task_token=b"test",
            workflow_id="test",
            workflow_namespace="default",
            workflow_run_id="test-run",
            workflow_type="test",
            priority=Priority.default,
            retry_policy=RetryPolicy(),
        )

    def cancel(
        self, cancellation_details: ActivityCancellationDetails = ActivityCancellationDetails(cancel_requested=True)  # noqa: B008
    ) -> None:
        """Ask the running activities, and those to come, to end."""
        self._cancelled = self._cancelled or cancellation_details
        for each in list(self._running):
            each.cancel(self._cancelled)

    def worker_shutdown(self) -> None:
        """Tell them that the worker is about to stop."""
        self._shut_down = True
        for each in list(self._running):
            each.attempt.shutdown.set()

    def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run an activity: at once if it is a plain function, else when what comes back is awaited."""
        return cast("R", _Running(self, fn, self._client).run(*args, **kwargs))

    def begin(self, running: _Running) -> None:
        """An activity runs now."""
        self._running.append(running)
        if self._shut_down:
            running.attempt.shutdown.set()
        if self._cancelled is not None:
            running.cancel(self._cancelled)

    def end(self, running: _Running) -> None:
        """It has ended."""
        self._running.remove(running)


class _Running:
    """One activity in an environment."""

    def __init__(self, environment: ActivityEnvironment, fn: Callable[..., Any], client: Client | None) -> None:
        self._environment = environment
        self._fn = fn
        called = getattr(fn, "__call__", fn)  # noqa: B004 - the method itself is asked, whether it is async
        self._is_async = inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(called)
        declared = ActivityDefinition.of(fn)
        raises = not self._is_async and not (declared is not None and declared.no_thread_cancel_exception)
        self._task: asyncio.Task[Any] | None = None
        self.attempt = Attempt(
            info=lambda: environment.info,
            heartbeat=environment.on_heartbeat,
            converter=environment.payload_converter,
            meter=environment.metric_meter,
            is_async=self._is_async,
            client=client if self._is_async else None,
            cancelled=Flag(),
            shutdown=Flag(),
            raiser=ThreadCancel(CancelledError) if raises else None,
        )

    def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._in_task(*args, **kwargs) if self._is_async else self._here(*args, **kwargs)

    def _here(self, *args: Any, **kwargs: Any) -> Any:
        token = ATTEMPT.set(self.attempt)
        try:
            self._environment.begin(self)
            raiser = self.attempt.raiser
            if raiser is None:
                return self._fn(*args, **kwargs)
            return raiser.run(lambda: self._fn(*args, **kwargs))
        finally:
            self._environment.end(self)
            ATTEMPT.reset(token)

    async def _in_task(self, *args: Any, **kwargs: Any) -> Any:
        async def run() -> Any:
            ATTEMPT.set(self.attempt)
            return await self._fn(*args, **kwargs)

        self._task = asyncio.create_task(run())
        self._environment.begin(self)
        try:
            return await self._task
        finally:
            self._environment.end(self)

    def cancel(self, details: ActivityCancellationDetails) -> None:
        if self.attempt.cancelled.is_set():
            return
        self.attempt.cancel(details)
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        elif self.attempt.raiser is not None:
            self.attempt.raiser.cancel()
