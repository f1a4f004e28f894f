"""Runs activity functions: types in, timeouts, heartbeats, threads for sync ones, retries decided, an ending out."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from memflow.activity import activity_context
from memflow.attempts import CancellationDetails, CompleteAsync
from memflow.codec import Codec
from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut
from memflow.errors import ApplicationError, CancelledError, PayloadError, UnreadablePayloadError
from memflow.failure import Failure, failure_of
from memflow.interceptors import (
    ActivityInbound,
    ExecuteActivityInput,
    WorkerInterceptor,
    chained,
)
from memflow.judging import judge_attempt
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.turns import Settle
from memflow.worker import verdicts
from memflow.worker.attempt import Innermost, JobContext
from memflow.worker.clock import DatabaseClock
from memflow.worker.injection import ThreadCancel
from memflow.worker.jobs import Ending, Errand, HandBack, Job, Opened, Settled, TryAgain

log = logging.getLogger(__name__)

TIMEOUTS = frozenset({"start_to_close", "schedule_to_close", "heartbeat"})


DETAILS = {
    "cancel": CancellationDetails(cancel_requested=True),
    "shutdown": CancellationDetails(worker_shutdown=True),
    "lost": CancellationDetails(not_found=True),
    "paused": CancellationDetails(paused=True),
    "reset": CancellationDetails(reset=True),
    **{kind: CancellationDetails(timed_out=True) for kind in TIMEOUTS},
}
"""What an attempt is told, by why it is stopped."""


class _NotOurs(Exception):
    """A transactional activity whose row somebody else holds by now: its transaction rolls back."""


class Runner:
    """The activity slots of one worker. Jobs beyond them wait here in order."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        *,
        slots: int,
        executor: Executor,
        clock: DatabaseClock,
        per_second: float | None,
        client: Any = None,
        interceptors: Sequence[WorkerInterceptor] = (),
    ) -> None:
        self._store = store
        self.client = client
        self.draining = False
        self.codec = codec
        self._executor = executor
        self._interceptors = interceptors
        self._clock = clock
        self._slots = slots
        self._free = slots
        self._backlog: deque[Job] = deque()
        self._running: dict[tuple[int, int], Job] = {}
        self._gap = 0.0 if per_second is None else 1.0 / per_second
        self._next_start = 0.0
        self._opener: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.freed: Callable[[], None] = lambda: None

    @property
    def room(self) -> int:
        """How many jobs could start at once."""
        return max(0, self._free - len(self._backlog))

    @property
    def jobs(self) -> list[Job]:
        """What runs now."""
        return list(self._running.values())

    def find(self, run: int, op: int) -> Job | None:
        """The running job of that activity, if it runs here."""
        return self._running.get((run, op))

    def submit(self, job: Job) -> None:
        """Start the job, or let it wait for a slot."""
        self._backlog.append(job)
        self._start_some()

    def stop(self, job: Job, why: str) -> None:
        """Ask a job to end. A thread that looks at `activity.is_cancelled()` is only told, in another an exception is raised."""
        if job.stopped is not None:
            return
        job.stopped = why
        if job.context is not None:
            job.context.stop(DETAILS[why])
        # Where another attempt may follow at once, a thread is waited for, so that the two do not run together.
        if job.task is not None and (job.definition.is_async or why not in ("cancel", "paused", "reset")):
            job.task.cancel()

    async def drain(self, grace: timedelta) -> None:
        """Let running jobs end for at most `grace`, then stop them; waiting jobs go back unstarted."""
        self.draining = True
        for job in self.jobs:
            if job.context is not None:
                job.context.shutdown = True
        for job in self._backlog:
            if job.stopped is None:
                job.stopped = "withdrawn"
                job.finished(job, HandBack(verdicts.shut_down(), begun=False))
        self._backlog.clear()
        if self._running and grace > timedelta():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace.total_seconds()):
                    await self._idle.wait()
        for job in self.jobs:
            self.stop(job, "shutdown")
        tasks = [job.task for job in self.jobs if job.task is not None]
        if tasks:
            # Code that swallows its cancellation is left behind after a second: its row is handed back all the same.
            await asyncio.wait(tasks, timeout=1.0)

    # ------------------------------------------------------------------------------------------------- slots

    def _start_some(self) -> None:
        loop = asyncio.get_running_loop()
        while self._free and self._backlog:
            if self._gap and not self._may_start(loop):
                return
            job = self._backlog.popleft()
            if job.stopped is not None:
                if job.stopped != "withdrawn":
                    job.finished(job, self._stopped(job, None))
                continue
            self._free -= 1
            self._idle.clear()
            self._running[job.key] = job
            # A fresh context per activity: nothing leaks from one to the next.
            job.task = loop.create_task(self._run(job), context=contextvars.Context())

    def _may_start(self, loop: asyncio.AbstractEventLoop) -> bool:
        now = loop.time()
        if now >= self._next_start:
            self._next_start = max(now, self._next_start + self._gap)
            return True
        if self._opener is None:
            self._opener = loop.call_at(self._next_start, self._open)
        return False

    def _open(self) -> None:
        self._opener = None
        self._start_some()

    def _release_slot(self) -> None:
        self._free += 1
        if self._free == self._slots:
            self._idle.set()
        if self._backlog:
            self._start_some()
        else:
            self.freed()

    def _thread_ended(self, _: asyncio.Future[Any]) -> None:
        self._release_slot()

    async def _run(self, job: Job) -> None:
        try:
            job.started_at = self._clock.now()
            self._arm(job)
            try:
                self._check_start(job)
                ending = await self._attempt(job)
            except CompleteAsync:
                ending = self._opened(job)
            except asyncio.CancelledError as stopped:
                ending = self._stopped(job, stopped)
            except CancelledError as error:
                ending = self._failed(job, error) if job.stopped is None else self._stopped(job, error)
            except BaseException as error:               # also SystemExit and friends: they end the activity, not the worker
                ending = self._failed(job, error)
        finally:
            for timer in job.timers:
                timer.cancel()
            job.timers.clear()
            self._running.pop(job.key, None)
            if job.context is not None and job.context.thread is not None and not job.context.thread.done():
                # A thread cannot be killed: its slot stays taken until the function returns.
                job.context.thread.add_done_callback(self._thread_ended)
            else:
                self._release_slot()
        job.finished(job, ending)
        job.task = job.context = None                    # else they and the job keep one another: work for the collector

    # ------------------------------------------------------------------------------------------------- one attempt

    def _check_start(self, job: Job) -> None:
        """Whether a local activity got its slot in time; of others their rows tell."""
        limit = job.errand.options.schedule_to_start_timeout
        if limit is None or not job.errand.options.is_local or job.attempt > 1:
            return
        if self._clock.now() > job.errand.scheduled_at + limit:
            job.stopped = "schedule_to_start"
            raise asyncio.CancelledError

    async def _attempt(self, job: Job) -> Ending:
        definition, errand = job.definition, job.errand
        if definition.transactional and job.token is None:
            raise ApplicationError(f"activity {errand.name!r} is transactional and cannot be local", non_retryable=True)
        if definition.dynamic:
            arguments = [self.codec.decode(errand.input, definition.argument_types[0] if definition.argument_types else Any)]
        else:
            arguments = self.codec.decode_arguments(errand.input, definition.argument_types, definition.required_arguments)
        job.context = JobContext(self, job)
        activity_context.set(job.context)
        if definition.transactional:
            return await self._in_transaction(job, arguments)
        if definition.is_async and not self._interceptors:  # what `_called` comes to, without its two coroutines
            return self._returned(job, await definition.run(*arguments))
        return self._returned(job, await self._called(job, arguments))

    async def _called(self, job: Job, arguments: Sequence[Any]) -> Any:
        """What the function returns, through interceptors if there are any."""
        definition = job.definition
        if not self._interceptors:
            return await self.run(job, definition.run, arguments)
        first = Innermost(self, job)
        inbound: ActivityInbound = chained(first, self._interceptors, "intercept_activity")
        inbound.init(first.outbound)
        wanted = ExecuteActivityInput(definition.run, arguments, dict(job.errand.headers), definition.is_async)
        return await inbound.execute_activity(wanted)

    async def run(self, job: Job, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Call the function itself, in a thread if it is not async."""
        if job.definition.is_async:
            return await function(*arguments)
        if not job.definition.no_thread_cancel_exception:
            job.context.injection = injection = ThreadCancel()
            function = functools.partial(injection.run, function)
        if job.stopped is not None:                      # between its start and now
            job.context.stop(DETAILS[job.stopped])
        bound = functools.partial(contextvars.copy_context().run, function, *arguments)
        call = asyncio.get_running_loop().run_in_executor(self._executor, bound)
        job.context.thread = call
        return await asyncio.shield(call)

    def _returned(self, job: Job, value: Any) -> Ending:
        result = self.codec.encode(value, job.definition.result_type)
        if job.stopped in TIMEOUTS:
            return self._stopped(job, None)
        return ActivityCompleted(job.errand.op, result)

    async def _in_transaction(self, job: Job, arguments: list[Any]) -> Ending:
        """Effect and result in one transaction: it commits only while the row is still ours."""
        assert job.token is not None, "a transactional activity always has a durable row"
        errand = job.errand
        try:
            async with self._store.transaction() as connection:
                job.context.connection = connection
                value = await self._called(job, arguments)
                ending = self._returned(job, value)
                if not isinstance(ending, ActivityCompleted):
                    raise _NotOurs
                settled = await self._store.settle_activities(
                    [Settle(errand.run, errand.op, job.token, ending)], connection=connection
                )
                if not settled[0]:
                    raise _NotOurs
        except _NotOurs:
            log.warning("transactional activity rolled back: its row was taken over", extra=_ids(job))
        return Settled()

    # ------------------------------------------------------------------------------------------------- endings

    def _failed(self, job: Job, error: BaseException) -> Ending:
        failure = failure_of(error, self.codec)
        if isinstance(error, PayloadError) and not isinstance(error, UnreadablePayloadError):
            failure = _final(failure)                    # the same bytes will not decode or encode the next time either
        return self.judge(job, failure)

    def _stopped(self, job: Job, error: BaseException | None) -> Ending:
        op, options = job.errand.op, job.errand.options
        match job.stopped:
            case "cancel":
                return ActivityCancelled(op, verdicts.cancelled())
            case "shutdown" | "lost":
                return HandBack(verdicts.shut_down())
            case "paused" | "reset":
                return HandBack(verdicts.shut_down(), begun=False)
            case "start_to_close" | "heartbeat" as kind:
                return self.judge(job, verdicts.timed_out(kind, verdicts.limit_of(options, kind), job.heartbeat))
            case "schedule_to_close" | "schedule_to_start" as kind:
                cause = verdicts.timed_out(kind, verdicts.limit_of(options, kind), job.heartbeat)
                id = options.activity_id or op
                return ActivityTimedOut(op, verdicts.activity_failed(job.errand.name, id, job.attempt, "timeout", cause))
            case _:                                      # the activity cancelled itself
                return self.judge(job, failure_of(error or asyncio.CancelledError(), self.codec))

    def _opened(self, job: Job) -> Ending:
        if job.stopped in TIMEOUTS or job.stopped in ("lost", "shutdown"):
            return self._stopped(job, None)
        limit = job.errand.options.start_to_close_timeout
        return Opened(None if limit is None else (job.started_at or self._clock.now()) + limit)

    def judge(self, job: Job, failure: Failure) -> Ending:
        """Another attempt, or the end."""
        ending = verdict_on(job.errand, job.attempt, failure, self._clock.now())
        if isinstance(ending, TryAgain):
            log.info("activity attempt failed, trying again", extra={**_ids(job), "delay_seconds": ending.delay.total_seconds()})
        return ending

    # ------------------------------------------------------------------------------------------------- timeouts

    def _arm(self, job: Job) -> None:
        options = job.errand.options
        if options.start_to_close_timeout is not None:
            self._timer(job, options.start_to_close_timeout.total_seconds(), "start_to_close")
        if job.errand.close_by is not None:
            self._timer(job, max(0.0, (job.errand.close_by - self._clock.now()).total_seconds()), "schedule_to_close")
        if options.heartbeat_timeout is not None:
            self._timer(job, options.heartbeat_timeout.total_seconds(), "heartbeat")

    def _timer(self, job: Job, seconds: float, kind: str) -> None:
        job.timers.append(self._clock.call_later(seconds, self.stop, job, kind))

    def beat(self, job: Job, details: Payload | None) -> None:
        """A heartbeat: its timeout starts anew, and the row learns of it. Called on the loop's thread."""
        job.heartbeat = details if details is not None else job.heartbeat
        job.beats = True
        if job.errand.options.heartbeat_timeout is not None and job.timers:
            job.timers.pop().cancel()                    # the heartbeat timer is armed last
            self._timer(job, job.errand.options.heartbeat_timeout.total_seconds(), "heartbeat")
        if job.beaten is not None:
            job.beaten(job)


def _ids(job: Job) -> dict[str, object]:
    errand = job.errand
    return {
        "workflow_id": errand.workflow_id,
        "run_id": errand.run_id,
        "activity": errand.name,
        "op": errand.op,
        "attempt": job.attempt,
    }


def _final(failure: Failure) -> Failure:
    return replace(failure, non_retryable=True, next_retry_delay=None)


def verdict_on(errand: Errand, attempt: int, failure: Failure, now: datetime) -> TryAgain | ActivityTimedOut | ActivityFailed:
    """What becomes of an activity whose attempt failed: another one, or its end."""
    id = errand.options.activity_id or str(errand.op)
    verdict = judge_attempt(
        errand.options, failure, name=errand.name, id=id, attempt=attempt, now=now, close_by=errand.close_by
    )
    if isinstance(verdict, Failure):
        return ActivityTimedOut(errand.op, verdict) if failure.kind == "timeout" else ActivityFailed(errand.op, verdict)
    return TryAgain(verdict, failure)
