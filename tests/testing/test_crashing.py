"""`crash_everywhere` finds what a crash changes, names where, and is content with what holds."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from importlib.metadata import entry_points
from typing import Any

import pytest

from memflow import RetryPolicy, activity, workflow
from memflow.errors import ConfigurationError
from memflow.store.turns import Committed, TurnCommit
from memflow_testing import CrashError, WorkflowEnvironment, crash_everywhere
from memflow_testing.crash_points import CrashPoint, Fate, Moment, crash_points
from memflow_testing.crashing import another_like
from memflow_testing.mortal import MortalWorker
from tests.polling import until

pytest_plugins = "pytester"

LEDGER: dict[str, str] = {}
LINES: list[str] = []


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    LEDGER.clear()
    LINES.clear()


@activity.defn
async def reserve(order: str) -> str:
    """Protected: the ledger knows a repeat by its key."""
    LEDGER[activity.info().idempotency_key] = order
    return f"r-{order}"


@activity.defn
async def charge(order: str) -> None:
    """Not protected."""
    LINES.append(order)


@activity.defn(retry=RetryPolicy(initial_interval="10 seconds"))
def pack(order: str) -> str:
    """In a thread, and only at the third attempt."""
    info = activity.info()
    if info.attempt < 3:
        raise RuntimeError("no box")
    LEDGER[info.idempotency_key] = order
    return f"p-{order}"


@activity.defn(transactional=True)
async def book(order: str) -> str:
    await activity.connection().execute("insert into crash_bookings values ($1)", order)
    return f"b-{order}"


@workflow.defn
async def child(order: str) -> str:
    await workflow.sleep_for("1 day")
    return await reserve(order)


@workflow.defn
async def whole(order: str) -> list[str]:
    first = list(await asyncio.gather(reserve(order), reserve(order + "2"), workflow.execute_child(child, "c")))
    approved = await workflow.wait_for(f"approve:{order}", type=str)
    await workflow.sleep_for("30 days")
    return [*first, approved, await pack(order)]


@workflow.defn
async def charges(order: str) -> str:
    await reserve(order)
    await charge(order)
    return "charged"


@workflow.defn
async def books(order: str) -> str:
    return await book(order)


@workflow.defn
async def forgetful(order: str) -> str:
    """Asks the memory of its process what to do."""
    if not LINES:
        await charge(order)
    await workflow.sleep_for("1 hour")
    return "done"


@workflow.defn
async def counting() -> int:
    return await count()


@activity.defn
async def count() -> int:
    LINES.append(activity.info().idempotency_key)
    return len(LINES)


async def run(env: WorkflowEnvironment, what: Any, *arguments: Any, activities: Any) -> Any:
    LINES.clear()
    async with env.worker(what, activities=activities):
        return await env.client.workflow.execute(what, *arguments, id="o-1", task_queue=env.task_queue)


async def test_a_workflow_that_survives_passes(memflow_env: WorkflowEnvironment) -> None:
    histories: list[int] = []

    async def test(env: WorkflowEnvironment) -> list[str]:
        async with env.worker(whole, child, activities=[reserve, pack]):
            handle = await env.client.workflow.start(whole, "a", id="o-1", task_queue=env.task_queue)
            await env.client.signal("approve:a", "yes")
            found = await handle.result()
            histories.append(len(await handle.history()))
            return found

    report = await crash_everywhere(test, env=memflow_env, limit=20)
    assert report.tried == 20 < report.points
    assert len(report.missed) <= report.tried / 4, "what happens at once may come in another order, and no more than that"
    assert not report.findings and not report.accepted and not report.unsteady
    assert "nothing found" in str(report)
    assert len(set(histories[:2])) == 1


async def test_an_unprotected_activity_that_took_effect_twice_is_named_with_its_entry(memflow_env: WorkflowEnvironment) -> None:
    with pytest.raises(CrashError) as caught:
        await crash_everywhere(lambda env: run(env, charges, "a", activities=[reserve, charge]), env=memflow_env)
    [finding] = caught.value.findings
    assert "activity charge of charges took effect more than once" in finding.what
    assert finding.point.when == "before" and finding.kind == "complete" and finding.seq == 6
    assert finding.line is not None and "test_crashing.py" in finding.line and finding.line.endswith("in charges")
    assert "killed before the commit of entries" in str(caught.value) and "ignore=[charge]" in str(caught.value)
    assert "reserve took effect" not in str(caught.value)


@pytest.mark.parametrize("ignore", [[charge], ["charge"], "all"])
async def test_repeats_can_be_accepted(memflow_env: WorkflowEnvironment, ignore: Any) -> None:
    report = await crash_everywhere(
        lambda env: run(env, charges, "a", activities=[reserve, charge]), env=memflow_env, ignore=ignore
    )
    assert report.accepted["charge"] == 1
    assert "repeated as accepted: charge" in str(report)


async def test_a_workflow_that_asks_the_memory_of_its_process_is_caught(memflow_env: WorkflowEnvironment) -> None:
    began = time.monotonic()
    with pytest.raises(CrashError) as caught:
        await crash_everywhere(lambda env: run(env, forgetful, "a", activities=[charge]), env=memflow_env, ignore="all")
    finding = caught.value.findings[0]
    assert finding.what.startswith("forgetful 'o-1' is stuck: ") and "asks for something else" in finding.what
    assert finding.seq is not None and finding.kind is not None
    assert time.monotonic() - began < 60


async def test_a_result_that_a_crash_changes_is_shown_with_what_it_would_be(memflow_env: WorkflowEnvironment) -> None:
    with pytest.raises(CrashError) as caught:
        await crash_everywhere(lambda env: run(env, counting, activities=[count]), env=memflow_env)
    whats = {each.what for each in caught.value.findings}
    assert "the test returned 2, and without a crash 1" in whats
    assert "counting 'o-1' ended completed with 2; without a crash it ended completed with 1" in whats


async def test_a_transactional_activity_takes_effect_once_wherever_it_is_killed(memflow_pg_env: WorkflowEnvironment) -> None:
    booked: list[int] = []

    async def test(env: WorkflowEnvironment) -> str:
        async with env.store.transaction() as connection:
            await connection.execute("drop table if exists crash_bookings")
            await connection.execute("create table crash_bookings (what text)")
        result: str = await run(env, books, "a", activities=[book])
        async with env.store.transaction() as connection:
            booked.append(await connection.fetchval("select count(*) from crash_bookings"))
            await connection.execute("drop table crash_bookings")
        return result

    report = await crash_everywhere(test, env=memflow_pg_env)
    assert any(each.moment.verb == "settle" for each in report.tried_at)
    assert booked == [1] * len(booked) and len(booked) == report.tried + 2


async def test_a_test_that_fails_at_a_point_only_says_so(memflow_env: WorkflowEnvironment) -> None:
    async def test(env: WorkflowEnvironment) -> None:
        await run(env, charges, "a", activities=[reserve, charge])
        assert LINES == ["a"], "charged once"

    with pytest.raises(CrashError, match=r"the test failed: AssertionError: charged once") as caught:
        await crash_everywhere(test, env=memflow_env, ignore=[charge])
    assert "test_crashing.py:" in str(caught.value)


async def test_a_test_that_fails_without_a_crash_fails_as_it_would(memflow_env: WorkflowEnvironment) -> None:
    async def test(env: WorkflowEnvironment) -> None:
        raise LookupError("of its own")

    with pytest.raises(LookupError, match="of its own"):
        await crash_everywhere(test, env=memflow_env)


async def test_a_test_that_hangs_after_a_crash_is_ended(memflow_env: WorkflowEnvironment) -> None:
    runs: list[int] = []

    async def test(env: WorkflowEnvironment) -> None:
        await run(env, charges, "a", activities=[reserve, charge])
        runs.append(1)
        if len(runs) > 2:
            await asyncio.Event().wait()

    with pytest.raises(CrashError, match="did not end within 3 s"):
        await crash_everywhere(test, env=memflow_env, ignore="all", limit=1, timeout=3)


async def test_a_limit_chooses_points_by_a_seed(memflow_env: WorkflowEnvironment) -> None:
    async def test(env: WorkflowEnvironment) -> str:
        return str(await run(env, charges, "a", activities=[reserve, charge]))

    report = await crash_everywhere(test, env=memflow_env, ignore="all", limit=2, seed=7)
    again = await crash_everywhere(test, env=memflow_env, ignore="all", limit=2, seed=7)
    assert report.tried == 2 < report.points and "chosen by seed 7" in str(report)
    assert report.tried_at == again.tried_at and len(report.tried_at) == 2


async def test_what_differs_without_a_crash_is_not_compared(memflow_env: WorkflowEnvironment) -> None:
    async def test(env: WorkflowEnvironment) -> float:
        await run(env, charges, "a", activities=[reserve, charge])
        return time.perf_counter()

    report = await crash_everywhere(test, env=memflow_env, ignore="all", limit=3)
    assert report.unsteady == ["what the test returns"]


async def test_ids_made_by_chance_are_no_difference(memflow_env: WorkflowEnvironment) -> None:
    async def test(env: WorkflowEnvironment) -> str:
        async with env.worker(charges, activities=[reserve, charge]):
            return await env.client.workflow.execute(charges, "a", task_queue=env.task_queue)

    report = await crash_everywhere(test, env=memflow_env, ignore="all")
    assert report.tried == report.points and not report.missed and not report.unsteady


# ------------------------------------------------------------------------------------------------- killing


async def test_what_a_killed_worker_does_later_is_fenced(memflow_env: WorkflowEnvironment) -> None:
    async with await another_like(memflow_env) as env:
        env.doom(Fate(CrashPoint("before", Moment("commit", "charges 'o-1'", 4))))
        late: list[tuple[int, list[TurnCommit]]] = []
        strikes = env.fate.strikes

        def keeping(when: str, moments: Any) -> bool:
            struck = strikes(when, moments)
            if struck:
                late.append((worker.id or 0, turns[-1]))
            return struck

        turns: list[list[TurnCommit]] = []
        noted = env.fate.turn

        def noting(turn: TurnCommit) -> Moment:
            turns.append([turn])
            return noted(turn)

        env.fate.turn = noting  # type: ignore[method-assign]
        env.fate.strikes = keeping  # type: ignore[method-assign]
        async with env.worker(charges, activities=[reserve, charge]) as worker:
            result = await env.client.workflow.execute(charges, "a", id="o-1", task_queue=env.task_queue)
            assert result == "charged"
            [(dead, shares)] = late
            assert worker.id != dead
            answers: list[Committed] = await env.store.commit_turns(dead, shares)
            assert [each.outcome for each in answers] == ["fenced"]
            assert not await env.store.beat_worker(dead, lease=timedelta(seconds=1)), "its row is gone"


async def test_a_worker_is_killed_in_the_middle_of_an_activity_and_it_runs_again(memflow_env: WorkflowEnvironment) -> None:
    attempts: list[int] = []
    cut: list[str] = []

    async def begun() -> bool:
        return bool(attempts)

    @activity.defn
    async def slow() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                cut.append("cut")
        return "ended"

    @workflow.defn
    async def slowly() -> str:
        return await slow()

    async with await another_like(memflow_env) as env:
        env.doom(Fate(None))
        async with env.worker(slowly, activities=[slow]) as worker:
            assert isinstance(worker, MortalWorker)
            handle = await env.client.workflow.start(slowly, task_queue=env.task_queue)
            await until(begun)
            worker.kill()
            began = time.monotonic()
            assert await handle.result() == "ended"
            assert time.monotonic() - began < 5, "taken over without waiting for a lease"
    assert (len(attempts), cut) == (2, ["cut"])


@workflow.defn
async def nightly() -> str:
    return await reserve(workflow.info().workflow_id)


@pytest.mark.memflow(store="both")
async def test_a_worker_that_dies_with_the_run_that_it_has_just_started_for_a_schedule(memflow_env: WorkflowEnvironment) -> None:
    """Who serves a schedule owns the run at once, so that is where it may die."""

    async def two_nights(env: WorkflowEnvironment) -> list[str]:
        async with env.worker(nightly, activities=[reserve]):
            handle = await env.client.schedule.create("n", nightly, spec="0 6 * * *", task_queue=env.task_queue)
            await env.sleep("2 days")
            assert (await handle.describe()).actions == 2
            return [run.status.value async for run in env.client.workflow.list()]

    report = await crash_everywhere(two_nights, env=memflow_env)
    assert report.findings == [] and report.missed == []
    killed = sorted(f"{each.when} {each.moment.verb}" for each in report.tried_at)
    assert killed == ["after claim"] * 2 + ["after commit"] * 2 + ["before commit"] * 2


def test_points_are_each_moment_once() -> None:
    commit, again = Moment("commit", "r", 4, 1), Moment("commit", "r", 4, 2)
    claim = Moment("claim", "r", 4)
    found = crash_points([commit, again, claim])
    assert found == [CrashPoint("before", commit), CrashPoint("after", commit), CrashPoint("after", claim)]


# ------------------------------------------------------------------------------------------------- wrong use


def test_wrong_uses_are_refused_at_the_call() -> None:
    with pytest.raises(ConfigurationError, match=r"for async tests; test_wrong_uses.*declare it with `async def`"):
        crash_everywhere(test_wrong_uses_are_refused_at_the_call)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="limit=0 tries nothing"):
        crash_everywhere(limit=0)
    with pytest.raises(ConfigurationError, match=r"ignore=.*give a list of activities"):
        crash_everywhere(ignore="charge")
    with pytest.raises(ConfigurationError, match="ignore lists 3"):
        crash_everywhere(ignore=[3])  # type: ignore[list-item]


async def test_a_test_without_an_environment_is_told_to_take_one() -> None:
    @crash_everywhere
    async def lonely() -> None: ...

    with pytest.raises(ConfigurationError, match="gets no environment; let it take memflow_env"):
        await lonely()


async def test_an_environment_over_a_client_of_yours_is_refused(memflow_env: WorkflowEnvironment) -> None:
    mine = WorkflowEnvironment.from_client(memflow_env.client)
    with pytest.raises(ConfigurationError, match="not one over a client of yours"):
        await crash_everywhere(lambda env: asyncio.sleep(0), env=mine)
    await mine.close()


# ------------------------------------------------------------------------------------------------- as a decorator


DECORATED = """
import pytest
from memflow import activity, workflow
from memflow_testing import crash_everywhere

