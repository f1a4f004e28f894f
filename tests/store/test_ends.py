"""Turns that end their run and leave nothing behind go through a statement of their own: the same fence, the same rows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import AwaitSignal, Complete, Fail, ScheduleActivity
from memflow.failure import Failure, encode_failure
from memflow.firing import Policy
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store import commit
from memflow.store.ends import is_end
from memflow.store.postgres import PostgresStore
from memflow.store.turns import Claim, Committed, NextRun, TurnCommit
from memflow_testing.conformance.commits import a_family
from memflow_testing.conformance.making import (
    T0,
    a_run,
    a_signal,
    a_turn,
    a_worker,
    an_activity,
    an_end,
    claim,
    started_and_claimed,
)
from tests.polling import until
from tests.store.test_schedules import a_schedule
from tests.store.test_unknown import broken
from tests.store.wire import Break

FAILURE = Failure("application", "no luck")

ASKED = ScheduleActivity(1, "echo", Payload(b"[1]", "json"), ActivityOptions())


def two_turns(claim: Claim) -> TurnCommit:
    """What a run with one quick activity commits, all of it at once."""
    later = T0 + timedelta(seconds=1)
    entries = [
        JournalEntry(1, 1, T0, RunStarted()),
        JournalEntry(2, 1, T0, ASKED),
        JournalEntry(3, 2, later, ActivityCompleted(1, Payload(b"10"))),
        JournalEntry(4, 2, later, Complete(Payload(b'"done"'))),
    ]
    return TurnCommit(
        claim.run, claim.token, 0, entries, claim.arrived, True, status=Status.COMPLETED, result=Payload(b'"done"')
    )


def failed(claim: Claim) -> TurnCommit:
    return a_turn(claim, RunStarted(), Fail(FAILURE), status=Status.FAILED, result=encode_failure(FAILURE))


alone_and_together = pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
"""A single end and several go through statements of their own."""


async def committed(store: PostgresStore, worker: int, turn: TurnCommit, together: bool) -> Committed:
    """What becomes of an end, on its own or beside that of another run."""
    if not together:
        [answer] = await store.commit_turns(worker, [turn])
        return answer
    [other] = await started_and_claimed(store, worker, a_run("beside"))
    answer, beside = await store.commit_turns(worker, [turn, two_turns(other)])
    assert (beside.run, beside.outcome, beside.released) == (other.run, "won", True)
    run = await store.find_run("beside")
    assert run is not None and run.status is Status.COMPLETED and len(await store.history(other.run)) == 4
    return answer


def test_what_leaves_more_than_its_end_is_no_plain_end() -> None:
    def turn(**more: Any) -> TurnCommit:
        options: dict[str, Any] = {"status": Status.COMPLETED, **more}
        return TurnCommit(1, uuid4(), 0, options.pop("entries", [object()]), 0, True, **options)

    assert is_end(turn())
    assert is_end(turn(status=Status.FAILED, result=Payload(b"{}")))
    for more in (
        {"status": Status.RUNNING}, {"entries": []}, {"activities": [an_activity()]}, {"cancelled_activities": [1]},
        {"mail": [RunStarted()]}, {"dropped_activities": [1]}, {"effects": [ASKED]}, {"record": Payload(b"{}")},
        {"memo": Payload(b"{}")}, {"detail": "stuck"}, {"retries": 1}, {"version": ("1", True)},
        {"next": NextRun("next", 1, timedelta(), None, None)},
    ):  # fmt: skip
        assert not is_end(turn(**more)), more


@alone_and_together
@pytest.mark.parametrize("ending", [an_end, two_turns, failed])
async def test_it_leaves_the_rows_that_the_general_statement_leaves(
    store: PostgresStore, sql: Any, ending: Any, together: bool
) -> None:
    """Two runs alike, each ended by one of the two."""
    worker = await a_worker(store)
    more = {"expire": timedelta(days=3), "memo": Payload(b'{"a":1}'), "search": Payload(b'{"b":2}'), "run_timeout": timedelta(1)}
    mine, theirs = await started_and_claimed(store, worker, a_run("mine", **more), a_run("theirs", **more))
    await sql.execute("update runs set retries = 2, waiting_at = '[]', detail = 'stuck', ending_until = now()")
    assert is_end(ending(mine))
    first = await committed(store, worker, ending(mine), together)
    [second] = await commit._general(store._database, worker, "default", [ending(theirs)])
    assert replace(second, run=mine.run) == first
    own = "id, workflow_id, run_id, first_run_id, started_at, last_at, closed_at, expires_at, deadline"
    columns = await sql.fetchval(
        "select string_agg(column_name, ', ') from information_schema.columns where table_schema = current_schema()"
        f" and table_name = 'runs' and column_name <> all(string_to_array('{own}', ', '))"
    )
    for query in (
        f"select {columns}, closed_at > started_at, expires_at - closed_at from runs where id = $1",
        "select seq, turn, at, op, kind, attributes, encoding, data from journal where run = $1 order by seq",
        "select count(*) from wakes where run = $1",
        "select doc from records where run = $1",
    ):
        assert [tuple(row) for row in await sql.fetch(query, mine.run)] == [
            tuple(row) for row in await sql.fetch(query, theirs.run)
        ], query
    assert await sql.fetchval("select array_agg(token order by seq) from journal where run = $1", mine.run) == [mine.token] * len(
        ending(mine).entries
    )


@alone_and_together
@pytest.mark.parametrize("why", ["token", "length", "owner", "unread", "paused"])
async def test_who_may_not_end_is_told_why_by_the_general_statement(store: PostgresStore, why: str, together: bool) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    turn = an_end(mine)
    outcome = "fenced"
    match why:
        case "token":
            turn.token = uuid4()
        case "length":
            turn.length = 3
        case "owner":
            worker = await a_worker(store)
        case "unread":
            await store.send([a_signal("a")])
            outcome = "unread"
        case _:
            await store.pause("a", None, None)
            outcome = "paused"
    answer = await committed(store, worker, turn, together)
    assert (answer.outcome, answer.released) == (outcome, outcome == "fenced")
    assert await store.history(mine.run) == []
    run = await store.find_run("a")
    assert run is not None and run.status.is_open


@alone_and_together
async def test_mail_that_was_read_goes_with_the_run(store: PostgresStore, sql: Any, together: bool) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    await store.send([a_signal("a"), a_signal("a")])
    answer = await committed(store, worker, an_end(mine, consumed=2), together)
    assert (answer.outcome, answer.arrived, answer.released) == ("won", 2, True)
    assert await sql.fetchval("select count(*) from inbox") == 0


@alone_and_together
async def test_what_earlier_turns_left_goes_with_the_run(store: PostgresStore, sql: Any, together: bool) -> None:
    """Activities that somebody else runs, and waits: their rows go, and who runs one is told."""
    worker, elsewhere = await a_worker(store), await a_worker(store)
    wait = AwaitSignal(2, "s")
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    turn = a_turn(mine, RunStarted(), ASKED, wait, activities=[an_activity()], effects=[wait], release=False)
    assert [each.outcome for each in await store.commit_turns(worker, [turn])] == ["won"]
    assert len((await store.claim_activities(elsewhere, task_queues=["q"], limit=1)).claims) == 1
    rung: list[str] = []
    await store.listen(f"worker:{elsewhere}", lambda: rung.append("worker"))
    await store.listen("done", lambda: rung.append("done"))
    rung.clear()
    end = TurnCommit(
        mine.run, mine.token, 3, [JournalEntry(4, 2, T0, Complete(Payload(b"1")))], 0, True, status=Status.COMPLETED,
        result=Payload(b"1"),
    )  # fmt: skip
    assert is_end(end)
    assert (await committed(store, worker, end, together)).outcome == "won"
    assert [await sql.fetchval(f"select count(*) from {table}") for table in ("activities", "signals", "wakes")] == [0, 0, 0]

    async def told() -> bool:
        return set(rung) == {"worker", "done"}

    await until(told)


@alone_and_together
async def test_relatives_hear_of_an_end(store: PostgresStore, together: bool) -> None:
    worker = await a_worker(store)
    parent, child = await a_family(store, worker)
    end = an_end(child)
    assert is_end(end)
    assert (await committed(store, worker, end, together)).outcome == "won"
    assert [each.run for each in await store.read_inbox([(parent.run, 0)], limit=9)] == [parent.run]


@alone_and_together
@pytest.mark.parametrize("minded", [False, True])
async def test_a_schedule_hears_of_the_end_of_its_run(store: PostgresStore, sql: Any, minded: bool, together: bool) -> None:
    now = await store.now()
    row = replace(a_schedule(now=now, wanted=1), policy=Policy(pause_on_failure=minded))
    await store.create_schedule(row)
    await store.serve_schedules(limit=1)
    worker = await a_worker(store)
    [mine] = await claim(store, worker)
    rung: list[str] = []
    await store.listen("schedules", lambda: rung.append("schedules"))
    await store.listen("done", lambda: rung.append("done"))
    rung.clear()
    assert (await committed(store, worker, failed(mine), together)).outcome == "won"
    assert await sql.fetchval("select array_agg(schedule) from schedule_ends") == ["s"]

    async def told() -> bool:
        return "done" in rung

    await until(told)
    assert ("schedules" in rung) is minded, "nobody looks for nothing"
    assert (await store.serve_schedules(limit=1)).schedules == 1
    found = await store.find_schedule("s")
    assert found is not None and found.state.paused is minded


@pytest.mark.parametrize("ids", ["a", "ab"])
@pytest.mark.parametrize("what", ["lose_request", "lose_answer", "leave"])
async def test_ends_whose_answer_is_lost_are_won_once(
    dsn: str, schema: str, store: PostgresStore, sql: Any, what: Break, ids: str
) -> None:
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        claims = await started_and_claimed(mine, worker, *[a_run(id) for id in ids])
        plan.arm(what)
        answers = await mine.commit_turns(worker, [two_turns(each) for each in claims])
        assert [each.outcome for each in answers] == ["won"] * len(ids)
        assert plan.done == 1
    assert await sql.fetchval("select count(*) from journal") == 4 * len(ids)
    assert await sql.fetchval("select array_agg(distinct status) from runs") == ["completed"]


async def test_an_end_and_a_signal_that_race_are_told_apart(store: PostgresStore, other: PostgresStore) -> None:
    """Either the sender hears that the run is closed, or the run does not close over what was sent."""
    worker = await a_worker(store)
    claims = await started_and_claimed(store, worker, *[a_run(f"r{n}") for n in range(40)])

    async def end(each: Claim) -> str:
        [answer] = await store.commit_turns(worker, [an_end(each)])
        return answer.outcome

    async def send(each: Claim) -> str:
        [sent] = await other.send([a_signal(each.workflow_id)])
        return sent.outcome

    for each in claims:
        ended, sent = await asyncio.gather(end(each), send(each))
        assert (ended, sent) in {("won", "closed"), ("unread", "delivered")}
