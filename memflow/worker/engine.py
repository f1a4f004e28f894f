"""The inside of a worker: its loops, and the hands that residents use. `Worker` is the door to it.

Follow a run: `_take_runs` claims → `Claims.adopt` makes a `Resident` → `Committer.pump` advances and commits it →
`_act` starts activities, lets it go to the cache, or ends it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from memflow.activity import ActivityDefinition
from memflow.codec import Codec
from memflow.errors import DatabaseError
from memflow.interceptors import WorkerInterceptor, overrides
from memflow.store.base import Store
from memflow.store.schedule_values import Taker
from memflow.store.turns import Claim, Committed
from memflow.worker import collector, guard
from memflow.worker.activities import Runner
from memflow.worker.bells import Bell
from memflow.worker.cache import Cache, Suspended
from memflow.worker.claims import CLAIM_LIMIT, Claims
from memflow.worker.clock import DatabaseClock
from memflow.worker.committer import Committer
from memflow.worker.housekeeping import keep_house
from memflow.worker.jobs import Ending, Job
from memflow.worker.liveness import Liveness
from memflow.worker.pulse import Pulse
from memflow.worker.queries import Queries
from memflow.worker.queued import Queued
from memflow.worker.reach import Reach
from memflow.worker.registry import Registry
from memflow.worker.resident import Acts, Resident
from memflow.worker.schedules import Schedules
from memflow.worker.watchdog import Watchdog
from memflow.workflow import standalone

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""A local activity that runs longer becomes a durable row, so that people see it and its run can be let go (DESIGN 3)."""

STAYS_SECONDS = 1.0
"""A run stays here for some 0.1 s without a commit, and each commit looks again, so later timers need no call here."""

LOOKS_SECONDS = 60.0
"""How often a run that a local activity holds is looked at anyway: timers of asyncio keep what they will call."""

PUMPS = 2
"""Commit pumps: one computes turns while the other's commit is in flight; more would only make batches smaller."""

DRAIN_SECONDS = 10.0
"""How long a stopping worker tries to write what it knows before it leaves the rest to others."""

TraceSink = Callable[[Mapping[str, str], Mapping[str, Any]], None]
"""Takes (ids of the run, attributes) of one `workflow.trace` call, after its commit."""


class Connected(Protocol):
    """What a worker needs of a client."""

    @property
    def store(self) -> Store: ...

    @property
    def codec(self) -> Codec: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """A worker's options, checked."""

    task_queue: str
    max_concurrent_activities: int
    max_concurrent_local_activities: int
    max_concurrent_workflows: int
    max_cached_workflows: int
    max_activities_per_second: float | None
    graceful_shutdown_timeout: timedelta
    lease: timedelta
    poll_interval: timedelta
    identity: str
    version: str | None
    pins: bool                         # runs of workflows that do not say otherwise stay with this version
    executor: Executor
    trace_sinks: tuple[TraceSink, ...]
    interceptors: tuple[WorkerInterceptor, ...] = ()


