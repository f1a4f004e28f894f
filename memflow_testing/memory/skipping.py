"""Environments in memory: a store of their own whose time can be moved. Counterpart of `sql/clock.sql` and `../postgres.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from memflow.runs import Status
from memflow.store.base import Store
from memflow.workflow.standalone import run_queue
from memflow_testing.clock import Clockwork, Look
from memflow_testing.memory.activities import OUTSIDE
from memflow_testing.memory.store import MemoryStore, wall_clock
from memflow_testing.memory.tables import NEVER, ActivityRec, Tables

_ASKED_FOR = timedelta(minutes=1)
"""How long somebody waits for the answer to a query."""


class TestClock:
    """The machine's time, and what was skipped so far."""

    __test__ = False                                     # pytest takes it for tests

    def __init__(self) -> None:
        self.skipped = timedelta()

    def __call__(self) -> datetime:
        return wall_clock() + self.skipped


class MemoryClockwork:
    """Moves the clock of a store in memory. Nothing awaits in here, so that nothing changes between a look and a jump."""

    def __init__(self, store: MemoryStore, clock: TestClock) -> None:
        self._tables: Tables = store.tables
        self._clock = clock

    async def now(self) -> datetime:
        return self._clock()

    async def skip(self, *, awaited: Sequence[int], until: datetime | None, told: Sequence[int]) -> Look:
        now = self._tables.tick()
        if self._is_under_way(now, awaited):
            return Look("busy", now)
        if self._is_due(now):
            return Look("due", now)
        if until is not None and until <= now:
            return Look("reached", now)
        tables = self._tables
        due = [run.wake.wake_at for run in tables.open.values() if run.wake is not None and run.wake.wake_at is not None]
        due += [each.due for each in tables.activities.values()]
        due += [each.look_at for each in tables.schedules.values() if each.look_at is not None]
        runs = (tables.open.get(id) for id in awaited)
        ends = [run.deadline for run in runs if run is not None and run.deadline is not None and run.status is Status.RUNNING]
        to = min((at for at in (*due, *ends, until) if at is not None and now < at < NEVER), default=None)
        progress = sum(run.length for run in tables.runs.values())
        if to is None:
            return Look("nothing", now, progress)
        at = self._jump(to - now, told)
        if to in ends:
            tables.ring("done")                          # who waits for a run that no worker serves sees that its time is up
        return Look("skipped", at, progress)

    async def advance(self, by: timedelta, *, told: Sequence[int]) -> datetime:
        return self._jump(by, told)

    async def settled(self) -> bool:
        now = self._tables.tick()
        held = any(run.wake is not None and run.wake.owner is not None for run in self._tables.open.values())
        return not held and not self._is_due(now)

    def _jump(self, by: timedelta, told: Sequence[int]) -> datetime:
        self._clock.skipped += by
        now = self._tables.tick()
        for worker in self._tables.workers.values():
            if worker.id not in told:
                for queue in worker.queues:
                    self._tables.ring(f"queue:{queue}")
                    self._tables.ring(f"queue:{run_queue(queue)}")
                    self._tables.ring(f"activities:{queue}")
                self._tables.ring(f"worker:{worker.id}")
                self._tables.ring("schedules")
        return now

    def _is_under_way(self, now: datetime, awaited: Sequence[int]) -> bool:
        """A run or an activity is in a worker's hands, somebody asks, or an awaited run has ended."""
        tables = self._tables
        return (
            any(run.wake is not None and run.wake.owner is not None for run in tables.open.values())
            or any(_is_held(each) for each in tables.activities.values())
            or any(each.outcome is None and each.asked_at > now - _ASKED_FOR for each in tables.questions.values())
            or any(id in tables.runs and not tables.runs[id].status.is_open for id in awaited)
        )

    def _is_due(self, now: datetime) -> bool:
        """What is due where no worker serves the queue is not waited for."""
        tables = self._tables
        if not tables.workers:
            return False
        served = {queue for worker in tables.workers.values() for queue in worker.queues}
        served |= {run_queue(queue) for queue in served}
        return (
            any(
                run.wake is not None and run.wake.wake_at is not None and run.wake.wake_at <= now and run.wake.queue in served
                for run in tables.open.values()
            )
            or any(not _is_held(each) and each.due <= now and each.queue in served for each in tables.activities.values())
            or bool(tables.schedule_ends)
            or any(each.look_at is not None and each.look_at <= now for each in tables.schedules.values())
        )


def _is_held(row: ActivityRec) -> bool:
    """Whether a worker runs it. An attempt that is open is in nobody's hands."""
    return row.owner is not None and row.owner != OUTSIDE


class MemoryGround:
    """A store in memory for one environment; a `clock.Ground`."""

    place = "in memory"

    def __init__(self, *, skipping: bool = True) -> None:
        clock = TestClock()
        store = MemoryStore(now=clock)
        self.store: Store = store
        self.clockwork: Clockwork | None = MemoryClockwork(store, clock) if skipping else None

    async def keep(self) -> str | None:
        return None                                      # it goes with its process

    async def close(self) -> None:
        await self.store.close()
