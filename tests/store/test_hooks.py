"""Hooks between runs: whoever waits for one is told once how it ended, or that it will not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memflow.core.arrivals import HookCompleted, HookFailed, HookReceived, RunStarted
from memflow.core.interrupts import AnswerHook
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.postgres import PostgresStore
from memflow.store.turns import NextRun
from memflow_testing.conformance.hooks import a_hook, mail, sent, two
from memflow_testing.conformance.making import a_run, a_turn, an_end, claim, started_and_claimed


async def test_the_answer_comes_back_once(store: PostgresStore, sql: Any) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook())
    answer = AnswerHook("h-1", "here", "run-1", 1, Payload(b"7"))
    [won] = await store.commit_turns(
        worker, [a_turn(there, RunStarted(), answer, answer, effects=[answer, answer], consumed=1, release=False)]
    )
    assert won.outcome == "won"
    assert await mail(store, here.run) == [HookCompleted(1, Payload(b"7"))]
    there = replace(there, length=3, turn=1, arrived=1)
    await store.commit_turns(worker, [an_end(there, answer, effects=[answer])])
    assert len(await mail(store, here.run)) == 1
    assert await sql.fetchval("select count(*) from hooks") == 0


@pytest.mark.parametrize("how", ["completed", "terminated", "by its parent", "timed out"])
async def test_the_end_of_the_other_run_fails_what_waits_for_it(store: PostgresStore, sql: Any, how: str) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook())
    if how == "terminated":
        await store.terminate("there", None, "enough")
    elif how == "by its parent":
        [parent] = await started_and_claimed(store, worker, a_run("parent"))
        await sql.execute("update runs set parent = $1, parent_policy = 'terminate' where id = $2", parent.run, there.run)
        await sql.execute("update runs set has_children = true where id = $1", parent.run)
        await store.commit_turns(worker, [an_end(parent)])
    else:
        status = Status.COMPLETED if how == "completed" else Status.TIMED_OUT
        [won] = await store.commit_turns(worker, [an_end(there, status=status, consumed=1)])
        assert won.outcome == "won"
    [failed] = await mail(store, here.run)
    assert isinstance(failed, HookFailed) and failed.op == 1
    assert (failed.failure.kind, failed.failure.facts["workflow_id"]) == ("hook", "there")
    assert failed.failure.cause is not None and failed.failure.cause.type == "WorkflowClosedError"
    assert await sql.fetchval("select count(*) from hooks") == 0


async def test_one_who_has_ended_is_told_nothing(store: PostgresStore, sql: Any) -> None:
    worker, here, _ = await two(store)
    await sent(store, worker, here, a_hook())
    await store.terminate("here", None, "enough")
    await store.terminate("there", None, "enough")
    assert await sql.fetchval("select count(*) from hooks") == 0
    assert await mail(store, here.run) == []


async def test_a_hook_that_was_not_read_goes_along_to_the_next_run(store: PostgresStore, sql: Any) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook())
    next = NextRun("run-3", 1, delay=(await store.now()) - (await store.now()), record=None, memo=None)
    [won] = await store.commit_turns(worker, [an_end(there, status=Status.CONTINUED_AS_NEW, consumed=0, next=next)])
    assert won.outcome == "won"
    assert await mail(store, here.run) == []
    [following] = [each for each in await claim(store, worker) if each.run_id == "run-3"]
    assert await mail(store, following.run) == [HookReceived("h-1", "note", Payload(b"[1]"), None, "here", "run-1", 1)]
    answer = AnswerHook("h-1", "here", "run-1", 1, Payload(b"7"))
    await store.commit_turns(worker, [an_end(following, RunStarted(), answer, effects=[answer])])
    assert await mail(store, here.run) == [HookCompleted(1, Payload(b"7"))]
    assert await sql.fetchval("select count(*) from hooks") == 0
