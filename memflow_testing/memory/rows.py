"""Rows in memory as the values of `memflow/store/base.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn, cast

from memflow.core.arrivals import RunStarted
from memflow.core.entries import JournalEntry
from memflow.payload import Payload
from memflow.store.turns import Claim
from memflow.store.values import RunRow
from memflow_testing.memory.tables import Run, Tables, Wake


def fields_of(payload: Payload | None) -> dict[str, Any] | None:
    """The JSON object in a payload of fields; nothing if it is none that `jsonb` can hold, or encrypted."""
    if payload is None or payload.encoding is not None:
        return None
    try:
        found: Any = json.loads(payload.data, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()   # half surrogates
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) and not _has_nul(found) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(each) for name, each in cast("dict[str, Any]", value).items())
    return isinstance(value, list) and any(_has_nul(each) for each in cast("Sequence[Any]", value))


def entries_of(run: Run, after: int) -> list[JournalEntry]:
    """The journal after a seq. Its first entry has the input of the run, wherever the worker had that from."""
    entries = run.journal[after:]
    if entries and isinstance(entries[0].entry, RunStarted):
        entries[0] = replace(entries[0], entry=RunStarted(run.input))
    return entries


def run_row(tables: Tables, run: Run) -> RunRow:
    """A run as clients see its row."""
    wake, now = run.wake, tables.now()
    return RunRow(
        run=run.id,
        namespace=tables.namespace,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        workflow=run.workflow,
        task_queue=run.task_queue,
        status=run.status,
        detail=run.detail,
        waiting_at=run.waiting_at,
        started_at=run.started_at,
        closed_at=run.closed_at,
        length=run.length,
        arrived=run.arrived,
        consumed=run.consumed,
        owner=None if wake is None else wake.owner,
        wake_at=None if wake is None else wake.wake_at,
        parent_workflow_id=run.parent_workflow_id,
        parent_run_id=run.parent_run_id,
        first_run_id=run.first_run_id,
        next_run_id=run.next_run_id,
        attempt=run.attempt,
        input=run.input,
        result=run.result,
        record=json.loads(json.dumps(run.record)) if run.record else {},
        memo=run.memo_now or run.memo,
        schedule=run.schedule,
        scheduled_at=run.scheduled_at,
        version=run.version,
        pinned=run.pinned,
        unserved=run.pinned and not any(
            each.version == run.version and run.task_queue in each.queues and each.lives(tables.wall())
            for each in tables.workers.values()
        ),
        due=wake is not None and wake.wake_at is not None and wake.wake_at <= now,
        pause_reason=run.pause_reason,
        task_timeout=run.task_timeout,
        origin_kind=run.origin_kind,
        origin_workflow_id=run.origin_workflow_id,
        origin_run_id=run.origin_run_id,
        origin_seq=run.origin_seq,
        continued_run_id=run.continued_run_id,
        headers=dict(run.headers),
    )


def claim_of(run: Run, wake: Wake) -> Claim:
    """A run as the worker gets it that has just taken it."""
    assert wake.token is not None, "claimed a moment ago"
    return Claim(
        run=run.id,
        token=wake.token,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        workflow=run.workflow,
        task_queue=run.task_queue,
        length=run.length,
        arrived=run.arrived,
        consumed=run.consumed,
        turn=run.turn,
        started_at=run.started_at,
        last_at=run.last_at,
        first_arrivals=run.first_arrivals,
        crashes=wake.crashes,
        retries=run.retries,
        input=run.input if run.length == 0 else None,
        headers=dict(run.headers),
        attempt=run.attempt,
        first_run_id=run.first_run_id,
        parent_workflow_id=run.parent_workflow_id,
        parent_run_id=run.parent_run_id,
        deadline=run.deadline,
        deadline_kind=run.deadline_kind,
        memo=run.memo,
        record=run.search,
        retry=run.retry,
        execution_deadline=run.execution_deadline,
        continued_run_id=run.continued_run_id,
        version=run.version,
        pinned=run.pinned,
        task_timeout=run.task_timeout,
        ending=run.ending_until is not None,
        origins=run.origins,
    )
