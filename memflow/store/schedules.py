"""Schedules: put one, change one, and serve those that are due.

Serving is one transaction: hold the rows, see what became of their runs, decide, start and stop runs, write the rows back. So a
worker that dies anywhere in it has done nothing. Who holds a schedule's row may want rows of runs, never the other way round.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from memflow import firing
from memflow.core.arrivals import CancelRequested, RunTerminated
from memflow.core.definition import (
    LAST_FAILURE_HEADER,
    LAST_RESULT_HEADER,
    SCHEDULE_HEADER,
    SCHEDULED_AT_HEADER,
    header_of,
)
from memflow.core.entries import to_row
from memflow.core.options_json import retry_from_json, retry_to_json
from memflow.failure import encode_failure
from memflow.firing import Action, Overlap, Policy, ScheduleState
from memflow.names import new_id
from memflow.payload import NO_ARGUMENTS, Payload
from memflow.runs import Status
from memflow.schedule_spec import ScheduleSpec, spec_from_json
from memflow.store import inbox
from memflow.store.database import Database, Record
from memflow.store.rows import columns, data_of, encoding_of, payload
from memflow.store.runs import PARENT_CLOSED, start_runs, terminated
from memflow.store.schedule_values import ScheduleAction, ScheduleRow, Served
from memflow.store.values import NewRun, ToRun

log = logging.getLogger(__name__)

COLUMNS = 16

INSTANTS_PER_LOOK = 1_000
"""Instants that one transaction deals with, over all schedules it holds: some 0.2 s of a worker's time for cron lines."""

LEAST_PER_SCHEDULE = 10

LARGEST_HANDED_ON = 64 * 1024
"""Bytes of a result that the next run is handed. It lies in that run's row, which each claim reads."""

REPLACED = "the next run of its schedule is due"
"""Why a schedule stops one of its runs."""


async def create_schedule(database: Database, namespace: str, row: ScheduleRow) -> bool:
    """Put a new schedule. False: its id is taken."""
    state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
    edit = uuid4()
    made: list[bool] = []

    async def put(conn: Any) -> None:
        values = (*_columns(replace(row, state=state), look_at), edit)
        if await database.row("create_schedule", namespace, *values, connection=conn) is not None:
            await database.fetch("ring_schedules", namespace, connection=conn)
            made.append(True)
            return
        # Somebody else's, or ours, whose COMMIT was done but not heard of.
        found = await database.row("find_schedule", namespace, row.id, connection=conn)
        made.append(found is not None and found["edit"] == edit)

    await database.in_transaction(put, doing="create_schedule")
    return made[-1]


async def find_schedule(database: Database, namespace: str, id: str) -> ScheduleRow | None:
    """One schedule."""
    found = await database.row("find_schedule", namespace, id)
    return None if found is None else _row(found)


async def list_schedules(database: Database, namespace: str, *, after: str | None, limit: int) -> list[ScheduleRow]:
    """Schedules by id, beginning after `after`."""
    return [_row(each) for each in await database.fetch("list_schedules", namespace, after, limit)]


async def edit_schedule(
    database: Database, namespace: str, id: str, change: Callable[[ScheduleRow], ScheduleRow]
) -> ScheduleRow | None:
    """Change a schedule while nobody else does; `change` may be called again. None: there is none of that id."""
    token = uuid4()
    after: list[ScheduleRow | None] = []

    async def edit(conn: Any) -> None:
        found = await database.row("hold_schedule", namespace, id, connection=conn)
        if found is None:
            after.append(None)
            return
        if found["edit"] == token:                       # done, but the answer to COMMIT was lost
            after.append(_row(found))
            return
        row = change(_row(found))
        state, look_at = firing.refreshed(row.id, row.spec, row.state, row.now)
        row = replace(row, state=state)
        await _save(database, namespace, [(row, look_at, token)], conn)
        await database.fetch("ring_schedules", namespace, connection=conn)
        after.append(row)

    await database.in_transaction(edit, doing="edit_schedule")
    return after[-1]


