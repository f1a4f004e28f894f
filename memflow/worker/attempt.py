"""One attempt as its code sees it, and the calls it makes: what stands between an activity and the worker that runs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from memflow.activity import ActivityContext, Info, idempotency_key
from memflow.attempts import CancellationDetails
from memflow.codec import Codec
from memflow.interceptors import ActivityInbound, ActivityOutbound, ExecuteActivityInput
from memflow.payload import Payload
from memflow.worker.injection import ThreadCancel
from memflow.worker.jobs import Errand, Job
from memflow.workflow import standalone


class Running(Protocol):
    """What an attempt needs of whoever runs it."""

    codec: Codec
    client: Any
    draining: bool

    def beat(self, job: Job, details: Payload | None) -> None: ...

    async def run(self, job: Job, function: Callable[..., Any], arguments: Sequence[Any]) -> Any: ...


class JobContext(ActivityContext):
    """What `activity.info()`, `heartbeat()` and `is_cancelled()` find while a job runs."""

    def __init__(self, runner: Running, job: Job) -> None:
        super().__init__()
        self._runner = runner
        self._job = job
        self._loop = asyncio.get_running_loop()
        self.thread: asyncio.Future[Any] | None = None
        self.injection: ThreadCancel | None = None
        self.client = runner.client
        self.may_open = not job.errand.options.is_local
        if runner.draining:
            self.shutdown = True

    @property
    def errand(self) -> Errand:
        """What is to be done. `info` tells more, and reads the details of heartbeats for it."""
        return self._job.errand

    @property
    def info(self) -> Info:
        job, errand = self._job, self._job.errand
        options, codec = errand.options, self._runner.codec
        started = job.started_at or errand.scheduled_at
        limit = options.start_to_close_timeout
        ends = [at for at in (errand.close_by, None if limit is None else started + limit) if at is not None]
        return Info(
            workflow_id=errand.workflow_id,
            run_id=errand.run_id,
            workflow=errand.workflow,
            activity=errand.name,
            activity_id=options.activity_id or str(errand.op),
            attempt=job.attempt,
            task_queue=errand.task_queue,
            namespace=errand.namespace,
            idempotency_key=idempotency_key(errand.namespace, errand.workflow_id, errand.run_id, errand.op),
            headers=dict(errand.headers),
            scheduled_at=errand.scheduled_at,
            started_at=started,
            deadline=min(ends, default=None),
            heartbeat_timeout=options.heartbeat_timeout,
            heartbeat_details=() if job.heartbeat_before is None else tuple(codec.decode(job.heartbeat_before)),
            is_local=options.is_local,
            task_token=job.task_token if self.may_open else b"",
            start_to_close_timeout=options.start_to_close_timeout,
            schedule_to_close_timeout=options.schedule_to_close_timeout,
            retry=options.retry,
            in_workflow=standalone.activity_of(errand.workflow) is None,
        )

    def stop(self, details: CancellationDetails) -> None:
        """The attempt is asked to end."""
        self.details = details
        self.cancelled = True
        if self.injection is not None and not self.asked:
            self.injection.cancel()

    def shield(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext() if self.injection is None else self.injection.shield()

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        payload = self._runner.codec.encode(list(details)) if details else None
        if payload is not None:
            self._job.heartbeat = payload                # at once: an attempt that fails now hands it to the next
        self._loop.call_soon_threadsafe(self._runner.beat, self._job, payload)


class Innermost(ActivityInbound):
    """The activity itself, at the inner end of the chain."""

    def __init__(self, runner: Running, job: Job) -> None:
        self._runner = runner
        self._job = job
        self.outbound = _Attempt(job.context)

    def init(self, outbound: ActivityOutbound) -> None:
        if outbound is not self.outbound:
            self._job.context.outbound = outbound

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        return await self._runner.run(self._job, input.fn, input.args)


class _Attempt(ActivityOutbound):
    """What the worker itself says and does for an activity."""

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def info(self) -> Info:
        return self._context.info

    def heartbeat(self, *details: Any) -> None:
        self._context.heartbeat(details)
