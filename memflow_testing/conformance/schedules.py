"""Schedules: rows, and what a look at those that are due does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from memflow.core.arrivals import CancelRequested
from memflow.filters import parse
from memflow.firing import Overlap, Policy, ScheduleState, Wanted
from memflow.payload import NO_ARGUMENTS
from memflow.runs import Status
from memflow.schedule_spec import ScheduleSpec
from memflow.store.base import Store
from memflow.store.schedule_values import ScheduleAction, ScheduleRow, Taker
from memflow_testing.conformance.making import QUEUE, a_worker, an_end, claim

RARELY = ScheduleSpec(every=timedelta(days=3650), offset=timedelta(days=3649))


def a_schedule(id: str, now: datetime, *, wanted: int = 0, **policy: Any) -> ScheduleRow:
    """A schedule of which so many runs are wanted at once."""
    state = ScheduleState(cursor=now, wanted=tuple(Wanted(now - timedelta(seconds=n), manual=True) for n in range(wanted)))
    return ScheduleRow(id, RARELY, Policy(**policy), ScheduleAction("order", QUEUE), state, now, now, now)


class Schedules:
    """Schedules: rows, and what a look at those that are due does."""

    async def test_an_id_is_taken_once_and_lists_go_by_it(self, store: Store) -> None:
        now = await store.now()
        assert [await store.create_schedule(a_schedule(id, now)) for id in ("b", "a", "c", "b")] == [True, True, True, False]
        assert [row.id for row in await store.list_schedules(after=None, limit=2)] == ["a", "b"]
        assert [row.id for row in await store.list_schedules(after="b", limit=2)] == ["c"]
        assert await store.delete_schedule("a") and not await store.delete_schedule("a")
        assert await store.find_schedule("a") is None

    async def test_an_edit_sees_what_is_there_and_one_that_fails_changes_nothing(self, store: Store) -> None:
        await store.create_schedule(a_schedule("s", await store.now()))

        def pause(row: ScheduleRow) -> ScheduleRow:
            return replace(row, state=replace(row.state, paused=True, note="holidays"))

        edited = await store.edit_schedule("s", pause)
        found = await store.find_schedule("s")
        assert edited is not None and found is not None and found.state.note == "holidays" and found.state.paused
        assert found.updated_at > found.created_at
        assert await store.edit_schedule("nobody", pause) is None

    async def test_ids_of_runs_begin_as_the_action_says(self, store: Store) -> None:
        row = a_schedule("s", await store.now(), wanted=1)
        await store.create_schedule(replace(row, action=replace(row.action, workflow_id="named")))
        found = await store.find_schedule("s")
        assert found is not None and found.action.workflow_id == "named"
        await store.serve_schedules(limit=5)
        [run] = await store.list_runs(None, limit=5)
        assert run.workflow_id.startswith("named-")

    async def test_a_look_starts_what_is_wanted_once(self, store: Store) -> None:
        now = await store.now()
        await store.create_schedule(a_schedule("s", now, wanted=1))
        served = await store.serve_schedules(limit=10)
        assert (served.schedules, served.started) == (1, 1)
        assert (await store.serve_schedules(limit=10)).started == 0
        [run] = await store.list_runs(parse('schedule = "s"', now=now), limit=9)
        assert (run.schedule, run.workflow, run.status) == ("s", "order", Status.RUNNING)
        found = await store.find_schedule("s")
        assert found is not None and [each.run_id for each in await store.running_of(found.state)] == [run.run_id]

    async def test_what_a_look_starts_is_the_takers_or_anybodys_and_never_both(self, store: Store) -> None:
        """A store need not give the taker anything; what it gives is as a claim has it."""
        worker, stranger = await a_worker(store), await a_worker(store)
        for n in range(3):
            await store.create_schedule(a_schedule(f"s{n}", await store.now(), wanted=1))
        served = await store.serve_schedules(limit=10, taker=Taker(worker, [QUEUE], 10, lambda _: True))
        assert served.started == 3
        left = await claim(store, stranger)
        assert len(served.claims) + len(left) == 3
        assert len({each.run for each in (*served.claims, *left)}) == 3
        for owner, claims in ((worker, served.claims), (stranger, left)):
            assert all(each.input == NO_ARGUMENTS and each.task_queue == QUEUE for each in claims)
            answers = await store.commit_turns(owner, [an_end(each) for each in claims])
            assert [each.outcome for each in answers] == ["won"] * len(claims)

    async def test_one_who_is_no_worker_any_more_is_given_nothing(self, store: Store) -> None:
        worker = await a_worker(store)
        await store.unregister_worker(worker)
        await store.create_schedule(a_schedule("s", await store.now(), wanted=1))
        served = await store.serve_schedules(limit=10, taker=Taker(worker, [QUEUE], 10, lambda _: True))
        assert (served.started, list(served.claims)) == (1, [])
        assert len(await claim(store, await a_worker(store))) == 1

    async def test_the_end_of_a_run_is_told_and_its_result_kept(self, store: Store) -> None:
        worker = await a_worker(store)
        await store.create_schedule(a_schedule("s", await store.now(), wanted=1))
        await store.serve_schedules(limit=10)
        [mine] = await claim(store, worker)
        await store.commit_turns(worker, [an_end(mine)])
        assert (await store.serve_schedules(limit=10)).schedules == 1
        found = await store.find_schedule("s")
        assert found is not None and found.result is not None and found.result.data == b'"done"'
        assert found.state.running == ()

    async def test_overlapping_runs_are_ended_as_the_policy_says(self, store: Store) -> None:
        worker = await a_worker(store)
        now = await store.now()
        for id, overlap in (("asks", Overlap.CANCEL_OTHER), ("ends", Overlap.TERMINATE_OTHER)):
            await store.create_schedule(a_schedule(id, now, wanted=1, overlap=overlap))
        await store.serve_schedules(limit=10)
        claims = {each.workflow_id.partition("-")[0]: each for each in await claim(store, worker)}

        def again(row: ScheduleRow) -> ScheduleRow:
            return replace(row, state=replace(row.state, wanted=(Wanted(row.now, manual=True),)))

        for id in ("asks", "ends"):
            await store.edit_schedule(id, again)
        await store.serve_schedules(limit=10)
        asked, ended = claims["asks"], claims["ends"]
        assert [each.arrival for each in await store.read_inbox([(asked.run, 0)], limit=9)] == [
            CancelRequested("the next run of its schedule is due")
        ]
        row = await store.find_run(ended.workflow_id, ended.run_id)
        assert row is not None and row.status is Status.TERMINATED