async def delete_schedule(database: Database, namespace: str, id: str) -> bool:
    """Delete a schedule; its runs go on. False: there was none."""
    return await database.row("delete_schedule", namespace, id, repeat=False) is not None


async def running_now(database: Database, namespace: str, state: ScheduleState) -> list[Action]:
    """Those of a schedule's runs that are open."""
    ended = await _ended(database, namespace, list(state.running), None)
    return [each for each in state.running if each.run_id not in ended]


# ----------------------------------------------------------------------------------------------------------- serving


async def serve_schedules(database: Database, namespace: str, *, limit: int) -> Served:
    """Look at up to `limit` schedules that are due, or had a run end: one transaction, tried again whole."""
    found: list[Served] = []

    async def serve(conn: Any) -> None:
        records = await database.fetch("due_schedules", namespace, limit, connection=conn)
        rows = _readable(records)
        if rows:
            known = {row.id for row in rows}
            ends = [end for record in records if record["id"] in known for end in record["ends"]]
            starts, after = await _serve_rows(database, namespace, rows, ends, conn)
        else:
            starts, after = 0, await database.row("next_schedule", namespace, connection=conn)
        assert after is not None, "both statements always give one row"
        found.append(Served(len(rows), starts, after["now"], after["look_at"]))

    await database.in_transaction(serve, doing="serve_schedules")
    return found[-1]


