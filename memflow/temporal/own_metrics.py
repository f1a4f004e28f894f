"""What memflow counts of a worker's workflows and activities, under the names that Temporal's SDK has for it.

Only where metrics go somewhere: else none of this is made. What is about polling, slots and a server's tasks has no counterpart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from memflow import errors
from memflow.core.chain import ContinueAsNewError, continuation_in
from memflow.temporal.metrics import MetricMeter, SinkMeter

if TYPE_CHECKING:
    from memflow.core.replay import Replay
    from memflow.temporal.activity import Info


class OwnMetrics:
    """The metrics of one worker."""

    @staticmethod
    def over(meter: MetricMeter) -> OwnMetrics | None:
        """None where they would go nowhere."""
        return OwnMetrics(meter) if isinstance(meter, SinkMeter) and meter is not MetricMeter.noop else None

    def __init__(self, meter: SinkMeter) -> None:
        def counter(name: str, description: str) -> Any:
            return meter.create_counter(meter.prefix + name, description)

        def latency(name: str, description: str) -> Any:
            return meter.create_histogram_timedelta(meter.prefix + name, description)

        self._completed = counter("workflow_completed", "Count of successfully completed workflows")
        self._canceled = counter("workflow_canceled", "Count of canceled workflows")
        self._failed = counter("workflow_failed", "Count of failed workflows")
        self._continued = counter("workflow_continue_as_new", "Count of continued-as-new workflows")
        self._lived = latency("workflow_endtoend_latency", "Histogram of total workflow execution latencies")
        self._ran = {
            local: latency(f"{kind}_execution_latency", f"Histogram of {kind} execution latencies")
            for local, kind in ((False, "activity"), (True, "local_activity"))
        }
        self._refused = {
            local: counter(f"{kind}_execution_failed", f"Count of {kind} task execution failures")
            for local, kind in ((False, "activity"), (True, "local_activity"))
        }
        self._succeeded = {
            local: latency(f"{kind}_succeed_endtoend_latency", f"Histogram of {kind} latencies from their schedule to success")
            for local, kind in ((False, "activity"), (True, "local_activity"))
        }

    async def workflow(self, replay: Replay, code: Awaitable[Any]) -> Any:
        """Run a workflow's code and count how it ends. A replay counts nothing."""
        try:
            result = await code
        except BaseException as error:
            counted = self._ending(replay, error)
            if counted is not None:
                self._count(replay, counted)
            raise
        self._count(replay, self._completed)
        return result

    def _ending(self, replay: Replay, error: BaseException) -> Any:
        if isinstance(error, ContinueAsNewError) or continuation_in(error) is not None:
            return self._continued
        if replay.cancelling and isinstance(error, asyncio.CancelledError | errors.CancelledError):
            return self._canceled
        return self._failed if isinstance(error, replay.definition.fails_on) else None

    def _count(self, replay: Replay, counter: Any) -> None:
        if replay.silent:
            return
        facts = replay.info
        about = {"namespace": facts.namespace, "task_queue": facts.task_queue, "workflow_type": facts.workflow}
        counter.add(1, about)
        self._lived.record(max(timedelta(), replay.now - facts.started_at), about)

    async def activity(self, facts: Info, code: Awaitable[Any]) -> Any:
        """Run an attempt of an activity and measure it."""
        began = time.monotonic()
        about = {"namespace": facts.namespace, "task_queue": facts.task_queue, "activity_type": facts.activity_type}
        if facts.workflow_type:
            about["workflow_type"] = facts.workflow_type
        try:
            result = await code
        except Exception as error:
            if not isinstance(error, errors.CancelledError):
                self._refused[facts.is_local].add(1, about)
            raise
        finally:
            self._ran[facts.is_local].record(timedelta(seconds=time.monotonic() - began), about)
        since = datetime.now(UTC) - facts.scheduled_time
        self._succeeded[facts.is_local].record(max(timedelta(), since), about)
        return result
