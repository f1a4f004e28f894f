"""An activity that a workflow has scheduled: how it is asked for, and how its end is told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut
from memflow.core.interrupts import CancelActivity, ScheduleActivity
from memflow.core.loop import TurnLoop
from memflow.core.ordering import WorkflowTask
from memflow.errors import ConfigurationError
from memflow.failure import exception_of
from memflow.names import check_name
from memflow.options import ActivityOptions, CancellationType
from memflow.retry import DEFAULT_RETRY
from memflow.temporal.common import engine_policy
from memflow.temporal.converter import ActivitySerializationContext
from memflow.temporal.exceptions import ActivityError, CancelledError, RetryState, TimeoutError, TimeoutType
from memflow.temporal.interception import StartActivityInput, StartLocalActivityInput
from memflow.temporal.startup import Startup, priority_headers, summary_headers
from memflow.temporal.stored import ConvertingCodec
from memflow.temporal.workflow.running import Running, current
from memflow.temporal.workflow.words import ACTIVITY_WORDS
from memflow.workflow.local_activities import DEFAULT_THRESHOLD

R = TypeVar("R")


class Operation:
    """An activity that was scheduled, and how its end is told."""

    __slots__ = ("_activity", "_codec", "_how", "_id", "_local", "_result", "_running", "begun", "cancelled", "op")

    def __init__(
        self,
        running: Running,
        op: int,
        id: str,
        activity: str,
        how: CancellationType,
        result: Any,
        codec: ConvertingCodec,
        *,
        local: bool,
    ) -> None:
        self._running = running
        self._codec = codec
        self._id = id
        self._activity = activity
        self._how = how
        self._result = result
        self._local = local
        self.op = op
        self.begun = False
        self.cancelled = False

    def cancel(self) -> CancelActivity | None:
        """What is asked when nobody wants it any more."""
        self.cancelled = True
        return None if self._how is CancellationType.ABANDON else CancelActivity(self.op)

    async def outcome(self) -> Any:
        """The result.

        Raises:
            ActivityError: it failed for good, or was cancelled; the reason is its cause.
        """
        self.begun = True
        replay = self._running.replay
        patient = self._how is CancellationType.WAIT_CANCELLATION_COMPLETED
        try:
            answer = await replay.answer(self.op, on_cancel=self.cancel, wait=patient)
        except asyncio.CancelledError:
            if not self.cancelled or replay.refusing:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()                  # the cancellation has become the activity's
            cancelled = self._cancelled()
            raise cancelled from cancelled.__cause__     # in place of asyncio's
        self._running.answered(local=self._local)
        match answer:
            case ActivityCompleted(result=result):
                return self._codec.decode(result, self._result)
            case ActivityCancelled(failure=failure):
                raise self._cancelled(exception_of(failure, self._codec))
            case ActivityFailed(failure=failure) | ActivityTimedOut(failure=failure):
                error = exception_of(failure, self._codec)
                raise _of_local(error) if self._local else _of_remote(error)
            case _:
                raise AssertionError(f"{answer} does not answer an activity")

    def _cancelled(self, cause: BaseException | None = None) -> ActivityError:
        error = ActivityError(
            "Activity cancelled",
            scheduled_event_id=0,
            started_event_id=0,
            identity="",
            activity_type=self._activity,
            activity_id=self._id,
            retry_state=RetryState.CANCEL_REQUESTED,
        )
        error.__cause__ = CancelledError("Cancelled") if cause is None else cause
        return error


def _of_local(error: BaseException) -> BaseException:
    """How a local activity's error reaches its workflow: as it was raised, only a timeout with its activity around it."""
    cause = error.__cause__
    if not isinstance(error, ActivityError) or cause is None:
        return error
    if not isinstance(cause, TimeoutError):
        return cause
    error.message, cause.message = "Local Activity timed out", "Activity timed out"
    error.args, cause.args = (error.message,), (cause.message,)
    return error


def _of_remote(error: BaseException) -> BaseException:
    """One that was not tried again because its time would be up has run out of time; why it had failed comes after that."""
    cause = error.__cause__
    if not isinstance(error, ActivityError) or error.retry_state is not RetryState.TIMEOUT or isinstance(cause, TimeoutError):
        return error
    late = TimeoutError(
        "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying",
        type=TimeoutType.SCHEDULE_TO_CLOSE,
        last_heartbeat_details=[],
    )
    late.__cause__ = cause
    error.message = "Activity task timed out"
    error.args, error.__cause__ = (error.message,), late
    return error


