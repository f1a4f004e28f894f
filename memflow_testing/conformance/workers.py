"""Workers and the activities in their hands."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from memflow.core.arrivals import ActivityCompleted
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.turns import Beat, Retry, Settle
from memflow_testing.conformance.making import MINUTE, a_run, a_turn, a_worker, an_activity, an_end, claim, started_and_claimed

NO_LEASE = timedelta(0)


def worker_token(claim: Any) -> Any:
    return type(claim.token)(int=claim.token.int ^ 1)


class Workers:
    """Workers and the activities in their hands."""

    async def test_a_cancelled_activity_is_told_with_its_heartbeat(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.commit_turns(worker, [a_turn(mine, activities=[an_activity()], release=False)])
        [running] = (await store.claim_activities(worker, task_queues=["q"], limit=9)).claims
        rung = asyncio.Event()
        await store.listen(f"worker:{worker}", rung.set)
        turn = a_turn(mine, cancelled_activities=[1], release=False)
        turn.length, turn.entries = 1, ()
        await store.commit_turns(worker, [turn])
        [beaten] = await store.beat_activities([Beat(running.run, 1, running.token, None)])
        assert (beaten.lost, beaten.cancel_requested) == (False, True)
        async with asyncio.timeout(5):
            await rung.wait()

    async def test_a_silent_worker_loses_its_runs_and_its_late_commit_vanishes_without_harm_to_its_neighbours(
        self, store: Store, other: Store
    ) -> None:
        zombie, worker = await a_worker(store, lease=NO_LEASE), await a_worker(other)
        lost, kept = await started_and_claimed(store, zombie, a_run("lost"), a_run("kept"))
        assert await other.release_silent(worker) == 2
        taken = {each.workflow_id: each for each in await claim(other, worker)}
        assert [each.crashes for each in taken.values()] == [1, 1]
        answers = await store.commit_turns(zombie, [an_end(lost), an_end(kept)])
        assert [each.outcome for each in answers] == ["fenced", "fenced"]
        assert (await other.commit_turns(worker, [an_end(taken["lost"])]))[0].outcome == "won"
        assert await store.beat_worker(zombie, lease=MINUTE) is False

    async def test_who_was_taken_for_dead_can_claim_nothing_more(self, store: Store, other: Store) -> None:
        """Nobody would ever free what a worker without a row holds."""
        zombie, worker = await a_worker(store, lease=NO_LEASE), await a_worker(other)
        [mine] = await started_and_claimed(store, zombie, a_run())
        await store.commit_turns(zombie, [a_turn(mine, activities=[an_activity()], release=False)])
        assert await other.release_silent(worker) == 1
        assert await claim(store, zombie) == []
        assert (await store.claim_activities(zombie, task_queues=["q"], limit=9)).claims == []
        assert len(await claim(other, worker)) == 1
        [activity] = (await other.claim_activities(worker, task_queues=["q"], limit=9)).claims
        assert activity.attempt == 1, "what the zombie tried to take was not begun"

    async def test_leaving_hands_everything_back_at_once_and_counts_no_crash(self, store: Store, other: Store) -> None:
        leaving, worker = await a_worker(store), await a_worker(other)
        [mine] = await started_and_claimed(store, leaving, a_run())
        await store.commit_turns(leaving, [a_turn(mine, activities=[an_activity()], release=False)])
        [activity] = (await store.claim_activities(leaving, task_queues=["q"], limit=9)).claims
        await store.unregister_worker(leaving)
        [run] = await claim(other, worker)
        [again] = (await other.claim_activities(worker, task_queues=["q"], limit=9)).claims
        assert (run.crashes, again.attempt) == (0, 2)
        late = Settle(mine.run, 1, activity.token, ActivityCompleted(1, Payload(b"1")))
        assert await store.settle_activities([late]) == [False]

    async def test_an_activity_is_claimed_beaten_retried_and_settled_under_its_token(
        self, store: Store, other: Store
    ) -> None:
        worker, stranger = await a_worker(store), await a_worker(other)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        later = an_activity(2, next_attempt_at=await store.now() + MINUTE)
        await store.commit_turns(worker, [a_turn(mine, activities=[an_activity(headers={"h": "1"}), later])])
        found = await other.claim_activities(stranger, task_queues=["q"], limit=9)
        [first] = found.claims
        assert (first.attempt, first.headers, first.workflow_id, first.input) == (1, {"h": "1"}, "a", Payload(b"[1]"))
        assert found.next_due == later.next_attempt_at
        details = Payload(b"[50]")
        wrong = Beat(first.run, first.op, worker_token(first), None)
        beaten = await other.beat_activities([Beat(first.run, first.op, first.token, details), wrong])
        assert [(each.lost, each.cancel_requested) for each in beaten] == [(False, False), (True, False)]
        failure = Payload(b"{}", "failure")
        assert await other.retry_activities([Retry(first.run, first.op, first.token, timedelta(0), failure)]) == [True]
        assert await other.retry_activities([Retry(first.run, first.op, first.token, timedelta(0), failure)]) == [False]
        [second] = (await other.claim_activities(stranger, task_queues=["q"], limit=9)).claims
        assert (second.attempt, second.last_failure, second.heartbeat) == (2, failure, details)
        back = Retry(second.run, second.op, second.token, timedelta(0), None, counts=False)
        assert await other.retry_activities([back]) == [True]
        [third] = (await other.claim_activities(stranger, task_queues=["q"], limit=9)).claims
        assert (third.attempt, third.last_failure) == (2, failure)
        done = ActivityCompleted(1, Payload(b"1"))
        stale, good = Settle(third.run, 1, first.token, done), Settle(third.run, 1, third.token, done)
        assert await other.settle_activities([stale, good, good]) == [False, True, False]
        assert [each.arrival for each in await store.read_inbox([(mine.run, 0)], limit=9)] == [done]
