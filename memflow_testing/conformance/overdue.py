"""Runs whose time is up while no worker comes for them: whoever looks at one ends it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from memflow.core.arrivals import ChildFailed, RunStarted, RunTimedOut
from memflow.core.interrupts import StartChild
from memflow.failure import decode_failure
from memflow.options import ChildOptions
from memflow.payload import Payload
from memflow.retry import RetryPolicy
from memflow.run_info import CRON_HEADER
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.values import Outcome
from memflow_testing.conformance.making import MINUTE, a_run, a_turn, a_worker, claim, started_and_claimed

AT_ONCE = timedelta(milliseconds=1)


async def the_end_of(store: Store, run: int) -> Outcome:
    """How a run ended, once it has."""
    async with asyncio.timeout(10):
        while True:
            for outcome in await store.outcomes([run]):
                return outcome
            await asyncio.sleep(0.01)


class Overdue:
    """Runs whose time is up while no worker comes for them."""

    async def test_a_run_that_nobody_serves_ends_when_its_time_is_up(self, store: Store) -> None:
        for kind, option in (("run", "run_timeout"), ("execution", "execution_timeout")):
            limit: dict[str, Any] = {option: AT_ONCE}
            [run] = await store.start_runs([a_run(kind, **limit)])
            ended = await the_end_of(store, run.run)
            assert ended.status is Status.TIMED_OUT and ended.result is not None
            assert decode_failure(ended.result).facts["kind"] == kind
            assert [each.entry for each in await store.history(run.run)] == [RunTimedOut(kind)]

    async def test_whoever_looks_at_it_sees_that_it_ended(self, store: Store) -> None:
        await store.start_runs([a_run("looked-at", run_timeout=AT_ONCE)])
        async with asyncio.timeout(10):
            while True:
                row = await store.find_run("looked-at")
                assert row is not None
                if row.status is Status.TIMED_OUT:
                    break
                await asyncio.sleep(0.01)

    async def test_what_nobody_looks_at_is_ended_with_what_has_expired(self, store: Store) -> None:
        worker = await a_worker(store)
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        options = ChildOptions(task_queue="nobody's", run_timeout=AT_ONCE)
        child = StartChild(1, "order", "child", "run-of-child", Payload(b"[]"), options)
        await store.commit_turns(worker, [a_turn(parent, RunStarted(), child, effects=[child], release=False)])
        async with asyncio.timeout(10):
            mail: list[Any] = []
            while not mail:
                await store.prune(limit=9)
                mail = [each.arrival for each in await store.read_inbox([(parent.run, 0)], limit=9)]
        assert isinstance(mail[0], ChildFailed) and mail[0].op == 1
        cause = mail[0].failure.cause
        assert cause is not None and cause.kind == "timeout"

    async def test_where_a_worker_lives_the_end_is_left_to_it(self, store: Store) -> None:
        worker = await a_worker(store)
        [served] = await store.start_runs([a_run("served", run_timeout=AT_ONCE)])
        [elsewhere] = await store.start_runs([a_run("elsewhere", run_timeout=AT_ONCE, task_queue="nobody's")])
        await the_end_of(store, elsewhere.run)
        assert await store.outcomes([served.run]) == []
        assert [each.run for each in await claim(store, worker)] == [served.run]

    async def test_what_begins_anew_is_left_to_a_worker_unless_the_time_of_its_chain_is_up(self, store: Store) -> None:
        runs = [
            a_run("retried", run_timeout=AT_ONCE, retry=RetryPolicy()),
            a_run("by-cron", run_timeout=AT_ONCE, headers={CRON_HEADER: "@every 1m"}),
            a_run("in-time", run_timeout=MINUTE),
            a_run("chain", execution_timeout=AT_ONCE, retry=RetryPolicy()),
        ]
        retried, by_cron, in_time, chain = await store.start_runs(runs)
        await the_end_of(store, chain.run)
        assert await store.outcomes([retried.run, by_cron.run, in_time.run]) == []
