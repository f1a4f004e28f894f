"""Failure converters: an error to a failure message and back."""

from __future__ import annotations

import asyncio
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, cast

from memflow import errors
from memflow.temporal import exceptions
from memflow.temporal.api.common.v1 import Payloads
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.converter.payloads import PayloadConverter


def create_payload_validation_error(details: Any) -> exceptions.ApplicationError:
    """The error that says that a converted payload is not valid: no retry mends it. `details` of None are left out."""
    given = () if details is None else (details,)
    return exceptions.ApplicationError("Payload validation failed", *given, type="PayloadValidationError", non_retryable=True)


class FailureConverter(ABC):
    """Errors to failures and back. Does no IO."""

    default: ClassVar[FailureConverter]
    """The usual one."""

    @abstractmethod
    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Fill in `failure`."""

    @abstractmethod
    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        """The error."""


class DefaultFailureConverter(FailureConverter):
    """The usual one. `encode_common_attributes` puts message and stack into a payload, where codecs see them."""

    def __init__(self, *, encode_common_attributes: bool = False) -> None:
        super().__init__()
        self._encode_common_attributes = encode_common_attributes

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        known = exception.failure if isinstance(exception, exceptions.FailureError) else None
        failure.message = exception.message if isinstance(exception, errors.FailureError) else str(exception)
        failure.source = "memflow"
        if known is not None:
            failure.stack_trace = known.stack_trace
        elif exception.__traceback__ is not None:
            failure.stack_trace = "\n".join(traceback.format_tb(exception.__traceback__))
        cause = exception.failure_cause if isinstance(exception, exceptions.FailureError) else exception.__cause__
        if cause is not None:
            self.to_failure(cause, payload_converter, failure.cause)
        self._kind(exception, payload_converter, failure)
        if self._encode_common_attributes:
            failure.encoded_attributes.CopyFrom(
                payload_converter.to_payloads([{"message": failure.message, "stack_trace": failure.stack_trace}])[0]
            )
            failure.message = "Encoded failure"
            failure.stack_trace = ""

    def _kind(self, exception: BaseException, converter: PayloadConverter, failure: Failure) -> None:
        match exception:
            case errors.ApplicationError():
                info = failure.application_failure_info
                info.SetInParent()
                info.type = exception.type or ""
                info.non_retryable = bool(exception.non_retryable)
                info.next_retry_delay = exception.next_retry_delay
                info.category = int(getattr(exception, "category", 0))
                _put(converter, exception.details, info.details)
            case errors.CancelledError():
                failure.canceled_failure_info.SetInParent()
                _put(converter, exception.details, failure.canceled_failure_info.details)
            case asyncio.CancelledError():
                failure.canceled_failure_info.SetInParent()
                failure.message = failure.message or "Cancelled"
            case errors.TerminatedError():
                failure.terminated_failure_info.SetInParent()
            case errors.TimeoutError():
                timed = failure.timeout_failure_info
                timed.SetInParent()
                timed.timeout_type = int(getattr(exception, "type", None) or 0)
                _put(converter, exception.heartbeat_details, timed.last_heartbeat_details)
            case exceptions.ServerError():
                failure.server_failure_info.SetInParent()
                failure.server_failure_info.non_retryable = exception.non_retryable
            case exceptions.ActivityError():
                activity = failure.activity_failure_info
                activity.SetInParent()
                activity.activity_type.name = exception.activity_type
                activity.activity_id = exception.activity_id
                activity.identity = exception.identity
                activity.retry_state = int(exception.retry_state or 0)
                activity.scheduled_event_id = exception.scheduled_event_id
                activity.started_event_id = exception.started_event_id
            case exceptions.ChildWorkflowError():
                child = failure.child_workflow_execution_failure_info
                child.SetInParent()
                child.namespace = exception.namespace
                child.workflow_execution.workflow_id = exception.workflow_id
                child.workflow_execution.run_id = exception.run_id or ""
                child.workflow_type.name = exception.workflow_type
                child.retry_state = int(exception.retry_state or 0)
            case _:
                failure.application_failure_info.SetInParent()
                failure.application_failure_info.type = type(exception).__name__

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        if failure.HasField("encoded_attributes"):
            attributes: Any = payload_converter.from_payloads([failure.encoded_attributes], [dict])[0]
            if isinstance(attributes, dict):
                told = cast("dict[str, Any]", attributes)
                failure.message = str(told.get("message") or failure.message)
                failure.stack_trace = str(told.get("stack_trace") or failure.stack_trace)
        error = _error(failure, payload_converter)
        error._failure = failure  # pyright: ignore[reportPrivateUsage]
        error.stack_trace = failure.stack_trace or None
        if failure.HasField("cause"):
            error.__cause__ = self.from_failure(failure.cause, payload_converter)
        return error


class DefaultFailureConverterWithEncodedAttributes(DefaultFailureConverter):
    """The usual one, with message and stack in a payload."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


DefaultFailureConverter.default = FailureConverter.default = DefaultFailureConverter()


def _put(converter: PayloadConverter, values: Sequence[Any], into: Payloads) -> None:
    if values:
        into.payloads.extend(converter.to_payloads(list(values)))


def _values(converter: PayloadConverter, held: Payloads) -> list[Any]:
    return converter.from_payloads(held.payloads) if held.payloads else []


def _retry_state(number: int) -> exceptions.RetryState | None:
    return exceptions.RetryState(number) if number else None


def _error(failure: Failure, converter: PayloadConverter) -> exceptions.FailureError:
    if failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        error = exceptions.ApplicationError(
            failure.message or "Application error",
            *_values(converter, info.details),
            type=info.type or None,
            non_retryable=info.non_retryable,
            next_retry_delay=info.next_retry_delay,
            category=exceptions.ApplicationErrorCategory(info.category),
        )
        return error
    if failure.HasField("timeout_failure_info"):
        timed = failure.timeout_failure_info
        return exceptions.TimeoutError(
            failure.message or "Timeout",
            type=exceptions.TimeoutType(timed.timeout_type) if timed.timeout_type else None,
            last_heartbeat_details=_values(converter, timed.last_heartbeat_details),
        )
    if failure.HasField("canceled_failure_info"):
        details = _values(converter, failure.canceled_failure_info.details)
        return exceptions.CancelledError(failure.message or "Cancelled", *details)
    if failure.HasField("terminated_failure_info"):
        return exceptions.TerminatedError(failure.message or "Terminated")
    if failure.HasField("server_failure_info"):
        return exceptions.ServerError(failure.message or "Server error", non_retryable=failure.server_failure_info.non_retryable)
    if failure.HasField("activity_failure_info"):
        activity = failure.activity_failure_info
        return exceptions.ActivityError(
            failure.message or "Activity error",
            scheduled_event_id=activity.scheduled_event_id,
            started_event_id=activity.started_event_id,
            identity=activity.identity,
            activity_type=activity.activity_type.name,
            activity_id=activity.activity_id,
            retry_state=_retry_state(activity.retry_state),
        )
    if failure.HasField("child_workflow_execution_failure_info"):
        child = failure.child_workflow_execution_failure_info
        return exceptions.ChildWorkflowError(
            failure.message or "Child workflow error",
            namespace=child.namespace,
            workflow_id=child.workflow_execution.workflow_id,
            run_id=child.workflow_execution.run_id,
            workflow_type=child.workflow_type.name,
            initiated_event_id=child.initiated_event_id,
            started_event_id=child.started_event_id,
            retry_state=_retry_state(child.retry_state),
        )
    return exceptions.FailureError(failure.message or "Failure error")
