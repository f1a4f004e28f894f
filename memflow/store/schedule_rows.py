"""Schedules as rows: what of them is columns, and what is JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from memflow import firing
from memflow.core.options_json import retry_from_json, retry_to_json
from memflow.firing import Overlap, Policy
from memflow.payload import NO_ARGUMENTS, Payload
from memflow.schedule_spec import ScheduleSpec, spec_from_json
from memflow.store.database import Record
from memflow.store.rows import data_of, encoding_of, payload
from memflow.store.schedule_values import ScheduleAction, ScheduleRow

COLUMNS = 15
"""Of `schedule_columns`."""

SERVED_COLUMNS = 11
"""Of `served_columns`."""


def schedule_columns(row: ScheduleRow, look_at: datetime | None) -> tuple[Any, ...]:
    """All columns that a client writes."""
    return (
        row.id,
        row.spec.to_text(),
        row.spec.zone,
        _json(row.spec.to_json()),
        _json(_policy_to_json(row.policy)),
        _json(_action_to_json(row.action)),
        _json(firing.state_to_json(row.state)),
        row.state.paused,
        row.state.next_at,
        row.state.last_at,
        look_at,
        data_of(row.result),
        encoding_of(row.result),
        data_of(row.failure),
        encoding_of(row.failure),
    )


def served_columns(row: ScheduleRow, version: str, look_at: datetime | None) -> tuple[Any, ...]:
    """Those that change when it is served, after the version of the row that was looked at."""
    return (
        row.id,
        version,
        _json(firing.state_to_json(row.state)),
        row.state.paused,
        row.state.next_at,
        row.state.last_at,
        look_at,
        data_of(row.result),
        encoding_of(row.result),
        data_of(row.failure),
        encoding_of(row.failure),
    )


def schedule_row(record: Record) -> ScheduleRow:
    """A schedule out of its columns.

    Raises:
        ValueError, KeyError, TypeError: a newer library wrote it, as this one cannot read it.
    """
    return ScheduleRow(
        id=record["id"],
        spec=_spec(record["plan"]),
        policy=_policy(record["policy"]),
        action=_action(record["start"]),
        state=firing.state_from_json(
            json.loads(record["state"]), paused=record["paused"], next_at=record["next_at"], last_at=record["last_at"]
        ),
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        now=record["now"],
        result=payload(record["result"], record["result_encoding"]),
        failure=payload(record["failure"], record["failure_encoding"]),
    )


@lru_cache(maxsize=2000)
def _spec(text: str) -> ScheduleSpec:
    # Reading one checks it, which takes a millisecond or so.
    return spec_from_json(json.loads(text))


@lru_cache(maxsize=2000)
def _policy(text: str) -> Policy:
    return _policy_from_json(json.loads(text))


@lru_cache(maxsize=2000)
def _action(text: str) -> ScheduleAction:
    return _action_from_json(json.loads(text))


def _policy_to_json(policy: Policy) -> dict[str, Any]:
    return {
        "overlap": policy.overlap.value,
        "catchup": policy.catchup.total_seconds(),
        "pause_on_failure": policy.pause_on_failure,
    }


def _policy_from_json(found: Mapping[str, Any]) -> Policy:
    return Policy(Overlap(found["overlap"]), timedelta(seconds=found["catchup"]), found["pause_on_failure"])


def _action_to_json(action: ScheduleAction) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "workflow": action.workflow,
        "task_queue": action.task_queue,
        "input": _payload_to_json(action.input),
        "run_timeout": _seconds(action.run_timeout),
        "execution_timeout": _seconds(action.execution_timeout),
        "headers": dict(action.headers),
        "memo": _payload_to_json(action.memo),
        "search": _payload_to_json(action.search),
        "expire": _seconds(action.expire),
        "priority": action.priority,
        "retry": None if action.retry is None else retry_to_json(action.retry),
    }
    return {name: value for name, value in plain.items() if value not in (None, {})}


def _action_from_json(found: Mapping[str, Any]) -> ScheduleAction:
    retry = found.get("retry")
    return ScheduleAction(
        workflow=found["workflow"],
        task_queue=found["task_queue"],
        input=_payload_from_json(found.get("input")) or NO_ARGUMENTS,
        run_timeout=_delta(found.get("run_timeout")),
        execution_timeout=_delta(found.get("execution_timeout")),
        headers=found.get("headers", {}),
        memo=_payload_from_json(found.get("memo")),
        search=_payload_from_json(found.get("search")),
        expire=_delta(found.get("expire")),
        priority=found.get("priority", 0),
        retry=None if retry is None else retry_from_json(retry),
    )


def _payload_to_json(value: Payload | None) -> list[str | None] | None:
    return None if value is None else [base64.b64encode(value.data).decode(), value.encoding]


def _payload_from_json(found: Sequence[str | None] | None) -> Payload | None:
    if found is None or found[0] is None:
        return None
    return Payload(base64.b64decode(found[0]), found[1])


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))

