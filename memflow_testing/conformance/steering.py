"""Runs that are steered from outside: paused, moved between versions, begun again from a point of their journal."""

from __future__ import annotations

from memflow.core.arrivals import ChildCompleted, RunStarted, SignalReceived
from memflow.core.interrupts import AwaitSignal, ScheduleActivity, StartChild
from memflow.options import ActivityOptions, ChildOptions
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import Claim, TurnCommit
from memflow.store.values import Branch, ToSignalId
from memflow_testing.conformance.commits import a_family
from memflow_testing.conformance.making import (
    MINUTE,
    QUEUE,
    T0,
    a_run,
    a_signal,
    a_turn,
    a_worker,
    an_activity,
    an_end,
    claim,
    started_and_claimed,
)


def a_branch(of: Claim, new_id: str, *, fork: bool = False, **more: object) -> Branch:
    """A branch after the first entry of a run's journal."""
    options: dict[str, object] = {
        "version": None, "origins": (), "reapply": True, "memo": None, "record": None, "activities": (), "cancelled": (),
        "waits": {}, "children": {}, "hooks": {}, **more,
    }
    first = f"run-of-{new_id}" if fork else of.first_run_id
    return Branch(of.workflow_id, of.run_id, fork, 1, 1, T0, new_id, f"run-of-{new_id}", first, **options)  # type: ignore[arg-type]


async def a_versioned_worker(store: Store, version: str) -> int:
    """A worker of a version."""
    return await store.register_worker(identity="w", task_queues=[QUEUE], types=[], lease=MINUTE, version=version)


async def taken(store: Store, worker: int, version: str | None) -> list[str]:
    """The workflow ids of what it gets."""
    found = await store.claim_runs(worker, task_queues=[QUEUE], limit=9, version=version)
    return sorted(each.workflow_id for each in found.claims)


class Steering:
    """Runs that are steered from outside: paused, moved between versions, begun again from a point of their journal."""

    async def test_a_paused_run_keeps_its_mail_and_is_not_due_until_it_is_resumed(self, store: Store) -> None:
        worker = await a_worker(store)
        await store.start_runs([a_run("a")])
        assert (await store.pause("a", None, "wait")).outcome == "delivered"
        assert (await store.pause("nobody", None, None)).outcome == "not_found"
        [sent] = await store.send([a_signal("a")])
        assert sent.outcome == "delivered" and await claim(store, worker) == []
        row = await store.find_run("a")
        assert row is not None and (row.status, row.pause_reason, row.wake_at) == (Status.PAUSED, "wait", None)
        assert (await store.resume("a", None)).status is Status.RUNNING
        [mine] = await claim(store, worker)
        assert mine.arrived == 1
        await store.commit_turns(worker, [an_end(mine)])
        assert (await store.pause("a", None, None)).outcome == "closed"

    async def test_a_run_that_is_paused_in_a_workers_hands_is_let_go(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.pause("a", None, None)
        assert await store.owned_with_mail(worker) == [mine.run]
        assert [(await store.commit_turns(worker, [turn]))[0].outcome for turn in (a_turn(mine), an_end(mine))] == ["paused"] * 2
        [left] = await store.commit_turns(worker, [TurnCommit(mine.run, mine.token, 0, (), 0, True, sticky=False)])
        assert (left.outcome, left.released) == ("won", True)
        await store.resume("a", None)
        assert len(await claim(store, worker)) == 1

    async def test_a_pinned_run_is_for_its_version_and_new_ones_for_the_newest(self, store: Store) -> None:
        old = await a_versioned_worker(store, "1")
        await store.start_runs([a_run("pinned")])
        [mine] = (await store.claim_runs(old, task_queues=[QUEUE], limit=9, version="1")).claims
        await store.commit_turns(old, [a_turn(mine, version=("1", True), wake_at=T0)])
        new = await a_versioned_worker(store, "2")
        await store.start_runs([a_run("fresh")])
        assert await taken(store, old, "1") == ["pinned"]
        assert await taken(store, new, "2") == ["fresh"]
        assert (await store.repin("pinned", None, "2")).outcome == "delivered"
        assert await taken(store, new, "2") == [], "it is in the hands of the other"

    async def test_a_reset_takes_the_place_of_the_run_with_its_mail_and_opens_what_was_open(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.signal([ToSignalId("default", "early", Payload(b"1"))])
        asked = ScheduleActivity(1, "charge", Payload(b"[1]"), ActivityOptions())
        await store.commit_turns(worker, [a_turn(mine, RunStarted(), asked, AwaitSignal(2, "go"), release=False)])
        await store.send([a_signal("a", "unread")])
        waits = {2: AwaitSignal(2, "early"), 3: AwaitSignal(3, "later")}
        branch = a_branch(mine, "a", activities=[an_activity()], waits=waits, reason="wrong turn")
        done = await store.branch(branch)
        assert done.outcome == "done" and done.run is not None
        assert (await store.branch(branch)).run == done.run, "a repeat is the same one"
        old, new = await store.find_run("a", mine.run_id), await store.find_run("a")
        assert old is not None and (old.status, old.next_run_id) == (Status.TERMINATED, "run-of-a")
        assert new is not None and (new.run, new.length, new.origin_kind, new.origin_seq) == (done.run, 1, "reset", 1)
        assert new.first_run_id == mine.first_run_id
        assert [each.entry for each in await store.history(done.run)] == [RunStarted(Payload(b"[]"))]
        assert [each.arrival for each in await store.read_inbox([(done.run, 0)], limit=9)] == [
            SignalReceived("unread", Payload(b"null")), SignalReceived("early", Payload(b"1"), op=2),
        ]
        [sent] = await store.signal([ToSignalId("default", "later", Payload(b"2"))])
        assert sent.outcome == "delivered"
        assert len((await store.claim_activities(worker, task_queues=[QUEUE], limit=9)).claims) == 1

    async def test_a_fork_leaves_the_run_alone_and_wants_children_that_have_ended(self, store: Store) -> None:
        worker = await a_worker(store)
        parent, child = await a_family(store, worker, announce=False)
        asked = StartChild(1, child.workflow, child.workflow_id, child.run_id, child.input, ChildOptions())
        fork = a_branch(parent, "copy", fork=True, children={1: asked})
        assert (await store.branch(fork)).outcome == "children"
        await store.commit_turns(worker, [an_end(child)])
        done = await store.branch(fork)
        assert done.outcome == "done" and done.run is not None
        [letter] = await store.read_inbox([(done.run, 0)], limit=9)
        assert letter.arrival == ChildCompleted(1, Payload(b'"done"'))
        row = await store.find_run("parent")
        assert row is not None and row.status is Status.RUNNING
        other = a_branch(parent, "copy", fork=True)
        assert (await store.branch(other)).outcome == "done", "that very run is there"
        assert (await store.branch(a_branch(child, "parent", fork=True))).outcome == "taken"
