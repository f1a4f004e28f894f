"""What becomes of a commit: won, fenced, unread, refused; and what it does to others."""

from __future__ import annotations

import json
from typing import Any

from memflow.core.arrivals import (
    ActivityCompleted,
    RunStarted,
    TimerFired,
)
from memflow.core.interrupts import Complete
from memflow.failure import Failure, encode_failure
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.making import (
    a_run,
    a_signal,
    a_turn,
    a_worker,
    an_activity,
    an_end,
    claim,
    started_and_claimed,
)


async def test_a_closing_commit_leaves_five_rows(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    done = ActivityCompleted(1, Payload(b"10"))
    [won] = await store.commit_turns(worker, [an_end(mine, RunStarted(), TimerFired(2), done)])
    assert (won.outcome, won.released) == ("won", True)
    run = await store.find_run("a")
    assert run is not None and (run.status, run.length, run.result) == (Status.COMPLETED, 4, Payload(b'"done"'))
    assert run.closed_at is not None and run.owner is None and run.wake_at is None
    tables = ["runs", "wakes", "journal", "inbox", "activities", "signals", "requests", "records", "events"]
    assert sum([await sql.fetchval(f"select count(*) from {table}") for table in tables]) == 5
    assert [entry.entry for entry in await store.history(mine.run)] == [
        RunStarted(Payload(b"[]")), TimerFired(2), done, Complete(Payload(b'"done"')),
    ]
    assert [(each.run, each.status) for each in await store.outcomes([mine.run, 999])] == [(mine.run, Status.COMPLETED)]


async def test_a_released_run_is_left_to_the_worker_that_has_it_cached_for_two_seconds(store: PostgresStore, sql: Any) -> None:
    worker, stranger = await a_worker(store), await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    await store.commit_turns(worker, [a_turn(mine, wake_at=await store.now())])
    assert await claim(store, stranger) == []
    [again] = await claim(store, worker)
    assert again.token != mine.token and again.length == 1
    await store.commit_turns(worker, [a_turn(again, TimerFired(1), wake_at=await store.now())])
    await sql.execute("update wakes set wake_at = wake_at - interval '3 seconds'")
    assert len(await claim(store, stranger)) == 1


# ------------------------------------------------------------------------------------------------- effects


# ------------------------------------------------------------------------------------------------- activities


async def test_a_closing_run_takes_its_activities_along(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [a] = await started_and_claimed(store, worker, a_run("a"))
    await store.commit_turns(worker, [an_end(a, activities=[an_activity()])])
    assert await sql.fetchval("select count(*) from activities") == 0


async def test_plain_views_show_it_all_as_json(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [a] = await started_and_claimed(store, worker, a_run("a", input=Payload(b'["x", 5]')))
    failed = encode_failure(Failure("application", "declined"))
    await store.commit_turns(worker, [a_turn(a, activities=[an_activity(attempt=2, last_failure=failed)])])
    await store.send([a_signal("a", "go", b'{"by": "me"}')])
    [row] = await sql.fetch("select * from v_runs")
    assert (row["workflow_id"], row["type"], json.loads(row["input"]), row["arrived"]) == ("a", "order", ["x", 5], 1)
    [row] = await sql.fetch("select * from v_journal")
    assert (row["kind"], json.loads(row["data"]), row["token"]) == ("run_started", ["x", 5], a.token)
    [row] = await sql.fetch("select * from v_inbox")
    assert (row["position"], row["kind"], json.loads(row["data"])) == (1, "signal_received", {"by": "me"})
    [row] = await sql.fetch("select * from v_activities")
    assert (row["state"], row["attempt"], json.loads(row["last_failure"])["message"]) == ("backing_off", 2, "declined")
    for view in ("v_timers", "v_signals", "v_schedules"):
        assert await sql.fetch(f"select * from {view}") == []
