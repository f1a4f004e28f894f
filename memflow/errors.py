"""Every error that memflow raises, in one tree.

    MemflowError
    ├── FailureError                      an error that a journal keeps; raised into workflow code and by `result()`
    │   ├── ApplicationError              raised by workflows and activities on purpose
    │   ├── CancelledError                the run or activity was cancelled
    │   ├── TerminatedError               the run was ended at once, from outside
    │   ├── TimeoutError                  an activity's or a run's time was up
    │   ├── ActivityError                 an activity failed; the reason is its cause
    │   ├── ChildWorkflowError            a child run failed; the reason is its cause
    │   └── HookError                     a hook failed; the reason is its cause
    ├── WorkflowFailedError               `result()` of a run that did not complete; the reason is its cause
    ├── EscalationError                   an escalation is not there, ended, or somebody else's
    ├── QueryFailedError                  a query was not answered but failed; the reason is its cause
    ├── UpdateFailedError                 an update was rejected or failed; the reason is its cause
    ├── WorkflowAlreadyStartedError       the workflow id is taken
    ├── ActivityAlreadyStartedError       the id of a standalone activity is taken
    ├── WorkflowNotFoundError             no run has that id
    ├── WorkflowClosedError               the run has ended and takes nothing more
    ├── ScheduleAlreadyExistsError        the schedule id is taken
    ├── ScheduleNotFoundError             no schedule has that id
    ├── ActivityNotFoundError             no such activity is pending: it ended, or the token is of another attempt
    ├── AsyncActivityCancelledError       an activity that is completed from outside is asked to stop
    ├── PayloadError                      a value cannot be encoded or decoded
    │   └── UnreadablePayloadError        its bytes cannot be read here: encrypted, moved, or another codec wrote them
    ├── OutcomeUnknownError               the connection broke while Postgres was committing
    ├── NotInWorkflowError                a workflow verb was called outside a workflow
    ├── NotInActivityError                something of a running activity was called outside one
    ├── DeterminismError                  workflow code called something that a replay cannot repeat
    ├── NondeterminismError               the code asked for something other than the journal holds
    ├── ReadOnlyError                     a durable verb inside a query or validator
    ├── ConfigurationError                options, names or settings that cannot work
    ├── DatabaseError                     Postgres refused or cannot be reached
    └── SchemaError                       the schema is missing, older or newer than this library
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class UnfinishedSignalHandlersWarning(RuntimeWarning):
    """A run ended while a signal's handler was running; what it had not done by then is not done."""


class UnfinishedUpdateHandlersWarning(RuntimeWarning):
    """A run ended while an update's handler was running; whoever waits for the update learns that the run has ended."""


class MemflowError(Exception):
    """The root: `except MemflowError` catches whatever this library raises."""


