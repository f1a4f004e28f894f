"""Connections that break at the worst moment: what was done is found out, nothing is done twice, nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from memflow.core.arrivals import ActivityCompleted, RunStarted
from memflow.core.interrupts import AwaitSignal
from memflow.errors import OutcomeUnknownError
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.postgres import PostgresStore
from memflow.store.turns import Settle
from memflow.store.values import ToSignalId
from memflow_testing.conformance.making import a_run, a_signal, a_turn, a_worker, an_activity, an_end, claim, started_and_claimed
from tests.polling import until
from tests.store.wire import Break, Wire

BREAKS: list[Break] = ["lose_request", "lose_answer"]


class Plan:
    """Breaks the next round trip that runs a statement of ours, once. asyncpg has statements of its own, about types."""

    def __init__(self, schema: str) -> None:
        self._mark = f'"{schema}".'.encode()
        self._ours: set[bytes] = set()           # names of prepared statements
        self._what: Break | None = None
        self.done = 0

    def arm(self, what: Break) -> None:
        self._what, self.done = what, 0

    def __call__(self, _n: int, sent: bytes) -> Break | None:
        if sent[:1] == b"P":
            name, text, *_ = sent[5:].split(b"\0")
            if self._mark in text:
                self._ours.add(name)
        elif sent[:1] == b"B" and self._what is not None and sent[5:].split(b"\0")[1] in self._ours:
            what, self._what = self._what, None
            self.done += 1
            return what
        return None


@asynccontextmanager
async def broken(dsn: str, schema: str) -> AsyncIterator[tuple[PostgresStore, Plan]]:
    """A store whose connection breaks when the plan says so."""
    plan = Plan(schema)
    async with Wire(dsn, plan) as wire:
        store = await PostgresStore.connect(wire.dsn, schema=schema, listen_dsn=dsn)
        try:
            yield store, plan
        finally:
            await store.close()


@pytest.mark.parametrize("what", BREAKS)
async def test_a_commit_is_settled_by_length_and_token(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        claims = await started_and_claimed(mine, worker, *[a_run(f"r{n}") for n in range(6)])
        wait = AwaitSignal(1, "s")
        turns = [
            an_end(claims[0]),
            a_turn(claims[1], RunStarted(), wait, effects=[wait]),
            a_turn(claims[2], release=False),
            a_turn(claims[3]),
            a_turn(claims[4], activities=[an_activity()]),
            a_turn(claims[5], RunStarted(), wait, effects=[wait]),
        ]
        turns[3].token = claims[0].token if claims[3].token != claims[0].token else type(claims[0].token)(int=1)
        await store.signal([ToSignalId("default", "s", Payload(b"1"))])
        plan.arm(what)
        answers = await mine.commit_turns(worker, turns)
        assert plan.done == 1
        assert [each.outcome for each in answers] == ["won", "won", "won", "fenced", "won", "won"]
        assert [each.released for each in answers] == [True, False, False, True, True, True]
        assert [len(await store.history(each.run)) for each in claims] == [2, 2, 1, 0, 1, 2]
        run = await store.find_run(claims[0].workflow_id, claims[0].run_id)
        assert run is not None and run.status is Status.COMPLETED
        assert len(await store.activities_of(claims[4].run)) == 1
        assert [each.run for each in await store.read_inbox([(each.run, 0) for each in claims], limit=9)] == [claims[1].run]


async def test_a_commit_that_still_waits_in_postgres_when_it_is_sent_again_is_won_once(
    dsn: str, schema: str, store: PostgresStore, sql: Any
) -> None:
    """The second is fenced off by the first, and the run was once dropped although all of it was recorded."""
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        [first] = await started_and_claimed(mine, worker, a_run("a"))
        transaction = sql.transaction()
        await transaction.start()
        await sql.execute("select 1 from runs for update")
        plan.arm("leave")
        commit = asyncio.create_task(mine.commit_turns(worker, [a_turn(first, release=False)]))

        async def both_wait() -> bool:
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            return int(await store_value(dsn, waiting)) == 2

        await until(both_wait)
        await transaction.commit()
        [answer] = await commit
        assert plan.done == 1
        assert (answer.outcome, answer.released) == ("won", False)
        assert len(await store.history(first.run)) == 1


async def store_value(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.mark.parametrize("what", BREAKS)
async def test_a_commit_without_entries_is_settled_too(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        [first] = await started_and_claimed(mine, worker, a_run("a"))
        turn = a_turn(first, detail="stuck: x", retries=1, sticky=False, wake_at=await store.now())
        turn.entries = ()
        plan.arm(what)
        [answer] = await mine.commit_turns(worker, [turn])
        assert (answer.outcome, answer.released) == ("won", True)
        [again] = await claim(store, await a_worker(store))
        assert (again.length, again.retries) == (0, 1)


@pytest.mark.parametrize("what", BREAKS)
async def test_a_claim_finds_what_it_took(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        await mine.start_runs([a_run() for _ in range(5)])
        await mine.claim_runs(worker, task_queues=["other"], limit=3)
        plan.arm(what)
        first = await claim(mine, worker, limit=3)
        assert plan.done == 1
        rest = await claim(mine, worker)
        assert len({each.run for each in [*first, *rest]}) == len(first) + len(rest) == 5
        answers = await mine.commit_turns(worker, [a_turn(each) for each in [*first, *rest]])
        assert {each.outcome for each in answers} == {"won"}


@pytest.mark.parametrize("what", BREAKS)
async def test_starts_are_repeated_and_happen_once(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        first, second = ("go", Payload(b"1")), ("go", Payload(b"2"))
        runs = [a_run("x", signal=first), a_run("y"), a_run("x", on_conflict="use_existing", signal=second)]
        plan.arm(what)
        answers = await mine.start_runs(runs)
        assert [each.created for each in answers] == [True, True, False]
        assert await store.count_runs(None) == 2
        assert len(await store.read_inbox([(answers[0].run, 0)], limit=9)) == 2


@pytest.mark.parametrize("what", BREAKS)
async def test_a_message_is_repeated_only_with_a_request_id(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        [started] = await mine.start_runs([a_run("x")])
        plan.arm(what)
        [sent] = await mine.send([a_signal("x", request_id="r")])
        assert sent.outcome == ("delivered" if what == "lose_request" else "duplicate")
        assert len(await store.read_inbox([(started.run, 0)], limit=9)) == 1
        plan.arm(what)
        with pytest.raises(OutcomeUnknownError, match="may have happened"):
            await mine.send([a_signal("x")])
        assert len(await store.read_inbox([(started.run, 0)], limit=9)) == (1 if what == "lose_request" else 2)
        plan.arm(what)
        with pytest.raises(OutcomeUnknownError):
            await mine.signal([ToSignalId("default", "s", Payload(b"1"))])


@pytest.mark.parametrize("what", BREAKS)
async def test_a_settled_activity_is_answered_once(dsn: str, schema: str, store: PostgresStore, what: Break) -> None:
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(mine)
        [first] = await started_and_claimed(mine, worker, a_run("a"))
        await mine.commit_turns(worker, [a_turn(first, activities=[an_activity()])])
        plan.arm(what)
        found = (await mine.claim_activities(worker, task_queues=["q"], limit=5)).claims
        [activity] = found or (await mine.claim_activities(worker, task_queues=["q"], limit=5)).claims
        assert activity.attempt == 1, "a claim whose answer was lost is the same claim"
        plan.arm(what)
        answer = ActivityCompleted(1, Payload(b"1"))
        done = await mine.settle_activities([Settle(activity.run, activity.op, activity.token, answer)])
        assert done == [what == "lose_request"]
        assert len(await store.read_inbox([(first.run, 0)], limit=9)) == 1


async def test_a_cancelled_await_leaves_no_dirty_connection(dsn: str, schema: str, store: PostgresStore) -> None:
    async with broken(dsn, schema) as (mine, plan):
        await mine.start_runs([a_run("x")])
        plan.arm("swallow")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await mine.send([a_signal("x")])
        assert plan.done == 1
        assert await mine.count_runs(None) == 1, "the connection that went silent is not used again"
