"""Queries: who may answer, and when; and what became of updates."""

from __future__ import annotations

from uuid import uuid4

from memflow.core.interrupts import AnswerUpdate
from memflow.failure import Failure
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.values import Answer, UpdateKey
from memflow_testing.conformance.making import QUEUE, a_run, a_signal, a_turn, a_worker, an_end, started_and_claimed

ASKED = Payload(b"[]")


class Questions:
    """Queries: who may answer, and when; and what became of updates."""

    async def test_a_run_is_asked_when_it_has_read_what_came_before(self, store: Store) -> None:
        worker, id = await a_worker(store), uuid4()
        assert await store.ask_question(id, "nobody", None, "state", ASKED) is False
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        assert await store.ask_question(id, "a", None, "state", ASKED)
        assert await store.ask_question(id, "a", None, "state", ASKED), "a repeat is the same question"
        assert await store.take_questions(worker, task_queues=[QUEUE], types=["order"], limit=9) == ([], 1)
        await store.send([a_signal("a")])
        await store.commit_turns(worker, [a_turn(mine, release=False)])
        [taken], waiting = await store.take_questions(worker, task_queues=[QUEUE], types=["order"], limit=9)
        assert (taken.id, taken.name, taken.run, taken.length, waiting) == (id, "state", mine.run, 1, 0)
        assert await store.take_questions(worker, task_queues=[QUEUE], types=["order"], limit=9) == ([], 0)
        await store.answer_questions([Answer(id, "answered", Payload(b"1"))])
        await store.answer_questions([Answer(id, "answered", Payload(b"2"))])
        assert await store.answers([id, uuid4()]) == [Answer(id, "answered", Payload(b"1"))]

    async def test_a_question_is_for_workers_of_the_queue_and_the_type(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await store.commit_turns(worker, [an_end(mine)])
        await store.ask_question(uuid4(), "a", mine.run_id, "state", ASKED)
        assert await store.take_questions(worker, task_queues=["other"], types=["order"], limit=9) == ([], 0)
        assert await store.take_questions(worker, task_queues=[QUEUE], types=["other"], limit=9) == ([], 0)
        assert len((await store.take_questions(worker, task_queues=[QUEUE], types=["order"], limit=9))[0]) == 1

    async def test_replies_tell_how_far_updates_are(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        keys = [UpdateKey("a", mine.first_run_id, "u1"), UpdateKey("a", mine.first_run_id, "u2"), UpdateKey("b", "none", "u1")]
        assert [(each.outcome, each.open) for each in await store.replies(keys)] == [(None, True), (None, True), (None, False)]
        assert not await store.knows_update(keys[0])
        answers = [
            AnswerUpdate("u1", "accepted"),
            AnswerUpdate("u1", "completed", result=Payload(b"7")),
            AnswerUpdate("u2", "failed", failure=Failure("application", "no")),
        ]
        await store.commit_turns(worker, [an_end(mine, effects=answers)])
        assert [await store.knows_update(key) for key in keys] == [True, True, False]
        one, two, _ = await store.replies(keys)
        assert (one.outcome, one.payload, one.open) == ("completed", Payload(b"7"), False)
        assert two.outcome == "failed" and two.payload is not None and two.payload.encoding == "failure"
