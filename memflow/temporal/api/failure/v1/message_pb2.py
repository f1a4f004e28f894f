"""The messages of failures. Exactly one `*_info` of a failure is set; the others exist, empty, so that code may look at them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from memflow.temporal.api.common.v1.message_pb2 import ActivityType, Payload, Payloads, WorkflowExecution, WorkflowType
from memflow.temporal.api.wire import Message


class _Info(Message):
    __slots__ = ("present",)

    def __init__(self) -> None:
        self.present = False

    def SetInParent(self) -> None:
        """Make this the kind of its failure, even with nothing set in it."""
        self.present = True

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name != "present" and value and not isinstance(value, Message):
            super().__setattr__("present", True)


class ApplicationFailureInfo(_Info):
    """An error that code raised on purpose."""

    __slots__ = ("category", "details", "next_retry_delay", "non_retryable", "type")

    def __init__(self, *, type: str = "", non_retryable: bool = False) -> None:
        super().__init__()
        self.type = type
        self.non_retryable = non_retryable
        self.details = Payloads()
        self.next_retry_delay: timedelta | None = None
        self.category = 0


class CanceledFailureInfo(_Info):
    """A cancellation."""

    __slots__ = ("details",)

    def __init__(self) -> None:
        super().__init__()
        self.details = Payloads()


class TerminatedFailureInfo(_Info):
    """A termination."""

    __slots__ = ()


class ServerFailureInfo(_Info):
    """An error of the server."""

    __slots__ = ("non_retryable",)

    def __init__(self) -> None:
        super().__init__()
        self.non_retryable = False


class TimeoutFailureInfo(_Info):
    """A time that was up."""

    __slots__ = ("last_heartbeat_details", "timeout_type")

    def __init__(self) -> None:
        super().__init__()
        self.timeout_type = 0
        self.last_heartbeat_details = Payloads()


class ActivityFailureInfo(_Info):
    """An activity that failed for good."""

    __slots__ = ("activity_id", "activity_type", "identity", "retry_state", "scheduled_event_id", "started_event_id")

    def __init__(self) -> None:
        super().__init__()
        self.activity_type = ActivityType()
        self.activity_id = ""
        self.identity = ""
        self.retry_state = 0
        self.scheduled_event_id = 0
        self.started_event_id = 0


class ChildWorkflowExecutionFailureInfo(_Info):
    """A child workflow that did not complete."""

    __slots__ = (
        "initiated_event_id",
        "namespace",
        "retry_state",
        "started_event_id",
        "workflow_execution",
        "workflow_type",
    )

    def __init__(self) -> None:
        super().__init__()
        self.namespace = ""
        self.workflow_execution = WorkflowExecution()
        self.workflow_type = WorkflowType()
        self.retry_state = 0
        self.initiated_event_id = 0
        self.started_event_id = 0


class Failure(Message):
    """An error as data."""

    __slots__ = (
        "activity_failure_info",
        "application_failure_info",
        "canceled_failure_info",
        "cause_",
        "child_workflow_execution_failure_info",
        "encoded_attributes",
        "message",
        "server_failure_info",
        "source",
        "stack_trace",
        "terminated_failure_info",
        "timeout_failure_info",
    )

    def __init__(self, *, message: str = "", source: str = "", stack_trace: str = "") -> None:
        self.message = message
        self.source = source
        self.stack_trace = stack_trace
        self.encoded_attributes = Payload()
        self.cause_: Failure | None = None
        self.application_failure_info = ApplicationFailureInfo()
        self.canceled_failure_info = CanceledFailureInfo()
        self.terminated_failure_info = TerminatedFailureInfo()
        self.server_failure_info = ServerFailureInfo()
        self.timeout_failure_info = TimeoutFailureInfo()
        self.activity_failure_info = ActivityFailureInfo()
        self.child_workflow_execution_failure_info = ChildWorkflowExecutionFailureInfo()

    @property
    def cause(self) -> Failure:
        """The failure behind this one; looking at it makes one."""
        if self.cause_ is None:
            self.cause_ = Failure()
        return self.cause_

    def HasField(self, name: str) -> bool:
        """Whether the cause, the encoded attributes, or that kind of information is set."""
        if name == "cause":
            return self.cause_ is not None
        found = getattr(self, name)
        if isinstance(found, _Info):
            return found.present or bool(getattr(getattr(found, "details", None), "payloads", ()))
        if isinstance(found, Payload):
            return bool(found.metadata or found.data)
        return super().HasField(name)
