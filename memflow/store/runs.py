"""Runs: start many, claim what is due, look one up, end one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from memflow.core.arrivals import RunTerminated, RunTimedOut
from memflow.core.entries import to_row
from memflow.failure import Failure, encode_failure
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.database import Database, Record
from memflow.store.inbox import message_row
from memflow.store.rows import (
    columns,
    data_of,
    encoding_of,
    headers_of,
    headers_text,
    origins_of,
    payload,
    payload_or_nothing,
    retry_of,
    retry_text,
)
from memflow.store.turns import Claim, Claims
from memflow.store.values import (
    NewRun,
    Outcome,
    RunFacts,
    RunIds,
    RunRow,
    Sent,
    Started,
    ToRun,
)

START_COLUMNS = 25


def terminated(reason: str | None) -> Failure:
    """What a terminated run failed with."""
    return Failure("terminated", reason or "terminated", facts={"reason": reason} if reason else {})


def run_timed_out(kind: str) -> Failure:
    """The run's own time was up: the `run` timeout's, or the `execution` timeout's of its chain."""
    return Failure("timeout", f"the workflow's {kind} timeout was up", facts={"kind": kind})


_KINDS = ("run", "execution")
_TIMED_OUT_ATTRIBUTES = [to_row(RunTimedOut(kind)).attributes for kind in _KINDS]
_TIMED_OUT_FAILURES = [encode_failure(run_timed_out(kind)).data for kind in _KINDS]
REPLACED = encode_failure(terminated("replaced by a new start")).data
PARENT_CLOSED = encode_failure(terminated("the parent workflow closed")).data


async def start_runs(database: Database, runs: Sequence[NewRun], *, connection: Any = None) -> list[Started]:
    """Start runs, each as if the ones before it had been started already. A repeat of a run id is the same start."""
    if not runs:
        return []
    rows = await database.fetch("start_runs", *start_columns(runs), connection=connection)
    found = {row["ord"]: Started(row["run"], row["run_id"], row["created"], row["conflict"]) for row in rows}
    return [found[n] for n in range(1, len(runs) + 1)]


async def start_and_send(
    database: Database, run: NewRun, message: ToRun, *, connection: Any = None
) -> tuple[Started, Sent | None]:
    """Start a run, or use the open one, and leave it a message, in one transaction. A start that is refused sends nothing."""
    [start] = _start_rows([run])
    repeat = message.request_id is not None
    row = await database.row(
        "start_and_send", *start, REPLACED, *message_row(message), connection=connection, repeat=repeat
    )
    assert row is not None, "the statement always gives one row"
    started = Started(row["run"], row["run_id"], row["created"], row["conflict"])
    if row["outcome"] is None:
        return started, None
    return started, Sent(row["outcome"], Status(row["status"]), row["chain"])


def start_columns(runs: Sequence[NewRun]) -> list[Any]:
    """The parameters of `start_runs`."""
    if not runs:
        return [None] * (START_COLUMNS + 1)
    *members, task_timeouts = columns(_start_rows(runs), START_COLUMNS)
    return [*members, REPLACED, task_timeouts]


def _start_rows(runs: Sequence[NewRun]) -> Iterator[tuple[Any, ...]]:
    for run in runs:
        signal, payload_of_signal = run.signal or (None, None)
        yield (
            run.namespace,
            run.workflow_id,
            run.run_id,
            run.workflow,
            run.task_queue,
            run.input.data,
            run.input.encoding,
            run.on_conflict,
            run.reuse,
            run.request_id,
            run.start_delay,
            run.run_timeout,
            run.execution_timeout,
            headers_text(run.headers),
            data_of(run.memo),
            encoding_of(run.memo),
            data_of(run.search),
            encoding_of(run.search),
            run.expire,
            run.priority,
            signal,
            encoding_of(payload_of_signal),
            data_of(payload_of_signal),
            retry_text(run.retry),
            run.task_timeout,
        )


async def claim_runs(
    database: Database, *, worker: int, namespace: str, task_queues: Sequence[str], limit: int, version: str | None,
    since: datetime | None,
) -> Claims:
    """Take up to `limit` due runs. The token is made here, so that a claim whose answer was lost can be asked for again."""
    token = uuid4()
    rows = await database.fetch_marked("claim_runs", worker, namespace, list(task_queues), limit, token, version, since)
    first, *claimed = rows
    return Claims([_claim(row, token) for row in claimed], first["started_at"], first["last_at"])