RUNS = []

@activity.defn
async def charge() -> str:
    return activity.info().idempotency_key and "charged"

@activity.defn
async def mail() -> None: ...

@workflow.defn
async def order() -> str:
    found = await charge()
    await mail()
    return found

async def play(env, client):
    RUNS.append(env)
    assert client is env.client, "the fixtures are those of this run"
    async with env.worker(order, activities=[charge, mail]):
        return await client.workflow.execute(order, id="o", task_queue=env.task_queue)

{mark}
@crash_everywhere(ignore=[mail])
async def test_survives(memflow_env, memflow_client, tmp_path):
    assert await play(memflow_env, memflow_client) == "charged"

@crash_everywhere
{mark}
async def test_mails_twice(memflow_env, memflow_client):
    await play(memflow_env, memflow_client)

class TestInClass:
    {mark}
    @crash_everywhere(ignore="all", limit=1)
    async def test_method(self, memflow_env, memflow_client):
        await play(memflow_env, memflow_client)

def test_each_run_had_an_environment_of_its_own():
    assert len(set(map(id, RUNS))) == len(RUNS) > 10
"""


@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.asyncio")])
def test_the_decorator_works_with_the_fixtures_of_the_plugin(
    pytester: pytest.Pytester, dsn: str, monkeypatch: pytest.MonkeyPatch, mode: str, mark: str
) -> None:
    monkeypatch.setenv("MEMFLOW_TEST_DSN", dsn)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(DECORATED.format(mark=mark))
    plugin = [] if any(found.name == "memflow" for found in entry_points(group="pytest11")) else ["-p", "memflow_testing.plugin"]
    arguments = ["-p", "no:cacheprovider", "-o", f"asyncio_mode={mode}", "-W", "ignore::pytest.PytestDeprecationWarning"]
    done = pytester.runpytest_subprocess(*plugin, *arguments, "-rP")
    done.assert_outcomes(passed=3, failed=1)
    done.stdout.fnmatch_lines_random(
        [
            "*crash_everywhere: * crash points in * s; repeated as accepted: mail; nothing found*",
            "*CrashError: crash_everywhere: *1 findings*",
            "*killed before the commit of entries * awaited at *test_the_decorator*in order*",
            "*activity mail of order took effect more than once without protection*",
        ]
    )
