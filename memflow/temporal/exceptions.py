"""Temporal's error tree. Each class is also memflow's error of the same meaning, so that either name catches it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any

from memflow import errors
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.missing import not_offered

__all__ = [
    "ActivityAlreadyStartedError",
    "ActivityError",
    "ApplicationError",
    "ApplicationErrorCategory",
    "CancelledError",
    "ChildWorkflowError",
    "FailureError",
    "RetryState",
    "ServerError",
    "TemporalError",
    "TerminatedError",
    "TimeoutError",
    "TimeoutType",
    "WorkflowAlreadyStartedError",
    "is_cancelled_exception",
]

__getattr__ = not_offered(
    __name__,
    {
        "NexusOperationError": "there is no Nexus; call the other side's client in an activity",
        "NexusOperationAlreadyStartedError": "there is no Nexus; call the other side's client in an activity",
        "InvalidVersioningOverrideError": "memflow checks a version where it is given, with ConfigurationError",
    },
)


class TemporalError(errors.MemflowError):
    """The root of Temporal's errors."""

    @property
    def cause(self) -> BaseException | None:
        """The error behind this one; the same object as `__cause__`."""
        return self.__cause__


class FailureError(TemporalError, errors.FailureError):
    """An error that a history keeps. One that leaves workflow code fails the workflow."""

    def __init__(self, message: str, *, failure: Failure | None = None, exc_args: tuple[Any, ...] | None = None) -> None:
        Exception.__init__(self, *((message,) if exc_args is None else exc_args))
        self.message = message
        self.stack_trace: str | None = None if failure is None else failure.stack_trace or None
        self._failure = failure

    @property
    def failure_cause(self) -> BaseException | None:
        """What a history keeps as its cause: what it was raised from, else the error during whose handling it was raised."""
        return self.__cause__ if self.__suppress_context__ else self.__cause__ or self.__context__

    @property
    def failure(self) -> Failure | None:
        """The failure as it was kept, with its stack as text; None of an error that was not kept yet."""
        if self._failure is None and self.stack_trace is not None:
            self._failure = Failure(message=self.message, stack_trace=self.stack_trace)
        return self._failure


class ApplicationErrorCategory(IntEnum):
    """How bad an application error is."""

    UNSPECIFIED = 0
    BENIGN = 1


class ApplicationError(FailureError, errors.ApplicationError):
    """What workflows and activities raise on purpose. `type` is matched by `non_retryable_error_types`."""

    untyped_name = "ApplicationError"
    """What a history keeps in place of a type, of a class derived from this one as well."""

    def __init__(
        self,
        message: str,
        *details: Any,
        type: str | None = None,
        non_retryable: bool = False,
        next_retry_delay: timedelta | None = None,
        category: ApplicationErrorCategory = ApplicationErrorCategory.UNSPECIFIED,
    ) -> None:
        super().__init__(message, exc_args=(message if not type else f"{type}: {message}",))
        self.details: Sequence[Any] = details
        self.type: Any = type                    # Temporal's may be None
        self.non_retryable = non_retryable
        self.next_retry_delay = next_retry_delay
        self._category = category

    @property
    def category(self) -> ApplicationErrorCategory:
        """How bad it is."""
        return self._category


class CancelledError(FailureError, errors.CancelledError):
    """The workflow or activity was cancelled."""

    def __init__(self, message: str = "Cancelled", *details: Any) -> None:
        super().__init__(message)
        self.details: Sequence[Any] = details


class TerminatedError(FailureError, errors.TerminatedError):
    """The workflow was terminated."""

    def __init__(self, message: str, *details: Any) -> None:
        super().__init__(message)
        self.details: Sequence[Any] = details
        self.reason: str | None = message


class TimeoutType(IntEnum):
    """Which time was up."""

    START_TO_CLOSE = 1
    SCHEDULE_TO_START = 2
    SCHEDULE_TO_CLOSE = 3
    HEARTBEAT = 4


class TimeoutError(FailureError, errors.TimeoutError):
    """An activity's or a workflow's time was up."""

    def __init__(self, message: str, *, type: TimeoutType | None, last_heartbeat_details: Sequence[Any]) -> None:
        super().__init__(message)
        self._type = type
        self.kind = "start_to_close" if type is None else type.name.lower()
        self.heartbeat_details = last_heartbeat_details

    @property
    def type(self) -> TimeoutType | None:
        """Which time was up."""
        return self._type

    @property
    def last_heartbeat_details(self) -> Sequence[Any]:
        """What the activity reported last."""
        return self.heartbeat_details


