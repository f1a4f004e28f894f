"""All at once: workers that die, freeze and commit late, senders that never stop.

Every arrival ends in a journal, once, in order.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta
from typing import Any

from memflow.core.arrivals import SignalReceived, TimerFired
from memflow.core.entries import Entry, JournalEntry
from memflow.core.interrupts import AwaitSignal
from memflow.payload import Payload
from memflow.store.postgres import PostgresStore
from memflow.store.turns import Claim, TurnCommit
from memflow.store.values import ToSignalId
from memflow_testing.conformance.making import T0, a_run, a_signal, claim

RUNS, SENDS, WORKERS = 20, 40, 5
LEASE = timedelta(milliseconds=150)


class Chaos:
    """Workers of one store over the same runs, and what happened to them."""

    def __init__(self, store: PostgresStore, dice: random.Random) -> None:
        self._store = store
        self._dice = dice
        self.stats: Counter[str] = Counter()
        self.over = asyncio.Event()

    async def work(self) -> None:
        store, worker = self._store, await self._register()
        while not self.over.is_set():
            if not await store.beat_worker(worker, lease=LEASE):
                self.stats["taken for dead"] += 1
                worker = await self._register()
            await store.release_silent(worker)
            mine = await claim(store, worker, limit=6)
            if not mine:
                await asyncio.sleep(0.003)
                continue
            luck = self._dice.random()
            if luck < 0.04:
                self.stats["died"] += 1
                worker = await self._register()      # whoever held these runs never comes back
                continue
            turns = await self._turns(mine)
            if luck < 0.12:
                self.stats["froze"] += 1
                await asyncio.sleep(LEASE.total_seconds() * 1.6)
            else:
                await asyncio.sleep(self._dice.random() * 0.01)
            for answer in await store.commit_turns(worker, turns):
                self.stats[answer.outcome] += 1
                if answer.outcome == "won" and not answer.released:
                    self.stats["kept for mail"] += 1
            await self._let_go(worker)

    async def _register(self) -> int:
        return await self._store.register_worker(identity="w", task_queues=["q"], types=[], lease=LEASE, version=None)

    async def _let_go(self, worker: int) -> None:
        """Runs that stayed because of new mail: this worker does not bother, it leaves."""
        if await self._store.owned_with_mail(worker):
            await self._store.unregister_worker(worker)

    async def _turns(self, mine: list[Claim]) -> list[TurnCommit]:
        mail = await self._store.read_inbox([(each.run, each.consumed) for each in mine], limit=10_000)
        turns: list[TurnCommit] = []
        for each in mine:
            read = [row for row in mail if row.run == each.run]
            spoken: list[Entry] = [row.arrival for row in read]
            wait = AwaitSignal(each.length + 1, "shared")
            spoken.append(wait if each.turn % 3 == 0 else TimerFired(1))
            entries = [JournalEntry(each.length + n, each.turn + 1, T0, entry) for n, entry in enumerate(spoken, start=1)]
            consumed = read[-1].position if read else each.consumed
            effects = [wait] if each.turn % 3 == 0 else []
            turns.append(TurnCommit(each.run, each.token, each.length, entries, consumed, True, effects=effects))
        return turns


async def test_nothing_is_lost_doubled_or_reordered(store: PostgresStore, other: PostgresStore, sql: Any) -> None:
    dice = random.Random(7)
    started = await store.start_runs([a_run(f"r{n}") for n in range(RUNS)])
    chaos = Chaos(store, dice)
    before = await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()")

    async def send(run: int, part: int) -> None:
        for n in range(part, SENDS, 2):
            await asyncio.sleep(dice.random() * 0.03)
            [sent] = await other.send([a_signal(f"r{run}", data=str(n).encode())])
            assert sent.outcome == "delivered"

    async def shout() -> None:
        for n in range(100):
            await asyncio.sleep(dice.random() * 0.01)
            await other.signal([ToSignalId("default", "shared", Payload(str(n).encode()))])

    async def settled() -> bool:
        open_ = (
            "select count(*) from runs r join wakes w on w.run = r.id"
            " where r.arrived <> r.consumed or w.wake_at is not null or w.owner is not null"
        )
        return int(await sql.fetchval(open_)) == 0

    workers = [asyncio.create_task(chaos.work()) for _ in range(WORKERS)]
    async with asyncio.timeout(60):
        await asyncio.gather(shout(), *(send(run, part) for run in range(RUNS) for part in (0, 1)))
        while not await settled():
            assert not [each for each in workers if each.done()], "a worker failed"
            await asyncio.sleep(0.05)
    chaos.over.set()
    await asyncio.gather(*workers)

    shared: list[int] = []
    for one in started:
        journal = await store.history(one.run)
        assert [each.seq for each in journal] == list(range(1, len(journal) + 1)), "dense"
        heard = [each.entry for each in journal if isinstance(each.entry, SignalReceived)]
        direct = [int(each.payload.data) for each in heard if each.op is None]
        assert sorted(direct) == list(range(SENDS)), "every message once"
        assert [n for n in direct if n % 2 == 0] == list(range(0, SENDS, 2)), "in each sender's order"
        assert [n for n in direct if n % 2 == 1] == list(range(1, SENDS, 2))
        shared += [int(each.payload.data) for each in heard if each.op is not None]
    kept = [int(row[0]) for row in await sql.fetch("select convert_from(data, 'UTF8') from signals where run is null")]
    assert sorted(shared + kept) == list(range(100)), "every signal by id reached one waiter, or is kept"
    assert await sql.fetchval("select count(*) from inbox") == 0
    assert await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == before
    assert chaos.stats["fenced"] and chaos.stats["died"] and chaos.stats["froze"] and chaos.stats["won"] > RUNS, chaos.stats
