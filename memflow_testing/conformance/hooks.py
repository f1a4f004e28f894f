"""Hooks from run to run."""

from __future__ import annotations

from typing import Any

import pytest

from memflow.core.arrivals import HookDelivered, HookFailed, HookNotDelivered, HookReceived, RunStarted
from memflow.core.interrupts import SendHook
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import Claim, NextRun
from memflow.store.values import ToRun
from memflow_testing.conformance.making import a_run, a_turn, a_worker, an_end, started_and_claimed


def a_hook(workflow_id: str = "there", *, answer: bool = True, run_id: str | None = None) -> SendHook:
    return SendHook(1, "h-1", "note", Payload(b"[1]"), workflow_id, run_id, answer=answer)


async def sent(store: Store, worker: int, run: Claim, hook: SendHook) -> None:
    [won] = await store.commit_turns(worker, [a_turn(run, RunStarted(), hook, effects=[hook])])
    assert won.outcome == "won"


async def mail(store: Store, run: int, after: int = 0) -> list[Any]:
    return [each.arrival for each in await store.read_inbox([(run, after)], limit=100)]


async def two(store: Store) -> tuple[int, Claim, Claim]:
    worker = await a_worker(store)
    here, there = await started_and_claimed(store, worker, a_run("here", run_id="run-1"), a_run("there", run_id="run-2"))
    return worker, here, there


class Hooks:
    """Hooks from run to run."""

    async def test_a_hook_arrives_with_the_address_of_who_waits(self, store: Store) -> None:
        worker, here, there = await two(store)
        await sent(store, worker, here, a_hook())
        assert await mail(store, there.run) == [HookReceived("h-1", "note", Payload(b"[1]"), None, "here", "run-1", 1)]
        assert await mail(store, here.run) == []

    async def test_one_that_nobody_waits_for_is_acknowledged_instead(self, store: Store) -> None:
        worker, here, there = await two(store)
        await sent(store, worker, here, a_hook(answer=False))
        assert await mail(store, there.run) == [HookReceived("h-1", "note", Payload(b"[1]"))]
        assert await mail(store, here.run) == [HookDelivered(1)]

    @pytest.mark.parametrize("answer", [True, False])
    async def test_a_run_that_is_missing_or_has_ended_is_told_of(self, store: Store, answer: bool) -> None:
        worker, here, there = await two(store)
        await store.commit_turns(worker, [an_end(there)])
        more = await started_and_claimed(store, worker, a_run("also here"))
        await sent(store, worker, here, a_hook(answer=answer))
        await sent(store, worker, more[0], a_hook("nowhere", answer=answer))
        assert await mail(store, here.run) == [HookNotDelivered(1, "there", "completed")]
        assert await mail(store, more[0].run) == [HookNotDelivered(1, "nowhere")]

    async def test_one_that_was_read_but_not_answered_fails_when_its_run_continues_as_new(self, store: Store) -> None:
        worker, here, there = await two(store)
        await sent(store, worker, here, a_hook())
        next = NextRun("run-3", 1, delay=(await store.now()) - (await store.now()), record=None, memo=None)
        await store.commit_turns(worker, [an_end(there, status=Status.CONTINUED_AS_NEW, consumed=1, next=next)])
        [failed] = await mail(store, here.run)
        assert isinstance(failed, HookFailed)

    async def test_two_runs_that_send_hooks_to_one_another_in_one_commit(self, store: Store) -> None:
        worker, here, there = await two(store)
        a, b = a_hook(), SendHook(1, "h-2", "note", Payload(b"[1]"), "here", "run-1", answer=True)
        won = await store.commit_turns(
            worker, [a_turn(here, RunStarted(), a, effects=[a]), a_turn(there, RunStarted(), b, effects=[b])]
        )
        assert [(each.outcome, each.arrived, each.released) for each in won] == [("won", 1, False)] * 2

    async def test_a_request_id_starts_a_hook_once(self, store: Store) -> None:
        _, _, there = await two(store)
        message = ToRun("default", "there", None, HookReceived("h-1", "note"), "hook:r")
        outcomes = [(await store.send([message]))[0].outcome for _ in range(2)]
        assert outcomes == ["delivered", "duplicate"]
        assert len(await mail(store, there.run)) == 1
