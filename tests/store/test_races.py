"""One test per trap: each lost data, woke nobody, or deadlocked in some system that was built without knowing it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from memflow.core.arrivals import RunStarted, RunTimedOut, SignalReceived
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import AwaitSignal, Emit, SendSignal
from memflow.failure import Failure, encode_failure
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.postgres import PostgresStore
from memflow.store.turns import Claim, TurnCommit
from memflow.store.values import ToSignalId
from memflow_testing.conformance.making import MINUTE, T0, a_run, a_signal, a_turn, a_worker, an_end, claim, started_and_claimed


async def test_batches_over_the_same_runs_do_not_deadlock(store: PostgresStore, other: PostgresStore, sql: Any) -> None:
    """Commits that reach into each other's runs, from opposite ends: locked in the order met, ten in ten deadlocked."""
    before = await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    one, two = await a_worker(store), await a_worker(other)
    count = 40
    left = await started_and_claimed(store, one, *[a_run(f"a{n}") for n in range(count)])
    right = await started_and_claimed(other, two, *[a_run(f"b{n}") for n in range(count)])

    def turns(claims: list[Claim], target: str, length: int) -> list[TurnCommit]:
        made = []
        for n, each in enumerate(claims):
            send = SendSignal(length + 1, "hi", Payload(b"1"), f"{target}{count - 1 - n}")
            turn = a_turn(each, SendSignal(length + 1, "hi", Payload(b"1"), "x"), effects=[send], release=False)
            turn.length, turn.entries = length, [JournalEntry(length + 1, length + 1, T0, send)]
            made.append(turn)
        return made

    for length in range(8):
        answers = await asyncio.gather(
            store.commit_turns(one, turns(left, "b", length)),
            other.commit_turns(two, turns(right, "a", length)),
            other.send([a_signal(f"{s}{n}") for n in reversed(range(count)) for s in "ab"]),
            store.send([a_signal(f"{s}{n}") for n in range(count) for s in "ba"]),
            store.release_silent(one),
        )
        assert {each.outcome for each in answers[0] + answers[1]} == {"won"}
    assert await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == before


async def test_positions_are_in_commit_order_so_that_no_reader_steps_over_a_late_one(dsn: str, store: PostgresStore) -> None:
    """Numbers of a sequence are handed out before the commit: 'after the last I saw' loses the one that commits late."""
    [started] = await store.start_runs([a_run("x")])
    slow: Any = await asyncpg.connect(dsn)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await store.send([a_signal("x", data=b"1")], connection=slow)
        fast = asyncio.create_task(store.send([a_signal("x", data=b"2")]))
        assert await store.read_inbox([(started.run, 0)], limit=9) == []
        await asyncio.wait([fast], timeout=0.3)
        assert not fast.done(), "it waits for its place in the order"
        await transaction.commit()
        assert [each.outcome for each in await fast] == ["delivered"]
    finally:
        await slow.close()
    mail = await store.read_inbox([(started.run, 0)], limit=9)
    assert [each.position for each in mail] == [1, 2]
    assert [each.arrival.payload.data for each in mail if isinstance(each.arrival, SignalReceived)] == [b"1", b"2"]


@pytest.mark.parametrize("lock", ["signal_lock('default', 's')", "events_lock('default')"])
async def test_what_must_happen_in_one_order_waits_for_its_lock(store: PostgresStore, sql: Any, lock: str) -> None:
    """Waiting for a signal id and sending to it must see one another; events must get their numbers in commit order."""
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("x"))
    effect = Emit(1, {"t": Payload(b"1")}) if "events" in lock else AwaitSignal(1, "s")
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute(f"select pg_advisory_xact_lock({lock})")
    turn = a_turn(mine, RunStarted(), effect, effects=[effect])
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(store.commit_turns(worker, [turn]))]
    if "signal" in lock:
        waiting.append(asyncio.create_task(store.signal([ToSignalId("default", "s", Payload(b"1"))])))
    await asyncio.wait(waiting, timeout=0.3)
    assert not [each for each in waiting if each.done()]
    await transaction.commit()
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    if "signal" in lock:
        assert len(await store.read_inbox([(mine.run, 0)], limit=9)) == 1


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_a_claim_takes_no_more_than_asked_for_whatever_the_plan(
    dsn: str, schema: str, store: PostgresStore, limit: int
) -> None:
    """`... in (select ... limit 5 for update skip locked)` took 200 rows of 200 under a nested loop."""
    async def forced(connection: Any) -> None:
        for off in ("enable_hashjoin", "enable_mergejoin", "enable_indexscan", "enable_material"):
            await connection.execute(f"set {off} = off")

    async with asyncpg.create_pool(dsn, min_size=1, max_size=3, setup=forced) as pool:
        theirs = await PostgresStore.connect(pool=pool, schema=schema)
        worker = await a_worker(theirs)
        await store.start_runs([a_run() for _ in range(200)])
        assert len(await claim(theirs, worker, limit=limit)) == limit
        await theirs.close()


