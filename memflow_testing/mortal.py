"""Workers that can be killed in mid-work, and replaced, inside one process: what `crash_everywhere` kills.

A killed worker loses its memory: its engine is abandoned, its tasks are cancelled without being drained, and its store answers
no more. What it had sent before goes on, as it would on a server. Its successor takes its work over as from a dead process:
nothing is handed back, the lease of the dead one is over at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

from memflow.errors import MemflowError
from memflow.store.base import Store
from memflow.store.schedule_values import Served, Taker
from memflow.store.turns import (
    ActivityClaims,
    Claim,
    Claims,
    Committed,
    Retry,
    Settle,
    TurnCommit,
)
from memflow.worker.engine import Engine
from memflow_testing.clients import EnvironmentClient
from memflow_testing.crash_points import Fate, Moment
from memflow_testing.environment import WorkflowEnvironment
from memflow_testing.workers import EnvironmentWorker

OPEN_TO_THE_DEAD = frozenset({"now", "twin", "close", "listen", "migrate", "check_schema"})
"""Calls that a killed worker may still make: they change nothing."""

LAST_BREATH_SECONDS = 2.0
"""How long what a killed worker leaves behind (cancelled code, threads) may take to end."""


class MortalStore:
    """The store as one worker sees it, for as long as that lives."""

    def __init__(self, store: Store, fate: Fate, die: Callable[[], None], despair: Callable[[str], None]) -> None:
        self._store = store
        self._fate = fate
        self._die = die
        self._despair = despair
        self._flying: set[asyncio.Task[Any]] = set()
        self._settled: dict[int, list[Moment]] = {}      # by id of a connection: what its transaction settles
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in OPEN_TO_THE_DEAD or not inspect.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any, **options: Any) -> Any:
            return await self._sent(found, *arguments, **options)

        setattr(self, name, call)
        return call

    async def _sent(self, found: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A call. What is on its way when the worker dies arrives all the same."""
        self._check()
        if options.get("connection") is not None:        # part of a transaction, which ends with its code
            return await found(*arguments, **options)
        task: asyncio.Task[Any] = asyncio.ensure_future(found(*arguments, **options))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)
        answer = await asyncio.shield(task)
        self._check()
        return answer

    def _check(self) -> None:
        if self.dead:
            raise asyncio.CancelledError                 # nobody who calls now is alive

    def _strike(self, when: str, moments: Sequence[Moment]) -> None:
        if self._fate.strikes(when, moments):
            self.kill()
            raise asyncio.CancelledError

    def kill(self) -> None:
        """From now on this worker is dead."""
        if not self.dead:
            self.dead = True
            self._die()

    async def landed(self) -> None:
        """Until what was on its way has arrived."""
        while self._flying:
            await asyncio.wait(list(self._flying))

    # -- where workers are killed

    async def commit_turns(self, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
        self._check()
        moments = [self._fate.turn(turn) for turn in turns]
        for turn in turns:
            wrong = self._fate.complain(turn)
            if wrong is not None and self._fate.reached:
                self._despair(f"{self._fate.names.of(turn.run)} is stuck: {wrong}")
        self._strike("before", moments)
        answers: list[Committed] = await self._sent(self._store.commit_turns, worker, turns)
        won = {each.run for each in answers if each.outcome == "won"}
        self._strike("after", [each for each, turn in zip(moments, turns, strict=True) if turn.run in won])
        self._fate.effects.recorded()
        return answers

    async def settle_activities(self, settled: Sequence[Settle], *, connection: Any = None) -> list[bool]:
        self._check()
        moments = [self._fate.of_activity("settle", each.run, each.op) for each in settled]
        self._strike("before", moments)
        if connection is not None:
            answers: list[bool] = await self._store.settle_activities(settled, connection=connection)
            self._settled[id(connection)] = moments      # done when that transaction is
            return answers
        answers = await self._sent(self._store.settle_activities, settled)
        self._strike("after", moments)
        self._fate.effects.recorded()
        return answers

    async def retry_activities(self, retries: Sequence[Retry]) -> list[bool]:
        self._check()
        moments = [self._fate.of_activity("retry", each.run, each.op) for each in retries]
        self._strike("before", moments)
        answers: list[bool] = await self._sent(self._store.retry_activities, retries)
        self._strike("after", moments)
        return answers

    async def claim_runs(
        self, worker: int, *, task_queues: Sequence[str], limit: int, version: str | None = None,
        since: datetime | None = None,
    ) -> Claims:
        found: Claims = await self._sent(
            self._store.claim_runs, worker, task_queues=task_queues, limit=limit, version=version, since=since
        )
        self._claimed(found.claims)
        return found

    def _claimed(self, claims: Sequence[Claim]) -> None:
        for claim in sorted(claims, key=lambda each: each.run):
            self._fate.names.learn(claim.run, claim.run_id, claim.workflow_id, claim.workflow)
        self._strike("after", [self._fate.moment("claim", each.run, each.length) for each in claims])

    async def serve_schedules(self, *, limit: int, taker: Taker | None = None) -> Served:
        served: Served = await self._sent(self._store.serve_schedules, limit=limit, taker=taker)
        self._claimed(served.claims)
        return served

    async def claim_activities(self, worker: int, *, task_queues: Sequence[str], limit: int) -> ActivityClaims:
        found: ActivityClaims = await self._sent(
            self._store.claim_activities, worker, task_queues=task_queues, limit=limit
        )
        for claim in sorted(found.claims, key=lambda each: each.run):
            self._fate.names.learn(claim.run, claim.run_id, claim.workflow_id, claim.workflow)
        self._strike("after", [self._fate.of_activity("claim activity", each.run, each.op) for each in found.claims])
        return found

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Any]:
        self._check()
        async with self._store.transaction() as connection:
            self._settled.pop(id(connection), None)
            yield connection
        self._strike("after", self._settled.pop(id(connection), []))
        self._fate.effects.recorded()



