"""Hooks between runs: whoever waits for one is told once how it ended, or that it will not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from memflow.core.arrivals import HookCompleted, HookDelivered, HookFailed, HookNotDelivered, HookReceived, RunStarted
from memflow.core.interrupts import AnswerHook, SendHook
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Claim, NextRun, ToRun
from memflow.store.postgres import PostgresStore
from tests.store.making import a_run, a_turn, a_worker, an_end, claim, started_and_claimed


def a_hook(workflow_id: str = "there", *, answer: bool = True, run_id: str | None = None) -> SendHook:
    return SendHook(1, "h-1", "note", Payload(b"[1]"), workflow_id, run_id, answer=answer)


async def sent(store: PostgresStore, worker: int, run: Claim, hook: SendHook) -> None:
    [won] = await store.commit_turns(worker, [a_turn(run, RunStarted(), hook, effects=[hook])])
    assert won.outcome == "won"


async def mail(store: PostgresStore, run: int, after: int = 0) -> list[Any]:
    return [each.arrival for each in await store.read_inbox([(run, after)], limit=100)]


async def two(store: PostgresStore) -> tuple[int, Claim, Claim]:
    worker = await a_worker(store)
    here, there = await started_and_claimed(store, worker, a_run("here", run_id="run-1"), a_run("there", run_id="run-2"))
    return worker, here, there


async def test_a_hook_arrives_with_the_address_of_who_waits(store: PostgresStore) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook())
    assert await mail(store, there.run) == [HookReceived("h-1", "note", Payload(b"[1]"), None, "here", "run-1", 1)]
    assert await mail(store, here.run) == []


async def test_one_that_nobody_waits_for_is_acknowledged_instead(store: PostgresStore) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook(answer=False))
    assert await mail(store, there.run) == [HookReceived("h-1", "note", Payload(b"[1]"))]
    assert await mail(store, here.run) == [HookDelivered(1)]


@pytest.mark.parametrize("answer", [True, False])
async def test_a_run_that_is_missing_or_has_ended_is_told_of(store: PostgresStore, answer: bool) -> None:
    worker, here, there = await two(store)
    await store.commit_turns(worker, [an_end(there)])
    more = await started_and_claimed(store, worker, a_run("also here"))
    await sent(store, worker, here, a_hook(answer=answer))
    await sent(store, worker, more[0], a_hook("nowhere", answer=answer))
    assert await mail(store, here.run) == [HookNotDelivered(1, "there", "completed")]
    assert await mail(store, more[0].run) == [HookNotDelivered(1, "nowhere")]


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


async def test_one_that_was_read_but_not_answered_fails_when_its_run_continues_as_new(store: PostgresStore) -> None:
    worker, here, there = await two(store)
    await sent(store, worker, here, a_hook())
    next = NextRun("run-3", 1, delay=(await store.now()) - (await store.now()), record=None, memo=None)
    await store.commit_turns(worker, [an_end(there, status=Status.CONTINUED_AS_NEW, consumed=1, next=next)])
    [failed] = await mail(store, here.run)
    assert isinstance(failed, HookFailed)


async def test_two_runs_that_send_hooks_to_one_another_in_one_commit(store: PostgresStore) -> None:
    worker, here, there = await two(store)
    a, b = a_hook(), SendHook(1, "h-2", "note", Payload(b"[1]"), "here", "run-1", answer=True)
    won = await store.commit_turns(
        worker, [a_turn(here, RunStarted(), a, effects=[a]), a_turn(there, RunStarted(), b, effects=[b])]
    )
    assert [(each.outcome, each.arrived, each.released) for each in won] == [("won", 1, False)] * 2


async def test_a_request_id_starts_a_hook_once(store: PostgresStore) -> None:
    _, _, there = await two(store)
    message = ToRun("default", "there", None, HookReceived("h-1", "note"), "hook:r")
    outcomes = [(await store.send([message]))[0].outcome for _ in range(2)]
    assert outcomes == ["delivered", "duplicate"]
    assert len(await mail(store, there.run)) == 1