class Engine:
    """One worker at work. Made and thrown away with each `Worker` run."""

    def __init__(self, client: Connected, registry: Registry, settings: Settings) -> None:
        self._client = client
        self._store = client.store
        self._codec = client.codec
        self._registry = registry
        self._settings = settings
        self.namespace = client.store.namespace
        self._worker = 0
        queue = settings.task_queue
        self._run_queues = [queue] if registry.workflows else []
        if registry.has_activities:
            self._run_queues.append(standalone.run_queue(queue))
        self.draining = False
        self._no_slots = False
        self._residents: dict[int, Resident] = {}
        self._cache = Cache(settings.max_cached_workflows)
        self._watchdog = Watchdog()
        self._flushes: dict[Resident, float] = {}            # when to look at what they still run in memory, by the loop's clock
        self._flush_timer: asyncio.TimerHandle | None = None
        self._mail_wanted: set[int] = set()
        self._deaf: list[Callable[[], None]] = []
        self._takers: list[asyncio.Task[None]] = []

    # ------------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Register, and build what the loops need."""
        store, settings = self._store, self._settings
        guard.install()
        self._clock = DatabaseClock(await store.now())
        self._run_bell, self._activity_bell, self._schedule_bell = (Bell(self._clock, settings.poll_interval) for _ in range(3))
        self._mail_bell, self._query_bell = (Bell(self._clock, settings.poll_interval, leaps=False) for _ in range(2))
        self._schedules = Schedules(store, self._clock, self._schedule_bell, taker=self._taker, take=self._adopt)
        self._reach = Reach(self._clock)
        self._runner = Runner(
            store,
            self._codec,
            slots=settings.max_concurrent_activities,
            executor=settings.executor,
            clock=self._clock,
            per_second=settings.max_activities_per_second,
            interceptors=overrides(settings.interceptors, "intercept_activity"),
            client=self._client,
        )
        self._runner.freed = self._slot_free
        self._local_runner = Runner(
            store,
            self._codec,
            slots=settings.max_concurrent_local_activities,
            executor=settings.executor,
            clock=self._clock,
            per_second=None,
            interceptors=overrides(settings.interceptors, "intercept_activity"),
            client=self._client,
        )
        self._queued = Queued(
            store,
            self._registry,
            self._runner,
            now=self.now,
            tried_again=lambda delay: self._activity_bell.ring_at(self.now() + delay),
        )
        self._committer = Committer(store, self._watchdog, now=self.now, ahead=self._start_ahead, act=self._act, drop=self._drop)
        self._claims = Claims(
            store, self._codec, self._registry, self._cache, self, self._residents, version=settings.version, pins=settings.pins
        )
        self._queries = Queries(
            store, self._codec, self._registry, self._cache, self._residents, self._watchdog, self._query_bell.ring,
            version=settings.version,
        )
        self._pulse = Pulse(store, lease=settings.lease, worker=lambda: self._worker)
        self._liveness = Liveness(store, lease=settings.lease, pulse=self._pulse.beat, declared_dead=self._rise_again)
        self._watchdog.start()
        await self._register()
        self._pulse.start()
        collector.relax()

    async def _register(self) -> None:
        settings = self._settings
        self._worker = await self._store.register_worker(
            identity=settings.identity,
            task_queues=[settings.task_queue],
            types=self._registry.types,
            lease=settings.lease,
            version=settings.version,
        )
        for stop in self._deaf:
            stop()
        queue = settings.task_queue
        self._deaf = [
            *[await self._store.listen(f"queue:{each}", self._run_bell.ring) for each in self._run_queues],
            await self._store.listen(f"activities:{queue}", self._activity_bell.ring),
            await self._store.listen(f"worker:{self._worker}", self._mail_bell.ring),
            await self._store.listen(f"questions:{queue}", self._query_bell.ring),
            await self._store.listen("schedules", self._schedule_bell.ring),
        ]

    async def live(self) -> None:
        """Run every loop until cancelled; the first error that is none of Postgres' ends them all."""
        def worker() -> int:
            return self._worker

        async with asyncio.TaskGroup() as group:
            for _ in range(PUMPS):
                group.create_task(self._committer.pump(worker))
            group.create_task(self._queued.report())
            group.create_task(self._liveness.beat(worker))
            group.create_task(self._liveness.look(worker))
            group.create_task(keep_house(self._store))
            group.create_task(self._forever("read mail", self._fetch_mail))
            self._takers.append(group.create_task(self._forever("serve schedules", self._schedules.step)))
            self._takers.append(group.create_task(self._forever("claim runs", self._take_runs)))
            if self._registry.workflows:
                self._takers.append(group.create_task(self._forever("answer queries", self._answer_queries)))
            if self._registry.has_activities:
                self._takers.append(group.create_task(self._forever("claim activities", self._take_activities)))

    async def drain(self) -> None:
        """Take nothing new, let activities end for the grace given, write what is known, hand everything back."""
        self.draining = True
        for taker in self._takers:
            taker.cancel()
        grace = self._settings.graceful_shutdown_timeout
        await asyncio.gather(self._runner.drain(grace), self._local_runner.drain(grace))
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                for resident in list(self._residents.values()):
                    resident.flush = True
                    self.mark(resident)
                await self._committer.quiet()
                await self._queued.reported()
                await self._store.unregister_worker(self._worker)
        except (TimeoutError, DatabaseError):
            log.warning("could not hand everything back; other workers take it over when the lease ends", exc_info=True)

    def close(self) -> None:
        """Let go of what memory holds."""
        for stop in self._deaf:
            stop()
        self._deaf.clear()
        for resident in list(self._residents.values()):
            self._forget(resident, "shutdown")
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        self._cache.clear()
        self._queries.close()
        self._watchdog.stop()
        self._pulse.stop()
        collector.restore()

    async def _rise_again(self) -> None:
        """Others took this worker for dead: whatever it held is theirs now. Drop it all and begin anew."""
        log.warning(
            "this worker was silent for longer than its lease, so others took over its work; "
            "dropping %d runs and %d activities, and registering anew",
            len(self._residents),
            len(self._runner.jobs),
            extra={"worker": self._worker},
        )
        for resident in list(self._residents.values()):
            self._forget(resident, "lost")
        for job in self._runner.jobs:
            self._runner.stop(job, "lost")
        await self._register()
        self._run_bell.ring()
        self._activity_bell.ring()

    async def _forever(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        delay = 0.05
        while True:
            try:
                await step()
                delay = 0.05
            except DatabaseError:
                log.warning("cannot %s, trying again", what, exc_info=True)
                await asyncio.sleep(delay * (0.5 + random.random()))
                delay = min(2.0, delay * 2)

    # ------------------------------------------------------------------------------------------------- loops

    async def _take_runs(self) -> None:
        self._run_bell.hush()
        room = min(CLAIM_LIMIT, self._settings.max_concurrent_workflows - len(self._residents))
        if room <= 0:
            await self._run_bell.heard()                 # rung by whoever leaves
            return
        queues = self._run_queues = self._run_queues[::-1]    # whichever is long: neither starves the other
        time = asyncio.get_running_loop().time
        since, began = self._reach.since(time()), time()
        found = await self._store.claim_runs(
            self._worker, task_queues=queues, limit=room, version=self._settings.version, since=since
        )
        some = len(found.claims) < room
        self._reach.looked(found.now, everything=since is None, found_all=some, began=began, ended=time())
        self._clock.hear(found.now)
        if found.claims:
            await self._claims.adopt(self._worker, found.claims)
        if some:
            await self._run_bell.rest(found.next_due if since is None else self._reach.rest_until(found.next_due, time()))

    def _taker(self) -> Taker | None:
        """This worker, for runs of schedules that it starts. With versions it is a claim's business who begins a run."""
        room = self._settings.max_concurrent_workflows - len(self._residents)
        if not self._registry.workflows or self._settings.version is not None or room <= 0:
            return None
        return Taker(self._worker, self._run_queues, room, lambda name: self._registry.workflow(name) is not None)

    async def _adopt(self, claims: Sequence[Claim]) -> None:
        await self._claims.adopt(self._worker, claims)

    async def _take_activities(self) -> None:
        self._activity_bell.hush()
        room = self._runner.room
        if room <= 0:
            self._no_slots = True
            await self._activity_bell.heard()
            return
        found = await self._store.claim_activities(self._worker, task_queues=[self._settings.task_queue], limit=room)
        self._clock.hear(found.now)
        for claim in found.claims:
            self._queued.take(claim, self.namespace)
        if len(found.claims) < room:
            await self._activity_bell.rest(found.next_due)

    def _slot_free(self) -> None:
        if self._no_slots:                               # otherwise nobody waits for one, and looking costs a statement
            self._no_slots = False
            self._activity_bell.ring()

    async def _fetch_mail(self) -> None:
        rung = self._mail_bell.hush()
        wanted, self._mail_wanted = self._mail_wanted, set()
        if self._residents and (rung or not wanted):
            wanted.update(await self._store.owned_with_mail(self._worker))
        if wanted:
            await self._claims.read_mail(sorted(wanted))
        self._queued.ask_about_all()
        if not self._mail_wanted:
            await self._mail_bell.rest()

    async def _answer_queries(self) -> None:
        rung = self._query_bell.hush()
        pause = await self._queries.look(self._worker, self._settings.task_queue, rung=rung)
        if pause is None:
            await self._query_bell.rest()
        elif pause > 0:
            await self._query_bell.rest(self.now() + timedelta(seconds=pause))

    # ------------------------------------------------------------------------------------------------- tests that skip time

    @property
    def id(self) -> int:
        """This worker's number in the store."""
        return self._worker

    @property
    def busy(self) -> bool:
        """Whether a run or an activity is in this worker's hands."""
        return bool(self._residents or self._runner.jobs)

    def hear(self, now: datetime, due: Collection[str] | None = None) -> None:
        """The database's clock was moved to `now`: look at once at what that makes due, `runs`, `activities`, `schedules`; None:
        whatever it is.
        """
        self._clock.hear(now, moved=True, quietly=due is not None)
        bells = {"runs": self._run_bell, "activities": self._activity_bell, "schedules": self._schedule_bell}
        for kind in due or ():
            bells[kind].ring()

    # ------------------------------------------------------------------------------------------------- hands

    def now(self) -> datetime:
        """The database's time."""
        return self._clock.now()

    def serves(self, task_queue: str, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker serves that queue, knows that name, and is not about to stop."""
        if self.draining or task_queue != self._settings.task_queue:
            return None
        return self._registry.activity(activity)

    def knows(self, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker knows that name, whatever queue it serves."""
        return self._registry.activity(activity)

    def begin(self, resident: Resident, job: Job, delay: timedelta) -> None:
        """Start the next attempt of a local activity after `delay`, if the resident is still ours."""
        job.later = self._clock.call_later(delay.total_seconds(), self._begin, resident, job)

    def _begin(self, resident: Resident, job: Job) -> None:
        job.later = None
        if resident.pending.memory.get(job.errand.op) is job:
            self._submit(job)

    def has_room(self) -> bool:
        """Whether an activity could start at once."""
        return self._runner.room > 0

    def mark(self, resident: Resident) -> None:
        """There is something to do for this resident, if it is still ours."""
        if self._residents.get(resident.run) is resident:
            self._committer.mark(resident)

    def row_finished(self, job: Job, ending: Ending) -> None:
        """A durable activity ended here."""
        self._queued.finished(job, ending)

    def row_beaten(self, job: Job) -> None:
        """A durable activity that runs here reports life."""
        self._queued.beaten(job)

    # ------------------------------------------------------------------------------------------------- acts

    def _start_ahead(self, resident: Resident, jobs: list[Job]) -> None:
        for job in jobs:
            self._submit(job)
        self._arm_flush(resident, FLUSH_SECONDS)

    def _submit(self, job: Job) -> None:
        job.since = asyncio.get_running_loop().time()
        (self._local_runner if job.errand.options.is_local else self._runner).submit(job)

    def _act(self, resident: Resident, committed: Committed, acts: Acts) -> None:
        """The commit is durable: stop, report, start; then keep, cache or end the run."""
        if resident.questions and resident.leaving is None:
            self._queries.saved(resident)
        for op in acts.stop:
            job = resident.pending.memory.get(op) or self._runner.find(resident.run, op)
            if job is not None:
                self._runner.stop(job, "cancel")
                if job.later is not None:                # it waits for its backoff: let it end now
                    job.later.cancel()
                    self._begin(resident, job)
        for job in acts.abort:
            self._runner.stop(job, "shutdown")
        for job, ending in acts.report:
            self._queued.finished(job, ending)
        for trace in acts.traces:
            self._trace(resident, trace.attributes)
        for job in acts.start:
            self._submit(job)
        for due in acts.due:
            self._activity_bell.ring_at(due)
        if resident.closed or resident.leaving is not None:
            resident.marked = False
            self._forget(resident, "lost")
        elif committed.released:
            # A mark that came meanwhile, from a look at mail that had been read: nothing is due here any more, and the
            # replay belongs to the next owner, who may be this worker already.
            resident.marked = False
            self._flushes.pop(resident, None)
            if resident.due_timer is not None:
                resident.due_timer.cancel()
            if self._residents.get(resident.run) is resident:
                del self._residents[resident.run]
                self._cache.keep(resident.run, Suspended(resident.replay, resident.length, resident.pending.scheduled_at))
            else:
                resident.replay.close()                  # claimed anew and rebuilt before we heard of its release
            if resident.wake_at is not None:
                self._run_bell.ring_at(resident.wake_at)
            if self._full():
                self._run_bell.ring()
        else:
            self._stay(resident, committed)

    def _stay(self, resident: Resident, committed: Committed) -> None:
        if committed.arrived > resident.read:
            self._mail_wanted.add(resident.run)
            self._mail_bell.ring()
        if self._to_flush(resident):
            self._arm_flush(resident, FLUSH_SECONDS)
        due = resident.next_due()
        if due is not None:
            seconds = self._clock.seconds_until(due)
            if seconds < STAYS_SECONDS:
                self._clock.call_at(due, self.mark, resident)
            elif resident.pending.locals.used and resident.pending.memory:
                self._arm_due(resident, seconds)
        if resident.arrivals or resident.flush:
            self.mark(resident)

    def _arm_due(self, resident: Resident, seconds: float) -> None:
        """A local activity may hold its run for long, and nothing else looks at the time meanwhile."""
        if resident.due_timer is not None:
            resident.due_timer.cancel()
        resident.due_timer = asyncio.get_running_loop().call_later(min(seconds, LOOKS_SECONDS), self.mark, resident)

    def _to_flush(self, resident: Resident) -> Collection[Job]:
        """What should show soon. A local activity makes no row, but that it was asked for is told once."""
        every = resident.pending.memory.values()
        if not resident.pending.locals.used or resident.unsaved:
            return every                                 # as a rule: of thousands of jobs none is looked at
        return [job for job in every if not job.errand.options.is_local]

    def _arm_flush(self, resident: Resident, seconds: float) -> None:
        if resident not in self._flushes:
            loop = asyncio.get_running_loop()
            self._flushes[resident] = loop.time() + seconds
            if self._flush_timer is None:
                self._flush_timer = loop.call_later(seconds, self._flush_some)

    def _flush_some(self) -> None:
        """One timer for all: most runs end before theirs is due, and a timer each would be a twentieth of their price."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = [resident for resident, at in self._flushes.items() if at <= now]
        for resident in due:
            del self._flushes[resident]
        self._flush_timer = None
        if self._flushes:
            wait = max(min(self._flushes.values()) - now, FLUSH_SECONDS / 5)
            self._flush_timer = loop.call_later(wait, self._flush_some)
        for resident in due:
            self._flush(resident)

    def _flush(self, resident: Resident) -> None:
        """Make rows of activities that take their time; younger ones are looked at again."""
        jobs = self._to_flush(resident)
        if not jobs or self._residents.get(resident.run) is not resident:
            return
        oldest = min(job.since for job in jobs)
        left = oldest + FLUSH_SECONDS - asyncio.get_running_loop().time()
        if left > 0.001:
            self._arm_flush(resident, left)
        else:
            resident.flush = True
            self.mark(resident)

    def _full(self) -> bool:
        return len(self._residents) + 1 >= self._settings.max_concurrent_workflows

    def _drop(self, resident: Resident, why: str) -> None:
        if self._residents.get(resident.run) is resident:
            log.warning(
                "this worker no longer owns the run; nothing of it was recorded, dropping it",
                extra={"workflow_id": resident.claim.workflow_id, "run_id": resident.claim.run_id, "why": why},
            )
            self._forget(resident, "lost")

    def _forget(self, resident: Resident, why: str) -> None:
        full = self._full()
        if self._residents.get(resident.run) is resident:
            del self._residents[resident.run]
        self._flushes.pop(resident, None)
        if resident.due_timer is not None:
            resident.due_timer.cancel()
        jobs = resident.pending.give_up()
        for job in jobs:
            if job.later is not None:
                job.later.cancel()
            self._runner.stop(job, why)
        resident.replay.close()
        if full:
            self._run_bell.ring()

    def _trace(self, resident: Resident, attributes: Any) -> None:
        claim = resident.claim
        ids = {"workflow_id": claim.workflow_id, "run_id": claim.run_id, "workflow": claim.workflow, "namespace": self.namespace}
        decoded = self._codec.decode(attributes)
        for sink in self._settings.trace_sinks:
            try:
                sink(ids, decoded)
            except Exception:
                log.warning("trace sink failed", exc_info=True, extra=ids)
