"""Schedules end to end: each instant has one run, whoever races and dies; overlap, pauses, triggers, backfills."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from memflow import Client, Worker, WorkflowFailedError, workflow
from memflow.client import ScheduleCalendar, ScheduleHandle, ScheduleSpec
from memflow.errors import ConfigurationError, PayloadError, ScheduleAlreadyExistsError, ScheduleNotFoundError
from memflow.runs import Status
from tests.polling import until
from tests.processes import WorkerProcess
from tests.worker.scheduled_workflows import counts_up, fails, goes_on, naps, notes, waits

WORKFLOWS = [notes, waits, goes_on, fails, naps]
FAR = "0 0 1 1 *"
"""A spec that is not due while a test runs (but on New Year's Eve)."""


@pytest_asyncio.fixture
async def client(dsn: str, schema: str) -> AsyncIterator[Client]:
    async with Client.connect(dsn, schema=schema) as client:
        yield client


@pytest_asyncio.fixture
async def worker(client: Client) -> AsyncIterator[Worker]:
    async with Worker(client, workflows=WORKFLOWS) as worker:
        yield worker


@pytest_asyncio.fixture
async def sql(dsn: str, schema: str, client: Client) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f'set search_path = "{schema}"')
    yield connection
    await connection.close()


async def actions(handle: ScheduleHandle, count: int) -> list[str]:
    """The workflow ids of its recent runs, once it has started so many."""

    async def enough() -> bool:
        return (await handle.describe()).actions >= count

    await until(enough)
    return [each.workflow_id for each in (await handle.describe()).recent]


async def end(client: Client, workflow_id: str) -> None:
    await client.signal(f"end {workflow_id}", "done")


# --------------------------------------------------------------------------------------------------- firing


