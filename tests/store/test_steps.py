"""Turns that only add to their journal go through a statement of their own, with the same fence and the same outcome."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from memflow.core.arrivals import ActivityCompleted, RunStarted
from memflow.payload import Payload
from memflow.store.postgres import PostgresStore
from memflow.store.steps import is_step
from memflow.store.turns import TurnCommit
from memflow_testing.conformance.making import a_run, a_signal, a_turn, a_worker, an_activity, an_end, started_and_claimed
from memflow_testing.conformance.steps import _ASKED


def test_what_asks_for_more_than_entries_is_no_step() -> None:
    def turn(**more: Any) -> TurnCommit:
        return TurnCommit(1, uuid4(), 0, more.pop("entries", [object()]), 0, more.pop("release", False), **more)

    assert is_step(turn())
    for more in (
        {"release": True}, {"entries": []}, {"activities": [an_activity()]}, {"cancelled_activities": [1]},
        {"mail": [RunStarted()]}, {"dropped_activities": [1]}, {"effects": [_ASKED]}, {"record": Payload(b"{}")},
        {"memo": Payload(b"{}")}, {"detail": "stuck"}, {"retries": 1},
    ):
        assert not is_step(turn(**more)), more


async def test_steps_follow_each_other_and_end_as_any_run(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    [first] = await store.commit_turns(worker, [a_turn(mine, RunStarted(), _ASKED, release=False)])
    assert first.outcome == "won"
    assert await sql.fetchval("select count(*) from journal where data is not null") == 1   # the input lies on the run's row
    done = ActivityCompleted(1, Payload(b"10"))
    end = an_end(mine, done)
    end.length, end.entries = 2, [type(each)(each.seq + 2, 2, each.at, each.entry) for each in end.entries]
    assert [each.outcome for each in await store.commit_turns(worker, [end])] == ["won"]
    run = await store.find_run("a")
    assert run is not None and (run.length, run.result) == (4, Payload(b'"done"'))


async def test_a_step_tells_of_mail_and_takes_what_it_has_read(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    await store.send([a_signal("a", data=b"1"), a_signal("a", data=b"2")])
    [answer] = await store.commit_turns(worker, [a_turn(mine, RunStarted(), consumed=1, release=False)])
    assert (answer.outcome, answer.arrived, answer.released) == ("won", 2, False)
    assert await sql.fetchval("select array_agg(position) from inbox") == [2]
    assert await store.owned_with_mail(worker) == [mine.run]
    rest = a_turn(mine, _ASKED, consumed=2, release=False)
    rest.length, rest.entries = 1, [type(each)(2, 2, each.at, each.entry) for each in rest.entries]
    [answer] = await store.commit_turns(worker, [rest])
    assert (answer.outcome, answer.arrived) == ("won", 2)
    assert await sql.fetchval("select count(*) from inbox") == 0
    assert await store.owned_with_mail(worker) == []


async def test_a_step_clears_the_count_of_crashes_and_what_the_run_waited_for(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    await sql.execute("update wakes set crashes = 2; update runs set waiting_at = '[]', detail = 'stuck', retries = 3")
    [answer] = await store.commit_turns(worker, [a_turn(mine, release=False)])
    assert answer.outcome == "won"
    assert tuple(await sql.fetchrow("select crashes, wake_at from wakes")) == (0, None)
    assert tuple(await sql.fetchrow("select waiting_at, detail, retries, consumed from runs")) == (None, None, 0, 0)
