"""The rows of durable activities: claim, settle, retry, heartbeat. A token fences each row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from memflow.core.entries import to_row
from memflow.core.options_json import activity_options_from_json
from memflow.store.database import Database, Record
from memflow.store.rows import data_of, encoding_of, headers_of, payload, payload_or_nothing
from memflow.store.turns import (
    ActivityClaim,
    ActivityClaims,
    Beat,
    Beaten,
    Retry,
    Settle,
)


async def claim_activities(
    database: Database, *, worker: int, namespace: str, task_queues: Sequence[str], limit: int
) -> ActivityClaims:
    """Take up to `limit` due activities; each counts as an attempt from now on."""
    token = uuid4()
    rows = await database.fetch_marked("claim_activities", worker, namespace, list(task_queues), limit, token)
    first, *claimed = rows
    return ActivityClaims([_claim(row, token) for row in claimed], first["scheduled_at"], first["close_by"])


def _claim(row: Record, token: UUID) -> ActivityClaim:
    return ActivityClaim(
        run=row["run"],
        op=row["op"],
        token=token,
        workflow_id=row["workflow_id"],
        run_id=row["run_id"],
        workflow=row["workflow"],
        name=row["name"],
        task_queue=row["task_queue"],
        input=payload_or_nothing(row["input"], row["input_encoding"]),
        options=activity_options_from_json({} if row["options"] is None else json.loads(row["options"])),
        headers=headers_of(row["headers"]),
        attempt=row["attempt"],
        scheduled_at=row["scheduled_at"],
        close_by=row["close_by"],
        last_failure=payload(row["last_failure"], row["last_failure_encoding"]),
        heartbeat=payload(row["heartbeat"], row["heartbeat_encoding"]),
        cancel_requested=row["cancel_requested"],
        late=row["late"],
    )


async def settle_activities(
    database: Database, namespace: str, settled: Sequence[Settle], *, connection: Any = None
) -> list[bool]:
    """End activities: the row goes, the arrival goes into the run's inbox. False where the token no longer fits."""
    if not settled:
        return []
    entries = [to_row(each.arrival) for each in settled]
    row = await database.row(
        "settle_activities",
        namespace,
        [each.run for each in settled],
        [each.op for each in settled],
        [each.token for each in settled],
        [entry.kind for entry in entries],
        [entry.attributes for entry in entries],
        [entry.encoding for entry in entries],
        [entry.data for entry in entries],
        connection=connection,
    )
    assert row is not None, "the function always gives one row"
    return list(row["done"])


async def retry_activities(database: Database, namespace: str, retries: Sequence[Retry]) -> list[bool]:
    """Put failed attempts back to be tried again. False where the token no longer fits."""
    if not retries:
        return []
    row = await database.row(
        "retry_activities",
        namespace,
        [each.run for each in retries],
        [each.op for each in retries],
        [each.token for each in retries],
        [each.delay for each in retries],
        [data_of(each.last_failure) for each in retries],
        [encoding_of(each.last_failure) for each in retries],
        [each.counts for each in retries],
    )
    assert row is not None, "the function always gives one row"
    return list(row["done"])


async def beat_activities(database: Database, beats: Sequence[Beat]) -> list[Beaten]:
    """Keep heartbeat details, and tell who has lost its row and who is asked to stop."""
    if not beats:
        return []
    rows = await database.fetch(
        "beat_activities",
        [each.run for each in beats],
        [each.op for each in beats],
        [each.token for each in beats],
        [data_of(each.details) for each in beats],
        [encoding_of(each.details) for each in beats],
    )
    return [
        Beaten(each.run, each.op, row["lost"], row["cancel_requested"], row["paused"], row["reset"])
        for each, row in zip(beats, rows, strict=True)
    ]


async def activity_ops(database: Database, runs: Sequence[int]) -> Mapping[int, set[int]]:
    """The ops of each run that have a durable row."""
    found: dict[int, set[int]] = {run: set() for run in runs}
    for run, op in await database.fetch("activity_ops", list(runs)):
        found[run].add(op)
    return found


async def activities_of(database: Database, run: int) -> list[Mapping[str, Any]]:
    """The durable activities of one run, for people: the columns of `v_activities`, payloads as such."""
    return [
        {
            "op": row["op"],
            "activity_id": row["activity_id"],
            "paused": row["paused"],
            "name": row["name"],
            "task_queue": row["task_queue"],
            "state": row["state"],
            "attempt": row["attempt"],
            "next_attempt_at": row["next_attempt_at"],
            "owner": row["owner"],
            "last_failure": payload(row["last_failure"], row["last_failure_encoding"]),
            "heartbeat_details": payload(row["heartbeat"], row["heartbeat_encoding"]),
        }
        for row in await database.fetch("activities_of", run)
    ]