class _MortalClient:
    """The client of an environment, as one worker sees it: with a store that dies with it."""

    def __init__(self, client: EnvironmentClient, store: MortalStore) -> None:
        self._client = client
        self.store = cast("Store", store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class MortalWorker(EnvironmentWorker):
    """A worker that is killed where its fate says, and begins anew."""

    def __init__(self, client: EnvironmentClient, *, fate: Fate, **options: Any) -> None:
        super().__init__(client, **options)
        self._mortal_client = client
        self._fate = fate
        self._dying: asyncio.Task[None] | None = None
        registry = self._registry
        fate.workflows.update(registry.workflows)
        registry.activities = {name: fate.effects.watched(each) for name, each in registry.activities.items()}
        if registry.dynamic_activity is not None:
            registry.dynamic_activity = fate.effects.watched(registry.dynamic_activity)
        self._mortal = self._born()

    def _born(self) -> MortalStore:
        mortal = MortalStore(self._mortal_client.store, self._fate, self._die, self._despair)
        self._client = cast("EnvironmentClient", _MortalClient(self._mortal_client, mortal))
        return mortal

    def _despair(self, why: str) -> None:
        self._mortal_client.give_up(MemflowError(why))

    def _die(self) -> None:
        self._dying = asyncio.create_task(self._die_and_begin_anew(), name="memflow killed worker")

    def kill(self) -> None:
        """Kill it here and now, and begin anew."""
        self._mortal.kill()

    @property
    def busy(self) -> bool:
        return (self._dying is not None and not self._dying.done()) or super().busy

    async def shutdown(self) -> None:
        while self._dying is not None:
            dying = self._dying
            await dying                                  # it has just been killed: its successor is about to begin
            if self._dying is dying:
                self._dying = None
        await super().shutdown()

    async def _die_and_begin_anew(self) -> None:
        engine, main, mortal = self._engine, self._main, self._mortal
        if engine is None or main is None:               # killed while it stopped: nobody takes over
            return
        dead = engine.id
        main.cancel()
        await self._bury(engine, main)
        await mortal.landed()
        self._mortal = self._born()
        successor = Engine(self._client, self._registry, self._settings)
        await successor.start()
        self._engine = successor
        self._main = asyncio.create_task(successor.live(), name=f"memflow worker {self.task_queue}")
        self._main.add_done_callback(self._ended)
        store = self._mortal_client.store
        await store.beat_worker(dead, lease=timedelta())   # the lease of a dead process, over at once
        await store.release_silent(successor.id)
        await store.unregister_worker(dead)

    async def _bury(self, engine: Engine, main: asyncio.Task[None]) -> None:
        """Cancel whatever the engine has begun, and drop what it knows."""
        tasks: set[asyncio.Task[Any]] = {main}
        threads: list[asyncio.Future[Any]] = []
        for runner in (engine._runner, engine._local_runner):  # pyright: ignore[reportPrivateUsage]  # nobody else has to ask
            for job in runner.jobs:
                if job.task is not None:
                    tasks.add(job.task)
                if job.context is not None and job.context.thread is not None:
                    threads.append(job.context.thread)
                runner.stop(job, "lost")
        await asyncio.wait({main})
        engine.close()
        await asyncio.wait([*tasks, *threads], timeout=LAST_BREATH_SECONDS)


class MortalEnvironment(WorkflowEnvironment):
    """An environment whose workers have a fate."""

    fate: Fate

    def doom(self, fate: Fate) -> None:
        """From now on workers that are made here have that fate."""
        self.fate = fate
        self._make_worker = partial(MortalWorker, fate=fate)
