"""Chains of runs: continued as new, tried again, bounded in time. Nothing that was acknowledged is lost on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from memflow import ApplicationError, Client, RetryPolicy, Worker, WorkflowFailedError, activity, workflow
from memflow.client import Handle
from memflow.errors import ChildWorkflowError
from tests.polling import until


@workflow.defn
async def counts(number: int, seen: list[str]) -> list[str]:
    seen = [*seen, workflow.info().run_id, str(workflow.info().continued_run_id)]
    if number == 0:
        return seen
    workflow.continue_as_new(number - 1, seen)


@workflow.defn
async def collects(wanted: int, got: list[int]) -> list[int]:
    """Takes two signals per run, whatever else has come."""
    for _ in range(2):
        got = [*got, await workflow.wait_for("number", type=int)]
        if len(got) == wanted:
            return got
    workflow.continue_as_new(wanted, got)


@workflow.defn
async def asks_a_counter(number: int) -> int:
    return len(await workflow.execute_child(counts, number, []))


@workflow.defn
async def asks_one_that_fails(attempts: int) -> int:
    child = await workflow.start_child(fails_until, attempts, retry=QUICK)
    return await child


QUICK = RetryPolicy(initial_interval=0.01, maximum_attempts=5)


@workflow.defn
async def fails_until(attempt: int) -> int:
    if workflow.info().attempt < attempt:
        raise ApplicationError("not yet", type="NotYet")
    return workflow.info().attempt


@workflow.defn
async def fails_for_good() -> None:
    raise ApplicationError("never", non_retryable=True)


@workflow.defn
async def sleeper() -> None:
    await workflow.sleep_for("1 hour")


@workflow.defn
async def sleeps_once() -> int:
    if workflow.info().attempt == 1:
        await workflow.sleep_for("1 hour")
    return workflow.info().attempt


@workflow.defn
async def goes_round(seconds: float) -> None:
    await workflow.sleep_for(seconds)
    workflow.continue_as_new(seconds)


@activity.defn
async def clean_up() -> str:
    return "clean"


@workflow.defn
async def cleans_up_first(done: str) -> str:
    if done:
        return done
    try:
        workflow.continue_as_new("without")
    finally:
        workflow.continue_as_new(await workflow.execute_activity(clean_up))


@workflow.defn
async def becomes_another(number: int) -> list[str]:
    workflow.continue_as_new(number, [], workflow=counts)


ALL = [
    counts, collects, asks_a_counter, asks_one_that_fails, fails_until, fails_for_good, sleeper, sleeps_once, goes_round,
    cleans_up_first, becomes_another,
]  # fmt: skip


async def ended(handle: Handle[Any]) -> WorkflowFailedError:
    with pytest.raises(WorkflowFailedError) as failed:
        await handle.result(timeout=20)
    return failed.value


async def rows(client: Client, workflow_id: str) -> list[Any]:
    return [run async for run in client.workflow.list(f"id = '{workflow_id}'")][::-1]


async def test_the_result_is_the_last_runs_and_every_run_knows_the_one_before(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(counts, 3, [], id="chain", memo={"by": "ada"}, headers={"trace": "1"})
        seen = await handle.result(timeout=20)
        run_ids = seen[0::2]
        assert len(set(run_ids)) == 4 and run_ids[0] == handle.run_id
        assert seen[1::2] == ["None", *run_ids[:-1]]
        found = await rows(client, "chain")
        assert [run.run_id for run in found] == run_ids
        assert [run.status for run in found] == ["continued_as_new"] * 3 + ["completed"]
        assert [run.memo for run in found] == [{"by": "ada"}] * 4
        assert (await handle.status()) == "continued_as_new"
        assert (await handle.describe()).next_run_id == run_ids[1]
        latest = await client.get_handle("chain").describe()
        assert latest.run_id == run_ids[-1] and latest.first_run_id == run_ids[0]
        assert [entry.kind for entry in await handle.history()] == ["run_started", "continue_as_new"]


async def test_finally_blocks_run_and_the_last_word_counts(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL, activities=[clean_up]):
        assert await client.workflow.execute(cleans_up_first, "") == "clean"


async def test_the_next_run_may_be_of_another_workflow(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(becomes_another, 1, id="another")
        assert len(await handle.result(timeout=20)) == 4
        assert [run.type for run in await rows(client, "another")] == ["becomes_another", "counts", "counts"]


async def test_no_signal_is_lost_or_doubled_while_runs_follow_one_another(dsn: str, schema: str) -> None:
    """Signals come while runs end: read and not taken, unread in the inbox, or sent between two runs."""
    wanted = 60
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(collects, wanted, [])

        async def sender(part: int) -> None:
            for n in range(part, wanted, 6):
                await handle.signal("number", n)

        await asyncio.gather(*(sender(part) for part in range(6)))
        got = await handle.result(timeout=30)
        assert sorted(got) == list(range(wanted))
        for part in range(6):
            assert [n for n in got if n % 6 == part] == list(range(part, wanted, 6)), "each sender's order is kept"
        assert len(await rows(client, handle.id)) == wanted // 2


async def test_a_request_id_counts_once_for_the_chain(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start(collects, 4, [])
        async with Worker(client, workflows=ALL):
            for n in (1, 2):
                await handle.signal("number", n, request_id=f"number {n}")

            async def second_run() -> bool:
                return len(await rows(client, handle.id)) == 2

            await until(second_run)
            for n in (1, 2, 3, 4):
                await handle.signal("number", n, request_id=f"number {n}")
            assert await handle.result(timeout=20) == [1, 2, 3, 4]


async def test_a_parent_gets_the_answer_of_its_childs_last_run(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(asks_a_counter, 3)
        assert await handle.result(timeout=20) == 8
        assert [entry.kind for entry in await handle.history()].count("child_completed") == 1


@workflow.defn
async def signals_its_child() -> list[int]:
    child = await workflow.start_child(collects, 6, [])
    for n in range(6):
        await child.signal("number", n)
        await workflow.sleep_for(0.02)
    return await child


async def test_a_parent_reaches_its_child_in_whatever_run_it_is(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[*ALL, signals_its_child]):
        assert await client.workflow.execute(signals_its_child) == [0, 1, 2, 3, 4, 5]


async def test_cancel_and_terminate_reach_the_run_that_goes_on(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        for stop, status in (("cancel", "cancelled"), ("terminate", "terminated")):
            handle = await client.workflow.start(goes_round, 0.01)

            async def third_run(id: str = handle.id) -> bool:
                return len(await rows(client, id)) >= 3

            await until(third_run)
            await getattr(handle, stop)()
            assert (await ended(handle)).status == status


async def test_a_run_that_fails_is_tried_again_by_its_policy(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(fails_until, 3, retry=QUICK)
        assert await handle.result(timeout=20) == 3
        found = await rows(client, handle.id)
        assert [(run.attempt, run.status) for run in found] == [(1, "failed"), (2, "failed"), (3, "completed")]


async def test_the_last_attempts_failure_is_the_chains(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        policy = RetryPolicy(initial_interval=0.01, maximum_attempts=3)
        handle = await client.workflow.start(fails_until, 99, retry=policy)
        failed = await ended(handle)
        assert failed.status == "failed" and "not yet" in str(failed)
        assert len(await rows(client, handle.id)) == 3

        final = await client.workflow.start(fails_for_good, retry=QUICK)
        assert (await ended(final)).status == "failed"
        assert len(await rows(client, final.id)) == 1


async def test_the_next_attempt_waits_as_the_policy_says_also_if_mail_comes(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(fails_until, 2, retry=RetryPolicy(initial_interval=0.5))

        async def failed() -> bool:
            return len(await rows(client, handle.id)) == 2

        await until(failed)
        await handle.signal("hurry")
        assert await handle.result(timeout=20) == 2
        first, second = [await client.get_handle(handle.id, run.run_id).history() for run in await rows(client, handle.id)]
        assert second[0].at - first[-1].at >= timedelta(seconds=0.5)
        assert [entry.kind for entry in second] == ["signal_received", "run_started", "complete"] or [
            entry.kind for entry in second
        ] == ["run_started", "signal_received", "complete"]


async def test_a_child_is_tried_again_before_its_parent_hears_of_it(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        assert await client.workflow.execute(asks_one_that_fails, 3) == 3
        with pytest.raises(WorkflowFailedError) as failed:
            await client.workflow.execute(asks_one_that_fails, 99)
        assert isinstance(failed.value.cause, ChildWorkflowError)


async def test_a_cancelled_run_is_not_tried_again(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(sleeper, retry=QUICK)
        await handle.cancel()
        assert (await ended(handle)).status == "cancelled"
        assert len(await rows(client, handle.id)) == 1


async def test_a_run_timeout_is_of_one_attempt(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        failed = await ended(await client.workflow.start(sleeper, run_timeout=0.3))
        assert failed.status == "timed_out" and "run timeout" in str(failed)

        handle = await client.workflow.start(sleeps_once, run_timeout=0.7, retry=QUICK)
        assert await handle.result(timeout=20) == 2
        assert [run.status for run in await rows(client, handle.id)] == ["timed_out", "completed"]


async def test_an_execution_timeout_is_of_the_chain(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(goes_round, 0.05, execution_timeout=0.5, run_timeout="1 hour")
        failed = await ended(handle)
        assert failed.status == "timed_out" and "execution timeout" in str(failed)
        found = await rows(client, handle.id)
        assert len(found) > 2
        assert found[-1].closed_at - found[0].started_at >= timedelta(seconds=0.5)

        late = await client.workflow.start(fails_until, 99, execution_timeout=0.3, retry=RetryPolicy(initial_interval=0.2))
        assert (await ended(late)).status == "failed", "the next attempt would begin too late"
        assert len(await rows(client, late.id)) == 2


async def test_a_delayed_start_begins_when_it_is_due(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(fails_until, 1, start_delay=0.4)
        assert await handle.result(timeout=20) == 1
        [run] = await rows(client, handle.id)
        assert (await handle.history())[0].at - run.started_at >= timedelta(seconds=0.4)


async def test_a_chain_costs_no_commit_of_its_own(dsn: str, schema: str) -> None:
    """The next run begins in the commit that ends the one before: between them nobody finds the id free."""
    async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=ALL):
        handle = await client.workflow.start(goes_round, 0.0, id="busy")
        for _ in range(40):
            again = await client.workflow.start(goes_round, 0.0, id="busy", on_conflict="use_existing")
            assert (await client.get_handle("busy", again.run_id).describe()).first_run_id == handle.run_id
        await handle.terminate()


@workflow.defn
async def tells_its_length() -> tuple[list[int], bool]:
    seen = [workflow.history_length()]
    for _ in range(2):
        await workflow.sleep_for(0.01)
        seen.append(workflow.history_length())
    return seen, workflow.continue_as_new_suggested()


async def test_a_run_knows_how_long_its_journal_was(dsn: str, schema: str) -> None:
    async with await Client.connect(dsn, schema=schema) as client:
        async with Worker(client, workflows=[tells_its_length], max_cached_workflows=0):
            assert await client.workflow.execute(tells_its_length) == ([0, 2, 4], False)