async def claimed_again(database: Database, worker: int, namespace: str, token: UUID) -> Claims:
    """What is owned under a token whose call was not answered; should that call still come, it takes nothing."""
    first, *claimed = await database.fetch("claim_runs", worker, namespace, [], 0, token, None, None, True)
    return Claims([_claim(row, token) for row in claimed], first["started_at"], first["last_at"])


def claim_of_new(
    run: NewRun, id: int, token: UUID, *, at: datetime, deadline: datetime | None, execution_deadline: datetime | None
) -> Claim:
    """The claim of a run that was started at `at` and taken there and then: what a claim reads of it is known."""
    kind = None if deadline is None else "run" if _is_shorter(run) else "execution"
    return Claim(
        run=id,
        token=token,
        workflow_id=run.workflow_id,
        run_id=run.run_id,
        workflow=run.workflow,
        task_queue=run.task_queue,
        length=0,
        arrived=0,
        consumed=0,
        turn=0,
        started_at=at,
        last_at=at,
        first_arrivals=0,
        crashes=0,
        retries=0,
        input=run.input,
        headers=run.headers,
        attempt=1,
        first_run_id=run.run_id,
        parent_workflow_id=None,
        parent_run_id=None,
        deadline=deadline,
        deadline_kind=kind,
        memo=run.memo,
        record=run.search,
        retry=run.retry,
        execution_deadline=execution_deadline,
        task_timeout=run.task_timeout,
    )


def _is_shorter(run: NewRun) -> bool:
    """Whether its own time is up no later than its chain's."""
    if run.run_timeout is None or run.execution_timeout is None:
        return run.run_timeout is not None
    return run.run_timeout <= run.execution_timeout


def _claim(row: Record, token: UUID) -> Claim:
    # In the order of the statement: looking each of them up by name would take three times as long, once per run.
    (
        run, crashes, workflow_id, run_id, workflow, task_queue, length, arrived, consumed, turn, started_at, last_at,
        first_arrivals, retries, input, input_encoding, headers, attempt, first_run_id, parent_workflow_id, parent_run_id,
        deadline, deadline_kind, memo, memo_encoding, search, search_encoding, retry, execution_deadline, continued_run_id,
        version, pinned, task_timeout, ending, origins,
    ) = row
    return Claim(
        run=run,
        token=token,
        workflow_id=workflow_id,
        run_id=run_id,
        workflow=workflow,
        task_queue=task_queue,
        length=length,
        arrived=arrived,
        consumed=consumed,
        turn=turn,
        started_at=started_at,
        last_at=last_at,
        first_arrivals=first_arrivals,
        crashes=crashes,
        retries=retries,
        input=payload(input, input_encoding),
        headers=headers_of(headers),
        attempt=attempt,
        first_run_id=first_run_id,
        parent_workflow_id=parent_workflow_id,
        parent_run_id=parent_run_id,
        deadline=deadline,
        deadline_kind=deadline_kind,
        memo=payload(memo, memo_encoding),
        record=payload(search, search_encoding),
        retry=retry_of(retry),
        execution_deadline=execution_deadline,
        continued_run_id=continued_run_id,
        version=version,
        pinned=pinned,
        task_timeout=task_timeout,
        ending=ending,
        origins=origins_of(origins),
    )


async def terminate(
    database: Database, namespace: str, workflow_id: str, run_id: str | None, reason: str | None, failure: Payload | None
) -> Sent:
    """End a run at once, over its owner's head."""
    if failure is None:
        failure = encode_failure(terminated(reason))
    row = await database.row(
        "terminate_run",
        namespace,
        workflow_id,
        run_id,
        to_row(RunTerminated(reason)).attributes,
        failure.data,
        PARENT_CLOSED,
        failure.encoding,
    )
    assert row is not None, "the function always gives one row"
    return Sent(row["outcome"], None if row["status"] is None else Status(row["status"]))