class FailureError(MemflowError):
    """An error that a journal can keep. `cause` is the error behind it, if any."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.stack_trace: str | None = None
        super().__init__(message)

    @property
    def cause(self) -> BaseException | None:
        """The error behind this one; the same object as `__cause__`."""
        return self.__cause__


class ApplicationError(FailureError):
    """Raise it in an activity or workflow to fail with a type, details, and a say in retries.

    `type` is what retry policies match on; by default the name of the class.
    `details` are values kept with the failure. `non_retryable` stops the retries.
    `next_retry_delay` (a duration: timedelta, text or seconds) replaces the policy's next delay.
    """

    def __init__(
        self,
        message: str = "",
        *details: Any,
        type: str | None = None,
        non_retryable: bool = False,
        next_retry_delay: Any = None,
    ) -> None:
        super().__init__(message)
        self.details: Sequence[Any] = details
        self.type = type if type is not None else self.__class__.__name__
        self.non_retryable = non_retryable
        self.next_retry_delay = next_retry_delay


class CancelledError(FailureError):
    """The run or activity was cancelled. `details` carry what the cancelled code left."""

    def __init__(self, message: str = "cancelled", *details: Any) -> None:
        super().__init__(message)
        self.details: Sequence[Any] = details


class TerminatedError(FailureError):
    """The run was terminated. `reason` is what the terminating client gave."""

    def __init__(self, message: str = "terminated", *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class TimeoutError(FailureError):
    """An activity's or a run's time was up.

    `kind` is one of `start_to_close`, `schedule_to_close`, `schedule_to_start`, `heartbeat`,
    `execution`, `run`. `heartbeat_details` are the last ones an activity reported.
    `wait_for`, `wait_condition` and `asyncio.timeout` raise the builtin `TimeoutError`, not this one.
    """

    def __init__(self, message: str, *, kind: str, heartbeat_details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.heartbeat_details = heartbeat_details


class ActivityError(FailureError):
    """An activity failed for good. The reason is `cause`.

    `retry_state` says why there was no further attempt: `maximum_attempts_reached`, `non_retryable_failure`,
    `timeout`, `cancel_requested`, `worker_lost`.
    """

    def __init__(
        self,
        message: str,
        *,
        activity: str,
        activity_id: str,
        attempt: int,
        retry_state: str | None = None,
    ) -> None:
        super().__init__(message)
        self.activity = activity
        self.activity_id = activity_id
        self.attempt = attempt
        self.retry_state = retry_state


class ChildWorkflowError(FailureError):
    """A child run did not complete. The reason is `cause`."""

    def __init__(self, message: str, *, workflow: str, workflow_id: str, run_id: str | None = None) -> None:
        super().__init__(message)
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.run_id = run_id


class HookError(FailureError):
    """A hook that `exec_hook` waited for did not return. The reason is `cause`."""

    def __init__(self, message: str, *, hook: str, workflow_id: str, run_id: str | None = None) -> None:
        super().__init__(message)
        self.hook = hook
        self.workflow_id = workflow_id
        self.run_id = run_id


class EscalationError(MemflowError):
    """An escalation cannot be claimed, released, resolved or cancelled so; nothing was changed.

    `reason` says why: `not_found`, `already_resolved`, `already_cancelled`, `already_expired`, `claimed` (by somebody else),
    `claim_expired` (a claim was to be asserted that has lapsed), `wrong_assignee`. Of several at once, `failed` has each that
    stood in the way, as (id, reason).
    """

    def __init__(
        self, message: str, *, reason: str, escalation_id: str | None = None, failed: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.reason = reason
        self.escalation_id = escalation_id
        self.failed = failed
        super().__init__(message)


class WorkflowFailedError(MemflowError):
    """The run ended without a result. `cause` (also `__cause__`) is the failure, with its own causes."""

    def __init__(self, message: str, *, workflow_id: str, run_id: str | None = None, status: str = "failed") -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.status = status
        super().__init__(message)

    @property
    def cause(self) -> BaseException | None:
        """The failure that ended the run."""
        return self.__cause__


class QueryFailedError(MemflowError):
    """A query's handler raised, or there is none of that name. `cause` (also `__cause__`) is the failure."""

    def __init__(self, message: str, *, workflow_id: str, query: str) -> None:
        self.workflow_id = workflow_id
        self.query = query
        super().__init__(message)

    @property
    def cause(self) -> BaseException | None:
        """What the handler raised."""
        return self.__cause__


class UpdateFailedError(MemflowError):
    """An update was rejected, its handler failed, or its run ended before it. `cause` (also `__cause__`) says which."""

    def __init__(self, message: str, *, workflow_id: str, update_id: str) -> None:
        self.workflow_id = workflow_id
        self.update_id = update_id
        super().__init__(message)

    @property
    def cause(self) -> BaseException | None:
        """The failure of the validator or handler, or a `WorkflowClosedError`."""
        return self.__cause__


class WorkflowAlreadyStartedError(MemflowError):
    """The workflow id is taken. Choose another id, or say `on_conflict="use_existing"`."""

    def __init__(
        self,
        workflow_id: str,
        *,
        workflow: str | None = None,
        run_id: str | None = None,
        reason: str = "a run with this id is open",
    ) -> None:
        self.workflow_id = workflow_id
        self.workflow = workflow
        self.run_id = run_id
        super().__init__(f"workflow id {workflow_id!r} is taken: {reason} (run {run_id})")


class ActivityAlreadyStartedError(MemflowError):
    """The id of a standalone activity is taken. Choose another id, or say `on_conflict="use_existing"`."""

    def __init__(self, activity_id: str, *, activity: str, run_id: str | None, reason: str) -> None:
        self.activity_id = activity_id
        self.activity = activity
        self.run_id = run_id
        super().__init__(f"activity id {activity_id!r} is taken: {reason} (run {run_id})")


