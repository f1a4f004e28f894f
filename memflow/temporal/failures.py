"""memflow's failures as Temporal's errors and messages, and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from memflow import errors
from memflow.failure import Failure
from memflow.payload import Payload as Stored
from memflow.temporal import exceptions
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.api.failure.v1 import Failure as Message
from memflow.temporal.attempt import ATTEMPT
from memflow.temporal.converter import DataConverter, DefaultFailureConverter

log = logging.getLogger(__name__)

_MESSAGE = "temporal_failure"
"""The fact that holds a failure as a failure converter of the program's own made it."""

_STATES = {
    "maximum_attempts_reached": exceptions.RetryState.MAXIMUM_ATTEMPTS_REACHED,
    "non_retryable_failure": exceptions.RetryState.NON_RETRYABLE_FAILURE,
    "timeout": exceptions.RetryState.TIMEOUT,
    "cancel_requested": exceptions.RetryState.CANCEL_REQUESTED,
    "worker_lost": exceptions.RetryState.MAXIMUM_ATTEMPTS_REACHED,
}
_TIMEOUT_WORDS = {
    "start_to_close": "activity StartToClose timeout",
    "schedule_to_close": "activity ScheduleToClose timeout",
    "schedule_to_start": "activity ScheduleToStart timeout",
    "heartbeat": "activity Heartbeat timeout",
}
_TIMEOUTS = {each.name.lower(): each for each in exceptions.TimeoutType}


class Reads(Protocol):
    """What is needed of a codec: details back from their bytes."""

    def decode(self, payload: Stored, hint: Any = Any) -> Any: ...


def error_of(failure: Failure, codec: Reads) -> errors.FailureError | None:
    """Temporal's error of a failure, without cause and stack; None for what only memflow has. Never raises."""
    facts = failure.facts
    match failure.kind:
        case "application":
            return exceptions.ApplicationError(
                failure.message or "Application error",
                *_values(failure.details, codec),
                type=None if failure.type == "ApplicationError" else failure.type,
                non_retryable=failure.non_retryable,
                next_retry_delay=None if failure.next_retry_delay is None else timedelta(seconds=failure.next_retry_delay),
                category=exceptions.ApplicationErrorCategory(int(_fact(facts, "category") or 0)),
            )
        case "cancelled":
            message = "Cancelled" if failure.message in ("", "cancelled") else failure.message
            return exceptions.CancelledError(message, *_values(failure.details, codec))
        case "terminated":
            reason = _fact(facts, "reason")
            error = exceptions.TerminatedError(reason or "Workflow execution terminated", *_values(failure.details, codec))
            error.reason = reason or None
            return error
        case "timeout":
            return exceptions.TimeoutError(
                _timeout_message(failure),
                type=_TIMEOUTS.get(_fact(facts, "kind"), exceptions.TimeoutType.START_TO_CLOSE),
                last_heartbeat_details=_values(failure.details, codec),
            )
        case "activity":
            return exceptions.ActivityError(
                _activity_message(failure.cause),
                scheduled_event_id=0,
                started_event_id=0,
                identity="",
                activity_type=_fact(facts, "activity"),
                activity_id=_fact(facts, "activity_id"),
                retry_state=_state(facts),
            )
        case "child":
            return exceptions.ChildWorkflowError(
                _child_message(failure.cause),
                namespace=_fact(facts, "namespace"),
                workflow_id=_fact(facts, "workflow_id"),
                run_id=_fact(facts, "run_id"),
                workflow_type=_fact(facts, "workflow"),
                initiated_event_id=0,
                started_event_id=0,
                retry_state=_state(facts) or exceptions.RetryState.RETRY_POLICY_NOT_SET,
            )
        case "hook":
            return None


def _state(facts: Mapping[str, str | int | None]) -> exceptions.RetryState | None:
    """memflow's word, or the number of one that has been Temporal's error meanwhile."""
    word = _fact(facts, "retry_state")
    return exceptions.RetryState(int(word)) if word.isdigit() else _STATES.get(word)


def _activity_message(cause: Failure | None) -> str:
    match None if cause is None else cause.kind:
        case "timeout":
            return "Activity task timed out"
        case "cancelled":
            return "Activity cancelled"
        case _:
            return "Activity task failed"


def _timeout_message(failure: Failure) -> str:
    """Temporal's words for an activity's time that was up; what programs raise themselves keeps theirs."""
    kind = _fact(failure.facts, "kind")
    if not failure.message.startswith(f"{kind} timeout"):
        return failure.message
    return _TIMEOUT_WORDS.get(kind, failure.message)


def _child_message(cause: Failure | None) -> str:
    match None if cause is None else cause.kind:
        case "timeout":
            return "Child Workflow execution timed out"
        case "cancelled":
            return "Child Workflow execution cancelled"
        case "terminated":
            return "Child Workflow execution terminated"
        case _:
            return "Child Workflow execution failed"


def _values(details: Stored | None, codec: Reads) -> list[Any]:
    if details is None:
        return []
    try:
        values = codec.decode(details)
    except Exception:
        return [f"<{len(details.data)} bytes of details that cannot be decoded>"]
    return values if isinstance(values, list) else [values]  # pyright: ignore[reportUnknownVariableType]


def _fact(facts: Mapping[str, str | int | None], name: str) -> str:
    value = facts.get(name)
    return "" if value is None else str(value)


# ------------------------------------------------------------------------------------------------- the program's own converters


