"""Running activities: arguments in, interceptors, threads and processes for sync ones, cancellation, a result out."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import logging
import pickle
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from memflow import activity as engine
from memflow import errors
from memflow.activity import ActivityDefinition as EngineActivity
from memflow.errors import PayloadError
from memflow.options import ActivityOptions
from memflow.payload import Payload as Stored
from memflow.temporal.activity import ActivityDefinition, Info
from memflow.temporal.activity import logger as activity_log
from memflow.temporal.attempt import ATTEMPT, ActivityCancellationDetails, Attempt, Flag
from memflow.temporal.client import Client
from memflow.temporal.common import Priority, RawValue, policy_of
from memflow.temporal.converter import ActivitySerializationContext
from memflow.temporal.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError
from memflow.temporal.interception import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.own_metrics import OwnMetrics
from memflow.temporal.startup import priority_in
from memflow.temporal.stored import ConvertingCodec, Raw, headers_in, headers_of, loaded_arguments
from memflow.temporal.telling import TellingCodec, serve
from memflow.temporal.worker.shared import SharedStateManager, perform_in_process
from memflow.temporal.worker.turning import DYNAMIC
from memflow.temporal.workflow.facts import filled
from memflow.worker.injection import ThreadCancel
from memflow.workflow import standalone

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Performers:
    """What all activities of a worker share."""

    client: Callable[[], Client]
    executor: concurrent.futures.Executor | None
    interceptors: Sequence[Interceptor]
    shared_state: SharedStateManager | None
    meter: MetricMeter = MetricMeter.noop
    shutdown: Flag = field(default_factory=Flag)
    broken: Callable[[BaseException], None] = lambda error: None
    """Hears of an executor that can run nothing any more."""
    _stopping: threading.Event | None = None

    @functools.cached_property
    def own_metrics(self) -> OwnMetrics | None:
        """What memflow counts itself."""
        return OwnMetrics.over(self.meter)

    def stopping(self, shared: SharedStateManager) -> threading.Event:
        """What tells other processes that the worker is about to stop; one for all their activities."""
        if self._stopping is None:
            self._stopping = shared.new_event()
            self.shutdown.echo(self._stopping)
        return self._stopping

    def definition(self, fn: Any) -> EngineActivity:
        """An activity as memflow's worker knows it.

        Raises:
            TypeError, ValueError: it is none, or it needs an executor that is not there.
        """
        declared = ActivityDefinition.must_of(fn)
        self._check(declared, fn)

        async def run(input: Stored) -> Any:
            return await self._perform(declared, fn, input)

        return EngineActivity(
            name=DYNAMIC if declared.name is None else declared.name,
            run=run,
            options=ActivityOptions(),
            transactional=False,
            is_async=True,
            required_arguments=1,
            types=lambda: ((Raw,), Any),
            dynamic=declared.name is None,
        )

    def _check(self, declared: ActivityDefinition, fn: Any) -> None:
        if inspect.isclass(fn):
            raise TypeError(f"Activity named {declared.name} is a class instead of an instance")
        if declared.is_async:
            return
        if self.executor is None:
            raise ValueError(f"Activity {declared.name} is not async so an activity_executor must be present")
        if not isinstance(self.executor, concurrent.futures.ThreadPoolExecutor) and self.shared_state is None:
            raise ValueError(
                f"Activity {declared.name} is not async and executor is not thread-pool executor, so shared_state_manager must"
                " be present"
            )
        if not isinstance(self.executor, concurrent.futures.ThreadPoolExecutor):
            try:
                pickle.dumps(fn)
            except Exception as error:
                raise TypeError(f"Activity {declared.name} must be picklable when using a process executor") from error

    # ------------------------------------------------------------------------------------------------- one attempt

    async def _perform(self, declared: ActivityDefinition, fn: Any, input: Stored) -> Any:
        codec = self.client().codec
        if isinstance(codec, TellingCodec):
            serve(_context())                    # to the end of the attempt: its failure is described after this returns
        attempt = Attempt(
            info=functools.cache(lambda: info_of(engine.info())),
            heartbeat=functools.partial(_heartbeat, codec),
            converter=codec.here().payloads,
            meter=self.meter,
            is_async=declared.is_async,
            client=self.client() if declared.is_async else None,
            cancelled=_TOLD if declared.is_async else Flag(),
            shutdown=self.shutdown,
            told=_told if declared.is_async else None,
        )
        ATTEMPT.set(attempt)
        try:
            answer = self._answered(declared, fn, attempt, codec, input)
            own = self.own_metrics
            return await (answer if own is None else own.activity(attempt.info(), answer))
        except (asyncio.CancelledError, errors.CancelledError) as error:
            if not why().worker_shutdown or engine.info().is_local:
                if isinstance(error, Exception):
                    _log_failure(error)
                raise
            # Not a cancellation that anybody asked for: the attempt has failed, and another may follow.
            _log_failure(error)
            raise ApplicationError(_STOPPED, type="WorkerShutdown") from None
        except Exception as error:
            _log_failure(error)
            if isinstance(error, concurrent.futures.BrokenExecutor):
                self.broken(error)
            raise

    async def _answered(
        self, declared: ActivityDefinition, fn: Any, attempt: Attempt, codec: ConvertingCodec, input: Stored
    ) -> Stored:
        try:
            args = self._arguments(declared, codec, input)
        except PayloadError as problem:
            raise RuntimeError("Failed decoding arguments") from problem
        if declared.is_async and not self.interceptors:
            return _encoded(codec, await _called(fn, args))
        headers = {**headers_of(engine.info().headers), **headers_in(input)}
        given = ExecuteActivityInput(fn, args, None if declared.is_async else self.executor, headers)
        inbound: ActivityInboundInterceptor = _Inbound(self, attempt, declared)
        for each in reversed(self.interceptors):
            inbound = each.intercept_activity(inbound)
        outbound = _Outbound(attempt)
        inbound.init(outbound)
        return _encoded(codec, await inbound.execute_activity(given))

    def _arguments(self, declared: ActivityDefinition, codec: ConvertingCodec, input: Stored) -> Sequence[Any]:
        if declared.name is None:
            return [[RawValue(payload) for payload in loaded_arguments(input).payloads]]
        return codec.read_arguments(input, declared.types[0])


_STOPPED: Final = "Worker is shutting down and this activity did not complete in time"


def _log_failure(error: BaseException) -> None:
    """Programs look for this record, by its text or its mark. What is harmless by its category is not worth a warning."""
    if not activity_log.logger.hasHandlers():            # Python would print it, with a stack that looks like a program's end
        return
    harmless = isinstance(error, ApplicationError) and error.category is ApplicationErrorCategory.BENIGN
    level = logging.DEBUG if harmless else logging.WARNING
    extra = {"__temporal_error_identifier": "ActivityFailure"}
    activity_log.log(level, "Completing activity as failed", exc_info=error, extra=extra)


async def _called(fn: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
    """Run an async activity. A cancellation that nobody asked for is an error like any other."""
    try:
        return await fn(*args)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if engine.is_cancelled() or (task is not None and task.cancelling()):
            raise
        raise ApplicationError(str(error), type="CancelledError") from None


def _encoded(codec: ConvertingCodec, value: Any) -> Stored:
    try:
        return codec.encode(value)
    except PayloadError as refused:
        raise refused.__cause__ or refused from None     # what the converter says, as an activity's error may be tried again


def _heartbeat(codec: ConvertingCodec, *details: Any) -> None:
    try:
        engine.heartbeat(*codec.details(details))
    except PayloadError as refused:
        raise refused.__cause__ or refused from None


def not_registered(known: Sequence[str]) -> EngineActivity:
    """What answers for activities that a worker with others does not know: an attempt that fails, as some other worker may."""

    async def run(input: Stored) -> Any:
        facts = engine.info()
        listed = ", ".join(sorted(known))
        within = f" for workflow {facts.workflow_id}" if facts.in_workflow else ""
        raise ApplicationError(
            f"Activity function {facts.activity}{within} is not registered on this worker, available activities: {listed}",
            type="NotFoundError",
        )

    return EngineActivity(
        name=DYNAMIC,
        run=run,
        options=ActivityOptions(),
        transactional=False,
        is_async=True,
        required_arguments=1,
        types=lambda: ((Raw,), Any),
        dynamic=True,
    )


class _Outbound(ActivityOutboundInterceptor):
    """The end of the chain: memflow."""

    def __init__(self, attempt: Attempt) -> None:
        self._info = attempt.info
        self._heartbeat = attempt.heartbeat

    def info(self) -> Info:
        return self._info()

    def heartbeat(self, *details: Any) -> None:
        self._heartbeat(*details)


class _Inbound(ActivityInboundInterceptor):
    """The end of the chain: the activity's own code."""

    def __init__(self, performers: Performers, attempt: Attempt, declared: ActivityDefinition) -> None:
        self._performers = performers
        self._attempt = attempt
        self._declared = declared

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        self._attempt.info = outbound.info
        self._attempt.heartbeat = outbound.heartbeat

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        attempt = self._attempt
        if self._declared.is_async or (input.executor is None and inspect.iscoroutinefunction(input.fn)):
            return await _called(input.fn, input.args)
        assert input.executor is not None, "a sync activity has an executor"
        if isinstance(input.executor, concurrent.futures.ThreadPoolExecutor):
            raiser = ThreadCancel(CancelledError) if not self._declared.no_thread_cancel_exception else None
            attempt.raiser = raiser
            runs = input.fn if raiser is None else functools.partial(raiser.run, input.fn)
            call = functools.partial(contextvars.copy_context().run, runs, *input.args)
            return await _watched(asyncio.get_running_loop().run_in_executor(input.executor, call), attempt, raiser)
        shared = self._performers.shared_state
        assert shared is not None, "looked at when the worker was made"

        def watch(call: asyncio.Future[Any]) -> Awaitable[Any]:
            return _watched(call, attempt, None)

        stopping = self._performers.stopping(shared)
        return await perform_in_process(shared, input.executor, input.fn, input.args, attempt, watch, stopping)


