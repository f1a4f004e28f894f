"""Histories in the shape that Temporal's own tools write, told event by event."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

RUN = "3dd0c2f1-0000-4000-8000-000000000001"


def payload(value: Any) -> dict[str, Any]:
    """One value."""
    return {"metadata": {"encoding": _base64(b"json/plain")}, "data": _base64(json.dumps(value).encode())}


def payloads(*values: Any) -> dict[str, Any]:
    """Several."""
    return {"payloads": [payload(value) for value in values]}


def failure(message: str, type: str = "", **more: Any) -> dict[str, Any]:
    """An application failure."""
    return {"message": message, "source": "PythonSDK", "applicationFailureInfo": {"type": type, **more}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Told:
    """A history under way. Each call adds an event and gives its number."""

    def __init__(self, workflow: str, *arguments: Any, **more: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self._task = 0
        self.add(
            "WORKFLOW_EXECUTION_STARTED",
            workflowType={"name": workflow},
            taskQueue={"name": "q"},
            input=payloads(*arguments),
            originalExecutionRunId=RUN,
            firstExecutionRunId=RUN,
            workflowId="told",
            attempt=1,
            **more,
        )

    def add(self, kind: str, **attributes: Any) -> int:
        """An event of that kind."""
        number = len(self.events) + 1
        words = kind.lower().split("_")
        field = words[0] + "".join(word.capitalize() for word in words[1:]) + "EventAttributes"
        self.events.append(
            {
                "eventId": str(number),
                "eventTime": f"2026-01-01T00:00:{number:02d}.123456789Z",
                "eventType": f"EVENT_TYPE_{kind}",
                field: attributes,
            }
        )
        return number

    def task(self, flags: Sequence[int] = ()) -> None:
        """A whole workflow task: what comes next is what its code asked. `flags`: of the SDK's logic, used in it."""
        scheduled = self.add("WORKFLOW_TASK_SCHEDULED")
        started = self.add("WORKFLOW_TASK_STARTED", scheduledEventId=str(scheduled))
        self._task = self.add(
            "WORKFLOW_TASK_COMPLETED",
            scheduledEventId=str(scheduled),
            startedEventId=str(started),
            sdkMetadata={"langUsedFlags": list(flags)} if flags else {},
        )

    def activity(self, name: str, *arguments: Any) -> int:
        """An activity is scheduled."""
        return self.add(
            "ACTIVITY_TASK_SCHEDULED",
            activityId="1",
            activityType={"name": name},
            input=payloads(*arguments),
            workflowTaskCompletedEventId=str(self._task),
        )

    def done(self, scheduled: int, result: Any) -> None:
        """It has completed."""
        started = self.add("ACTIVITY_TASK_STARTED", scheduledEventId=str(scheduled))
        self.add(
            "ACTIVITY_TASK_COMPLETED",
            scheduledEventId=str(scheduled),
            startedEventId=str(started),
            result=payloads(result),
        )

    def timer(self, seconds: float) -> int:
        """A timer is started."""
        return self.add("TIMER_STARTED", timerId="1", startToFireTimeout=f"{seconds}s")

    def fired(self, started: int) -> None:
        """It has fired."""
        self.add("TIMER_FIRED", timerId="1", startedEventId=str(started))

    def patch(self, id: str, deprecated: bool = False) -> None:
        """A patch is marked, with the search attribute that goes with it."""
        self.add(
            "MARKER_RECORDED",
            markerName="core_patch",
            details={"patch-data": payloads({"id": id, "deprecated": deprecated})},
        )
        self.add(
            "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
            searchAttributes={"indexedFields": {"TemporalChangeVersion": payload([id])}},
        )

    def local(self, seq: int, name: str, result: Any = None, failed: dict[str, Any] | None = None) -> None:
        """A local activity has ended."""
        details: dict[str, Any] = {"data": payloads({"seq": seq, "activity_type": name, "activity_id": str(seq)})}
        if failed is None:
            details["result"] = payloads(result)
        more = {} if failed is None else {"failure": failed}
        self.add("MARKER_RECORDED", markerName="core_local_activity", details=details, **more)

    def update(self, id: str, name: str, *arguments: Any, after: int) -> int:
        """An update is accepted, which came after that event."""
        return self.add(
            "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
            protocolInstanceId=id,
            acceptedRequestSequencingEventId=str(after),
            acceptedRequest={"meta": {"updateId": id}, "input": {"name": name, "args": payloads(*arguments)}},
        )

    def updated(self, id: str, accepted: int, result: Any) -> None:
        """It has completed."""
        self.add(
            "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
            meta={"updateId": id},
            acceptedEventId=str(accepted),
            outcome={"success": payloads(result)},
        )

    def completed(self, result: Any = None) -> None:
        """The workflow has completed."""
        self.add("WORKFLOW_EXECUTION_COMPLETED", result=payloads(result))

    def json(self) -> dict[str, Any]:
        """The history."""
        return {"events": self.events}