async def _serve_rows(
    database: Database, namespace: str, rows: Sequence[ScheduleRow], ends: Sequence[int], conn: Any
) -> tuple[int, Record | None]:
    """Each statement is a round trip in which the rows are held, so they are few."""
    watched = [action for row in rows for action in row.state.running]
    ended = await _ended(database, namespace, watched, conn)
    most = max(LEAST_PER_SCHEDULE, INSTANTS_PER_LOOK // len(rows))
    decisions = [
        firing.decide(
            row.id, row.spec, row.policy, row.state, now=row.now, most=most, ended={run: how for run, (how, _) in ended.items()}
        )
        for row in rows
    ]
    for decision in decisions:
        await _stop(database, namespace, decision, conn)
    wanted = [(n, one) for n, decision in enumerate(decisions) for one in decision.start]
    rows = [
        _with_outcome(replace(row, state=decision.state), row.state.running, ended)
        for row, decision in zip(rows, decisions, strict=True)
    ]
    decisions = [replace(decision, state=row.state) for row, decision in zip(rows, decisions, strict=True)]
    runs = [run_of(namespace, rows[n], one.at) for n, one in wanted]
    marks: list[tuple[int, str, datetime]] = []
    if runs:
        answers = await start_runs(database, runs, connection=conn)
        for (n, one), run, answer in zip(wanted, runs, answers, strict=True):
            row = rows[n]
            if answer.created and answer.run_id == run.run_id:
                marks.append((answer.run, row.id, one.at))
                action: Action | None = Action(one.at, row.now, run.workflow_id, run.run_id)
            else:
                log.info("this instant has had its run", extra={"schedule": row.id, "workflow_id": run.workflow_id})
                action = None
            decisions[n] = firing.started(decisions[n], one, action)
    values = [
        (*_columns(replace(row, state=decision.state), decision.look_at), None)
        for row, decision in zip(rows, decisions, strict=True)
    ]
    after = await database.row(
        "finish_schedules", namespace, *columns(values, COLUMNS), *columns(marks, 3), list(ends), connection=conn
    )
    return len(marks), after


def run_of(namespace: str, row: ScheduleRow, at: datetime) -> NewRun:
    """The run for an instant. Its id is taken once and for all: an instant has one run, however often it is asked for."""
    action = row.action
    return NewRun(
        namespace=namespace,
        workflow_id=firing.workflow_id(action.workflow_id or row.id, at),
        run_id=new_id(),
        workflow=action.workflow,
        task_queue=action.task_queue,
        input=action.input,
        reuse="reject",
        run_timeout=action.run_timeout,
        execution_timeout=action.execution_timeout,
        headers={**action.headers, SCHEDULE_HEADER: row.id, SCHEDULED_AT_HEADER: at.isoformat(), **_handed_on(row)},
        memo=action.memo,
        search=action.search,
        expire=action.expire,
        priority=action.priority,
        retry=action.retry,
    )


def _handed_on(row: ScheduleRow) -> dict[str, str]:
    """What the next run may know of the last one. It travels with the run, so it has to be small."""
    known = {
        LAST_RESULT_HEADER: (row.result, row.state.result_of),
        LAST_FAILURE_HEADER: (row.failure, row.state.failure_of),
    }
    return {
        name: header_of(each, bound)
        for name, (each, bound) in known.items()
        if each is not None and len(each.data) <= LARGEST_HANDED_ON
    }


async def _ended(
    database: Database, namespace: str, watched: Sequence[Action], conn: Any
) -> dict[str, tuple[Status | None, Record | None]]:
    """Those that are not open any more, by run id, with how their chain ended; (None, None) for one that is gone."""
    if not watched:
        return {}
    rows = await database.fetch(
        "scheduled_runs", namespace, [each.workflow_id for each in watched], [each.run_id for each in watched], connection=conn
    )
    ended: dict[str, tuple[Status | None, Record | None]] = {}
    for row in rows:
        status = None if row["status"] is None else Status(row["status"])
        if status is None or not status.is_open:
            ended[row["run_id"]] = (status, None if status is None else row)
    return ended


def _with_outcome(
    row: ScheduleRow, watched: Sequence[Action], ended: Mapping[str, tuple[Status | None, Record | None]]
) -> ScheduleRow:
    """The row with the result or failure of the latest of its runs that has ended."""
    mine = [ended[each.run_id] for each in watched if each.run_id in ended]
    for status, found in sorted(((s, f) for s, f in mine if f is not None), key=lambda each: each[1]["closed_at"]):
        outcome = payload(found["result"], found["result_encoding"])
        if status is Status.COMPLETED:
            state = replace(row.state, result_of=found["run_id"], failure_of=None)
            row = replace(row, result=outcome, failure=None, state=state)
        elif status in (Status.FAILED, Status.TIMED_OUT):
            row = replace(row, failure=outcome, state=replace(row.state, failure_of=found["run_id"]))
    return row


async def _stop(database: Database, namespace: str, decision: firing.Decision, conn: Any) -> None:
    failure = encode_failure(terminated(REPLACED))
    for action in decision.terminate:
        await database.row(
            "terminate_run",
            namespace,
            action.workflow_id,
            None,
            to_row(RunTerminated(REPLACED)).attributes,
            failure.data,
            PARENT_CLOSED,
            failure.encoding,
            connection=conn,
        )
    if decision.cancel:
        arrival = CancelRequested(REPLACED)
        await inbox.send(
            database, [ToRun(namespace, each.workflow_id, None, arrival) for each in decision.cancel], connection=conn
        )


# ----------------------------------------------------------------------------------------------------------- rows


async def _save(
    database: Database, namespace: str, rows: Sequence[tuple[ScheduleRow, datetime | None, UUID | None]], conn: Any
) -> None:
    values = [(*_columns(row, look_at), edit) for row, look_at, edit in rows]
    await database.fetch("save_schedules", namespace, *columns(values, COLUMNS), connection=conn)


def _columns(row: ScheduleRow, look_at: datetime | None) -> tuple[Any, ...]:
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


def _readable(records: Sequence[Record]) -> list[ScheduleRow]:
    """Rows that this library can read. What a newer one wrote is left to its workers."""
    rows: list[ScheduleRow] = []
    for record in records:
        try:
            rows.append(_row(record))
        except (ValueError, KeyError, TypeError):
            log.warning("cannot read a schedule, leaving it to others", exc_info=True, extra={"schedule": record["id"]})
    return rows


def _row(record: Record) -> ScheduleRow:
    return ScheduleRow(
        id=record["id"],
        spec=_spec(record["plan"]),
        policy=_policy_from_json(json.loads(record["policy"])),
        action=_action_from_json(json.loads(record["start"])),
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
        "workflow_id": action.workflow_id,
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
        workflow_id=found.get("workflow_id"),
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