class ServerError(FailureError):
    """An error of the server. memflow raises none; programs may."""

    def __init__(self, message: str, *, non_retryable: bool = False) -> None:
        super().__init__(message)
        self._non_retryable = non_retryable

    @property
    def non_retryable(self) -> bool:
        """Whether another attempt is pointless."""
        return self._non_retryable


class RetryState(IntEnum):
    """Why there was no further attempt."""

    IN_PROGRESS = 1
    NON_RETRYABLE_FAILURE = 2
    TIMEOUT = 3
    MAXIMUM_ATTEMPTS_REACHED = 4
    RETRY_POLICY_NOT_SET = 5
    INTERNAL_SERVER_ERROR = 6
    CANCEL_REQUESTED = 7


class ActivityError(FailureError, errors.ActivityError):
    """An activity failed for good. The reason is `cause`."""

    def __init__(
        self,
        message: str,
        *,
        scheduled_event_id: int,
        started_event_id: int,
        identity: str,
        activity_type: str,
        activity_id: str,
        retry_state: RetryState | None,
    ) -> None:
        super().__init__(message)
        self._scheduled_event_id = scheduled_event_id
        self._started_event_id = started_event_id
        self._identity = identity
        self._retry_state = retry_state
        self.activity = activity_type
        self.activity_id = activity_id
        self.attempt = 1

    @property
    def scheduled_event_id(self) -> int:
        """The event that scheduled it; 0 where it is not known."""
        return self._scheduled_event_id

    @property
    def started_event_id(self) -> int:
        """The event that started it; 0 where it is not known."""
        return self._started_event_id

    @property
    def identity(self) -> str:
        """The worker that ran it; empty where it is not known."""
        return self._identity

    @property
    def activity_type(self) -> str:
        """The activity's name."""
        return self.activity

    @property
    def retry_state(self) -> Any:                # memflow keeps a word, Temporal a RetryState or None
        """Why there was no further attempt."""
        return self._retry_state

    @retry_state.setter
    def retry_state(self, value: Any) -> None:
        self._retry_state = value


class ChildWorkflowError(FailureError, errors.ChildWorkflowError):
    """A child workflow did not complete. The reason is `cause`."""

    def __init__(
        self,
        message: str,
        *,
        namespace: str,
        workflow_id: str,
        run_id: str,
        workflow_type: str,
        initiated_event_id: int,
        started_event_id: int,
        retry_state: RetryState | None,
    ) -> None:
        super().__init__(message)
        self._namespace = namespace
        self._initiated_event_id = initiated_event_id
        self._started_event_id = started_event_id
        self._retry_state = retry_state
        self.workflow = workflow_type
        self.workflow_id = workflow_id
        self.run_id = run_id

    @property
    def namespace(self) -> str:
        """The child's namespace."""
        return self._namespace

    @property
    def workflow_type(self) -> str:
        """The child's workflow type."""
        return self.workflow

    @property
    def initiated_event_id(self) -> int:
        """The event that asked for it; 0 where it is not known."""
        return self._initiated_event_id

    @property
    def started_event_id(self) -> int:
        """The event that told of its start; 0 where it is not known."""
        return self._started_event_id

    @property
    def retry_state(self) -> RetryState | None:
        """Why there was no further attempt."""
        return self._retry_state


class WorkflowAlreadyStartedError(FailureError, errors.WorkflowAlreadyStartedError):
    """The workflow id is taken."""

    def __init__(
        self, workflow_id: str, workflow_type: str, *, run_id: str | None = None, first_run_id: str | None = None
    ) -> None:
        super().__init__("Workflow execution already started")
        self.workflow_id = workflow_id
        self.workflow = workflow_type
        self.run_id = run_id
        self.first_run_id = first_run_id

    @property
    def workflow_type(self) -> str:
        """The type that was to be started."""
        return self.workflow or ""


class ActivityAlreadyStartedError(FailureError):
    """The id of a standalone activity is taken."""

    def __init__(self, activity_id: str, activity_type: str, *, run_id: str | None = None) -> None:
        super().__init__("Activity execution already started")
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.run_id = run_id


def is_cancelled_exception(exception: BaseException) -> bool:
    """Whether `exception` is a cancellation: asyncio's, ours, or an activity or child that ended by one."""
    if isinstance(exception, asyncio.CancelledError | errors.CancelledError):
        return True
    if isinstance(exception, errors.ActivityError | errors.ChildWorkflowError):
        return isinstance(exception.__cause__, errors.CancelledError)
    return False
