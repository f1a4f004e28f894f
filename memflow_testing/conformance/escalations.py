"""What people are asked ends with the wait that asked, in one transaction."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from memflow.core.arrivals import RunStarted, SignalReceived, TimerFired, WaitCancelled
from memflow.core.entries import Entry
from memflow.core.interrupts import AwaitSignal, CancelWait
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.escalations import EscalationFilter, EscalationRow
from memflow.store.turns import Claim
from memflow.store.values import ToSignalId
from memflow_testing.conformance.making import a_run, a_turn, a_worker, an_end, claim, started_and_claimed

ABOUT = '{"priority":3,"role":"r"}'


async def waiting(store: Store, worker: int, run: Claim, *, release: bool = True) -> EscalationRow:
    wait = AwaitSignal(1, "s", ABOUT)
    [won] = await store.commit_turns(worker, [a_turn(run, RunStarted(), wait, effects=[wait], release=release)])
    assert won.outcome == "won"
    return await row_of(store)


async def row_of(store: Store) -> EscalationRow:
    [row] = await store.escalations.find(EscalationFilter())
    return row


async def settle(store: Store, id: UUID, status: str = "resolved") -> str:
    [outcome] = await store.escalations.settle([id], status, [Payload(b"1") if status == "resolved" else None])
    return outcome


async def again(store: Store, worker: int, run: Claim) -> Claim:
    """The same run after its first turn, still owned."""
    return replace(run, length=run.length + 2, turn=run.turn + 1)


class Escalations:
    """What people are asked ends with the wait that asked, in one transaction."""

    @pytest.mark.parametrize(("status", "kind"), [("resolved", SignalReceived), ("cancelled", WaitCancelled)])
    @pytest.mark.parametrize("closing", [False, True])
    async def test_a_wait_is_not_left_over_an_answer_that_was_not_read(
        self, store: Store, status: str, kind: type[Entry], closing: bool
    ) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run())
        row = await waiting(store, worker, run, release=False)
        run = await again(store, worker, run)
        assert await settle(store, row.id, status) == "done"
        left = CancelWait(1, "s", "expired")
        turn = (an_end if closing else a_turn)(run, TimerFired(2), left, effects=[left], consumed=0)
        [answer] = await store.commit_turns(worker, [turn])
        assert (answer.outcome, answer.arrived, answer.released) == ("unread", 1, False)
        assert (await row_of(store)).status == status
        [mail] = await store.read_inbox([(run.run, 0)], limit=10)
        assert isinstance(mail.arrival, kind)
        # Once it is read there is nothing to wait for: whatever the code makes of it is written.
        [answer] = await store.commit_turns(worker, [a_turn(run, mail.arrival, left, effects=[left], consumed=1)])
        assert answer.outcome == "won"
        assert (await row_of(store)).status == status, "it ended but once"

    @pytest.mark.parametrize("became", ["expired", "cancelled", "resolved"])
    @pytest.mark.parametrize("closing", [False, True])
    async def test_who_leaves_a_wait_says_what_became_of_its_row(self, store: Store, became: str, closing: bool) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run())
        row = await waiting(store, worker, run, release=False)
        run = await again(store, worker, run)
        left = CancelWait(1, "s", became, Payload(b"7") if became == "resolved" else None)
        [answer] = await store.commit_turns(worker, [(an_end if closing else a_turn)(run, TimerFired(2), left, effects=[left])])
        assert answer.outcome == "won"
        ended = await row_of(store)
        assert (ended.status, ended.payload) == (became, Payload(b"7") if became == "resolved" else None)
        assert await settle(store, row.id) == f"already_{became}"

    async def test_a_row_that_is_asked_for_and_left_in_one_commit_has_ended(self, store: Store) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run())
        both: list[Any] = [AwaitSignal(1, "s", ABOUT), CancelWait(1, "s", "cancelled")]
        await store.commit_turns(worker, [a_turn(run, RunStarted(), *both, effects=both)])
        assert (await row_of(store)).status == "cancelled"

    async def test_a_wait_without_escalation_has_no_row(self, store: Store) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run())
        wait = AwaitSignal(1, "s")
        await store.commit_turns(worker, [a_turn(run, RunStarted(), wait, effects=[wait])])
        assert await store.escalations.count(EscalationFilter()) == 0

    async def test_termination_cancels_the_row_in_its_transaction(self, store: Store) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run("a"))
        row = await waiting(store, worker, run)
        await store.terminate("a", None, "enough")
        assert (await row_of(store)).status == "cancelled"
        assert await settle(store, row.id) == "already_cancelled"

    async def test_code_that_no_longer_knows_of_the_escalation_leaves_no_row_behind(self, store: Store) -> None:
        worker = await a_worker(store)
        [run] = await started_and_claimed(store, worker, a_run())
        await waiting(store, worker, run, release=False)
        run = await again(store, worker, run)
        left = CancelWait(1, "s")
        await store.commit_turns(worker, [a_turn(run, TimerFired(2), left, effects=[left])])
        assert (await row_of(store)).status == "cancelled"

    async def test_signals_and_people_race_and_one_answer_arrives(self, store: Store, other: Store) -> None:
        worker = await a_worker(store)
        for n in range(15):
            [run] = await started_and_claimed(store, worker, a_run())
            wait = AwaitSignal(1, f"s{n}", ABOUT)
            await store.commit_turns(worker, [a_turn(run, RunStarted(), wait, effects=[wait])])
            [row] = await store.escalations.find(EscalationFilter(signal_id=f"s{n}"))
            _, *outcomes = await asyncio.gather(
                other.signal([ToSignalId("default", f"s{n}", Payload(b"2"))]),
                settle(store, row.id),
                settle(other, row.id, "cancelled"),
                settle(other, row.id),
            )
            mail = await store.read_inbox([(run.run, 0)], limit=10)
            assert len(mail) == 1
            assert outcomes.count("done") <= 1
            [row] = await store.escalations.find(EscalationFilter(signal_id=f"s{n}"))
            assert (row.status == "cancelled") == isinstance(mail[0].arrival, WaitCancelled)
            await claim(store, worker)
