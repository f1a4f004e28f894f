"""What a client may be told, and memflow's errors as Temporal's."""

from __future__ import annotations

import builtins
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING

from memflow import errors
from memflow.temporal.attempt import ActivityCancellationDetails
from memflow.temporal.exceptions import TemporalError
from memflow.temporal.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from memflow.temporal.client.describing import WorkflowExecutionStatus


class WorkflowFailureError(TemporalError):
    """The workflow did not complete. `cause` is the failure."""

    def __init__(self, *, cause: BaseException) -> None:
        super().__init__("Workflow execution failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """The failure that ended it."""
        assert self.__cause__ is not None
        return self.__cause__


class WorkflowContinuedAsNewError(TemporalError):
    """The run ended and goes on as another, which was not to be followed."""

    def __init__(self, new_execution_run_id: str) -> None:
        super().__init__("Workflow continued as new")
        self._new_execution_run_id = new_execution_run_id

    @property
    def new_execution_run_id(self) -> str:
        """The run it goes on as."""
        return self._new_execution_run_id


class WorkflowQueryRejectedError(TemporalError):
    """The workflow's status is one of those that do not answer this query."""

    def __init__(self, status: WorkflowExecutionStatus | None) -> None:
        super().__init__(f"Query rejected, status: {status}")
        self._status = status

    @property
    def status(self) -> WorkflowExecutionStatus | None:
        """The workflow's status."""
        return self._status


class WorkflowQueryFailedError(TemporalError):
    """The query's handler raised, or there is none."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self._message = message

    @property
    def message(self) -> str:
        """What happened."""
        return self._message


class WorkflowUpdateFailedError(TemporalError):
    """The update was rejected, or its handler failed. `cause` says which."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("Workflow update failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """The failure of the validator or handler."""
        assert self.__cause__ is not None
        return self.__cause__


class RPCTimeoutOrCancelledError(TemporalError):
    """Nothing was heard in time."""


class WorkflowUpdateRPCTimeoutOrCancelledError(RPCTimeoutOrCancelledError):
    """Nothing was heard of an update in time. It goes on."""

    def __init__(self) -> None:
        super().__init__("Timeout or cancellation waiting for update")


class AsyncActivityCancelledError(TemporalError):
    """The activity is asked to end."""

    def __init__(self, details: ActivityCancellationDetails | None = None) -> None:
        super().__init__("Activity cancelled")
        self.details = details


class ScheduleAlreadyRunningError(TemporalError):
    """There is a schedule with that id."""

    def __init__(self) -> None:
        super().__init__("Schedule already running")


class ActivityFailureError(TemporalError):
    """The standalone activity did not complete. `cause` is the failure."""

    def __init__(self, *, cause: BaseException) -> None:
        super().__init__("Activity execution failed")
        self.__cause__ = cause

    @property
    def cause(self) -> BaseException:
        """The failure that ended it."""
        assert self.__cause__ is not None
        return self.__cause__


class ActivityExecutionStatus(IntEnum):
    """Where a standalone activity stands."""

    UNSPECIFIED = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    TIMED_OUT = 6
    PAUSED = 7


class PendingActivityState(IntEnum):
    """What a pending activity does."""

    UNSPECIFIED = 0
    SCHEDULED = 1
    STARTED = 2
    CANCEL_REQUESTED = 3
    PAUSED = 4
    PAUSE_REQUESTED = 5


def rpc_error(status: RPCStatusCode, message: str) -> RPCError:
    """An error of a call."""
    return RPCError(message, status, b"")


@contextmanager
def as_rpc_errors() -> Generator[None]:
    """memflow's errors inside come out as Temporal's."""
    try:
        yield
    except TemporalError:
        raise
    except errors.WorkflowNotFoundError as error:
        # Temporal's errors of calls have no cause; what memflow's says of these stands in the message.
        raise rpc_error(RPCStatusCode.NOT_FOUND, _not_found(error)) from None
    except errors.WorkflowClosedError:
        raise rpc_error(RPCStatusCode.NOT_FOUND, "workflow execution already completed") from None
    except errors.ConfigurationError as error:
        raise rpc_error(RPCStatusCode.INVALID_ARGUMENT, str(error)) from None
    except errors.OutcomeUnknownError as error:
        raise rpc_error(RPCStatusCode.UNKNOWN, str(error)) from error
    except errors.DatabaseError as error:
        raise rpc_error(RPCStatusCode.UNAVAILABLE, str(error)) from error
    except builtins.TimeoutError:
        raise rpc_error(RPCStatusCode.DEADLINE_EXCEEDED, "Timeout expired") from None


def _not_found(error: errors.WorkflowNotFoundError) -> str:
    if error.run_id is None:
        return f"workflow not found for ID: {error.workflow_id}"
    return f'workflow execution not found for workflow ID "{error.workflow_id}" and run ID "{error.run_id}"'
