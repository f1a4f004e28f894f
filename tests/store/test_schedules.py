"""Schedules in Postgres: connections that break at any round trip, rows that others hold, upgrades, ends of runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from memflow.errors import MemflowError
from memflow.firing import Overlap, Policy, ScheduleState, Wanted
from memflow.payload import Payload
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.schedule_spec import ScheduleSpec
from memflow.store import runs as run_rows
from memflow.store import schedule_serving
from memflow.store.postgres import PostgresStore
from memflow.store.schedule_serving import FEW
from memflow.store.schedule_values import ScheduleAction, ScheduleRow, Taker
from memflow.store.sql import Statements
from memflow_testing.conformance.making import a_run, a_worker, an_end, claim
from tests.polling import until
from tests.store.wire import Break, Wire

NEVER_SOON = ScheduleSpec(every=timedelta(days=3650), offset=timedelta(days=3649))


def a_schedule(id: str = "s", *, now: datetime, spec: ScheduleSpec = NEVER_SOON, wanted: int = 0, **policy: Any) -> ScheduleRow:
    """A schedule of which so many runs are wanted at once."""
    state = ScheduleState(cursor=now, wanted=tuple(Wanted(now - timedelta(seconds=n), manual=True) for n in range(wanted)))
    return ScheduleRow(id, spec, Policy(**policy), ScheduleAction("order", "q"), state, now, now, now)


class AtCommit:
    """Breaks the next COMMIT, or the n-th round trip from now."""

    def __init__(self) -> None:
        self.what: Break | None = None
        self.trip: int | None = None
        self.done = 0
        self.trips = 0

    def __call__(self, _n: int, sent: bytes) -> Break | None:
        self.trips += 1
        if self.what is None:
            return None
        if self.trip is not None:
            self.trip -= 1
            if self.trip >= 0:
                return None
        elif not (sent[:1] == b"Q" and b"COMMIT" in sent):
            return None
        what, self.what, self.trip = self.what, None, None
        self.done += 1
        return what


@asynccontextmanager
async def broken(dsn: str, schema: str) -> AsyncIterator[tuple[PostgresStore, AtCommit]]:
    plan = AtCommit()
    async with Wire(dsn, plan) as wire:
        store = await PostgresStore.connect(wire.dsn, schema=schema, listen_dsn=dsn)
        try:
            yield store, plan
        finally:
            await store.close()


@pytest.mark.parametrize("what", ["lose_request", "lose_answer"])
async def test_a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice(
    dsn: str, schema: str, store: PostgresStore, sql: Any, what: Break
) -> None:
    now = await store.now()
    async with broken(dsn, schema) as (mine, plan):
        plan.what = what
        assert await mine.create_schedule(a_schedule(now=now)) is True
        assert await mine.create_schedule(a_schedule(now=now)) is False
        plan.what = what

        def want(row: ScheduleRow) -> ScheduleRow:
            wanted = (*row.state.wanted, Wanted(row.now, Overlap.ALLOW_ALL, manual=True))
            return replace(row, state=replace(row.state, wanted=wanted))

        assert await mine.edit_schedule("s", want) is not None
        assert plan.done == 2
        await mine.serve_schedules(limit=10)
    assert await sql.fetchval("select count(*) from runs") == 1
    row = await store.find_schedule("s")
    assert row is not None and row.state.counts.taken == 1 and row.state.wanted == ()


@pytest.mark.parametrize("together", [1, FEW + 2], ids=["few", "many"])
@pytest.mark.parametrize("what", ["lose_request", "lose_answer", "leave"])
async def test_a_connection_may_break_at_any_round_trip_of_serving(
    dsn: str, schema: str, store: PostgresStore, sql: Any, what: Break, together: int
) -> None:
    """Few are served without being held, many in a transaction."""
    now = await store.now()
    async with broken(dsn, schema) as (mine, plan):
        for n in range(12):
            for m in range(together):
                await store.create_schedule(a_schedule(f"s{n}-{m}", now=now, wanted=3, overlap=Overlap.BUFFER_ALL))
            plan.what, plan.trip = what, n
            served = await mine.serve_schedules(limit=10)
            plan.what = None
            assert served.schedules <= together
    assert plan.done >= (2 if together == 1 else 5), "all there are"
    while (await store.serve_schedules(limit=10)).schedules:   # where a statement that nobody heard of was still under way
        pass
    rows = await sql.fetch("select schedule, count(*) from runs group by 1")
    assert {row["schedule"]: row["count"] for row in rows} == {f"s{n}-{m}": 1 for n in range(12) for m in range(together)}
    for row in await store.list_schedules(after=None, limit=100):
        assert row.state.counts.taken == 1 and len(row.state.running) == 1 and len(row.state.wanted) == 2


@pytest.mark.parametrize(("together", "trips"), [(1, 2), (FEW, 2), (FEW + 2, 5)])
async def test_what_a_look_costs_in_round_trips(
    dsn: str, schema: str, store: PostgresStore, together: int, trips: int
) -> None:
    """Nothing due: one. A few: the look, and the act. Many: they are held, in a transaction."""
    now = await store.now()

    def want(row: ScheduleRow) -> ScheduleRow:
        wanted = (*row.state.wanted, Wanted(row.now, Overlap.ALLOW_ALL, manual=True))
        return replace(row, state=replace(row.state, wanted=wanted))

    async with broken(dsn, schema) as (mine, plan):
        for n in range(together):
            await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=1))
        assert (await mine.serve_schedules(limit=10)).started == together      # prepares the statements, too
        await mine.serve_schedules(limit=10)
        before = plan.trips
        assert (await mine.serve_schedules(limit=10)).schedules == 0
        assert plan.trips - before == 1
        for n in range(together):
            await store.edit_schedule(f"s{n}", want)
        before = plan.trips
        assert (await mine.serve_schedules(limit=10)).started == together
        assert plan.trips - before == trips


async def test_what_another_holds_is_left_to_it_and_the_rest_is_served(store: PostgresStore, sql: Any) -> None:
    now = await store.now()
    for n in range(4):
        await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=1))
    async with sql.transaction():
        await sql.execute("select from schedules where id in ('s0', 's1') for update")
        assert (await store.serve_schedules(limit=2)).schedules == 2
        assert (await store.serve_schedules(limit=2)).schedules == 0
    assert (await store.serve_schedules(limit=9)).schedules == 2


@pytest.mark.parametrize("meanwhile", ["pauses", "serves", "deletes", "makes_it_anew"])
async def test_what_was_decided_of_a_schedule_that_has_changed_is_not_done(
    store: PostgresStore, other: PostgresStore, sql: Any, meanwhile: str
) -> None:
    """A look holds nothing. Whoever acts on an old one does nothing, whatever happened since."""
    now = await store.now()
    await store.create_schedule(a_schedule(now=now, wanted=1))
    look = await schedule_serving._look(store._database, "default", 5, hold=False)
    assert [row.id for row in look.rows] == ["s"]
    match meanwhile:
        case "pauses":
            await other.edit_schedule("s", lambda row: replace(row, state=replace(row.state, paused=True, wanted=())))
        case "serves":
            assert (await other.serve_schedules(limit=5)).started == 1
        case "deletes":
            await other.delete_schedule("s")
        case _:
            await other.delete_schedule("s")
            await other.create_schedule(a_schedule(now=now, wanted=1))
    runs = await sql.fetchval("select count(*) from runs")
    served = await schedule_serving._serve(store._database, "default", look)
    assert served is None if meanwhile == "makes_it_anew" else served is not None and (served.schedules, served.started) == (0, 0)
    assert await sql.fetchval("select count(*) from runs") == runs


async def test_one_who_waited_for_the_row_sees_what_the_other_did_to_it(
    dsn: str, schema: str, store: PostgresStore, other: PostgresStore, sql: Any
) -> None:
    """The trap: a statement that locks a row and then reads it again sees the row as it was when the statement began."""
    now = await store.now()
    for n in range(30):
        await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=5, overlap=Overlap.ALLOW_ALL))

    async def serve(one: PostgresStore) -> None:
        for _ in range(40):
            await one.serve_schedules(limit=3)
            await sql_end(one)

    async def sql_end(one: PostgresStore) -> None:
        worker = await a_worker(one)
        claims = await claim(one, worker, limit=5)
        if claims:
            await one.commit_turns(worker, [an_end(each) for each in claims])

    await asyncio.gather(serve(store), serve(other), serve(store), serve(other))
    rows = await sql.fetch("select schedule, count(*) as runs, count(distinct scheduled_at) as instants from runs group by 1")
    assert [(row["runs"], row["instants"]) for row in rows] == [(5, 5)] * 30
    for n in range(30):
        row = await store.find_schedule(f"s{n}")
        assert row is not None and row.state.counts.taken == 5
        assert set(row.state.running) == set(await store.running_of(row.state))
    assert await sql.fetchval("select count(*) from schedule_ends") == 0


async def test_only_runs_of_schedules_leave_word_when_they_end(store: PostgresStore, sql: Any) -> None:
    now = await store.now()
    await store.create_schedule(a_schedule(now=now, wanted=1))
    await store.serve_schedules(limit=1)
    await store.start_runs([a_run("plain"), a_run("plainer")])
    worker = await a_worker(store)
    claims = await claim(store, worker)
    await store.commit_turns(worker, [an_end(each) for each in claims if each.workflow_id != "plainer"])
    await store.terminate("plainer", None, None)
    assert [row["schedule"] for row in await sql.fetch("select schedule from schedule_ends")] == ["s"]
    await store.delete_schedule("s")
    assert await sql.fetchval("select count(*) from schedule_ends") == 0


async def test_word_left_for_a_schedule_that_is_gone_is_cleared_away(store: PostgresStore, sql: Any) -> None:
    await sql.execute("insert into schedule_ends (namespace, schedule, run) values ('default', 'gone', 1)")
    await store.prune(limit=10)
    assert await sql.fetchval("select count(*) from schedule_ends") == 0


@pytest.mark.parametrize("column", ["plan", "policy", "start", "state"])
async def test_a_schedule_that_cannot_be_read_stops_no_other(store: PostgresStore, sql: Any, column: str) -> None:
    """A newer library may have written what this one does not know."""
    now = await store.now()
    for id in ("bad", "good"):
        await store.create_schedule(a_schedule(id, now=now, wanted=1))
    await sql.execute(f"update schedules set {column} = '{{\"unheard\": 1}}' where id = 'bad'")
    assert (await store.serve_schedules(limit=10)).schedules == 1
    assert [row["schedule"] for row in await sql.fetch("select schedule from runs")] == ["good"]


async def test_the_way_to_what_is_due_is_an_index(store: PostgresStore, schema: str, dsn: str, sql: Any) -> None:
    now = await store.now()
    await store.create_schedule(a_schedule(now=now))
    await sql.execute(
        "insert into schedules (namespace, id, spec, zone, plan, policy, start, state, look_at)"
        " select namespace, 'c' || n, spec, zone, plan, policy, start, state, look_at from schedules, generate_series(1, 20000) n"
    )
    await sql.execute("update schedules set look_at = now() - interval '1 minute' where id in ('c7', 'c77')")
    await sql.execute("analyze schedules")
    reads = (
        "select pg_stat_get_xact_tuples_returned('schedules'::regclass) + pg_stat_get_xact_tuples_fetched('schedules'::regclass)"
    )
    for hold in (False, True):
        async with sql.transaction():
            before = await sql.fetchval(reads)
            rows = await sql.fetch("select id from look_at_schedules('default', 100, $1)", hold)
            assert [row["id"] for row in rows] == [None, "c7", "c77"]
            assert await sql.fetchval(reads) - before < 20, "rows read"


async def test_an_instant_whose_id_somebody_took_is_not_started_and_does_no_harm(store: PostgresStore, sql: Any) -> None:
    now = await store.now()
    row = a_schedule(now=now, wanted=2, overlap=Overlap.BUFFER_ALL)
    taken = f"s-{now.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
    await store.start_runs([a_run(taken)])
    await store.create_schedule(row)
    served = [(await store.serve_schedules(limit=1)).started for _ in range(2)]
    assert served == [0, 1]
    found = await store.find_schedule("s")
    assert found is not None and [each.at for each in found.state.running] == [now - timedelta(seconds=1)]


async def test_rows_written_by_the_first_release_are_upgraded(dsn: str, schema: str) -> None:
    """A schema of the first release, with runs in it, takes the new columns."""
    connection = await asyncpg.connect(dsn)
    statements = Statements(schema)
    try:
        await connection.execute(statements.create_schema())
        await connection.execute(statements.migrations()[0].text)
        old = """
            insert into memflow.migrations values (1, '0001_initial', '0.0.1', 'theirs', now());
            insert into memflow.runs (
              namespace, workflow_id, run_id, first_run_id, workflow, task_queue, started_at, last_at, input)
            values ('default', 'old', 'r', 'r', 'order', 'q', now(), now(), '[]');
            insert into memflow.wakes (run, namespace, queue, wake_at) select id, 'default', 'q', now() from memflow.runs;
        """
        await connection.execute(statements.with_schema(old))
        store = await PostgresStore.connect(dsn, schema=schema)
        try:
            await store.migrate()
            worker = await a_worker(store)
            [mine] = await claim(store, worker)
            assert (await store.commit_turns(worker, [an_end(mine)]))[0].outcome == "won"
            run = await store.find_run("old")
            assert run is not None and (run.status, run.schedule) == (Status.COMPLETED, None)
        except MemflowError as error:
            raise AssertionError(str(error)) from error
        finally:
            await store.close()
    finally:
        await connection.close()


# ------------------------------------------------------------------------------------------------- who takes what is started

def a_taker(worker: int) -> Taker:
    return Taker(worker, ["q"], 9, lambda _: True)


TIMES: list[dict[str, Any]] = [
    {},
    {"run_timeout": timedelta(hours=1)},
    {"execution_timeout": timedelta(days=1)},
    {"run_timeout": timedelta(hours=1), "execution_timeout": timedelta(hours=1)},
    {"run_timeout": timedelta(days=40), "execution_timeout": timedelta(days=30)},
]


@pytest.mark.parametrize("times", TIMES)
async def test_what_a_taker_is_given_is_what_a_claim_tells(store: PostgresStore, sql: Any, times: dict[str, Any]) -> None:
    now = await store.now()
    action = ScheduleAction(
        "order", "q", Payload(b'["x"]'), headers={"trace": "é"}, memo=Payload(b'{"m":1}'), search=Payload(b'{"a":2}'),
        priority=3, expire=timedelta(days=2), retry=RetryPolicy(maximum_attempts=3, initial_interval="2 seconds"), **times,
    )  # fmt: skip
    await store.create_schedule(replace(a_schedule(now=now, wanted=2, overlap=Overlap.ALLOW_ALL), action=action))
    worker = await a_worker(store)
    served = await store.serve_schedules(limit=5, taker=a_taker(worker))
    assert (served.started, len(served.claims)) == (2, 2)
    told = await run_rows.claimed_again(store._database, worker, "default", served.claims[0].token)
    assert sorted(served.claims, key=lambda each: each.run) == sorted(told.claims, key=lambda each: each.run)
    assert await claim(store, await a_worker(store)) == [], "they are somebody's"
    answers = await store.commit_turns(worker, [an_end(each) for each in served.claims])
    assert [each.outcome for each in answers] == ["won", "won"]
    assert await sql.fetchval("select array_agg(distinct doc::text) from records") == ['{"a": 2}']


@pytest.mark.parametrize("why", ["gone", "void", "queue", "unknown", "room", "many"])
async def test_what_a_taker_cannot_have_is_everybodys(store: PostgresStore, sql: Any, why: str) -> None:
    now = await store.now()
    schedules = FEW + 1 if why == "many" else 2
    for n in range(schedules):
        await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=1))
    worker = await a_worker(store)
    queues, room = ["other"] if why == "queue" else ["q"], 1 if why == "room" else 9
    taker = Taker(worker, queues, room, lambda name: name == "order" and why != "unknown")
    if why == "gone":
        await store.unregister_worker(worker)
    rung: list[None] = []
    await store.listen("queue:q", lambda: rung.append(None))
    rung.clear()
    if why == "void":
        # As a call does that was asked about in vain, and comes after all.
        look = await schedule_serving._look(store._database, "default", 5, hold=False)
        real = schedule_serving.uuid4
        token = real()
        await run_rows.claimed_again(store._database, worker, "default", token)
        try:
            schedule_serving.uuid4 = lambda: token
            served = await schedule_serving._serve(store._database, "default", look, taker=taker)
        finally:
            schedule_serving.uuid4 = real
        assert served is not None
    else:
        served = await store.serve_schedules(limit=9, taker=taker)
    assert (served.started, list(served.claims)) == (schedules, [])
    assert len(await claim(store, await a_worker(store))) == schedules

    async def told() -> bool:
        return bool(rung)

    await until(told)


@pytest.mark.parametrize("what", ["lose_request", "lose_answer", "leave"])
async def test_a_taker_whose_connection_breaks_loses_no_run(
    dsn: str, schema: str, store: PostgresStore, sql: Any, what: Break
) -> None:
    """What was started is its own and it knows it, or anybody may take it. Nothing is owned by one who does not know."""
    now = await store.now()
    async with broken(dsn, schema) as (mine, plan):
        worker = await a_worker(store)
        owned: list[int] = []
        for n in range(8):
            await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=1))
            plan.what, plan.trip = what, n % 4
            for _ in range(2):
                served = await mine.serve_schedules(limit=10, taker=a_taker(worker))
                owned += [each.run for each in served.claims]
            plan.what = None
    assert plan.done >= 4

    async def all_started() -> bool:                     # where a statement that nobody heard of was still under way
        await store.serve_schedules(limit=10)
        return bool(await sql.fetchval("select count(*) from runs") == 8)

    await until(all_started)
    free = [each.run for each in await claim(store, await a_worker(store))]
    assert sorted(owned + free) == [row["id"] for row in await sql.fetch("select id from runs order by id")]


async def test_workers_that_race_for_schedules_own_each_run_once(
    store: PostgresStore, other: PostgresStore, sql: Any
) -> None:
    now = await store.now()
    for n in range(30):
        await store.create_schedule(a_schedule(f"s{n}", now=now, wanted=5, overlap=Overlap.ALLOW_ALL))
    owned: list[int] = []

    async def work(one: PostgresStore, limit: int) -> None:
        worker = await a_worker(one)
        for _ in range(40):
            claims = list((await one.serve_schedules(limit=limit, taker=a_taker(worker))).claims)
            claims += await claim(one, worker, limit=5)
            owned.extend(each.run for each in claims)
            if claims:
                answers = await one.commit_turns(worker, [an_end(each) for each in claims])
                assert {each.outcome for each in answers} == {"won"}

    await asyncio.gather(work(store, 2), work(other, 3), work(store, 1), work(other, 20), work(store, 4))
    assert len(owned) == len(set(owned)) == 150
    assert await sql.fetchval("select count(distinct (schedule, scheduled_at)) from runs where status = 'completed'") == 150
