"""Doorbells are hints."""

from __future__ import annotations

from memflow.core.arrivals import RunStarted
from memflow.core.interrupts import Emit
from memflow.payload import Payload
from memflow.store.base import Store
from memflow_testing.conformance.making import (
    a_run,
    a_signal,
    a_turn,
    a_worker,
    an_activity,
    an_end,
    claim,
    started_and_claimed,
    until,
)


class Ears:
    """Counts rings by ear."""

    def __init__(self) -> None:
        self.rung: set[str] = set()

    async def listen(self, store: Store, *ears: str) -> None:
        for ear in ears:
            await store.listen(ear, lambda ear=ear: self.rung.add(ear))  # type: ignore[misc]
        self.rung.clear()

    async def heard(self, *ears: str) -> None:
        async def all_of_them() -> bool:
            return self.rung >= set(ears)

        await until(all_of_them)
        assert self.rung == set(ears)
        self.rung.clear()


class Doorbells:
    """Doorbells are hints."""

    async def test_a_stopped_ear_is_not_rung(self, store: Store) -> None:
        calls: list[str] = []
        stop = await store.listen("queue:q", lambda: calls.append("stopped"))
        await store.listen("queue:q", lambda: calls.append("other"))
        stop()
        stop()
        await store.start_runs([a_run()])

        async def rung() -> bool:
            return "other" in calls

        await until(rung)
        assert "stopped" not in calls

    async def test_each_cause_rings_its_ears_and_no_other(self, store: Store, other: Store) -> None:
        worker, ears = await a_worker(store), Ears()
        await ears.listen(other, "queue:q", "queue:else", "activities:q", f"worker:{worker}", "done", "event")
        [mine] = await started_and_claimed(store, worker, a_run("a"))
        await ears.heard("queue:q")
        await store.send([a_signal("a")])
        await ears.heard(f"worker:{worker}")
        emit = Emit(1, {"t": Payload(b"1")})
        [mail] = await store.read_inbox([(mine.run, 0)], limit=1)
        first = a_turn(mine, RunStarted(), mail.arrival, emit, effects=[emit], activities=[an_activity()], consumed=1)
        await store.commit_turns(worker, [first])
        await ears.heard("activities:q", "event")
        await store.send([a_signal("a")])
        await ears.heard("queue:q")
        [again] = await claim(store, worker)
        await store.commit_turns(worker, [an_end(again)])
        await ears.heard("done")
