"""What people and other services do to an activity from outside its worker. Each call is one statement and one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

from memflow.core.arrivals import Arrival
from memflow.core.entries import to_row
from memflow.core.options_json import activity_options_from_json, activity_options_to_json
from memflow.payload import Payload
from memflow.store.database import Database
from memflow.store.rows import data_of, encoding_of
from memflow.store.turns import ActivityKey, ActOnActivity, Beaten, FoundActivity, Open


async def open_activities(database: Database, opened: Sequence[Open]) -> list[bool]:
    """Leave attempts to whoever has their tokens. False where the token no longer fits."""
    if not opened:
        return []
    row = await database.row(
        "open_activities",
        [each.run for each in opened],
        [each.op for each in opened],
        [each.token for each in opened],
        [each.attempt_by for each in opened],
    )
    assert row is not None, "the function always gives one row"
    return list(row["done"])


async def find_activity(database: Database, namespace: str, key: ActivityKey) -> FoundActivity | str:
    """The activity, or why there is none (see `Store.find_activity`)."""
    row = await database.row(
        "find_activity", namespace, key.workflow_id, key.run_id, key.activity_id, key.run, key.op, key.token
    )
    assert row is not None, "the function always gives one row"
    if row["outcome"] != "found":
        return str(row["outcome"])
    return FoundActivity(
        run=row["run"],
        op=row["op"],
        token=row["token"],
        name=row["name"],
        activity_id=row["activity_id"],
        workflow_id=row["workflow_id"],
        options=activity_options_from_json({} if row["options"] is None else json.loads(row["options"])),
        attempt=row["attempt"],
        scheduled_at=row["scheduled_at"],
        close_by=row["close_by"],
        cancel_requested=row["cancel_requested"],
        paused=row["paused"],
        reset=row["reset"],
    )


async def finish_activity(
    database: Database, namespace: str, found: FoundActivity, arrival: Arrival, *, exact: bool
) -> bool:
    """End it: the row goes, the arrival goes into the run's inbox. False: it, or if `exact` this attempt, is gone.

    Raises:
        OutcomeUnknownError: the connection broke meanwhile. A repeat would find nothing in either case, so it is not made.
    """
    entry = to_row(arrival)
    row = await database.row(
        "finish_activity",
        namespace,
        found.run,
        found.op,
        found.token if exact else None,
        entry.kind,
        entry.attributes,
        entry.encoding,
        entry.data,
        repeat=False,
    )
    assert row is not None, "the function always gives one row"
    return bool(row["done"])


async def fail_attempt(
    database: Database, namespace: str, found: FoundActivity, delay: timedelta, failure: Payload, *, exact: bool
) -> bool:
    """Put it back for another attempt, `delay` from now. False: it, or if `exact` this attempt, is gone."""
    token = found.token if exact else None
    row = await database.row(
        "fail_attempt", namespace, found.run, found.op, token, delay, failure.data, failure.encoding, repeat=False
    )
    assert row is not None, "the function always gives one row"
    return bool(row["done"])


async def beat_activity(database: Database, found: FoundActivity, details: Payload | None) -> Beaten:
    """Report life of an attempt from outside."""
    row = await database.row("beat_activity", found.run, found.op, found.token, data_of(details), encoding_of(details))
    assert row is not None, "the function always gives one row"
    return Beaten(
        found.run, found.op, bool(row["lost"]), bool(row["cancel_requested"]), bool(row["paused"]), bool(row["reset"])
    )


async def act_on_activity(database: Database, namespace: str, found: FoundActivity, act: ActOnActivity) -> bool:
    """What an operator asks for. False: its row is gone."""
    options = None if act.options is None else activity_options_to_json(act.options)
    row = await database.row(
        "act_on_activity",
        namespace,
        found.run,
        found.op,
        act.verb,
        act.delay,
        act.keep_paused,
        act.forget_heartbeats,
        json.dumps(options, separators=(",", ":")) if options else None,
        None if act.options is None else act.options.task_queue,
    )
    assert row is not None, "the function always gives one row"
    return bool(row["done"])
