"""Commits of turns that only add to their journal."""

from __future__ import annotations

from uuid import uuid4

from memflow.core.arrivals import RunStarted
from memflow.core.interrupts import ScheduleActivity
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.steps import is_step
from memflow_testing.conformance.making import a_run, a_turn, a_worker, started_and_claimed

_ASKED = ScheduleActivity(1, "echo", Payload(b"[1]"), ActivityOptions())


class Steps:
    """Commits of turns that only add to their journal."""

    async def test_steps_of_many_runs_are_fenced_one_by_one(self, store: Store) -> None:
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(4)])
        turns = [a_turn(each, RunStarted(), _ASKED, release=False) for each in claims]
        turns[0].token = uuid4()
        turns[2].length = 5
        assert all(map(is_step, turns))
        answers = await store.commit_turns(worker, turns)
        assert [(each.outcome, each.released) for each in answers] == [
            ("fenced", True), ("won", False), ("fenced", True), ("won", False),
        ]
        assert [[entry.entry for entry in await store.history(each.run)] for each in claims] == [
            [], [RunStarted(Payload(b"[]")), _ASKED], [], [RunStarted(Payload(b"[]")), _ASKED],
        ]
        stranger = await a_worker(store)
        again = a_turn(claims[0], release=False)
        assert [each.outcome for each in await store.commit_turns(stranger, [again])] == ["fenced"]
        assert [each.outcome for each in await store.commit_turns(worker, [again])] == ["won"]
