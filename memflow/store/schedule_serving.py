"""Serve the schedules that are due: look at them, decide, and do all of it in one statement.

A look holds nothing, so whoever is slow or dies keeps nobody waiting; the statement that acts (`functions/18_schedules.sql`)
acts only if the rows are still as they were seen. That costs two statements for each firing. Where many schedules are due, or
somebody else was faster, they are held while it is decided, so that workers share them out instead of racing for each.

The worker that serves a few takes what it starts there and then, as if it had claimed it: a statement less before a run begins.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
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
from memflow.errors import OutcomeUnknownError
from memflow.failure import encode_failure
from memflow.firing import Action
from memflow.names import new_id
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store import runs as run_rows
from memflow.store.database import Database, Record
from memflow.store.rows import columns, data_of, encoding_of, headers_text, payload, retry_text
from memflow.store.runs import PARENT_CLOSED, terminated
from memflow.store.schedule_rows import SERVED_COLUMNS, schedule_row, served_columns
from memflow.store.schedule_values import ScheduleRow, Served, Taker
from memflow.store.turns import Claim
from memflow.store.values import NewRun

log = logging.getLogger(__name__)

FEW = 4
"""So many schedules are looked at without holding them. Workers that race for them lose little by it, and share nothing out."""

INSTANTS_PER_LOOK = 1_000
"""Instants that one look deals with, over all schedules of it: some 0.1 s of a worker's time for cron lines."""

LEAST_PER_SCHEDULE = 10

LARGEST_HANDED_ON = 64 * 1024
"""Bytes of a result that the next run is handed. It lies in that run's row, which each claim reads."""

REPLACED = "the next run of its schedule is due"
"""Why a schedule stops one of its runs."""

_TERMINATED = to_row(RunTerminated(REPLACED)).attributes, encode_failure(terminated(REPLACED)).data, PARENT_CLOSED
_CANCELLED = to_row(CancelRequested(REPLACED)).attributes


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last run of a chain ended; without a status it is gone."""

    status: Status | None
    closed_at: datetime | None
    outcome: Payload | None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the schedules showed."""

    now: datetime
    next_look: datetime | None
    found: int
    rows: Sequence[ScheduleRow]
    versions: Mapping[str, str]
    ends: Sequence[int]
    ended: Mapping[str, Ended]
    """By run id, those of the runs watched that are not open any more."""


async def serve_schedules(
    database: Database, namespace: str, *, limit: int, taker: Taker | None = None, look: Look | None = None
) -> Served:
    """Look at up to `limit` schedules that are due, or had a run end, and do what is to be done.

    `taker` owns at once what is started here for its queues, unless many schedules are due: those are for everybody. `look` is
    one that was taken a moment ago.
    """
    if look is None:
        look = await _look(database, namespace, min(limit, FEW + 1), hold=False)
    if look.found <= FEW:
        served = await _serve(database, namespace, look, taker=taker)
        if served is not None:
            return served
    found: list[Served] = []

    async def held(conn: Any) -> None:
        look = await _look(database, namespace, limit, hold=True, connection=conn)
        served = await _serve(database, namespace, look, connection=conn)
        assert served is not None, "nobody changes what we hold"
        found.append(served)

    await database.in_transaction(held, doing="serve_schedules")
    return found[-1]


async def _look(database: Database, namespace: str, limit: int, *, hold: bool, connection: Any = None) -> Look:
    return look_of(await database.fetch("look_at_schedules", namespace, limit, hold, connection=connection))


def look_of(found: Sequence[Record]) -> Look:
    """The look that the rows of `look_at_schedules` tell."""
    first, *records = found
    rows: list[ScheduleRow] = []
    versions: dict[str, str] = {}
    ends: list[int] = []
    ended: dict[str, Ended] = {}
    for record in records:
        try:
            rows.append(schedule_row(record))
        except (ValueError, KeyError, TypeError):
            # What a newer library wrote is left to its workers.
            log.warning("cannot read a schedule, leaving it to others", exc_info=True, extra={"schedule": record["id"]})
            continue
        versions[record["id"]] = record["version"]
        ends += record["ends"]
        if record["ended_runs"] is not None:
            ended.update(_ended(record))
    return Look(first["now"], first["look_at"], len(records), rows, versions, ends, ended)


def _ended(record: Record) -> dict[str, Ended]:
    names = ("ended_runs", "ended_status", "ended_at", "ended_result", "ended_encoding")
    rows = zip(*(record[name] for name in names), strict=True)
    return {
        run_id: Ended(None if status is None else Status(status), closed_at, payload(result, encoding))
        for run_id, status, closed_at, result, encoding in rows
    }


