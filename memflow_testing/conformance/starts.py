"""Starts: who gets a workflow id."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from memflow.core.arrivals import RunTerminated, SignalReceived, UpdateReceived
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.values import Started, ToRun
from memflow_testing.conformance.making import a_run, a_worker, an_end, claim, started_and_claimed


async def ended(store: Store, workflow_id: str, status: Status = Status.COMPLETED) -> Started:
    [started] = await store.start_runs([a_run(workflow_id, task_queue="ended")])
    worker = await a_worker(store)
    turns = [an_end(each, status=status) for each in await claim(store, worker, queue="ended")]
    assert [each.outcome for each in await store.commit_turns(worker, turns)] == ["won"]
    return started


class Starts:
    """Starts: who gets a workflow id."""

    async def test_many_at_once_answer_in_their_order(self, store: Store) -> None:
        runs = [a_run(f"id-{n}") for n in range(300)]
        runs.reverse()
        answers = await store.start_runs(runs)
        assert [each.run_id for each in answers] == [each.run_id for each in runs]
        assert all(each.created for each in answers) and len({each.run for each in answers}) == 300
        assert await store.start_runs([]) == []

    async def test_two_of_one_id_in_a_batch_are_as_one_after_the_other(self, store: Store) -> None:
        a, b, c, d = a_run("x"), a_run("x"), a_run("x", on_conflict="use_existing"), a_run("x", on_conflict="terminate_existing")
        first, second, third, fourth = await store.start_runs([a, b, c, d])
        assert (first.created, first.run_id, first.conflict) == (True, a.run_id, None)
        assert (second.run_id, second.conflict) == (a.run_id, "a run with this id is open")
        assert (third.created, third.run_id, third.conflict) == (False, a.run_id, None)
        assert (fourth.created, fourth.run_id) == (True, d.run_id)
        latest = await store.find_run("x")
        assert latest is not None and latest.run_id == d.run_id

    async def test_a_repeat_of_a_start_is_the_same_start(self, store: Store) -> None:
        run = a_run("x")
        [first] = await store.start_runs([run])
        assert await store.start_runs([run]) == [first]
        [second] = await store.start_runs([a_run("x", on_conflict="terminate_existing")])
        assert await store.start_runs([run]) == [first], "also when another run has taken the id since"
        assert second.run != first.run
        assert await store.count_runs(None) == 2

    async def test_a_request_id_answers_with_the_run_it_made_whatever_the_workflow_id(self, store: Store) -> None:
        [first] = await store.start_runs([a_run(request_id="r")])
        again = await store.start_runs([a_run(request_id="r"), a_run(request_id="r2"), a_run(request_id="r2")])
        assert (again[0].run, again[0].created, again[0].conflict) == (first.run, False, None)
        assert again[1].run == again[2].run != first.run
        assert [again[1].created, again[2].created].count(True) == 1

    @pytest.mark.parametrize(
        ("status", "reuse", "taken"),
        [
            (Status.COMPLETED, "allow", False), (Status.COMPLETED, "failed_only", True), (Status.COMPLETED, "reject", True),
            (Status.FAILED, "failed_only", False), (Status.TIMED_OUT, "failed_only", False), (Status.FAILED, "reject", True),
        ],
    )
    async def test_reuse_of_an_ended_id(self, store: Store, status: Status, reuse: str, taken: bool) -> None:
        before = await ended(store, "x", status)
        [answer] = await store.start_runs([a_run("x", reuse=reuse)])
        assert (answer.conflict is not None, answer.created) == (taken, not taken)
        if taken:
            assert answer.run == before.run and str(status) in str(answer.conflict) and reuse in str(answer.conflict)

    async def test_a_delayed_start_is_due_later_and_its_time_limits_count_from_then(self, store: Store) -> None:
        hour = timedelta(hours=1)
        await store.start_runs([a_run("x", start_delay=hour, run_timeout=2 * hour, execution_timeout=hour)])
        run = await store.find_run("x")
        assert run is not None and run.wake_at == run.started_at + hour
        worker = await a_worker(store)
        found = await store.claim_runs(worker, task_queues=["q"], limit=10)
        assert (found.claims, found.next_due) == ([], run.wake_at)
        [now] = await started_and_claimed(store, worker, a_run("y", run_timeout=hour, execution_timeout=2 * hour))
        assert (now.deadline, now.deadline_kind) == (now.started_at + hour, "run")

    async def test_a_claim_brings_all_that_the_start_said(self, store: Store) -> None:
        run = a_run(
            "x",
            headers={"a": "ü"},
            memo=Payload(b'{"m":1}'),
            search=Payload(b'{"s":1}'),
            signal=("go", Payload(b"1", "enc")),
            priority=3,
        )
        [mine] = await started_and_claimed(store, await a_worker(store), run)
        assert (mine.headers, mine.memo, mine.record, mine.input) == ({"a": "ü"}, run.memo, run.search, run.input)
        assert (mine.arrived, mine.consumed, mine.first_arrivals, mine.length, mine.turn) == (1, 0, 1, 0, 0)
        assert mine.last_at == mine.started_at and mine.deadline is None
        [mail] = await store.read_inbox([(mine.run, 0)], limit=1)
        assert mail.arrival == SignalReceived("go", Payload(b"1", "enc"))

    async def test_a_start_with_a_signal_that_meets_an_open_run_signals_that_one_once(self, store: Store) -> None:
        [first] = await store.start_runs([a_run("x")])
        again = a_run("x", on_conflict="use_existing", signal=("go", Payload(b"1")))
        for _ in range(2):
            assert (await store.start_runs([again]))[0].run == first.run
        assert len(await store.read_inbox([(first.run, 0)], limit=9)) == 1

    @pytest.mark.parametrize("on_conflict", ["fail", "use_existing"])
    async def test_a_start_with_a_message_is_both_or_neither_and_counts_once(self, store: Store, on_conflict: str) -> None:
        first, update = a_run("x", on_conflict=on_conflict), UpdateReceived("u", "add", Payload(b"[1]"))
        message = ToRun("default", "x", None, update, "update:u")
        for outcome in ("delivered", "duplicate"):
            started, sent = await store.start_and_send(first, message)
            assert started.run_id == first.run_id and sent is not None and sent.outcome == outcome
            assert sent.chain == first.run_id
        second, again = a_run("x", on_conflict=on_conflict), replace(update, update_id="v")
        later, sent = await store.start_and_send(second, replace(message, arrival=again, request_id="update:v"))
        assert (later.run_id, later.created) == (first.run_id, False)
        mail = [each.arrival for each in await store.read_inbox([(started.run, 0)], limit=9)]
        if on_conflict == "fail":
            assert later.conflict is not None and sent is None and mail == [update]
        else:
            assert sent is not None and sent.outcome == "delivered" and mail == [update, again]

    async def test_of_fifty_starts_with_a_message_one_starts_and_all_are_heard(self, store: Store, other: Store) -> None:
        async def one(number: int) -> Started:
            message = ToRun("default", "x", None, UpdateReceived(f"u-{number}", "add"), f"update:u-{number}")
            run = a_run("x", on_conflict="use_existing")
            started, sent = await (store if number % 2 else other).start_and_send(run, message)
            assert sent is not None and sent.outcome == "delivered"
            return started

        answers = await asyncio.gather(*(one(number) for number in range(50)))
        [made] = [each for each in answers if each.created]
        assert {each.run for each in answers} == {made.run}
        assert len(await store.read_inbox([(made.run, 0)], limit=99)) == 50

    async def test_higher_priority_is_taken_first_and_never_more_than_asked_for(self, store: Store) -> None:
        await store.start_runs([a_run(f"low-{n}") for n in range(5)] + [a_run(f"high-{n}", priority=5) for n in range(5)])
        worker = await a_worker(store)
        first = (await store.claim_runs(worker, task_queues=["q"], limit=6)).claims
        assert sorted(each.workflow_id[:4] for each in first) == ["high"] * 5 + ["low-"]

    @pytest.mark.parametrize("on_conflict", ["fail", "use_existing"])
    async def test_of_fifty_clients_one_starts_it(self, store: Store, other: Store, on_conflict: str) -> None:
        for before in (None, "ended"):
            workflow_id = f"x-{before}"
            if before:
                await ended(store, workflow_id)
            runs = [a_run(workflow_id, on_conflict=on_conflict) for _ in range(50)]
            starts = [(store if n % 2 else other).start_runs([run]) for n, run in enumerate(runs)]
            answers = [one for [one] in await asyncio.gather(*starts)]
            [winner] = [each for each in answers if each.created]
            assert {each.run for each in answers} == {winner.run}
            assert sum(each.conflict is not None for each in answers) == (49 if on_conflict == "fail" else 0)

    async def test_replacing_by_fifty_clients_leaves_one_open_run_and_a_chain_of_ended_ones(
        self, store: Store, other: Store
    ) -> None:
        runs = [a_run("x", on_conflict="terminate_existing") for _ in range(50)]
        answers = await asyncio.gather(*((store if n % 2 else other).start_runs([run]) for n, run in enumerate(runs)))
        assert all(one.created for [one] in answers)
        statuses = Counter(each.status for each in await store.list_runs(None, limit=100))
        assert statuses == {Status.RUNNING: 1, Status.TERMINATED: 49}
        for [one] in answers:
            row = await store.find_run("x", one.run_id)
            assert row is not None
            if row.status is Status.TERMINATED:
                assert [each.entry for each in await store.history(one.run)] == [RunTerminated("replaced by a new start")]