def described_by(converter: DataConverter, error: BaseException) -> Failure | None:
    """What the program's failure converter makes of an error. Never raises.

    If it fails at that, its own error is an activity's in the place of the first one; others are described without it (None).
    """
    message = Message()
    try:
        converter.failure_converter.to_failure(error, converter.payload_converter, message)
        return failure_in(message)
    except Exception as problem:
        log.exception("the failure converter could not describe a %s; it is described without", type(error).__name__)
        if ATTEMPT.get(None) is None:
            return None
        return Failure("application", f"Failed building exception result: {problem}")


def made_by(converter: DataConverter, failure: Failure) -> errors.FailureError | None:
    """The error that the program's failure converter makes, or None. Never raises."""
    try:
        error = converter.failure_converter.from_failure(message_of(failure), converter.payload_converter)
    except Exception:
        log.exception("the failure converter could not read a failure; it is read without")
        return None
    if isinstance(error, errors.FailureError):
        return error
    wrapped = exceptions.ApplicationError(str(error), type=type(error).__name__)
    wrapped.__cause__ = error
    return wrapped


def message_of(failure: Failure) -> Message:
    """A failure as a message: as a converter of the program's own made it, or from its parts."""
    kept = failure.facts.get(_MESSAGE)
    message = Message(message=failure.message, source="memflow", stack_trace=failure.stack or "")
    from memflow.temporal.stored import header_payload  # here: that module needs this one

    facts = failure.facts
    if isinstance(kept, str):
        message.encoded_attributes = header_payload(kept)
    match failure.kind:
        case "application":
            info = message.application_failure_info
            info.SetInParent()
            info.type = failure.type or ""
            info.non_retryable = failure.non_retryable
            if failure.next_retry_delay is not None:
                info.next_retry_delay = timedelta(seconds=failure.next_retry_delay)
            _load(failure.details, info.details.payloads)
        case "cancelled":
            message.canceled_failure_info.SetInParent()
            _load(failure.details, message.canceled_failure_info.details.payloads)
        case "terminated":
            message.terminated_failure_info.SetInParent()
        case "timeout":
            message.timeout_failure_info.SetInParent()
            message.timeout_failure_info.timeout_type = int(_TIMEOUTS.get(_fact(facts, "kind"), 1))
            _load(failure.details, message.timeout_failure_info.last_heartbeat_details.payloads)
        case "activity":
            activity = message.activity_failure_info
            activity.SetInParent()
            activity.activity_type.name = _fact(facts, "activity")
            activity.activity_id = _fact(facts, "activity_id")
            activity.retry_state = int(_state(facts) or 0)
            if kept is None:                     # else the message is in what was encoded
                message.message = _activity_message(failure.cause)
        case "child":
            child = message.child_workflow_execution_failure_info
            child.SetInParent()
            child.workflow_type.name = _fact(facts, "workflow")
            child.workflow_execution.workflow_id = _fact(facts, "workflow_id")
            child.workflow_execution.run_id = _fact(facts, "run_id")
            if kept is None:
                message.message = _child_message(failure.cause)
        case "hook":
            message.application_failure_info.SetInParent()
            message.application_failure_info.type = "HookError"
    if failure.cause is not None:
        message.cause_ = message_of(failure.cause)
    return message


def _load(details: Stored | None, into: list[Payload]) -> None:
    from memflow.temporal.stored import loaded_arguments

    if details is not None:
        into.extend(loaded_arguments(details).payloads)


def failure_in(message: Message) -> Failure:
    """A message as a failure of memflow's."""
    from memflow.temporal.stored import Arguments, header_text, stored_arguments

    facts: dict[str, str | int | None] = {}
    if message.HasField("encoded_attributes"):
        facts[_MESSAGE] = header_text(message.encoded_attributes)
    cause = None if message.cause_ is None else failure_in(message.cause_)
    stack = message.stack_trace or None
    if message.HasField("canceled_failure_info"):
        details = message.canceled_failure_info.details.payloads
        return Failure(
            "cancelled", message.message, details=stored_arguments(Arguments(details)) if details else None, stack=stack,
            cause=cause, facts=facts,
        )  # fmt: skip
    if message.HasField("terminated_failure_info"):
        return Failure("terminated", message.message, stack=stack, cause=cause, facts=facts)
    if message.HasField("timeout_failure_info"):
        number = message.timeout_failure_info.timeout_type
        facts["kind"] = exceptions.TimeoutType(number or 1).name.lower()
        return Failure("timeout", message.message, stack=stack, cause=cause, facts=facts)
    if message.HasField("activity_failure_info"):
        activity = message.activity_failure_info
        state = exceptions.RetryState(activity.retry_state).name.lower() if activity.retry_state else None
        facts.update(activity=activity.activity_type.name, activity_id=activity.activity_id, retry_state=state)
        return Failure("activity", message.message, stack=stack, cause=cause, facts=facts)
    if message.HasField("child_workflow_execution_failure_info"):
        child = message.child_workflow_execution_failure_info
        run = child.workflow_execution
        facts.update(workflow=child.workflow_type.name, workflow_id=run.workflow_id, run_id=run.run_id)
        return Failure("child", message.message, stack=stack, cause=cause, facts=facts)
    info = message.application_failure_info
    return Failure(
        "application",
        message.message,
        type=info.type or "ApplicationError",
        non_retryable=info.non_retryable,
        next_retry_delay=None if info.next_retry_delay is None else info.next_retry_delay.total_seconds(),
        details=stored_arguments(Arguments(info.details.payloads)) if info.details.payloads else None,
        stack=stack,
        cause=cause,
        facts=facts,
    )


def is_usual(converter: DataConverter) -> bool:
    """Whether failures are described the usual way."""
    return type(converter.failure_converter) is DefaultFailureConverter