async def test_a_schedule_starts_runs_that_know_it(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("ticks", notes, "hello", every="1 second", memo={"team": "a"}, search={"kind": "tick"})
    ids = await actions(handle, 2)
    for id in ids:
        at = id.removeprefix("ticks-")
        instant = datetime.fromisoformat(at)
        assert instant.tzinfo is not None and instant.microsecond == 0
        assert await client.get_handle(id).result() == f"hello ticks {instant}"
        run = await client.get_handle(id).describe()
        assert (run.schedule, run.scheduled_at, run.memo, run.record["kind"]) == ("ticks", instant, {"team": "a"}, "tick")
        assert run.started_at >= instant
    found = [run.id async for run in client.workflow.list('schedule = "ticks" and scheduled < now() and record.kind = "tick"')]
    assert set(ids) <= set(found)
    assert [run async for run in client.workflow.list('schedule = "other"')] == []


async def test_any_worker_serves_schedules_and_a_run_goes_to_the_queue_it_names(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", "somewhere", args=[1], spec=FAR, task_queue="elsewhere", trigger_immediately=True)
    [id] = await actions(handle, 1)
    run = await client.get_handle(id).describe()
    assert (run.task_queue, run.type, run.arguments, run.status) == ("elsewhere", "somewhere", [1], Status.RUNNING)


@pytest.mark.parametrize("id", ["täglich 09:00 'α\"\\", "a/b?c=d", "🕘", "x" * 480, "-2026", "%s {0} $1"])
async def test_any_name_will_do(client: Client, worker: Worker, id: str) -> None:
    handle = await client.schedule.create(id, notes, "x", spec=FAR, trigger_immediately=True)
    [run] = await actions(handle, 1)
    assert run.startswith(f"{id}-")
    assert (await client.get_handle(run).result()).startswith(f"x {id} ")
    assert [each.id async for each in client.schedule.list()] == [id]


async def test_a_schedule_made_while_workers_rest_is_served_without_a_poll(client: Client) -> None:
    async with Worker(client, workflows=WORKFLOWS, poll_interval=60):
        handle = await client.schedule.create("s", waits, spec=FAR)
        await handle.trigger()
        [first] = await actions(handle, 1)
        await handle.trigger(overlap="buffer_one")           # waits for the first, whose end rings
        await end(client, first)
        assert len(await actions(handle, 2)) == 2


async def test_five_racing_workers_start_one_run_per_instant(client: Client, sql: Any) -> None:
    begun = await client.store.now()
    async with AsyncExitStack() as stack:
        for _ in range(5):
            await stack.enter_async_context(Worker(client, workflows=WORKFLOWS, poll_interval=0.05))
        for n in range(8):
            await client.schedule.create(f"s{n}", notes, "x", every=0.25, overlap="allow_all")
        handles = [client.schedule.get_handle(f"s{n}") for n in range(8)]
        for handle in handles:
            await actions(handle, 12)
    for handle in handles:
        described = await handle.describe()
        rows = await sql.fetch("select scheduled_at from runs where schedule = $1 order by scheduled_at", handle.id)
        instants = [row["scheduled_at"] for row in rows]
        assert len(set(instants)) == len(instants) == described.actions
        assert instants == [instants[0] + n * timedelta(seconds=0.25) for n in range(len(instants))]
        assert begun < instants[0] < described.created_at + timedelta(seconds=0.3)


async def test_what_is_due_when_a_transaction_fails_is_done_once_by_the_next(client: Client, schema: str, sql: Any) -> None:
    """The trap: a crash between starting the run and moving on starts it twice, or never."""
    handle = await client.schedule.create("s", notes, "x", spec=FAR)
    await handle.trigger()
    await sql.execute(
        f"""
        create sequence failures;
        create function fails_twice() returns trigger language plpgsql as $$
        begin
          if (select count(*) from "{schema}".runs) = 1 and nextval('"{schema}".failures') <= 2 then
            raise exception 'the run is started, the schedule is not written yet' using errcode = '57P02';
          end if;
          return new;
        end $$;
        create trigger fails before update on schedules for each row execute function fails_twice()
        """
    )
    served = await client.store.serve_schedules(limit=10)
    assert (served.schedules, served.started) == (1, 1)
    assert await sql.fetchval("select last_value from failures") == 3
    assert await sql.fetchval("select count(*) from runs") == 1
    assert (await client.store.serve_schedules(limit=10)).started == 0
    assert (await handle.describe()).actions == 1


async def test_killed_workers_lose_no_instant_and_repeat_none(
    dsn: str, schema: str, tmp_path: Path, client: Client, sql: Any
) -> None:
    module = "tests.worker.scheduled_workflows"
    handles = [await client.schedule.create(f"s{n}", notes, "x", every=0.1, overlap="allow_all") for n in range(5)]
    for number in range(4):
        with WorkerProcess(dsn, schema, module, log=tmp_path / f"{number}.log") as process:
            before = (await handles[0].describe()).actions
            await actions(handles[0], before + 4)
            process.kill()
    async with Worker(client, workflows=WORKFLOWS):
        await actions(handles[0], (await handles[0].describe()).actions + 3)
    for handle in handles:
        rows = await sql.fetch("select scheduled_at from runs where schedule = $1 order by scheduled_at", handle.id)
        instants = [row["scheduled_at"] for row in rows]
        assert instants == [instants[0] + n * timedelta(seconds=0.1) for n in range(len(instants))]
        assert len(instants) > 15


async def test_a_thousand_schedules_that_are_due_at_once_are_all_served(client: Client, sql: Any) -> None:
    await asyncio.gather(*(client.schedule.create(f"s{n:04}", notes, "x", spec=FAR) for n in range(20)))
    await sql.execute(
        """
        insert into schedules (namespace, id, spec, zone, plan, policy, start, state, next_at, look_at)
        select s.namespace, 'c' || n, s.spec, s.zone, s.plan, s.policy, s.start,
               jsonb_set(s.state::jsonb, '{wanted}', jsonb_build_array(jsonb_build_array(now(), null, true)))::text,
               s.next_at, now()
          from schedules s, generate_series(1, 1000) n where s.id = 's0000'
        """
    )
    async with Worker(client, task_queue="none", workflows=WORKFLOWS), Worker(client, task_queue="none", workflows=WORKFLOWS):

        async def all_started() -> bool:
            return bool(await sql.fetchval("select count(*) from runs where schedule like 'c%'") == 1000)

        await until(all_started, seconds=30)
    assert await sql.fetchval("select count(distinct schedule) from runs") == 1000


async def test_time_that_jumps_moves_schedules(client: Client, worker: Worker, sql: Any) -> None:
    schema = await sql.fetchval("select current_schema()")
    await sql.execute("create table skipped (by interval not null); insert into skipped values ('0')")
    await sql.execute(
        f'create or replace function "{schema}".now() returns timestamptz language sql stable parallel safe'
        f' as \'select statement_timestamp() + (select s.by from "{schema}".skipped s)\''
    )
    handle = await client.schedule.create("s", notes, "x", spec="@daily", overlap="allow_all")
    await sql.execute("update skipped set by = '3 days'")
    assert len(await actions(handle, 3)) == 3
    assert (await handle.describe()).missed == 0
    await sql.execute("update skipped set by = '1 day'")     # set back: nothing happens twice
    await sql.execute("update skipped set by = '4 days'")
    ids = await actions(handle, 4)
    assert len(set(ids)) == len(ids) == 4


async def test_an_outage_is_made_up_for_within_the_window(client: Client, sql: Any) -> None:
    made_up = await client.schedule.create("a", notes, "x", every="1 minute", overlap="allow_all", catchup="10 minutes")
    await sql.execute(
        """
        update schedules
           set state = jsonb_set(state::jsonb, '{cursor}', to_jsonb(
                         to_char((now() - interval '1 hour') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')))::text,
               look_at = now() - interval '1 hour'
        """
    )
    async with Worker(client, workflows=WORKFLOWS):
        await actions(made_up, 10)
        described = await made_up.describe()
    assert 10 <= described.actions <= 11
    assert 59 <= described.actions + described.missed <= 61


async def test_a_run_knows_what_the_one_before_it_left(client: Client) -> None:
    """Also when it is rebuilt: no worker keeps a run in memory here."""
    async with Worker(client, workflows=[counts_up], max_cached_workflows=0):
        handle = await client.schedule.create("s", counts_up, 2, spec=FAR)
        ended: list[str] = []
        for number in range(1, 5):
            await handle.trigger()
            id = (await actions(handle, number))[-1]
            await end(client, id)
            with suppress(WorkflowFailedError):
                await client.get_handle(id).result()
            ended.append(await client.get_handle(id).status())

            async def noticed() -> bool:
                return not (await client.store.find_schedule("s")).state.running  # type: ignore[union-attr]

            await until(noticed)
    assert ended == ["completed", "completed", "failed", "completed"]
    assert await client.get_handle(id).result() == 3


# --------------------------------------------------------------------------------------------------- overlap


async def test_buffered_runs_follow_one_another_promptly(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", waits, spec=FAR, overlap="buffer_all")
    for _ in range(3):
        await handle.trigger()
    ids = await actions(handle, 1)
    assert len((await handle.describe()).waiting) == 2
    for count in (2, 3):
        await end(client, ids[-1])
        begun = asyncio.get_running_loop().time()
        ids = await actions(handle, count)
        assert asyncio.get_running_loop().time() - begun < 3
    await end(client, ids[-1])
    assert [await client.get_handle(id).result() for id in ids] == ["done"] * 3

    async def none_open() -> bool:
        return not (await handle.describe()).running

    await until(none_open)


async def test_a_chain_of_runs_counts_as_one_until_its_last_has_ended(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", goes_on, 2, spec=FAR, trigger_immediately=True, overlap="buffer_one")
    [first] = await actions(handle, 1)
    await handle.trigger()
    for left in (2, 1):
        await end(client, first)

        async def continued(left: int = left) -> bool:
            return bool((await client.get_handle(first).describe()).arguments == [left - 1])

        await until(continued)
        described = await handle.describe()
        assert (described.actions, [run.workflow_id for run in described.running]) == (1, [first])
        assert (await client.get_handle(first).describe()).schedule == "s"
    await end(client, first)
    assert await client.get_handle(first).result() == "s"
    assert len(await actions(handle, 2)) == 2


async def test_skipping_cancelling_and_terminating_the_other(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", naps, spec=FAR, trigger_immediately=True)
    [first] = await actions(handle, 1)
    await handle.trigger()

    async def skipped() -> bool:
        return (await handle.describe()).overlap_skipped == 1

    await until(skipped)
    await handle.trigger(overlap="cancel_other")
    second = (await actions(handle, 2))[-1]
    assert await client.get_handle(first).status() == "cancelled"
    await handle.trigger(overlap="terminate_other")
    third = (await actions(handle, 3))[-1]
    assert await client.get_handle(second).status() == "terminated"
    await handle.trigger(overlap="allow_all")
    fourth = (await actions(handle, 4))[-1]
    assert {run.workflow_id for run in (await handle.describe()).running} == {third, fourth}


async def test_a_run_that_is_terminated_makes_room_for_the_next(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", naps, spec=FAR, trigger_immediately=True, overlap="buffer_one")
    [first] = await actions(handle, 1)
    await handle.trigger()
    await client.get_handle(first).terminate("enough")
    assert len(await actions(handle, 2)) == 2


async def test_a_failure_pauses_the_schedule(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", fails, every=0.2, pause_on_failure=True)

    async def paused() -> bool:
        return (await handle.describe()).paused

    await until(paused)
    described = await handle.describe()
    assert described.note is not None and described.recent[-1].workflow_id.startswith("s-") and "failed" in described.note
    await handle.resume(note="mended")
    assert len(await actions(handle, described.actions + 1)) > 0


async def test_a_limit_ends_a_schedule(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", notes, "x", every=0.2, limited_actions=2, overlap="allow_all")
    ids = await actions(handle, 2)

    async def at_rest() -> bool:
        described = await handle.describe()
        return described.next_at is None and described.remaining_actions == 0 and described.next_times == ()

    await until(at_rest)
    assert len(ids) == 2


# --------------------------------------------------------------------------------------------------- the handle


async def test_pausing_and_resuming(client: Client, worker: Worker, sql: Any) -> None:
    handle = await client.schedule.create("s", notes, "x", every=0.2, paused=True, note="not yet")
    described = await handle.describe()
    assert (described.paused, described.note, described.actions) == (True, "not yet", 0)
    assert await sql.fetchval("select paused from v_schedules") is True
    await handle.trigger()                                   # triggers go through
    await actions(handle, 1)
    await handle.resume()
    await actions(handle, 3)
    await handle.pause(note="enough")
    count = (await handle.describe()).actions
    await handle.trigger()
    await actions(handle, count + 1)
    described = await handle.describe()
    assert (described.paused, described.note, described.actions) == (True, "enough", count + 1)
    await handle.unpause(note="on again")
    assert (await handle.describe()).note == "on again"


async def test_backfilling_gives_each_instant_of_the_past_its_run(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", notes, "x", spec="@daily", zone="Europe/Berlin", paused=True)
    first, last = datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 3, 30, 22, tzinfo=UTC)
    await handle.backfill(first, last)
    expected = ["s-2026-03-27T23:00:00Z", "s-2026-03-28T23:00:00Z", "s-2026-03-29T22:00:00Z", "s-2026-03-30T22:00:00Z"]
    assert await actions(handle, 4) == expected
    await handle.backfill(first, last + timedelta(days=1), overlap="allow_all")
    assert await actions(handle, 5) == [*expected, "s-2026-03-31T22:00:00Z"]


async def test_updating_changes_what_is_given_and_leaves_the_rest(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create(
        "s", notes, "x", spec=FAR, zone="Europe/Berlin", overlap="buffer_all", memo={"a": 1}, jitter="5 seconds"
    )
    await handle.update(spec="30 1 * * *", args=["y"], note="earlier")
    described = await handle.describe()
    assert (described.spec.cron, described.zone, described.overlap, described.arguments, described.memo, described.note) == (
        ("30 1 * * *",), "Europe/Berlin", "buffer_all", ["y"], {"a": 1}, "earlier",
    )  # fmt: skip
    assert described.spec.jitter == timedelta(seconds=5) and all(at.minute == 30 for at in described.next_times)
    await handle.update(lambda now: {"catchup": now.catchup * 2, "every": "1 hour"}, zone="UTC")
    described = await handle.describe()
    assert (described.spec.to_text(), described.zone, described.catchup) == ("every 1 hour", "UTC", timedelta(days=730))
    mistakes = (({"spec": "* * * * * *"}, "sixth"), ({"overlap": "buffer"}, "buffer_one"), ({"zone": "Nowhere"}, "zone"))
    for options, says in mistakes:
        with pytest.raises(ConfigurationError, match=says):
            await handle.update(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'overlap'"):
        await handle.update(overlaps="skip")  # type: ignore[call-arg]
    assert await handle.describe() == described
    await handle.trigger()
    assert await client.get_handle((await actions(handle, 1))[0]).result() != ""


async def test_an_update_counts_from_now_on(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", notes, "x", spec=FAR)
    await handle.update(every=0.2, overlap="allow_all")
    ids = await actions(handle, 2)
    assert datetime.fromisoformat(ids[0].removeprefix("s-")) > (await handle.describe()).created_at


async def test_creating_or_updating_keeps_what_was_done(client: Client, worker: Worker) -> None:
    for text in ("x", "y"):
        handle = await client.schedule.create_or_update("s", notes, text, spec=FAR, trigger_immediately=True)
    [id] = await actions(handle, 1)
    described = await handle.describe()
    assert (described.arguments, described.actions) == (["y"], 1)
    assert (await client.get_handle(id).result()).partition(" ")[0] in ("x", "y")


async def test_a_deleted_schedule_leaves_its_runs(client: Client, worker: Worker) -> None:
    handle = await client.schedule.create("s", waits, spec=FAR, trigger_immediately=True)
    [id] = await actions(handle, 1)
    await handle.delete()
    await end(client, id)
    assert await client.get_handle(id).result() == "done"
    for missing in (handle.describe, handle.pause, handle.resume, handle.trigger, handle.delete, handle.update):
        with pytest.raises(ScheduleNotFoundError, match="no schedule 's'"):
            await missing()
    await client.schedule.create("s", waits, spec=FAR)       # the id is free again


async def test_lists_are_by_id_and_by_page(client: Client) -> None:
    for n in range(5):
        await client.schedule.create(f"s{n}", notes, "x", spec=FAR, paused=n == 3)
    assert [(each.id, each.paused) async for each in client.schedule.list(limit=4)] == [
        ("s0", False), ("s1", False), ("s2", False), ("s3", True),
    ]  # fmt: skip


async def test_schedules_of_namespaces_are_apart(dsn: str, schema: str, client: Client, worker: Worker) -> None:
    async with Client.connect(dsn, schema=schema, namespace="theirs") as theirs:
        mine = await client.schedule.create("s", notes, "x", spec=FAR)
        other = await theirs.schedule.create("s", notes, "x", spec=FAR)
        await other.trigger()
        await mine.trigger()
        await actions(mine, 1)
        assert (await other.describe()).actions == 0


async def test_a_description_says_when_and_what(client: Client, sql: Any) -> None:
    spec = ScheduleSpec(calendars=[ScheduleCalendar(hour=9, day_of_week="MON-FRI", comment="workdays")], zone="Europe/Berlin")
    handle = await client.schedule.create("s", notes, "x", spec=spec, note="for the office")
    described = await handle.describe()
    assert len(described.next_times) == 10 and described.next_at == described.next_times[0]
    assert all(at.astimezone(described.next_times[0].tzinfo).weekday() < 5 for at in described.next_times)
    row = await sql.fetchrow("select namespace, id, spec, zone, next_at, last_at, paused from v_schedules")
    assert tuple(row) == ("default", "s", "workdays", "Europe/Berlin", described.next_at, None, False)


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "nothing says when"),
        ({"spec": "0 0 31 2 *"}, "never comes"),
        ({"spec": "0 9 * *"}, "5 fields are needed"),
        ({"spec": 5}, "5 is no spec"),
        ({"spec": "@daily", "zone": "Europe/Berln"}, "Europe/Berlin"),
        ({"spec": "@daily", "end_at": datetime(2020, 1, 1, tzinfo=UTC)}, "never comes"),
        ({"spec": "@daily", "overlap": "queue"}, "overlap: 'queue' is not one of skip, buffer_one"),
        ({"spec": "@daily", "limited_actions": 0}, "limited_actions: 0"),
        ({"spec": "@daily", "catchup": "-5 minutes"}, "catchup: .*negative"),
        ({"spec": "@daily", "paused": "yes"}, "paused: 'yes'"),
        ({"spec": "@daily", "backfill": [(datetime(2026, 1, 1), datetime(2026, 1, 2))]}, "start: .*zone"),
        ({"spec": "@daily", "backfill": [5]}, "backfill: 5"),
        ({"spec": "@daily", "task_queue": "a\0b"}, "task queue"),
        ({"spec": "@daily", "run_timeout": 0}, "run_timeout"),
        ({"every": "a while"}, "every: 'a while'"),
        ({"spec": "@daily", "note": 5}, "note: 5"),
    ],
)
async def test_what_cannot_be_is_refused_at_the_call(client: Client, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        await client.schedule.create("s", notes, "x", **options)
    assert [each async for each in client.schedule.list()] == []


async def test_other_mistakes_are_refused_at_the_call(client: Client) -> None:
    with pytest.raises(TypeError, match="did you mean 'overlap'"):
        await client.schedule.create("s", notes, "x", spec=FAR, overlop="skip")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="takes 1 argument, 2 given"):
        await client.schedule.create("s", notes, "x", "y", spec=FAR)  # type: ignore[call-arg, arg-type]
    with pytest.raises(PayloadError):
        await client.schedule.create("s", notes, args=[5], spec=FAR)
    for id in ("", "a\0b", "x" * 500, " x"):
        with pytest.raises(ConfigurationError, match="schedule id"):
            await client.schedule.create(id, notes, "x", spec=FAR)
    handle = await client.schedule.create("s", notes, "x", spec=FAR)
    with pytest.raises(ScheduleAlreadyExistsError, match="'s'"):
        await client.schedule.create("s", notes, "x", spec=FAR)
    with pytest.raises(ConfigurationError, match="before the start"):
        await handle.backfill(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ConfigurationError, match="overlap: 'all'"):
        await handle.trigger(overlap="all")


async def test_with_versions_the_newest_begins_what_any_worker_starts(client: Client) -> None:
    """Who serves a schedule takes its runs at once, but not past the rule of who begins a run."""

    def tells(version: str) -> Any:
        @workflow.defn(name="tells")
        async def tells() -> str:
            return version

        return tells

    async with (
        Worker(client, workflows=[tells("1")], version="1"),
        Worker(client, workflows=[tells("2")], version="2"),
    ):
        handle = await client.schedule.create("s", "tells", every=0.1)
        ids = await actions(handle, 8)
        results = [await client.workflow.get_handle(each).result(timeout=10) for each in ids[:8]]
    assert results == ["2"] * 8


async def test_a_run_that_is_taken_at_its_start_is_ended_and_told_like_any_other(client: Client, sql: Any) -> None:
    """A worker alone: what it serves it runs, and the schedule hears of each end."""
    async with Worker(client, workflows=WORKFLOWS):
        handle = await client.schedule.create("s", notes, "x", every=0.1)
        ids = await actions(handle, 5)
        for each in ids[:5]:
            assert str(await client.workflow.get_handle(each).result(timeout=10)).startswith("x s ")
        await handle.pause()

        async def all_ended() -> bool:
            return bool(await sql.fetchval("select bool_and(status = 'completed') from runs"))

        await until(all_ended)
    assert await sql.fetchval("select count(*) from wakes") == 0
