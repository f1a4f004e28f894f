"""Failures as JSON, in the shape that Temporal's tools write, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any, Final, TypeVar

from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.exceptions import RetryState, TimeoutType

E = TypeVar("E", bound=IntEnum)


def payload_to_json(payload: Payload) -> dict[str, Any]:
    """A payload as JSON."""
    return {
        "metadata": {name: b64encode(each).decode() for name, each in payload.metadata.items()},
        "data": b64encode(payload.data).decode(),
    }


def payload_from_json(body: Mapping[str, Any]) -> Payload:
    """The payload of some JSON."""
    return Payload(
        metadata={str(name): b64decode(str(each)) for name, each in table(body, "metadata").items()},
        data=b64decode(str(body.get("data", ""))),
    )


def table(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside another; an empty one where there is none."""
    found: Mapping[str, Any] = body.get(name) or {}
    return found


def seconds_of(text: object) -> timedelta:
    """A duration, written as "1.5s", or one that was read already."""
    if isinstance(text, timedelta):
        return text
    return timedelta(seconds=float(str(text or "0s").rstrip("s") or 0))


def failure_to_json(failure: Failure) -> dict[str, Any]:
    """A failure as JSON."""
    body: dict[str, Any] = {"message": failure.message, "source": failure.source, "stackTrace": failure.stack_trace}
    if failure.HasField("encoded_attributes"):
        body["encodedAttributes"] = payload_to_json(failure.encoded_attributes)
    if failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        told: dict[str, Any] = {"type": info.type, "nonRetryable": info.non_retryable, **_details("details", info.details)}
        if info.next_retry_delay is not None:
            told["nextRetryDelay"] = f"{info.next_retry_delay.total_seconds():g}s"
        body["applicationFailureInfo"] = told
    if failure.HasField("timeout_failure_info"):
        timeout = failure.timeout_failure_info
        body["timeoutFailureInfo"] = {
            "timeoutType": f"TIMEOUT_TYPE_{TimeoutType(timeout.timeout_type or 1).name}",
            **_details("lastHeartbeatDetails", timeout.last_heartbeat_details),
        }
    if failure.HasField("canceled_failure_info"):
        body["canceledFailureInfo"] = _details("details", failure.canceled_failure_info.details)
    if failure.HasField("terminated_failure_info"):
        body["terminatedFailureInfo"] = {}
    if failure.HasField("activity_failure_info"):
        activity = failure.activity_failure_info
        body["activityFailureInfo"] = {
            "activityType": {"name": activity.activity_type.name},
            "activityId": activity.activity_id,
            **_retry_state(activity.retry_state),
        }
    if failure.HasField("child_workflow_execution_failure_info"):
        child = failure.child_workflow_execution_failure_info
        run = child.workflow_execution
        body["childWorkflowExecutionFailureInfo"] = {
            "namespace": child.namespace,
            "workflowExecution": {"workflowId": run.workflow_id, "runId": run.run_id},
            "workflowType": {"name": child.workflow_type.name},
            **_retry_state(child.retry_state),
        }
    if failure.HasField("cause"):
        body["cause"] = failure_to_json(failure.cause)
    return body


def failure_from_json(body: Mapping[str, Any]) -> Failure:
    """The failure of some JSON; names are taken in both of Temporal's spellings."""
    failure = Failure(
        message=str(body.get("message", "")), source=str(body.get("source", "")), stack_trace=str(body.get("stackTrace", ""))
    )
    if "encodedAttributes" in body:
        failure.encoded_attributes = payload_from_json(body["encodedAttributes"])
    kind = next((name for name in _READERS if isinstance(body.get(name), Mapping)), None)
    if kind is not None:
        _READERS[kind](failure, body[kind])
    if isinstance(body.get("cause"), Mapping):
        failure.cause_ = failure_from_json(body["cause"])
    return failure


def _application(failure: Failure, told: Mapping[str, Any]) -> None:
    info = failure.application_failure_info
    info.SetInParent()
    info.type = str(told.get("type", ""))
    info.non_retryable = bool(told.get("nonRetryable", False))
    info.details = _payloads(told.get("details"))
    if told.get("nextRetryDelay"):
        info.next_retry_delay = seconds_of(told["nextRetryDelay"])


def _timeout(failure: Failure, told: Mapping[str, Any]) -> None:
    info = failure.timeout_failure_info
    info.SetInParent()
    info.timeout_type = int(_member(TimeoutType, told.get("timeoutType"), "TIMEOUT_TYPE_") or 1)
    info.last_heartbeat_details = _payloads(told.get("lastHeartbeatDetails"))


def _cancelled(failure: Failure, told: Mapping[str, Any]) -> None:
    failure.canceled_failure_info.SetInParent()
    failure.canceled_failure_info.details = _payloads(told.get("details"))


def _terminated(failure: Failure, told: Mapping[str, Any]) -> None:
    failure.terminated_failure_info.SetInParent()


def _activity(failure: Failure, told: Mapping[str, Any]) -> None:
    info = failure.activity_failure_info
    info.SetInParent()
    info.activity_type.name = str(table(told, "activityType").get("name", ""))
    info.activity_id = str(told.get("activityId", ""))
    info.retry_state = int(_member(RetryState, told.get("retryState"), "RETRY_STATE_") or 0)


def _child(failure: Failure, told: Mapping[str, Any]) -> None:
    info = failure.child_workflow_execution_failure_info
    info.SetInParent()
    run: Mapping[str, Any] = table(told, "workflowExecution")
    info.namespace = str(told.get("namespace", ""))
    info.workflow_execution.workflow_id = str(run.get("workflowId", ""))
    info.workflow_execution.run_id = str(run.get("runId", ""))
    info.workflow_type.name = str(table(told, "workflowType").get("name", ""))
    info.retry_state = int(_member(RetryState, told.get("retryState"), "RETRY_STATE_") or 0)


_READERS: Final[Mapping[str, Callable[[Failure, Mapping[str, Any]], None]]] = {
    "applicationFailureInfo": _application,
    "timeoutFailureInfo": _timeout,
    "canceledFailureInfo": _cancelled,
    "terminatedFailureInfo": _terminated,
    "activityFailureInfo": _activity,
    "childWorkflowExecutionFailureInfo": _child,
}


def retry_state_of(text: object) -> RetryState | None:
    """A retry state by its name, in either spelling."""
    return _member(RetryState, text, "RETRY_STATE_")


def _member(kind: type[E], text: object, prefix: str) -> E | None:
    if isinstance(text, int):
        return kind(text) if text else None
    wanted = str(text or "").removeprefix(prefix).replace("_", "").lower()
    return next((each for each in kind if each.name.replace("_", "").lower() == wanted), None)


def _retry_state(number: int) -> dict[str, str]:
    return {"retryState": f"RETRY_STATE_{RetryState(number).name}"} if number else {}


def _payloads(body: Any) -> Payloads:
    listed: Sequence[Mapping[str, Any]] = body.get("payloads", ()) if body else ()
    return Payloads(payloads=[payload_from_json(each) for each in listed])


def _details(name: str, payloads: Payloads) -> dict[str, Any]:
    return {name: {"payloads": [payload_to_json(each) for each in payloads.payloads]}} if payloads.payloads else {}