async def _serve(
    database: Database, namespace: str, look: Look, *, taker: Taker | None = None, connection: Any = None
) -> Served | None:
    """Decide and act. None: somebody else was faster, and something is still due."""
    if not look.rows:
        return Served(0, 0, look.now, look.next_look)
    most = max(LEAST_PER_SCHEDULE, INSTANTS_PER_LOOK // len(look.rows))
    how = {run_id: each.status for run_id, each in look.ended.items()}
    decisions = [
        firing.decide(row.id, row.spec, row.policy, row.state, now=row.now, most=most, ended=how) for row in look.rows
    ]
    rows = [
        _with_outcome(replace(row, state=decision.state), row.state.running, look.ended)
        for row, decision in zip(look.rows, decisions, strict=True)
    ]
    decisions = [replace(decision, state=row.state) for row, decision in zip(rows, decisions, strict=True)]
    taken: set[str] = set()
    while True:
        starts = _starts(namespace, rows, decisions, taken)
        wanted = [(run.task_queue, run.workflow) for *_, run in starts]
        owner = taker if taker is not None and taker.takes(wanted) else None
        token = None if owner is None else uuid4()
        columns = _columns(rows, decisions, starts, look, owner, token)
        try:
            # Owned by us, without our knowing, they would be nobody's: so what becomes of a lost answer is our business then.
            answer = await database.row(
                "serve_schedules", namespace, *columns, connection=connection, repeat=owner is None
            )
        except OutcomeUnknownError:
            if owner is None or token is None:
                raise
            found = await run_rows.claimed_again(database, owner.worker, namespace, token)
            return Served(len(rows), len(found.claims), found.now, found.now, found.claims) if found.claims else None
        assert answer is not None, "the function always gives one row"
        match answer["outcome"]:
            case "served":
                claims = [] if token is None else _claims(starts, answer, token)
                return Served(len(rows), len(starts), answer["now"], answer["look_at"], claims)
            case "taken":
                # Those instants have had their runs. What is decided of the others stays.
                taken.update(answer["taken"])
            case _:
                due = answer["look_at"] is not None and answer["look_at"] <= answer["now"]
                return None if due else Served(0, 0, answer["now"], answer["look_at"])


Start = tuple[int, firing.Wanted, NewRun]
"""A run to start, for which row and for what."""


def _starts(namespace: str, rows: Sequence[ScheduleRow], decisions: Sequence[firing.Decision], taken: set[str]) -> list[Start]:
    wanted = [
        (n, one, run_of(namespace, row, one.at))
        for n, (row, decision) in enumerate(zip(rows, decisions, strict=True))
        for one in decision.start
    ]
    return [each for each in wanted if each[2].workflow_id not in taken]


def _columns(
    rows: Sequence[ScheduleRow],
    decisions: Sequence[firing.Decision],
    starts: Sequence[Start],
    look: Look,
    owner: Taker | None,
    token: UUID | None,
) -> list[Any]:
    """The parameters of `serve_schedules` after the namespace."""
    actions = {(n, one): Action(one.at, rows[n].now, run.workflow_id, run.run_id) for n, one, run in starts}
    served: list[tuple[Any, ...]] = []
    for n, (row, decision) in enumerate(zip(rows, decisions, strict=True)):
        for one in decision.start:
            action = actions.get((n, one))
            if action is None:
                log.info("this instant has had its run", extra={"schedule": row.id, "at": one.at.isoformat()})
            decision = firing.started(decision, one, action)
        served.append(served_columns(replace(row, state=decision.state), look.versions[row.id], decision.look_at))
    terminate = [each.workflow_id for decision in decisions for each in decision.terminate]
    cancel = [each.workflow_id for decision in decisions for each in decision.cancel]
    begun = [_start_row(rows[n].id, one, run) for n, one, run in starts]
    return [
        *columns(served, SERVED_COLUMNS),
        list(look.ends) or None,
        terminate or None,
        *_TERMINATED,
        cancel or None,
        _CANCELLED,
        None if owner is None else owner.worker,
        token,
        *(columns(begun, _START) if begun else [None] * _START),
    ]


_START = 19
"""Columns of `_start_row`."""


def _start_row(schedule: str, wanted: firing.Wanted, run: NewRun) -> tuple[Any, ...]:
    return (
        run.workflow_id,
        run.run_id,
        run.workflow,
        run.task_queue,
        run.input.data,
        run.input.encoding,
        run.run_timeout,
        run.execution_timeout,
        headers_text(run.headers),
        data_of(run.memo),
        encoding_of(run.memo),
        data_of(run.search),
        encoding_of(run.search),
        run.expire,
        run.priority,
        retry_text(run.retry),
        run.task_timeout,
        schedule,
        wanted.at,
    )


def _claims(starts: Sequence[Start], answer: Record, token: UUID) -> list[Claim]:
    """What the worker owns of these, as a claim would have told it; see `functions/18_schedules.sql`."""
    if answer["runs"] is None:
        return []
    rows = zip(starts, answer["runs"], answer["deadlines"], answer["execution_deadlines"], strict=True)
    return [
        run_rows.claim_of_new(run, id, token, at=answer["now"], deadline=deadline, execution_deadline=execution_deadline)
        for (_, _, run), id, deadline, execution_deadline in rows
    ]


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


def _with_outcome(row: ScheduleRow, watched: Sequence[Action], ended: Mapping[str, Ended]) -> ScheduleRow:
    """The row with the result or failure of the latest of its runs that has ended."""
    mine = [(each.run_id, ended[each.run_id]) for each in watched if each.run_id in ended]
    known = [(end.closed_at, run_id, end) for run_id, end in mine if end.status is not None and end.closed_at is not None]
    for _, run_id, end in sorted(known, key=lambda each: each[0]):
        if end.status is Status.COMPLETED:
            state = replace(row.state, result_of=run_id, failure_of=None)
            row = replace(row, result=end.outcome, failure=None, state=state)
        elif end.status in (Status.FAILED, Status.TIMED_OUT):
            row = replace(row, failure=end.outcome, state=replace(row.state, failure_of=run_id))
    return row