async def _watched(call: asyncio.Future[Any], attempt: Attempt, raiser: ThreadCancel | None) -> Any:
    """Wait for a thread or process. When cancelled, tell it, and wait on for what it makes of that."""
    hold_slot(call)
    while True:
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            if call.done():
                raise
            first = not attempt.cancelled.is_set()
            attempt.cancel(why())
            if first and raiser is not None:
                raiser.cancel()
            details = attempt.details
            if not first or (details is not None and not (details.cancel_requested or details.worker_shutdown)):
                raise                            # its time is up: nobody waits for a thread then


# ------------------------------------------------------------------------------------------------- memflow's side


def _context() -> ActivitySerializationContext:
    """Whose values an attempt's are. Asked of memflow's errand: `info()` has details of heartbeats that are to be read so."""
    errand: Any = cast("Any", engine.activity_context.get()).errand
    within = standalone.activity_of(errand.workflow) is None
    return ActivitySerializationContext(
        namespace=errand.namespace,
        activity_id=errand.options.activity_id or str(errand.op),
        activity_type=errand.name,
        activity_task_queue=errand.task_queue,
        workflow_id=errand.workflow_id if within else None,
        workflow_type=errand.workflow if within else None,
        is_local=bool(errand.options.is_local),
    )


def hold_slot(call: asyncio.Future[Any]) -> None:
    """The slot stays taken until the thread ends: it cannot be killed."""
    context: Any = engine.activity_context.get(None)
    if context is not None:
        with contextlib.suppress(AttributeError):
            context.thread = call