async def test_a_million_sleepers_cost_a_claim_nothing(store: PostgresStore, sql: Any) -> None:
    """Sleepers lie behind the edge of the index. 100,000 stand for the million: a scan would show in what is read."""
    worker = await a_worker(store)
    await sql.execute(
        "insert into wakes (run, namespace, queue, wake_at)"
        " select -g, 'default', 'q', now() + interval '1 day' + g * interval '1 second' from generate_series(1, 100000) g"
    )
    await store.start_runs([a_run("x")])
    await sql.execute("analyze wakes")
    plan = await sql.fetch(
        "explain (analyze, buffers, format json)"
        " select * from claim_runs($1, 'default', array['q'], 100, gen_random_uuid(), null, false)",
        worker,
    )
    [top] = json.loads(plan[0][0])
    blocks = top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"]
    assert blocks < 1500, "100,000 sleepers fill more than that"
    found = await store.claim_runs(worker, task_queues=["q"], limit=9)
    assert found.next_due is not None and found.next_due > found.now + timedelta(hours=23)


async def test_a_run_is_left_to_the_worker_that_remembers_it_for_half_a_second(store: PostgresStore, sql: Any) -> None:
    mine, stranger = await a_worker(store), await a_worker(store)
    [claimed] = await started_and_claimed(store, mine, a_run("x"))
    [won] = await store.commit_turns(mine, [a_turn(claimed)])
    assert won.released
    await store.send([a_signal("x")])
    # A moment that is half over: neither this test nor the machine it runs on can be too slow for it.
    clock = "create or replace function now() returns timestamptz language sql stable set search_path from current as {}"
    await sql.execute(clock.format("'select wake_at + interval ''0.25 seconds'' from wakes limit 1'"))
    left = await store.claim_runs(stranger, task_queues=["q"], limit=9)
    assert left.claims == []
    assert left.next_due == left.now + timedelta(seconds=0.25), "then anybody may have it, so look again then"
    await sql.execute(clock.format("'select wake_at + interval ''0.6 seconds'' from wakes limit 1'"))
    taken = await store.claim_runs(stranger, task_queues=["q"], limit=9)
    assert [each.run for each in taken.claims] == [claimed.run]


async def test_a_run_that_somebody_holds_locked_is_no_reason_to_look_again_at_once(store: PostgresStore, sql: Any) -> None:
    mine, stranger = await a_worker(store), await a_worker(store)
    [claimed] = await started_and_claimed(store, mine, a_run("x"))
    await store.commit_turns(mine, [a_turn(claimed)])
    await store.send([a_signal("x")])
    await sql.execute("update wakes set wake_at = wake_at - interval '1 minute'")
    async with sql.transaction():
        await sql.execute("select 1 from wakes for update")
        found = await store.claim_runs(stranger, task_queues=["q"], limit=9)
        assert (found.claims, found.next_due) == ([], None)


async def test_ended_runs_are_pruned_when_their_time_has_come(store: PostgresStore, sql: Any) -> None:
    worker = await a_worker(store)
    soon = a_run("short", expire=timedelta(0), search=Payload(b'{"a":1}'))
    kept, short, long = await started_and_claimed(store, worker, a_run("kept"), soon, a_run("long", expire=MINUTE))
    await store.send([a_signal("short", request_id="r")])
    for each in (kept, short, long):
        mail = await store.read_inbox([(each.run, 0)], limit=9)
        end = an_end(each, RunStarted(), *[one.arrival for one in mail], consumed=len(mail))
        assert (await store.commit_turns(worker, [end]))[0].outcome == "won"
    assert await store.prune(limit=10) == 1
    assert sorted(each.workflow_id for each in await store.list_runs(None, limit=9)) == ["kept", "long"]
    for table in ("journal", "inbox", "records"):
        assert await sql.fetchval(f"select count(*) from {table} where run = $1", short.run) == 0
    assert await sql.fetchval("select count(*) from requests") == 0
    assert await store.prune(limit=10) == 0


async def test_an_overdue_run_ends_once_whoever_comes_first(store: PostgresStore, other: PostgresStore, sql: Any) -> None:
    """Those who wait, the housekeeping and a worker that arrives at last all want to end the same runs, and their children."""
    before = await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    for _ in range(5):
        runs = [a_run(run_timeout=timedelta(milliseconds=20)) for _ in range(40)]
        ids = [each.run for each in await store.start_runs(runs)]

        async def look(through: PostgresStore, order: int, ids: list[int] = ids) -> None:
            while len(await through.outcomes(ids[::order])) < len(ids):
                await asyncio.sleep(0)

        async def keep_house(ids: list[int] = ids) -> None:
            while len(await other.outcomes(ids)) < len(ids):
                await other.prune(limit=7)

        async def work() -> list[str]:
            await asyncio.sleep(0.02)
            worker = await a_worker(store)
            ended: list[str] = []
            for each in await claim(store, worker, limit=20):
                failed = encode_failure(Failure("timeout", "late"))
                turn = a_turn(each, RunTimedOut("run"), status=Status.TIMED_OUT, result=failed)
                ended += [answer.outcome for answer in await store.commit_turns(worker, [turn])]
            await store.unregister_worker(worker)
            return ended

        async with asyncio.timeout(30):
            _, _, _, outcomes = await asyncio.gather(look(store, 1), look(other, -1), keep_house(), work())
        assert set(outcomes) <= {"won", "fenced"}
        for run in ids:
            assert [each.entry for each in await store.history(run)] == [RunTimedOut("run")]
    assert await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == before
