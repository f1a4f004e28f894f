"""One test per trap: each lost data, woke nobody, or deadlocked in some system that was built without knowing it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from memflow.core.arrivals import RunStarted, SignalReceived, TimerFired
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import AwaitSignal, Emit, SendSignal
from memflow.payload import Payload
from memflow.store.base import Claim, ToSignalId, TurnCommit
from memflow.store.postgres import PostgresStore
from tests.store.making import MINUTE, T0, a_run, a_signal, a_turn, a_worker, an_end, claim, started_and_claimed


async def test_no_wake_up_is_lost_between_load_and_release(store: PostgresStore, other: PostgresStore) -> None:
    """A signal that comes while its run is being put to rest must keep it awake or wake it again."""
    worker = await a_worker(store)
    await store.start_runs([a_run("x")])
    sent = 200

    async def send() -> None:
        for n in range(sent):
            await other.send([a_signal("x", data=str(n).encode())])

    got: list[int] = []

    async def work() -> None:
        while len(got) < sent:
            for mine in await claim(store, worker):
                length, turn, consumed = mine.length, mine.turn, mine.consumed
                while True:
                    mail = await store.read_inbox([(mine.run, consumed)], limit=7)
                    arrivals = [each.arrival for each in mail] or [TimerFired(1)]
                    got.extend(int(each.payload.data) for each in arrivals if isinstance(each, SignalReceived))
                    consumed = mail[-1].position if mail else consumed
                    turn += 1
                    entries = [JournalEntry(length + n, turn, T0, entry) for n, entry in enumerate(arrivals, start=1)]
                    share = TurnCommit(mine.run, mine.token, length, entries, consumed, True)
                    [answer] = await store.commit_turns(worker, [share])
                    assert answer.outcome == "won"
                    length += len(entries)
                    if answer.released:
                        break

    async with asyncio.timeout(30):
        await asyncio.gather(send(), work())
    assert got == list(range(sent))


async def test_a_claim_and_a_send_at_once_leave_a_mark_or_the_mail_in_the_claim(
    store: PostgresStore, other: PostgresStore
) -> None:
    """The claim takes the mark of due runs away: mail it does not tell of must still be marked."""
    worker = await a_worker(store)
    await store.start_runs([a_run(str(n)) for n in range(60)])

    async def send(n: int) -> None:
        await other.send([a_signal(str(n))])

    sending = asyncio.gather(*(send(n) for n in range(60)))
    found = await claim(store, worker, limit=30)
    await sending
    found += await claim(store, worker)
    marked = set(await store.owned_with_mail(worker))
    assert len(found) == 60
    assert {each.run for each in found if each.arrived == 0} <= marked


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


async def test_claims_at_once_share_the_work_and_take_nothing_twice(store: PostgresStore, other: PostgresStore) -> None:
    workers = [(each, await a_worker(each)) for each in (store, other) for _ in range(4)]
    await store.start_runs([a_run() for _ in range(200)])
    taken: list[Claim] = []
    async with asyncio.timeout(20):
        while len(taken) < 200:
            for some in await asyncio.gather(*(claim(each, worker, limit=20) for each, worker in workers)):
                taken.extend(some)
    assert len({each.run for each in taken}) == len({(each.run, each.token) for each in taken}) == 200


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


async def test_a_timer_is_never_early_by_the_databases_clock(store: PostgresStore) -> None:
    worker = await a_worker(store)
    [mine] = await started_and_claimed(store, worker, a_run("x"))
    due = await store.now() + timedelta(milliseconds=300)
    await store.commit_turns(worker, [a_turn(mine, wake_at=due)])
    async with asyncio.timeout(10):
        while True:
            found = await store.claim_runs(worker, task_queues=["q"], limit=1)
            if found.claims:
                break
            assert found.next_due == due
    assert found.now >= due


async def test_a_request_id_counts_once_among_fifty(store: PostgresStore, other: PostgresStore) -> None:
    [started] = await store.start_runs([a_run("x")])
    sent = await asyncio.gather(
        *((store if n % 2 else other).send([a_signal("x", data=str(n).encode(), request_id="r")]) for n in range(50))
    )
    assert sorted(each.outcome for [each] in sent) == ["delivered"] + ["duplicate"] * 49
    assert len(await store.read_inbox([(started.run, 0)], limit=99)) == 1


async def test_what_cannot_be_delivered_says_why(store: PostgresStore) -> None:
    await store.start_runs([a_run("x", run_id="first")])
    await store.terminate("x", None, "because")
    [second] = await store.start_runs([a_run("x", run_id="second")])
    messages = [a_signal("nobody"), *(a_signal("x", run_id=each) for each in ("first", "none", None, "second"))]
    outcomes = [each.outcome for each in await store.send(messages)]
    assert outcomes == ["not_found", "closed", "not_found", "delivered", "delivered"]
    assert len(await store.read_inbox([(second.run, 0)], limit=9)) == 2
    assert (await store.terminate("x", "first", None)).outcome == "closed"
    assert (await store.terminate("nobody", None, None)).outcome == "not_found"


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
