"""What becomes of a commit: won, fenced, unread, refused; and what it does to others."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    MessageDelivered,
    MessageNotDelivered,
    RunStarted,
    RunTerminated,
    SignalReceived,
    TimerFired,
)
from memflow.core.interrupts import Emit, Fail, SendSignal, StartChild, StopOther
from memflow.failure import Failure, encode_failure
from memflow.filters import parse
from memflow.options import ChildOptions, ParentClosePolicy
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import TurnCommit
from memflow_testing.conformance.making import (
    MINUTE,
    T0,
    a_run,
    a_signal,
    a_turn,
    a_worker,
    an_activity,
    an_end,
    claim,
    journal,
    started_and_claimed,
)


def a_child(
    op: int = 1, workflow_id: str = "child", policy: ParentClosePolicy = ParentClosePolicy.TERMINATE, **more: Any
) -> StartChild:
    options = ChildOptions(parent_close_policy=policy)
    return StartChild(op, "leaf", workflow_id, f"run-of-{workflow_id}", Payload(b"[7]"), options, **more)


async def a_family(store: Store, worker: int, **more: Any) -> tuple[Any, Any]:
    """A parent whose child has been claimed: both claims. The parent waits and stays owned."""
    [parent] = await started_and_claimed(store, worker, a_run("parent"))
    child = a_child(**more)
    await store.commit_turns(worker, [a_turn(parent, RunStarted(), child, effects=[child], release=False)])
    [claimed] = await claim(store, worker)
    return parent, claimed


async def mail_of(store: Store, run: int) -> list[Any]:
    return [each.arrival for each in await store.read_inbox([(run, 0)], limit=100)]


class Commits:
    """What becomes of a commit: won, fenced, unread, refused; and what it does to others."""

    async def test_another_token_or_length_or_owner_is_fenced_and_harms_no_neighbour(self, store: Store) -> None:
        worker, stranger = await a_worker(store), await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(4)])
        turns = [a_turn(each) for each in claims]
        turns[0].token = uuid4()
        turns[1].length = 7
        turns[3] = an_end(claims[3])
        turns[3].token = uuid4()
        answers = await store.commit_turns(worker, turns)
        assert [each.outcome for each in answers] == ["fenced", "fenced", "won", "fenced"]
        assert [len(await store.history(each.run)) for each in claims] == [0, 0, 1, 0]
        assert [each.outcome for each in await store.commit_turns(stranger, [a_turn(claims[0])])] == ["fenced"]
        assert (await store.commit_turns(worker, [a_turn(claims[0])]))[0].outcome == "won"

    async def test_a_close_over_unread_mail_writes_nothing_and_stays_ours(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.send([a_signal("a")])
        [answer] = await store.commit_turns(worker, [an_end(mine, consumed=0)])
        assert (answer.outcome, answer.arrived, answer.released) == ("unread", 1, False)
        assert await store.history(mine.run) == []
        [mail] = await store.read_inbox([(mine.run, 0)], limit=10)
        assert (await store.commit_turns(worker, [an_end(mine, RunStarted(), mail.arrival, consumed=1)]))[0].outcome == "won"
        assert await store.read_inbox([(mine.run, 0)], limit=10) == []

    async def test_a_release_that_met_mail_keeps_the_run(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.send([a_signal("a")])
        [answer] = await store.commit_turns(worker, [a_turn(mine, consumed=0)])
        assert (answer.outcome, answer.arrived, answer.released) == ("won", 1, False)
        assert await store.owned_with_mail(worker) == [mine.run]
        assert await claim(store, await a_worker(store)) == []

    async def test_a_run_is_let_go_over_unread_mail_when_it_is_not_to_stay(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.send([a_signal("a")])
        later = await store.now() + MINUTE
        turn = a_turn(mine, consumed=0, sticky=False, wake_at=later, detail="stuck: x", retries=1)
        [answer] = await store.commit_turns(worker, [turn])
        assert (answer.outcome, answer.released) == ("won", True)
        run = await store.find_run("a")
        assert run is not None and (run.wake_at, run.owner, run.detail) == (later, None, "stuck: x")

    async def test_one_value_that_postgres_refuses_does_not_sink_the_batch(self, store: Store) -> None:
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(9)])
        turns = [an_end(each) for each in claims]
        turns[4] = a_turn(claims[4], detail="a\0b")
        answers = await store.commit_turns(worker, turns)
        assert [each.outcome for each in answers] == ["won"] * 4 + ["refused"] + ["won"] * 4
        assert answers[4].reason is not None and "0x00" in answers[4].reason
        assert (await store.commit_turns(worker, [a_turn(claims[4])]))[0].outcome == "won"

    async def test_answers_come_in_the_order_of_the_turns(self, store: Store) -> None:
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(5)])
        turns = [a_turn(each) for each in reversed(claims)]
        assert [each.run for each in await store.commit_turns(worker, turns)] == [each.run for each in reversed(claims)]

    async def test_a_child_is_started_by_the_commit_and_its_end_comes_back(self, store: Store) -> None:
        worker = await a_worker(store)
        parent, child = await a_family(store, worker, announce=True)
        assert (child.workflow, child.workflow_id, child.run_id) == ("leaf", "child", "run-of-child")
        assert child.input == Payload(b"[7]")
        assert (child.parent_workflow_id, child.parent_run_id, child.task_queue) == ("parent", parent.run_id, "q")
        await store.commit_turns(worker, [an_end(child)])
        assert await mail_of(store, parent.run) == [ChildStarted(1), ChildCompleted(1, Payload(b'"done"'))]
        assert await store.owned_with_mail(worker) == [parent.run]

    @pytest.mark.parametrize(
        ("status", "kind"), [(Status.FAILED, ChildFailed), (Status.CANCELLED, ChildCancelled), (Status.TIMED_OUT, ChildFailed)]
    )
    async def test_a_child_that_does_not_complete_comes_back_as_an_error_with_its_cause(
        self, store: Store, status: Status, kind: Any
    ) -> None:
        worker = await a_worker(store)
        parent, child = await a_family(store, worker)
        failure = Failure("application", "no \0 \ud800 luck", type="Bad")
        await store.commit_turns(
            worker, [a_turn(child, RunStarted(), Fail(failure), status=status, result=encode_failure(failure))]
        )
        [answer] = await mail_of(store, parent.run)
        assert isinstance(answer, kind)
        assert (answer.failure.kind, answer.failure.cause) == ("child", failure)
        assert answer.failure.facts == {"workflow": "leaf", "workflow_id": "child", "run_id": "run-of-child"}

    async def test_a_taken_child_id_is_answered_and_the_commit_is_won(self, store: Store) -> None:
        worker = await a_worker(store)
        await store.start_runs([a_run("child", task_queue="elsewhere", run_id="first")])
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        child = a_child()
        [won] = await store.commit_turns(worker, [a_turn(parent, RunStarted(), child, effects=[child])])
        assert (won.outcome, won.arrived, won.released) == ("won", 1, False), "the answer is mail: the run stays"
        assert await mail_of(store, parent.run) == [ChildNotStarted(1, "child", "first")]

    async def test_an_ended_run_makes_room_for_a_child_of_its_id(self, store: Store) -> None:
        worker = await a_worker(store)
        [old] = await started_and_claimed(store, worker, a_run("child"))
        await store.commit_turns(worker, [an_end(old)])
        _, child = await a_family(store, worker)
        assert child.run_id == "run-of-child"
        latest, before = await store.find_run("child"), await store.find_run("child", old.run_id)
        assert latest is not None and latest.run == child.run
        assert before is not None and before.run == old.run

    async def test_stopping_a_run_and_starting_a_child_of_its_id_in_one_turn_happen_in_that_order(self, store: Store) -> None:
        worker = await a_worker(store)
        await store.start_runs([a_run("child", task_queue="elsewhere", run_id="first")])
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        stop, child = StopOther(1, "terminate", "child"), a_child(2)
        await store.commit_turns(worker, [a_turn(parent, RunStarted(), stop, child, effects=[stop, child])])
        first, latest = await store.find_run("child", "first"), await store.find_run("child")
        assert first is not None and first.status is Status.TERMINATED
        assert latest is not None and latest.run_id == "run-of-child"

    async def test_a_parent_that_closes_ends_its_children_by_their_policies(self, store: Store) -> None:
        worker = await a_worker(store)
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        children = [a_child(n, str(policy), policy) for n, policy in enumerate(ParentClosePolicy, start=1)]
        await store.commit_turns(worker, [a_turn(parent, RunStarted(), *children, effects=children, release=False)])
        claimed = {each.workflow_id: each for each in await claim(store, worker)}
        grandchild = a_child(1, "grandchild")
        await store.commit_turns(worker, [a_turn(claimed["terminate"], RunStarted(), grandchild, effects=[grandchild])])
        end = an_end(parent, TimerFired(9))
        end.length = 4
        end.entries = [type(e)(e.seq + 4, e.turn, e.at, e.entry) for e in end.entries]
        assert (await store.commit_turns(worker, [end]))[0].outcome == "won"
        found = {each.workflow_id: each for each in await store.list_runs(None, limit=10)}
        assert {name: str(each.status) for name, each in found.items()} == {
            "parent": "completed",
            "terminate": "terminated",
            "request_cancel": "running",
            "abandon": "running",
            "grandchild": "terminated",
        }
        assert await mail_of(store, claimed["request_cancel"].run) == [CancelRequested("the parent workflow closed")]
        assert await mail_of(store, claimed["abandon"].run) == []
        [entry] = await store.history(found["grandchild"].run)
        assert entry.entry == RunTerminated("the parent workflow closed")

    async def test_messages_to_other_runs_ride_along_and_those_to_ended_ones_are_dropped(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b, gone = await started_and_claimed(store, worker, a_run("a"), a_run("b"), a_run("gone"))
        await store.commit_turns(worker, [an_end(gone)])
        effects: list[SendSignal | StopOther] = [
            SendSignal(1, "go", Payload(b"1"), "b"),
            StopOther(2, "cancel", "b", reason="enough"),
            SendSignal(3, "go", Payload(b"2"), "b", b.run_id),
            SendSignal(4, "go", Payload(b"3"), "gone"),
            SendSignal(5, "go", Payload(b"4"), "nobody"),
            StopOther(6, "terminate", "nobody"),
            SendSignal(7, "self", Payload(b"5"), "a"),
        ]
        [won] = await store.commit_turns(worker, [a_turn(a, RunStarted(), *effects, effects=effects)])
        assert (won.arrived, won.released) == (1, False)
        assert await mail_of(store, b.run) == [
            SignalReceived("go", Payload(b"1")), CancelRequested("enough"), SignalReceived("go", Payload(b"2")),
        ]
        assert await mail_of(store, a.run) == [SignalReceived("self", Payload(b"5"))]

    async def test_a_run_hears_whether_what_it_sent_has_found_anybody(self, store: Store) -> None:
        worker = await a_worker(store)
        a, _, gone = await started_and_claimed(store, worker, a_run("a"), a_run("b"), a_run("gone"))
        await store.commit_turns(worker, [an_end(gone)])
        effects: list[SendSignal | StopOther | StartChild] = [
            SendSignal(1, "go", Payload(b"1"), "b", tell=True),
            SendSignal(2, "go", Payload(b"2"), "gone", tell=True),
            SendSignal(3, "go", Payload(b"3"), "nobody", tell=True),
            SendSignal(4, "go", Payload(b"3"), "b", "another run", tell=True),
            StopOther(5, "cancel", "b", tell=True),
            StopOther(6, "cancel", "gone", tell=True),
            StopOther(7, "terminate", "b", tell=True),
            SendSignal(8, "go", Payload(b"4"), "b", tell=True),
            SendSignal(9, "go", Payload(b"5"), "gone", tell=True),
            a_child(10, "gone"),
        ]
        [won] = await store.commit_turns(worker, [a_turn(a, RunStarted(), *effects, effects=effects)])
        assert (won.outcome, won.released) == ("won", False), "the answers are mail: the run stays"
        assert sorted(await mail_of(store, a.run), key=lambda each: getattr(each, "op", 0)) == [
            MessageDelivered(1),
            MessageNotDelivered(2, "gone", "completed"),
            MessageNotDelivered(3, "nobody"),
            MessageNotDelivered(4, "b"),
            MessageDelivered(5),
            MessageNotDelivered(6, "gone", "completed"),
            MessageDelivered(7),
            MessageNotDelivered(8, "b", "terminated"),
            MessageNotDelivered(9, "gone", "completed"),
        ]

    async def test_a_run_that_ends_hears_nothing_of_what_it_sent(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b = await started_and_claimed(store, worker, a_run("a"), a_run("b"))
        sent = SendSignal(1, "go", Payload(b"1"), "b", tell=True)
        [won] = await store.commit_turns(worker, [an_end(a, sent, effects=[sent])])
        assert won.outcome == "won"
        assert await mail_of(store, b.run) == [SignalReceived("go", Payload(b"1"))]

    async def test_a_child_begins_with_the_memo_and_the_fields_that_it_is_given(self, store: Store) -> None:
        worker = await a_worker(store)
        memo, search = Payload(b"sealed", "aes"), Payload(b'{"colour":"red"}')
        _, child = await a_family(store, worker, memo=memo, search=search)
        assert (child.memo, child.record) == (memo, search)
        found = await store.list_runs(parse('record.colour = "red"', now=await store.now()), limit=10)
        assert [row.workflow_id for row in found] == ["child"]

    async def test_terminating_another_run_ends_it_at_once_and_fences_its_owner(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b = await started_and_claimed(store, worker, a_run("a"), a_run("b"))
        stop = StopOther(1, "terminate", "b", reason="because")
        stopping, stopped = a_turn(a, RunStarted(), stop, effects=[stop]), a_turn(b, activities=[an_activity()])
        answers = await store.commit_turns(worker, [stopping, stopped])
        assert [each.outcome for each in answers] == ["won", "won"], "it still had its turn in the same commit"
        run = await store.find_run("b")
        assert run is not None and run.status is Status.TERMINATED
        assert [each.entry for each in await store.history(b.run)] == [RunStarted(Payload(b"[]")), RunTerminated("because")]
        late = a_turn(b, TimerFired(1))
        late.length = 1
        assert (await store.commit_turns(worker, [late]))[0].outcome == "fenced"
        assert await store.activities_of(b.run) == []

    async def test_a_record_is_replaced_whole_and_what_is_no_object_is_left_out(self, store: Store) -> None:
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run(search=Payload(b'{"x": 1, "y": 1}')) for _ in range(4)])
        records = [Payload(b'{"x": 3, "z": {"k": null}}'), Payload(b"[1]"), Payload(b'"a\\u0000"'), Payload(b"secret", "aes")]
        await store.commit_turns(worker, [a_turn(each, record=record) for each, record in zip(claims, records, strict=True)])
        found = [await store.find_run(each.workflow_id) for each in claims]
        assert [each.record for each in found if each is not None] == [{"x": 3, "z": {"k": None}}] + [{"x": 1, "y": 1}] * 3

    async def test_a_memo_shows_as_it_is_now_and_is_claimed_as_it_was_given(self, store: Store) -> None:
        worker = await a_worker(store)
        [a, b] = await started_and_claimed(store, worker, a_run("a", memo=Payload(b'{"by": 1}')), a_run("b"))
        fenced = a_turn(b, memo=Payload(b'{"by": 3}'))
        fenced.token = uuid4()
        await store.commit_turns(worker, [a_turn(a, memo=Payload(b"sealed", "aes"), wake_at=T0), fenced])
        [run, other] = [await store.find_run(each) for each in ("a", "b")]
        assert run is not None and run.memo == Payload(b"sealed", "aes")
        assert other is not None and other.memo is None
        [again] = await claim(store, worker)
        assert again.memo == Payload(b'{"by": 1}')

    async def test_events_are_published_with_the_commit_in_order(self, store: Store) -> None:
        worker = await a_worker(store)
        [a] = await started_and_claimed(store, worker, a_run("a"))
        _, position = await store.events_after(None, limit=0)
        effects = [Emit(1, {"t.1": Payload(b"1"), "t.2": Payload(b"\xff", "raw")}), Emit(2, {"t.3": Payload(b"3")})]
        turn = a_turn(a, RunStarted(), *effects, effects=effects)
        fenced = TurnCommit(a.run, uuid4(), 0, turn.entries, 0, True, effects=effects)
        assert (await store.commit_turns(worker, [fenced]))[0].outcome == "fenced"
        await store.commit_turns(worker, [turn])
        events, position = await store.events_after(position, limit=2)
        assert [(each.topic, each.payload, each.workflow_id) for each in events] == [
            ("t.1", Payload(b"1"), "a"), ("t.2", Payload(b"\xff", "raw"), "a"),
        ]
        events, position = await store.events_after(position, limit=2)
        assert [each.topic for each in events] == ["t.3"]
        assert await store.events_after(position, limit=2) == ([], position)

    async def test_mail_of_its_own_stays_for_whoever_takes_the_run_next(self, store: Store) -> None:
        worker = await a_worker(store)
        [a] = await started_and_claimed(store, worker, a_run("a"))
        answer = ActivityCompleted(1, Payload(b"10"))
        later = await store.now() + timedelta(hours=1)
        [won] = await store.commit_turns(worker, [a_turn(a, mail=[answer], sticky=False, wake_at=later)])
        assert (won.outcome, won.arrived, won.released) == ("won", 1, True)
        assert await mail_of(store, a.run) == [answer]

    async def test_cancelling_answers_at_once_where_nobody_runs_it_and_marks_it_where_somebody_does(self, store: Store) -> None:
        worker = await a_worker(store)
        [a] = await started_and_claimed(store, worker, a_run("a"))
        token = uuid4()
        rows = [an_activity(1), an_activity(2, token=token, attempt=1), an_activity(3)]
        await store.commit_turns(worker, [a_turn(a, activities=rows, release=False)])
        turn = a_turn(a, TimerFired(9), cancelled_activities=[1, 2], dropped_activities=[3])
        turn.length, turn.entries = 1, journal(a, TimerFired(9))[:0]
        [won] = await store.commit_turns(worker, [turn])
        assert (won.arrived, won.released) == (1, False)
        assert await mail_of(store, a.run) == [ActivityCancelled(1, Failure("cancelled", "cancelled"))]
        [left] = await store.activities_of(a.run)
        assert (left["op"], left["state"]) == (2, "cancelling")

    async def test_a_late_committing_event_is_not_stepped_over(self, store: Store, other: Store) -> None:
        """Ids of a sequence are given out before the commit: a reader who remembers the last one would lose a smaller one."""
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(60)])

        async def emit(store: Store, each: Any) -> None:
            effect = Emit(1, {"t": Payload(str(each.run).encode())})
            await store.commit_turns(worker, [a_turn(each, RunStarted(), effect, effects=[effect])])

        seen: list[bytes] = []

        async def read() -> None:
            position: int | None = 0
            while len(seen) < 60:
                events, position = await store.events_after(position, limit=5)
                seen.extend(each.payload.data for each in events)

        async with asyncio.timeout(20):
            await asyncio.gather(read(), *(emit(store if n % 2 else other, each) for n, each in enumerate(claims)))
        assert sorted(seen) == sorted(str(each.run).encode() for each in claims)
