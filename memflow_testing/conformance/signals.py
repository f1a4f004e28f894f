"""Signals by id: who waits, and what is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from memflow.core.arrivals import RunStarted, SignalReceived, TimerFired
from memflow.core.interrupts import AwaitSignal, CancelWait, SendSignal
from memflow.payload import Payload
from memflow.store.base import Store
from memflow.store.turns import Claim
from memflow.store.values import ToSignalId
from memflow_testing.conformance.making import a_run, a_turn, a_worker, an_end, started_and_claimed


def a_sign(data: bytes = b"1", signal_id: str = "s", **more: Any) -> ToSignalId:
    return ToSignalId("default", signal_id, Payload(data), **more)


async def waiting(store: Store, worker: int, claim: Claim, *ops: int, signal_id: str = "s") -> None:
    waits = [AwaitSignal(op, signal_id) for op in ops]
    assert (await store.commit_turns(worker, [a_turn(claim, RunStarted(), *waits, effects=waits)]))[0].outcome == "won"


async def heard(store: Store, *runs: int) -> list[tuple[int, int | None, bytes]]:
    mail = await store.read_inbox([(run, 0) for run in runs], limit=1000)
    return [(each.run, each.arrival.op, each.arrival.payload.data) for each in mail if isinstance(each.arrival, SignalReceived)]


class Signals:
    """Signals by id: who waits, and what is kept."""

    async def test_waiters_are_served_in_the_order_they_began_and_the_rest_is_kept(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b = await started_and_claimed(store, worker, a_run(), a_run())
        await waiting(store, worker, b, 1)
        await waiting(store, worker, a, 1, 2)
        sent = await store.signal([a_sign(b"1"), a_sign(b"2"), a_sign(b"3"), a_sign(b"4")])
        assert [each.outcome for each in sent] == ["delivered", "delivered", "delivered", "kept"]
        assert await heard(store, b.run, a.run) == [(b.run, 1, b"1"), (a.run, 1, b"2"), (a.run, 2, b"3")]

    async def test_early_signals_are_taken_in_order_by_the_commit_that_waits(self, store: Store) -> None:
        worker = await a_worker(store)
        [a] = await started_and_claimed(store, worker, a_run())
        await store.signal([a_sign(b"1"), a_sign(b"2")])
        waits = [AwaitSignal(1, "s"), AwaitSignal(2, "s"), AwaitSignal(3, "s")]
        [won] = await store.commit_turns(worker, [a_turn(a, RunStarted(), *waits, effects=waits)])
        assert (won.arrived, won.released) == (2, False)
        assert await heard(store, a.run) == [(a.run, 1, b"1"), (a.run, 2, b"2")]
        assert [each.outcome for each in await store.signal([a_sign(b"3")])] == ["delivered"]

    async def test_a_wait_that_is_left_passes_its_turn_on(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b = await started_and_claimed(store, worker, a_run(), a_run())
        await waiting(store, worker, b, 1)
        left: list[AwaitSignal | CancelWait] = [AwaitSignal(1, "s"), CancelWait(1, "s"), AwaitSignal(2, "s")]
        await store.commit_turns(worker, [a_turn(a, RunStarted(), *left, effects=left)])
        await store.signal([a_sign(b"1"), a_sign(b"2"), a_sign(b"3")])
        assert await heard(store, b.run, a.run) == [(b.run, 1, b"1"), (a.run, 2, b"2")]

    async def test_one_who_has_ended_is_passed_over(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b, c = await started_and_claimed(store, worker, a_run("a"), a_run("b"), a_run("c"))
        for each in (a, b, c):
            wait = [AwaitSignal(1, "s")]
            await store.commit_turns(worker, [a_turn(each, RunStarted(), *wait, effects=wait, release=False)])
        end = an_end(a, TimerFired(2))
        end.length, end.entries = 2, [type(e)(e.seq + 2, 2, e.at, e.entry) for e in end.entries]
        assert (await store.commit_turns(worker, [end]))[0].outcome == "won"
        await store.terminate("b", None, None)
        assert [each.outcome for each in await store.signal([a_sign()])] == ["delivered"]
        assert await heard(store, a.run, b.run, c.run) == [(c.run, 1, b"1")]

    async def test_from_one_run_to_another_in_one_commit(self, store: Store) -> None:
        worker = await a_worker(store)
        a, b = await started_and_claimed(store, worker, a_run(), a_run())
        send, wait = [SendSignal(1, "s", Payload(b"7"))], [AwaitSignal(4, "s")]
        answers = await store.commit_turns(
            worker, [a_turn(b, RunStarted(), *wait, effects=wait), a_turn(a, RunStarted(), *send, effects=send)]
        )
        assert [each.released for each in answers] == [False, True]
        assert await heard(store, a.run, b.run) == [(b.run, 4, b"7")]

    async def test_a_request_id_counts_once(self, store: Store, other: Store) -> None:
        sent = await asyncio.gather(*((store if n % 2 else other).signal([a_sign(request_id="r")]) for n in range(50)))
        assert sorted(each.outcome for [each] in sent) == ["duplicate"] * 49 + ["kept"]
        assert [each.outcome for each in await store.signal([a_sign(signal_id="t", request_id="r")])] == ["kept"]

    @pytest.mark.parametrize("waits_first", [True, False, None])
    async def test_each_signal_meets_one_waiter_whoever_comes_first(
        self, store: Store, other: Store, waits_first: bool | None
    ) -> None:
        """Waiting and sending race for an id: what comes second must see what came first, or both wait for ever."""
        worker = await a_worker(store)
        claims = await started_and_claimed(store, worker, *[a_run() for _ in range(40)])

        async def wait(n: int) -> None:
            await waiting(store if n % 2 else other, worker, claims[n], 1, signal_id=f"s{n % 4}")

        async def send(n: int) -> None:
            await (other if n % 2 else store).signal([a_sign(str(n).encode(), f"s{n % 4}")])

        waits, sends = [wait(n) for n in range(40)], [send(n) for n in range(40)]
        if waits_first is None:
            mixed = [each for pair in zip(waits, sends, strict=True) for each in pair]
            await asyncio.gather(*mixed)
        else:
            await asyncio.gather(*(waits if waits_first else sends))
            await asyncio.gather(*(sends if waits_first else waits))
        got = await heard(store, *(each.run for each in claims))
        assert len({run for run, _, _ in got}) == 40
        assert sorted(int(data) for _, _, data in got) == list(range(40))