async def find_run(database: Database, namespace: str, workflow_id: str, run_id: str | None) -> RunRow | None:
    """One run, the latest of its id unless a run id is given."""
    row = await database.row("find_run", namespace, workflow_id, run_id)
    if row is not None and row["late"] and await _time_out(database, namespace, [row["id"]]):
        row = await database.row("find_run", namespace, workflow_id, run_id)
    return None if row is None else run_row(row)


async def end_left(database: Database, namespace: str, *, limit: int) -> None:
    """End runs whose time is up on queues that no worker serves: up to `limit` of each."""
    row = await database.row("left_overdue", namespace, limit)
    if row is not None and row["runs"]:
        await _time_out(database, namespace, row["runs"])


async def _time_out(database: Database, namespace: str, runs: Sequence[int]) -> bool:
    """End those of these runs whose time is up, and that no worker will come for. Whether there were any."""
    row = await database.row(
        "time_out_runs", namespace, list(runs), list(_KINDS), _TIMED_OUT_ATTRIBUTES, _TIMED_OUT_FAILURES, PARENT_CLOSED
    )
    assert row is not None, "the function always gives one row"
    return bool(row["ended"])


async def run_ids(database: Database, runs: Sequence[int]) -> list[RunIds]:
    """What names these runs."""
    return [
        RunIds(
            row["id"],
            row["workflow_id"],
            row["run_id"],
            row["first_run_id"],
            headers_of(row["headers"]),
            origins_of(row["origins"]),
        )
        for row in await database.fetch("run_ids", list(runs))
    ]


async def facts_of(database: Database, run: int) -> RunFacts | None:
    """What a rebuild needs besides the row and the journal."""
    row = await database.row("facts_of", run)
    if row is None:
        return None
    return RunFacts(
        headers_of(row["headers"]),
        row["continued_run_id"],
        payload(row["search"], row["search_encoding"]),
        payload(row["memo"], row["memo_encoding"]),
        origins_of(row["origins"]),
    )


async def outcomes(database: Database, namespace: str, runs: Sequence[int]) -> list[Outcome]:
    """How these runs ended, of those that have."""
    rows = await database.fetch("outcomes", list(runs))
    late = [row["id"] for row in rows if row["status"] == "running"]
    if late:
        if await _time_out(database, namespace, late):
            rows = await database.fetch("outcomes", list(runs))
        rows = [row for row in rows if row["status"] != "running"]
    return [
        Outcome(row["id"], Status(row["status"]), payload(row["result"], row["result_encoding"]), row["next_run_id"])
        for row in rows
    ]


def run_row(row: Record) -> RunRow:
    """A run from its columns."""
    return RunRow(
        run=row["id"],
        namespace=row["namespace"],
        workflow_id=row["workflow_id"],
        run_id=row["run_id"],
        workflow=row["workflow"],
        task_queue=row["task_queue"],
        status=Status(row["status"]),
        detail=row["detail"],
        waiting_at=row["waiting_at"],
        started_at=row["started_at"],
        closed_at=row["closed_at"],
        length=row["length"],
        arrived=row["arrived"],
        consumed=row["consumed"],
        owner=row["owner"],
        wake_at=row["wake_at"],
        parent_workflow_id=row["parent_workflow_id"],
        parent_run_id=row["parent_run_id"],
        first_run_id=row["first_run_id"],
        next_run_id=row["next_run_id"],
        attempt=row["attempt"],
        input=payload_or_nothing(row["input"], row["input_encoding"]),
        result=payload(row["result"], row["result_encoding"]),
        record={} if row["record"] is None else json.loads(row["record"]),
        memo=payload(row["memo"], row["memo_encoding"]),
        schedule=row["schedule"],
        scheduled_at=row["scheduled_at"],
        version=row["version"],
        pinned=row["pinned"],
        unserved=bool(row["unserved"]),
        due=row["due"],
        pause_reason=row["pause_reason"],
        task_timeout=row["task_timeout"],
        origin_kind=row["origin_kind"],
        origin_workflow_id=row["origin_workflow_id"],
        origin_run_id=row["origin_run_id"],
        origin_seq=row["origin_seq"],
        continued_run_id=row["continued_run_id"],
        headers=headers_of(row.get("headers")),
    )