if TYPE_CHECKING:
    _Task = asyncio.Task[R]
else:

    class _Task(WorkflowTask):
        """A task; its type parameter matters to checkers alone."""

        def __class_getitem__(cls, item):
            return cls


class ActivityHandle(_Task[R]):
    """An activity that was started: a task to await, cancel or gather."""

    operation: Operation

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask the activity to stop. What awaiting it yields then tells its cancellation type.

        Before the task has begun it is asyncio's CancelledError, as of any task.
        """
        operation = self.operation
        if operation.begun or self.done():
            return super().cancel(msg)
        if not operation.cancelled:              # its task has not run yet, and will never come to ask
            replay = current().replay
            asked = operation.cancel()
            if asked is not None:
                replay.ask(asked)
            replay.forget(operation.op)
        return super().cancel(msg)


def schedule(running: Running, input: StartActivityInput | StartLocalActivityInput) -> Operation:
    """Ask for an activity."""
    if input.start_to_close_timeout is None and input.schedule_to_close_timeout is None:
        raise ValueError("Activity must have start_to_close_timeout or schedule_to_close_timeout")
    replay = running.replay
    how = ACTIVITY_WORDS[input.cancellation_type]
    policy = engine_policy(input.retry_policy)
    remote = input if isinstance(input, StartActivityInput) else None
    codec = running.codec.told(_context(running, input, remote))
    payload = codec.write_arguments(input.args, input.headers)
    if input.activity_id is not None:
        _check_free(running, input.activity_id)
    op = replay.next_op()
    running.activities += 1
    id = input.activity_id
    if id is None and running.activities != op:
        id = str(running.activities)             # as there activities count among themselves; memflow's own id of one is its op
    options = ActivityOptions(
        None if remote is None else remote.task_queue,
        input.start_to_close_timeout,
        input.schedule_to_close_timeout,
        input.schedule_to_start_timeout,
        None if remote is None else remote.heartbeat_timeout,
        DEFAULT_RETRY if policy is None else policy,
        how,
        id,
        None if remote is not None else _threshold(input),
    )
    headers = {**priority_headers(_priority(running, remote)), **summary_headers(input.summary)}
    replay.ask(ScheduleActivity(op, input.activity, payload, options, headers))
    if remote is None:
        running.local_ops.add(op)
    result = Any if input.ret_type is None else input.ret_type
    return Operation(running, op, id or str(op), input.activity, how, result, codec, local=remote is None)


def _context(
    running: Running, input: StartActivityInput | StartLocalActivityInput, remote: StartActivityInput | None
) -> ActivitySerializationContext:
    facts = running.replay.info
    queue = None if remote is None else remote.task_queue
    return ActivitySerializationContext(
        namespace=facts.namespace,
        activity_id=input.activity_id,
        activity_type=input.activity,
        activity_task_queue=queue or facts.task_queue,
        workflow_id=facts.workflow_id,
        workflow_type=facts.workflow,
        is_local=remote is None,
    )


def _priority(running: Running, input: StartActivityInput | None) -> int | None:
    """An activity has its workflow's priority, unless it is given its own."""
    own = None if input is None else input.priority.priority_key
    return Startup.of(running.replay.info.headers).priority_key if own is None else own


def _threshold(input: StartActivityInput | StartLocalActivityInput) -> timedelta:
    asked = input.local_retry_threshold if isinstance(input, StartLocalActivityInput) else None
    return DEFAULT_THRESHOLD if asked is None else asked


def _check_free(running: Running, activity_id: str) -> None:
    check_name(activity_id, what="activity_id")
    if any(each.options.activity_id == activity_id for each in running.replay.open_activities.values()):
        raise ConfigurationError(f"activity_id: {activity_id!r} is the id of another activity that this run waits for")


def begin(operation: Operation, name: str) -> ActivityHandle[Any]:
    """A task that waits for an activity."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnLoop), "workflow code runs on the loop of its run"
    handle = loop.create_task_of(cast("Any", ActivityHandle), operation.outcome(), f"activity {name}")
    handle.operation = operation
    return cast("ActivityHandle[Any]", handle)