class WorkflowNotFoundError(MemflowError):
    """No run has that id in this namespace. It may have expired, or the id is misspelt."""

    def __init__(self, workflow_id: str, *, run_id: str | None = None, namespace: str = "default") -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        where = f"{workflow_id!r}" if run_id is None else f"{workflow_id!r} (run {run_id})"
        super().__init__(f"no workflow {where} in namespace {namespace!r}")


class WorkflowClosedError(MemflowError):
    """The run has ended; what was sent did not reach it."""

    def __init__(self, workflow_id: str, *, run_id: str | None = None, status: str | None = None) -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.status = status
        ended = "has ended" if status is None else f"is {status}"
        super().__init__(f"workflow {workflow_id!r} {ended} and takes nothing more")


class ScheduleAlreadyExistsError(MemflowError):
    """A schedule of that id is there already. Change it with `handle.update`, or say `create_or_update`."""

    def __init__(self, schedule_id: str, *, namespace: str = "default") -> None:
        self.schedule_id = schedule_id
        super().__init__(f"there is a schedule {schedule_id!r} in namespace {namespace!r}; update it, or choose another id")


class ScheduleNotFoundError(MemflowError):
    """No schedule has that id in this namespace. It may have been deleted, or the id is misspelt."""

    def __init__(self, schedule_id: str, *, namespace: str = "default") -> None:
        self.schedule_id = schedule_id
        super().__init__(f"no schedule {schedule_id!r} in namespace {namespace!r}")


class ActivityNotFoundError(MemflowError):
    """No such activity is pending: it was completed before, its time was up, or the token is that of another attempt."""


class AsyncActivityCancelledError(MemflowError):
    """Answer to a heartbeat from outside: the activity is asked to stop. `details` say why.

    End it with `report_cancellation()`; after `paused` or `reset` just stop, the activity begins another attempt by itself.
    """

    def __init__(self, message: str, *, details: object = None) -> None:
        self.details = details
        super().__init__(message)


class PayloadError(MemflowError):
    """A value cannot be stored or read back. `path` says where in the value, as `$.items[2].price`."""

    def __init__(self, message: str, *, path: str = "$") -> None:
        self.path = path
        super().__init__(f"{message} (at {path})")


class UnreadablePayloadError(PayloadError):
    """The stored bytes cannot be read in this process: the key or codec is missing, or they were moved or changed.

    It fails no run: the run is stuck until somebody can read them. Give this process the codec that wrote them.
    """


class OutcomeUnknownError(MemflowError):
    """The connection broke while Postgres was committing: it may have happened. Repeating with the same id is safe."""


class NotInWorkflowError(MemflowError):
    """A workflow verb was called where no workflow runs. Call it from the code of a workflow."""


class NotInActivityError(MemflowError):
    """What belongs to a running activity (`info`, `heartbeat`, `connection`) was called where none runs."""


class DeterminismError(MemflowError):
    """Workflow code called something that a replay cannot repeat. The message names the line and what to call instead."""

    def __init__(self, call: str, *, instead: str, where: str) -> None:
        self.call = call
        self.instead = instead
        self.where = where
        super().__init__(f"{call} in workflow code at {where}; {instead}")


class NondeterminismError(MemflowError):
    """The code asked for something other than the journal holds.

    The run is parked, not failed. Guard changes to running workflows with
    `workflow.patched()`, or roll the code back.
    """

    def __init__(
        self, message: str, *, seq: int, journal: object, code: object, where: str | None, agreed: int, likely: str
    ) -> None:
        self.seq = seq
        self.journal = journal
        self.code = code
        self.where = where
        self.agreed = agreed
        self.likely = likely
        super().__init__(message)


class ReadOnlyError(MemflowError):
    """A durable verb was called in a query or a validator, which may only look."""


class ConfigurationError(MemflowError, ValueError):
    """An option, name or setting cannot work. The message names the value, what is allowed, and the fix."""


class DatabaseError(MemflowError):
    """Postgres refused or cannot be reached. Never holds the password."""


class SchemaError(DatabaseError):
    """The memflow schema in the database is missing, older or newer than this library."""
