"""What cannot be delivered, and what is not early."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from memflow.core.arrivals import SignalReceived, TimerFired
from memflow.core.entries import JournalEntry
from memflow.failure import Failure, decode_failure, encode_failure
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.turns import Claim, TurnCommit
from memflow_testing.conformance.making import T0, a_run, a_signal, a_turn, a_worker, claim, started_and_claimed


class Deliveries:
    """What cannot be delivered, and what is not early."""

    async def test_a_timer_is_never_early_by_the_databases_clock(self, store: Store) -> None:
        worker = await a_worker(store)
        [mine] = await started_and_claimed(store, worker, a_run("x"))
        due = await store.now() + timedelta(milliseconds=300)
        await store.commit_turns(worker, [a_turn(mine, wake_at=due)])
        async with asyncio.timeout(10):
            while True:
                found = await store.claim_runs(worker, task_queues=["q"], limit=1)
                if found.claims:
                    break
                assert found.next_due == due
        assert found.now >= due

    async def test_what_cannot_be_delivered_says_why(self, store: Store) -> None:
        await store.start_runs([a_run("x", run_id="first")])
        await store.terminate("x", None, "because")
        [second] = await store.start_runs([a_run("x", run_id="second")])
        messages = [a_signal("nobody"), *(a_signal("x", run_id=each) for each in ("first", "none", None, "second"))]
        outcomes = [each.outcome for each in await store.send(messages)]
        assert outcomes == ["not_found", "closed", "not_found", "delivered", "delivered"]
        assert len(await store.read_inbox([(second.run, 0)], limit=9)) == 2
        assert (await store.terminate("x", "first", None)).outcome == "closed"
        assert (await store.terminate("nobody", None, None)).outcome == "not_found"

    async def test_a_run_can_be_terminated_with_a_failure_of_ones_own(self, store: Store) -> None:
        [run] = await store.start_runs([a_run("x")])
        failure = encode_failure(Failure("terminated", "late", details=Payload(b"[1]")))
        assert (await store.terminate("x", run.run_id, "late", failure)).outcome == "delivered"
        [ended] = await store.outcomes([run.run])
        assert ended.status is Status.TERMINATED and ended.result is not None
        assert decode_failure(ended.result).details == Payload(b"[1]")

    async def test_no_wake_up_is_lost_between_load_and_release(self, store: Store, other: Store) -> None:
        """A signal that comes while its run is being put to rest must keep it awake or wake it again."""
        worker = await a_worker(store)
        await store.start_runs([a_run("x")])
        sent = 200

        async def send() -> None:
            for n in range(sent):
                await other.send([a_signal("x", data=str(n).encode())])

        got: list[int] = []

        async def work() -> None:
            while len(got) < sent:
                for mine in await claim(store, worker):
                    length, turn, consumed = mine.length, mine.turn, mine.consumed
                    while True:
                        mail = await store.read_inbox([(mine.run, consumed)], limit=7)
                        arrivals = [each.arrival for each in mail] or [TimerFired(1)]
                        got.extend(int(each.payload.data) for each in arrivals if isinstance(each, SignalReceived))
                        consumed = mail[-1].position if mail else consumed
                        turn += 1
                        entries = [JournalEntry(length + n, turn, T0, entry) for n, entry in enumerate(arrivals, start=1)]
                        share = TurnCommit(mine.run, mine.token, length, entries, consumed, True)
                        [answer] = await store.commit_turns(worker, [share])
                        assert answer.outcome == "won"
                        length += len(entries)
                        if answer.released:
                            break

        async with asyncio.timeout(30):
            await asyncio.gather(send(), work())
        assert got == list(range(sent))

    async def test_a_claim_and_a_send_at_once_leave_a_mark_or_the_mail_in_the_claim(
        self, store: Store, other: Store
    ) -> None:
        """The claim takes the mark of due runs away: mail it does not tell of must still be marked."""
        worker = await a_worker(store)
        await store.start_runs([a_run(str(n)) for n in range(60)])

        async def send(n: int) -> None:
            await other.send([a_signal(str(n))])

        sending = asyncio.gather(*(send(n) for n in range(60)))
        found = await claim(store, worker, limit=30)
        await sending
        found += await claim(store, worker)
        marked = set(await store.owned_with_mail(worker))
        assert len(found) == 60
        assert {each.run for each in found if each.arrived == 0} <= marked

    async def test_claims_at_once_share_the_work_and_take_nothing_twice(self, store: Store, other: Store) -> None:
        workers = [(each, await a_worker(each)) for each in (store, other) for _ in range(4)]
        await store.start_runs([a_run() for _ in range(200)])
        taken: list[Claim] = []
        async with asyncio.timeout(20):
            while len(taken) < 200:
                for some in await asyncio.gather(*(claim(each, worker, limit=20) for each, worker in workers)):
                    taken.extend(some)
        assert len({each.run for each in taken}) == len({(each.run, each.token) for each in taken}) == 200

    async def test_a_request_id_counts_once_among_fifty(self, store: Store, other: Store) -> None:
        [started] = await store.start_runs([a_run("x")])
        sent = await asyncio.gather(
            *((store if n % 2 else other).send([a_signal("x", data=str(n).encode(), request_id="r")]) for n in range(50))
        )
        assert sorted(each.outcome for [each] in sent) == ["delivered"] + ["duplicate"] * 49
        assert len(await store.read_inbox([(started.run, 0)], limit=99)) == 1
