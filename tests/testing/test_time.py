"""Time skips while a test awaits a result, stands still while something is under way, and moves for everybody at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from memflow import Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.codec import JsonCodec
from memflow.errors import ConfigurationError
from memflow_testing import ForgottenWarning, NeverEndsError, WorkflowEnvironment
from memflow_testing.postgres import PostgresGround
from tests.polling import until
from tests.processes import WorkerProcess

ATTEMPTS: list[int] = []

PROMPT = 10
"""Seconds of real time. On an idle machine each takes below 0.1; a machine busy with other tests must not fail them."""


@pytest.fixture(autouse=True)
def no_attempts() -> None:
    ATTEMPTS.clear()


@pytest.fixture(params=["memory", "postgres"])
def place(request: pytest.FixtureRequest) -> str | None:
    """Where the environment is: None in memory, else a DSN."""
    return None if request.param == "memory" else str(request.getfixturevalue("dsn"))


@activity.defn(retry=RetryPolicy(initial_interval="10 seconds", maximum_interval="1 hour", maximum_attempts=11))
async def eleventh_time() -> int:
    ATTEMPTS.append(activity.info().attempt)
    if len(ATTEMPTS) <= 10:
        raise RuntimeError("not yet")
    return len(ATTEMPTS)


@workflow.defn
async def month() -> str:
    await workflow.sleep_for("30 days")
    return "rested"


@workflow.defn
async def patient() -> int:
    return await eleventh_time()


@workflow.defn
async def waits_for_a_signal() -> str:
    return str(await workflow.wait_for("never-sent"))


async def test_a_month_passes_while_its_result_is_awaited(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(month):
            handle = await env.client.workflow.start(month, task_queue=env.task_queue)
            began = time.monotonic()
            assert await handle.result() == "rested"
            assert time.monotonic() - began < PROMPT
        passed = await env.get_current_time() - before
        assert timedelta(days=30) <= passed < timedelta(days=30, minutes=1)


async def test_ten_retries_with_backoff_to_an_hour_take_no_time(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(patient, activities=[eleventh_time]):
            began = time.monotonic()
            assert await env.client.workflow.execute(patient, task_queue=env.task_queue) == 11
            assert time.monotonic() - began < PROMPT
        assert list(range(1, 12)) == ATTEMPTS
        backoff = timedelta(seconds=10 + 20 + 40 + 80 + 160 + 320 + 640 + 1280 + 2560 + 3600)
        assert backoff <= await env.get_current_time() - before < backoff + timedelta(minutes=1)


async def test_a_result_that_cannot_come_is_refused_with_what_each_run_waits_for(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place, patience=0.3) as env:
        async with env.worker(waits_for_a_signal):
            handle = await env.client.workflow.start(waits_for_a_signal, id="order-1", task_queue=env.task_queue)
            with pytest.raises(NeverEndsError, match=r"(?s)order-1.*signal 'never-sent' at .*test_time.py:\d+"):
                await handle.result()


# ------------------------------------------------------------------------------------------------- standing still, and order

SEEN: list[str] = []


@activity.defn
async def takes_real_time() -> str:
    await asyncio.sleep(0.4)
    return "done"


@workflow.defn
async def races_an_activity() -> str:
    work = asyncio.ensure_future(takes_real_time())
    nap = asyncio.ensure_future(workflow.sleep_for("1 hour"))
    done, _ = await asyncio.wait({work, nap}, return_when=asyncio.FIRST_COMPLETED)
    return "activity" if work in done else "timer"


async def test_time_stands_still_while_an_activity_runs(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(races_an_activity, activities=[takes_real_time]):
            assert await env.client.workflow.execute(races_an_activity, task_queue=env.task_queue) == "activity"


@workflow.defn
async def sleeper(name: str, days: int) -> str:
    await workflow.sleep_for(timedelta(days=days))
    SEEN.append(f"{name} at {(workflow.now() - workflow.info().started_at).days} days")
    return name


async def test_sleep_lets_everything_happen_in_order_and_at_its_time(place: str | None) -> None:
    SEEN.clear()
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(sleeper):
            late = await env.client.workflow.start(sleeper, "late", 40, task_queue=env.task_queue)
            for name, days in (("c", 3), ("a", 1), ("b", 2)):
                await env.client.workflow.start(sleeper, name, days, task_queue=env.task_queue)
            await env.sleep("30 days")
            assert SEEN == ["a at 1 days", "b at 2 days", "c at 3 days"]
            assert await late.status() == "running"
            await late.terminate()


async def test_time_moves_only_while_a_result_is_awaited(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(sleeper):
            handle = await env.client.workflow.start(sleeper, "x", 1, task_queue=env.task_queue)
            await asyncio.sleep(0.2)
            assert await handle.status() == "running"
            assert await env.get_current_time() - before < timedelta(minutes=1)
            assert await handle.result() == "x"
            assert await env.get_current_time() - before < timedelta(days=1, minutes=1)


async def test_the_first_of_two_results_does_not_skip_to_the_second(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(sleeper):
            far = await env.client.workflow.start(sleeper, "far", 30, task_queue=env.task_queue)
            near = await env.client.workflow.start(sleeper, "near", 1, task_queue=env.task_queue)
            assert await near.result() == "near"
            assert await env.get_current_time() - before < timedelta(days=2)
            assert await far.status() == "running"
            assert await asyncio.gather(far.result(), near.result()) == ["far", "near"]


async def test_two_environments_see_neither_each_others_time_nor_runs(place: str | None) -> None:
    async with (
        await WorkflowEnvironment.start_time_skipping(place) as one,
        await WorkflowEnvironment.start_time_skipping(place) as other,
    ):
        before = await other.get_current_time()
        async with one.worker(sleeper), other.worker(sleeper):
            waiting = await other.client.workflow.start(sleeper, "other", 5, id="same", task_queue=other.task_queue)
            handle = await one.client.workflow.start(sleeper, "one", 30, id="same", task_queue=one.task_queue)
            assert await handle.result() == "one"
            assert await other.get_current_time() - before < timedelta(minutes=1)
            assert await waiting.status() == "running"
            assert await waiting.result() == "other"
            assert [run.id async for run in one.client.workflow.list()] == ["same"]


async def test_without_automatic_skipping_a_result_takes_its_time(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(sleeper):
            handle = await env.client.workflow.start(sleeper, "x", 1, task_queue=env.task_queue)
            with env.auto_time_skipping_disabled():
                with pytest.raises(TimeoutError):
                    await handle.result(timeout=0.3)
                await env.sleep("2 days")
            assert await handle.result() == "x"


# ------------------------------------------------------------------------------------------------- what moves with the clock


@workflow.defn
async def waits_a_month_for_approval() -> str:
    return str(await workflow.wait_for("approval", timeout="30 days", default="expired"))


async def test_a_wait_with_a_timeout_expires_or_is_answered(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(waits_a_month_for_approval):
            assert await env.client.workflow.execute(waits_a_month_for_approval, task_queue=env.task_queue) == "expired"
            handle = await env.client.workflow.start(waits_a_month_for_approval, task_queue=env.task_queue)
            await env.sleep("29 days")
            await env.client.signal("approval", "yes")
            assert await handle.result() == "yes"


async def test_start_delays_and_run_timeouts_pass(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(sleeper):
            handle = await env.client.workflow.start(sleeper, "x", 1, task_queue=env.task_queue, start_delay="7 days")
            assert await handle.result() == "x"
            assert timedelta(days=8) <= await env.get_current_time() - before < timedelta(days=8, minutes=1)
            handle = await env.client.workflow.start(sleeper, "x", 9, task_queue=env.task_queue, run_timeout="2 days")
            with pytest.raises(WorkflowFailedError, match="timed out"):
                await handle.result()


@workflow.defn
class Cooling:
    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.cooled)
        return "cooled"

    @workflow.init
    def __init__(self) -> None:
        self.cooled = False

    @workflow.update
    async def cool(self) -> str:
        await workflow.sleep_for("1 day")
        self.cooled = True
        return "it took a day"

    @workflow.query
    def is_cooled(self) -> bool:
        return self.cooled


async def test_an_awaited_update_skips_time_and_a_query_does_not(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        before = await env.get_current_time()
        async with env.worker(Cooling):
            handle = await env.client.workflow.start(Cooling.run, task_queue=env.task_queue)
            update = await handle.start_update(Cooling.cool)
            assert await handle.query(Cooling.is_cooled) is False
            assert await env.get_current_time() - before < timedelta(minutes=1)
            assert await update.result() == "it took a day"
            assert await env.get_current_time() - before < timedelta(days=1, minutes=1)
            assert await handle.result() == "cooled"


@workflow.defn
async def year_of_children() -> int:
    count = 0
    for _ in range(12):
        await workflow.sleep_for("30 days")
        count += len(await asyncio.gather(*(workflow.execute_child(sleeper, f"c{n}", n) for n in range(3))))
    return count


async def test_a_year_of_a_chain_of_children_passes(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(year_of_children, sleeper):
            assert await env.client.workflow.execute(year_of_children, task_queue=env.task_queue) == 36


@activity.defn(retry=RetryPolicy(maximum_attempts=1), heartbeat_timeout="1 minute")
async def oversleeps() -> None:
    for each in BEATS:
        activity.heartbeat(each)
    await ENVIRONMENT[0].sleep("2 minutes")
    await asyncio.sleep(30)


@activity.defn(retry=RetryPolicy(maximum_attempts=1), start_to_close_timeout="1 hour")
async def never_ends() -> None:
    SEEN.append("began")
    await asyncio.sleep(30)


ENVIRONMENT: list[WorkflowEnvironment] = []
BEATS: list[str] = []


@workflow.defn
async def oversleeping() -> None:
    await oversleeps()


@workflow.defn
async def endless() -> None:
    await never_ends()


@pytest.mark.parametrize("beats", [False, True])
async def test_an_activity_that_sleeps_past_its_heartbeat_timeout_is_timed_out(place: str | None, beats: bool) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        ENVIRONMENT[:] = [env]
        BEATS[:] = ["just now"] if beats else []
        async with env.worker(oversleeping, activities=[oversleeps]):
            with pytest.raises(WorkflowFailedError) as failed:
                await env.client.workflow.execute(oversleeping, task_queue=env.task_queue)
    assert "heartbeat" in str(chain(failed.value))


async def test_an_advance_passes_the_timeouts_of_running_activities(place: str | None) -> None:
    SEEN.clear()
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(endless, activities=[never_ends]):
            handle = await env.client.workflow.start(endless, task_queue=env.task_queue)
            await until(lambda: told("began"))
            await env.advance(hours=2)
            with pytest.raises(WorkflowFailedError) as failed:
                await handle.result()
    assert "start_to_close" in str(chain(failed.value))


async def test_a_worker_of_another_process_lives_through_a_jump_and_sees_it(dsn: str, tmp_path: Path) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert isinstance(env.ground, PostgresGround)
        with WorkerProcess(dsn, env.ground.schema, "tests.testing.test_time", queue="far", log=tmp_path / "log") as worker:
            began = time.monotonic()
            assert await env.client.workflow.execute(month, task_queue="far") == "rested"
            assert await env.client.workflow.execute(month, task_queue="far") == "rested"
            assert time.monotonic() - began < PROMPT
            assert "silent" not in worker.log()
            rows = await env.client.store.list_runs(None, limit=10)
            assert len(rows) == 2


async def test_a_run_whose_worker_is_killed_is_waited_for(dsn: str, tmp_path: Path) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert isinstance(env.ground, PostgresGround)
        with WorkerProcess(dsn, env.ground.schema, "tests.testing.test_time", queue="far", log=tmp_path / "log") as worker:
            handle = await env.client.workflow.start(races_an_activity, task_queue="far")
            await until(lambda: owned(env, handle.id))
            worker.kill()
        async with env.worker(races_an_activity, activities=[takes_real_time], task_queue="far"):
            assert await handle.result() == "activity"


async def test_a_worker_of_the_plain_kind_sees_jumps_too(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with Worker(env.client, task_queue="plain", workflows=[month]):
            began = time.monotonic()
            assert await env.client.workflow.execute(month, task_queue="plain") == "rested"
            assert time.monotonic() - began < PROMPT


@activity.defn(transactional=True)
async def books() -> int:
    connection = activity.connection()
    await asyncio.sleep(0.2)
    return int(await connection.fetchval("select 7"))


@workflow.defn
async def booking() -> int:
    nap = asyncio.ensure_future(workflow.sleep_for("1 day"))
    booked = await books()
    assert not nap.done()
    await nap
    return booked


async def test_time_stands_still_during_a_transaction(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(booking, activities=[books]):
            assert await env.client.workflow.execute(booking, task_queue=env.task_queue) == 7


async def test_a_clock_that_lost_its_connection_says_so(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert isinstance(env.ground, PostgresGround)
        async with env.worker(waits_for_a_signal):
            handle = await env.client.workflow.start(waits_for_a_signal, task_queue=env.task_queue)
            other = await asyncpg.connect(dsn)
            await other.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
                " and database = (select oid from pg_database where datname = current_database())"
                " and ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)",
                env.ground.schema,
            )
            await other.close()
            for _ in range(2):                           # and whoever waits later is told as well
                with pytest.raises(NeverEndsError, match="the clock of the environment stopped"):
                    await handle.result()


async def test_options_of_the_client_reach_it_and_bad_ones_leave_nothing_taken(dsn: str) -> None:
    codec = JsonCodec()
    async with await WorkflowEnvironment.start_time_skipping(dsn, codec=codec) as env:
        assert env.client.codec is codec
        schema = env.ground.schema if isinstance(env.ground, PostgresGround) else None
    with pytest.raises(TypeError):
        await WorkflowEnvironment.start_time_skipping(dsn, colour="red")
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert isinstance(env.ground, PostgresGround) and env.ground.schema == schema


# ------------------------------------------------------------------------------------------------- wrong uses


@workflow.defn
async def ever_again() -> None:
    await always_fails()


@activity.defn
async def always_fails() -> None:
    raise RuntimeError("no such table")


async def test_time_moves_forward_only(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        with pytest.raises(ConfigurationError, match="backwards"):
            await env.sleep(-1)
        with pytest.raises(ConfigurationError, match="backwards"):
            await env.advance(days=-1)
        with pytest.raises(ConfigurationError, match="negative"):
            await env.sleep("-1 day")
        with pytest.raises(ConfigurationError, match="give a duration"):
            await env.advance()


async def test_a_run_on_a_queue_that_nobody_serves_is_named(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place, patience=0.3) as env:
        with pytest.raises(NeverEndsError, match="has not begun; does a worker serve its task queue 'typo'"):
            await env.client.workflow.execute(month, task_queue="typo")


async def test_an_activity_that_fails_for_ever_is_told_after_a_hundred_attempts(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(ever_again, activities=[always_fails]):
            handle = await env.client.workflow.start(ever_again, task_queue=env.task_queue)
            with pytest.raises(NeverEndsError, match=r"(?s)no run got on.*always_fails.*no such table"):
                await handle.result()


async def test_what_is_due_and_never_taken_is_named(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn, patience=0.3) as env:
        store = env.client.store
        # Registered, and never claims anything: a worker that is frozen, say.
        await store.register_worker(identity="frozen", task_queues=["q"], types=[], lease=timedelta(minutes=5), version=None)
        handle = await env.client.workflow.start(month, id="unlucky", task_queue="q")
        with pytest.raises(NeverEndsError, match=r"(?s)is due, and no worker has taken it.*unlucky"):
            await handle.result()
        with pytest.raises(NeverEndsError, match=r"(?s)is due, and no worker has taken it.*unlucky"):
            await env.sleep("1 day")


@workflow.defn
class HasABug:
    @workflow.run
    async def run(self) -> None:
        raise KeyError("colour")


async def test_a_run_that_is_stuck_on_a_bug_is_told_with_the_bug(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(HasABug):
            handle = await env.client.workflow.start(HasABug.run, task_queue=env.task_queue)
            with pytest.raises(NeverEndsError, match=r"(?s)no run got on.*HasABug.*stuck: KeyError: 'colour'"):
                await handle.result()


async def test_a_workflow_that_no_worker_knows_is_named(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        async with env.worker(month):
            handle = await env.client.workflow.start("moth", task_queue=env.task_queue)
            with pytest.raises(NeverEndsError, match=r"(?s)workflow type 'moth' is not known.*knows month"):
                await handle.result()


async def test_a_real_time_environment_cannot_be_moved(place: str | None) -> None:
    async with await WorkflowEnvironment.start_local(place) as env:
        assert not env.supports_time_skipping
        began = time.monotonic()
        await env.sleep(0.05)
        assert time.monotonic() - began >= 0.05
        with pytest.raises(ConfigurationError, match="time is real"):
            await env.advance(days=1)


async def test_an_environment_over_a_client_leaves_it_open(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client:
        async with WorkflowEnvironment.from_client(client) as env:
            async with env.worker(quick):
                assert await env.client.workflow.execute(quick, task_queue=env.task_queue) == 1
        assert await client.workflow.count() == 1


@workflow.defn
async def quick() -> int:
    return 1


async def test_what_was_forgotten_is_named_when_the_environment_closes(place: str | None) -> None:
    env = await WorkflowEnvironment.start_time_skipping(place)
    env.worker(month)
    await env.client.workflow.start(month, id="left-behind", task_queue=env.task_queue)
    with pytest.warns(ForgottenWarning) as warned:
        await env.close()
    said = [str(each.message) for each in warned]
    assert any("was made and never run" in each for each in said)
    assert any("'left-behind' was started and is still running" in each for each in said)


async def test_a_client_that_the_test_closed_is_no_trouble(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        await env.client.workflow.start(month, task_queue=env.task_queue)
        await env.client.close()
        with pytest.raises(ConfigurationError, match="closed"):
            await env.client.workflow.count()


async def test_a_sleeper_is_woken_when_its_environment_closes(place: str | None) -> None:
    SEEN.clear()
    env = await WorkflowEnvironment.start_time_skipping(place)
    await env.worker(endless, activities=[never_ends], graceful_shutdown_timeout=0).__aenter__()
    await env.client.workflow.start(endless, task_queue=env.task_queue)
    await until(lambda: told("began"))
    asleep = asyncio.ensure_future(env.sleep("2 days"))    # time stands still: the activity runs
    late = asyncio.ensure_future(env.sleep("3 days"))
    await asyncio.sleep(0)
    with pytest.warns(ForgottenWarning) as warned:
        await env.close()
    assert any("was still running" in str(each.message) for each in warned)
    for each in (asleep, late):
        with pytest.raises(ConfigurationError, match="was closed while something slept"):
            await each


async def test_the_next_environment_begins_empty_and_in_the_present(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(month):
            await env.client.workflow.execute(month, id="once", task_queue=env.task_queue)
        first = env.ground
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        assert isinstance(env.ground, PostgresGround) and isinstance(first, PostgresGround)
        assert env.ground.schema == first.schema
        assert await env.client.workflow.count() == 0
        assert abs(await env.get_current_time() - datetime.now(UTC)) < timedelta(minutes=1)


# ------------------------------------------------------------------------------------------------- small helpers


def chain(error: BaseException | None) -> list[str]:
    said: list[str] = []
    while error is not None:
        said.append(f"{type(error).__name__} {error} {getattr(error, 'kind', '')}")
        error = error.__cause__
    return said


async def told(word: str) -> bool:
    return word in SEEN


async def owned(env: WorkflowEnvironment, id: str) -> bool:
    row = await env.client.store.find_run(id)
    return row is not None and bool(await env.client.store.activities_of(row.run))


async def test_the_timeout_of_a_run_that_no_worker_serves_comes(place: str | None) -> None:
    async with await WorkflowEnvironment.start_time_skipping(place) as env:
        with pytest.raises(WorkflowFailedError) as failed:
            await env.client.workflow.execute("nobody", id="n", task_queue="nobody's", execution_timeout="365 days")
        assert failed.value.status == "timed_out"