class _Told(Flag):
    """Whether the attempt that runs here is asked to end: memflow says so before it cancels a task."""

    def is_set(self) -> bool:
        return engine.is_cancelled()

    async def wait(self) -> None:
        await engine.wait_for_cancelled()

    def wait_sync(self, seconds: float | None) -> bool:
        engine.wait_for_cancelled_sync(seconds)
        return engine.is_cancelled()


_TOLD: Final = _Told()


def _told() -> ActivityCancellationDetails | None:
    return why() if engine.is_cancelled() else None


def why() -> ActivityCancellationDetails:
    """Why the attempt that runs here is asked to end."""
    told = engine.cancellation_details()
    if told is None:
        return ActivityCancellationDetails(cancel_requested=True)
    return ActivityCancellationDetails(
        told.not_found, told.cancel_requested, told.paused, told.reset, told.timed_out, told.worker_shutdown
    )


def info_of(facts: engine.Info) -> Info:
    """The facts of an attempt as Temporal's programs read them."""
    started = facts.in_workflow
    return Info(
        activity_id=facts.activity_id,
        activity_type=facts.activity,
        attempt=facts.attempt,
        current_attempt_scheduled_time=facts.scheduled_at,
        heartbeat_details=list(facts.heartbeat_details),
        heartbeat_timeout=facts.heartbeat_timeout,
        is_local=bool(facts.is_local),
        namespace=facts.namespace,
        schedule_to_close_timeout=facts.schedule_to_close_timeout,
        scheduled_time=facts.scheduled_at,
        start_to_close_timeout=facts.start_to_close_timeout,
        started_time=facts.started_at,
        task_queue=facts.task_queue,
        task_token=facts.task_token,
        workflow_id=facts.workflow_id if started else None,
        workflow_namespace=facts.namespace if started else None,
        workflow_run_id=facts.run_id if started else None,
        workflow_type=facts.workflow if started else None,
        priority=Priority(priority_in(facts.headers)),
        retry_policy=filled(policy_of(facts.retry)),
        activity_run_id=None if started else facts.run_id,
    )
