"""Chains: the run that goes on where another ended, in the same commit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from memflow.core.arrivals import ActivityCompleted, CancelRequested, ChildCompleted, RunStarted, SignalReceived
from memflow.core.interrupts import ContinueAsNew, SendSignal, StartChild, StopOther
from memflow.options import ChildOptions
from memflow.payload import Payload
from memflow.retry import RetryPolicy
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import Claim, NextRun, TurnCommit
from memflow.store.values import ToRun
from memflow_testing.conformance.making import MINUTE, a_run, a_turn, a_worker, an_end, claim, started_and_claimed

POLICY = RetryPolicy(maximum_attempts=3)


def a_continuation(claimed: Claim, run_id: str, **more: Any) -> TurnCommit:
    """The last turn of a run that continues as new."""
    options: dict[str, Any] = {"attempt": 1, "delay": timedelta(0), "record": None, "memo": None, **more}
    input = Payload(b"[2]")
    entries = (RunStarted(), ContinueAsNew(input))
    following = NextRun(run_id, input=input, **options)
    return a_turn(claimed, *entries, consumed=claimed.consumed, status=Status.CONTINUED_AS_NEW, next=following)


def to_run(workflow_id: str, arrival: Any, run_id: str | None = None, request_id: str | None = None) -> ToRun:
    return ToRun("default", workflow_id, run_id, arrival, request_id)


class Chains:
    """Chains: the run that goes on where another ended, in the same commit."""

    async def test_the_next_run_has_what_the_one_before_had(self, store: Store) -> None:
        worker = await a_worker(store)
        given = a_run(
            "a", headers={"trace": "1"}, memo=Payload(b'{"by":1}'), search=Payload(b'{"n":1}'), priority=3, run_timeout=MINUTE,
            execution_timeout=10 * MINUTE, retry=POLICY, expire=MINUTE,
        )  # fmt: skip
        [old] = await started_and_claimed(store, worker, given)
        ending = a_continuation(old, "a-2", record=Payload(b'{"n":2}'), memo=Payload(b"sealed", "aes"))
        [won] = await store.commit_turns(worker, [ending])
        assert won.outcome == "won"
        [outcome] = await store.outcomes([old.run])
        assert (outcome.status, outcome.next_run_id) == (Status.CONTINUED_AS_NEW, "a-2")
        [new] = await claim(store, worker)
        assert (new.run_id, new.first_run_id, new.continued_run_id, new.attempt) == ("a-2", old.run_id, old.run_id, 1)
        assert (new.input, new.headers, new.memo, new.record) == (
            Payload(b"[2]"), {"trace": "1"}, Payload(b"sealed", "aes"), Payload(b'{"n":2}'),
        )  # fmt: skip
        assert new.retry == POLICY and new.execution_deadline == old.execution_deadline
        assert new.deadline_kind == "run" and new.deadline is not None and new.deadline - new.last_at == MINUTE
        run = await store.find_run("a")
        assert run is not None and run.run_id == "a-2" and run.record == {"n": 2}

    async def test_what_is_not_given_may_be_changed(self, store: Store) -> None:
        worker = await a_worker(store)
        [old] = await started_and_claimed(store, worker, a_run("a", execution_timeout=MINUTE, retry=POLICY))
        other = RetryPolicy(maximum_attempts=9)
        more: dict[str, Any] = {"workflow": "other", "task_queue": "elsewhere", "run_timeout": 2 * MINUTE, "retry": other}
        await store.commit_turns(worker, [a_continuation(old, "a-2", attempt=4, delay=MINUTE, **more)])
        assert await claim(store, worker, queue="elsewhere") == [], "it is not due yet"
        run = await store.find_run("a")
        assert run is not None and (run.workflow, run.task_queue, run.attempt) == ("other", "elsewhere", 4)
        assert run.wake_at is not None and run.wake_at - run.started_at == MINUTE

    async def test_unread_mail_goes_along_in_order_but_for_what_answers_the_run_that_ended(self, store: Store) -> None:
        worker = await a_worker(store)
        [old] = await started_and_claimed(store, worker, a_run("a"))
        taken, unread = SignalReceived("go", Payload(b"0")), SignalReceived("go", Payload(b"2"), None, {"trace": "1"})
        await store.send([to_run("a", taken), to_run("a", unread, request_id="once"), to_run("a", CancelRequested("enough"))])
        read = SignalReceived("go", Payload(b"1"))
        ending = a_continuation(old, "a-2", signals=[read])
        ending.consumed = 1
        ending.mail = [ActivityCompleted(7, Payload(b"late"))]
        [won] = await store.commit_turns(worker, [ending])
        assert won.outcome == "won", "a run that goes on need not read first"
        [new] = await claim(store, worker)
        assert (new.arrived, new.consumed, new.first_arrivals) == (3, 0, 3)
        mail = await store.read_inbox([(new.run, 0)], limit=10)
        assert [(each.position, each.arrival) for each in mail] == [(1, read), (2, unread), (3, CancelRequested("enough"))]
        assert await store.read_inbox([(old.run, 0)], limit=10) == []
        [again] = await store.send([to_run("a", unread, request_id="once")])
        assert again.outcome == "duplicate"
        [more] = await store.send([to_run("a", SignalReceived("go", Payload(b"3")))])
        assert more.outcome == "delivered"
        assert [each.position for each in await store.read_inbox([(new.run, 3)], limit=10)] == [4]

    async def test_a_signal_that_answers_a_wait_of_the_run_that_ended_goes_along_by_its_name(self, store: Store) -> None:
        worker = await a_worker(store)
        [old, sender] = await started_and_claimed(store, worker, a_run("a"), a_run("b"))
        answer = SignalReceived("approved", Payload(b"1"), 7)
        first = a_turn(old, release=False)
        first.mail = [answer, ActivityCompleted(8, Payload(b"1"))]
        [kept] = await store.commit_turns(worker, [first])
        assert kept.arrived == 2
        ending = a_continuation(replace(old, length=1, turn=1), "a-2")
        [won] = await store.commit_turns(worker, [ending])
        assert won.outcome == "won"
        [new] = [each for each in await claim(store, worker) if each.run != sender.run]
        assert [each.arrival for each in await store.read_inbox([(new.run, 0)], limit=10)] == [
            SignalReceived("approved", Payload(b"1"))
        ]

    async def test_a_fenced_end_begins_nothing(self, store: Store) -> None:
        worker = await a_worker(store)
        [a, b] = await started_and_claimed(store, worker, a_run("a"), a_run("b"))
        zombie = a_continuation(a, "a-2")
        zombie.token = uuid4()
        outcomes = await store.commit_turns(worker, [zombie, a_continuation(b, "b-2")])
        assert [each.outcome for each in outcomes] == ["fenced", "won"]
        [repeated] = await store.commit_turns(worker, [a_continuation(b, "b-2")])
        assert repeated.outcome == "fenced"
        runs = await store.list_runs(None, limit=10)
        assert sorted((each.workflow_id, each.status.value) for each in runs) == [
            ("a", "running"), ("b", "continued_as_new"), ("b", "running"),
        ]  # fmt: skip

    async def test_a_parent_hears_of_the_last_run_alone_and_reaches_whichever_is_open(self, store: Store) -> None:
        worker = await a_worker(store)
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        start = StartChild(1, "ship", "child", "c-1", Payload(b"[]"), ChildOptions(retry=POLICY, run_timeout=MINUTE))
        await store.commit_turns(worker, [a_turn(parent, RunStarted(), start, effects=[start], release=False)])
        [child] = await claim(store, worker)
        assert child.retry == POLICY and child.deadline_kind == "run"
        await store.commit_turns(worker, [a_continuation(child, "c-2")])
        assert await store.read_inbox([(parent.run, 0)], limit=10) == []
        [second] = await claim(store, worker)
        assert (second.parent_workflow_id, second.parent_run_id) == ("parent", parent.run_id)

        send = SendSignal(2, "go", Payload(b"1"), "child", "c-1")
        stop = StopOther(3, "cancel", "child", "c-1", child_op=1)
        later = replace(parent, length=2, turn=1)
        [won] = await store.commit_turns(worker, [a_turn(later, send, stop, effects=[send, stop], release=False)])
        assert won.outcome == "won"
        mail = await store.read_inbox([(second.run, 0)], limit=10)
        assert [each.arrival for each in mail] == [SignalReceived("go", Payload(b"1")), CancelRequested()]

        await store.commit_turns(worker, [an_end(second, consumed=2)])
        [answer] = await store.read_inbox([(parent.run, 0)], limit=10)
        assert answer.arrival == ChildCompleted(1, Payload(b'"done"'))

    async def test_a_parents_end_reaches_the_run_that_its_child_goes_on_as(self, store: Store) -> None:
        worker = await a_worker(store)
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        start = StartChild(1, "ship", "child", "c-1", Payload(b"[]"), ChildOptions())
        await store.commit_turns(worker, [a_turn(parent, RunStarted(), start, effects=[start], release=False)])
        [child] = await claim(store, worker)
        await store.commit_turns(worker, [a_continuation(child, "c-2")])
        later = replace(parent, length=2, turn=1)
        await store.commit_turns(worker, [an_end(later, ActivityCompleted(9, Payload(b"1")))])
        run = await store.find_run("child")
        assert run is not None and (run.run_id, run.status) == ("c-2", Status.TERMINATED)
