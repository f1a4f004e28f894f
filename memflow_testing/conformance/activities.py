"""Durable activities: attempts that are retried, left open, paused, reset, and ended from outside."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from memflow.core.arrivals import ActivityCompleted, ActivityFailed
from memflow.failure import Failure
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.turns import (
    ActivityClaim,
    ActivityKey,
    ActOnActivity,
    Beat,
    FoundActivity,
    Open,
    Retry,
    Settle,
)
from memflow_testing.conformance.making import QUEUE, a_run, a_turn, a_worker, an_activity, started_and_claimed

AT_ONCE = timedelta()


async def take(store: Store, worker: int) -> list[ActivityClaim]:
    """What is due."""
    return list((await store.claim_activities(worker, task_queues=[QUEUE], limit=9)).claims)


async def pending(store: Store, worker: int, **more: object) -> None:
    """A run `a` with an activity that is due, and that its author calls `pay`."""
    [mine] = await started_and_claimed(store, worker, a_run("a"))
    row = an_activity(options=ActivityOptions(activity_id="pay", **more))  # type: ignore[arg-type]
    await store.commit_turns(worker, [a_turn(mine, activities=[row])])


async def find(store: Store) -> FoundActivity:
    """The activity `pay` of run `a`."""
    found = await store.find_activity(ActivityKey("a", None, "pay"))
    assert isinstance(found, FoundActivity), found
    return found


async def state(store: Store) -> tuple[str, int]:
    """As people see it: its state, and attempts begun."""
    run = await store.find_run("a")
    assert run is not None
    [row] = await store.activities_of(run.run)
    return row["state"], row["attempt"]


async def mail(store: Store) -> list[object]:
    """What the run has got."""
    run = await store.find_run("a")
    assert run is not None
    return [each.arrival for each in await store.read_inbox([(run.run, 0)], limit=9)]


class Activities:
    """Durable activities: attempts that are retried, left open, paused, reset, and ended from outside."""

    async def test_an_attempt_that_is_left_open_is_ended_by_its_token(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        [mine] = await take(store, worker)
        assert await store.open_activities([Open(mine.run, mine.op, mine.token, None)]) == [True]
        assert await state(store) == ("open", 1)
        assert await take(store, worker) == []
        await store.unregister_worker(worker)
        found = await store.find_activity(ActivityKey(run=mine.run, op=mine.op, token=mine.token))
        assert isinstance(found, FoundActivity) and found.token == mine.token
        done = ActivityCompleted(1, Payload(b"5"))
        assert [await store.finish_activity(found, done, exact=True) for _ in range(2)] == [True, False]
        assert await mail(store) == [done]
        assert await store.find_activity(ActivityKey("a", None, "pay")) in ("not_found", "maybe")

    async def test_an_open_attempt_whose_time_is_up_is_judged_and_no_attempt_begins(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        [mine] = await take(store, worker)
        await store.open_activities([Open(mine.run, mine.op, mine.token, await store.now())])
        [late] = await take(store, worker)
        assert (late.late, late.attempt) == ("start_to_close", 1)
        failed = ActivityFailed(1, Failure("timeout", "too late"))
        assert await store.settle_activities([Settle(late.run, late.op, late.token, failed)]) == [True]

    async def test_a_paused_activity_begins_no_attempt(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        assert await store.act_on_activity(await find(store), ActOnActivity("pause"))
        assert (await find(store)).paused and await state(store) == ("paused", 0)
        found = await store.claim_activities(worker, task_queues=[QUEUE], limit=9)
        assert (found.claims, found.next_due) == ([], None)
        assert await store.act_on_activity(await find(store), ActOnActivity("resume"))
        [mine] = await take(store, worker)
        await store.act_on_activity(await find(store), ActOnActivity("pause"))
        [beaten] = await store.beat_activities([Beat(mine.run, mine.op, mine.token, None)])
        assert (beaten.lost, beaten.paused, beaten.reset) == (False, True, False)
        await store.retry_activities([Retry(mine.run, mine.op, mine.token, AT_ONCE, Payload(b"{}", "failure"))])
        assert await take(store, worker) == []

    async def test_a_reset_begins_anew_even_if_the_last_attempt_has_failed_meanwhile(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        [mine] = await take(store, worker)
        await store.beat_activities([Beat(mine.run, mine.op, mine.token, Payload(b"[7]"))])
        await store.act_on_activity(await find(store), ActOnActivity("reset", forget_heartbeats=True))
        failed = ActivityFailed(1, Failure("application", "no"))
        assert await store.settle_activities([Settle(mine.run, mine.op, mine.token, failed)]) == [True]
        assert await mail(store) == [] and await state(store) == ("queued", 0)
        [again] = await take(store, worker)
        assert (again.attempt, again.heartbeat, again.last_failure) == (1, None, None)

    async def test_options_change_and_it_moves_to_another_queue(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        options = ActivityOptions(activity_id="pay", task_queue="elsewhere", start_to_close_timeout=timedelta(seconds=7))
        await store.act_on_activity(await find(store), ActOnActivity("update", options=options))
        assert await take(store, worker) == []
        [mine] = (await store.claim_activities(worker, task_queues=["elsewhere"], limit=9)).claims
        assert mine.options.start_to_close_timeout == timedelta(seconds=7)

    async def test_somebody_outside_fails_an_attempt_and_the_next_begins(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        [mine] = await take(store, worker)
        failure = Payload(b'{"kind":"application","message":"no"}', "failure")
        assert await store.fail_attempt(await find(store), AT_ONCE, failure, exact=False)
        assert await store.retry_activities([Retry(mine.run, mine.op, mine.token, AT_ONCE, None)]) == [False]
        [again] = await take(store, worker)
        assert (again.attempt, again.last_failure) == (2, failure)
        stale = replace(await find(store), token=mine.token)
        assert not await store.fail_attempt(stale, AT_ONCE, failure, exact=True)

    async def test_a_beat_from_outside_keeps_its_details(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker, heartbeat_timeout=timedelta(minutes=1))
        [mine] = await take(store, worker)
        await store.open_activities([Open(mine.run, mine.op, mine.token, None)])
        beaten = await store.beat_activity(await find(store), Payload(b"[3]"))
        assert (beaten.lost, beaten.cancel_requested) == (False, False)
        run = await store.find_run("a")
        assert run is not None
        [row] = await store.activities_of(run.run)
        assert row["heartbeat_details"] == Payload(b"[3]")
        found = await store.claim_activities(worker, task_queues=[QUEUE], limit=9)
        assert found.next_due is not None and found.next_due <= found.now + timedelta(minutes=1)

    async def test_what_is_not_there_is_said(self, store: Store) -> None:
        worker = await a_worker(store)
        await pending(store, worker)
        assert await store.find_activity(ActivityKey("nobody", None, "pay")) == "missing"
        assert await store.find_activity(ActivityKey("a", None, "other")) in ("not_found", "maybe")
        await store.terminate("a", None, None)
        assert await store.find_activity(ActivityKey("a", None, "pay")) == "closed"
