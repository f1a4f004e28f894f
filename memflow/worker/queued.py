"""Durable activities: rows claimed from the queue, run here, and reported back in groups.

A row holds what memory may lose: attempt, next attempt, last failure, heartbeat details, the wish to cancel. Its token
fences it, so a report may be repeated after a broken connection, and one that comes too late changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from memflow.core.arrivals import ActivityFailed
from memflow.errors import DatabaseError, OutcomeUnknownError
from memflow.failure import Failure, encode_failure
from memflow.store.base import Store
from memflow.store.turns import (
    ActivityClaim,
    Beat,
    Beaten,
    Open,
    Retry,
    Settle,
)
from memflow.worker import verdicts
from memflow.worker.activities import Runner, verdict_on
from memflow.worker.jobs import Ending, Errand, HandBack, Job, Opened, Settled, TryAgain
from memflow.worker.registry import Registry

log = logging.getLogger(__name__)

BATCH = 500
"""Reports in one statement."""

BEAT_SECONDS = 1.0
"""Heartbeats of one activity reach Postgres at most this often, or four times per heartbeat timeout if that is shorter."""

UNKNOWN_SECONDS = 5.0
"""How long an activity that this worker does not know rests before it is offered again (with jitter)."""


class Queued:
    """Takes durable activities, and reports on those that run here."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        runner: Runner,
        *,
        now: Callable[[], datetime],
        tried_again: Callable[[timedelta], None],
    ) -> None:
        self._now = now
        self._store = store
        self._registry = registry
        self._runner = runner
        self._tried_again = tried_again
        self._settles: list[Settle] = []
        self._retries: list[Retry] = []
        self._opens: list[tuple[Open, timedelta | None]] = []
        self._beats: dict[tuple[int, int], Beat] = {}
        self._beaten_at: dict[tuple[int, int], float] = {}
        self._held_beats: set[tuple[int, int]] = set()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    # ------------------------------------------------------------------------------------------------- taking

    def take(self, claim: ActivityClaim, namespace: str) -> None:
        """Run a claimed row, or hand it back when nobody here knows it."""
        errand = Errand(
            claim.run,
            claim.op,
            namespace,
            claim.workflow_id,
            claim.run_id,
            claim.workflow,
            claim.name,
            claim.task_queue,
            claim.input,
            claim.options,
            claim.headers,
            claim.scheduled_at,
            claim.close_by,
        )
        if claim.late is not None:
            failure = verdicts.timed_out(claim.late, verdicts.limit_of(claim.options, claim.late), claim.heartbeat)
            self._report(errand, claim.token, verdict_on(errand, claim.attempt, failure, self._now()))
            return
        definition = self._registry.activity(claim.name)
        if definition is None:
            known = ", ".join(sorted(self._registry.activities)) or "none"
            reason = Failure(
                "application",
                f"activity {claim.name!r} is not registered on the workers of task queue {claim.task_queue!r}; known: {known}",
                type="ActivityNotRegistered",
            )
            delay = timedelta(seconds=UNKNOWN_SECONDS * (0.5 + random.random()))
            self._retry(Retry(claim.run, claim.op, claim.token, delay, encode_failure(reason), counts=False))
            log.warning("activity type unknown here, handed back", extra={"activity": claim.name, "task_queue": claim.task_queue})
            return
        if claim.unreadable is not None:
            reason = Failure("application", claim.unreadable, type="PayloadError")
            delay = verdicts.backoff(claim.attempt - 1)
            self._retry(Retry(claim.run, claim.op, claim.token, delay, encode_failure(reason), counts=False))
            log.error(
                "the payloads of an activity cannot be read, handed back: %s",
                claim.unreadable,
                extra={"activity": claim.name, "workflow_id": claim.workflow_id, "run_id": claim.run_id},
            )
            return
        most = claim.options.retry.maximum_attempts
        if most and claim.attempt > most:
            # The attempt before was the last one, and whoever ran it was lost: it is not known what it did.
            id = claim.options.activity_id or claim.op
            lost = verdicts.activity_failed(claim.name, id, claim.attempt - 1, "worker_lost", verdicts.worker_lost())
            self._settles.append(Settle(claim.run, claim.op, claim.token, ActivityFailed(claim.op, lost)))
            self._ring()
            return
        job = Job(
            errand,
            definition,
            claim.attempt,
            claim.token,
            self.finished,
            heartbeat=claim.heartbeat,
            heartbeat_before=claim.heartbeat,
            beaten=self.beaten,
        )
        if claim.cancel_requested:
            job.stopped = "cancel"
        self._runner.submit(job)

    # ------------------------------------------------------------------------------------------------- reporting

    def finished(self, job: Job, ending: Ending) -> None:
        """A durable activity ended here: its report goes with the next group."""
        self._beaten_at.pop(job.key, None)
        if job.token is None or isinstance(ending, Settled) or job.stopped == "lost":
            return
        self._report(job.errand, job.token, ending)

    def _report(self, errand: Errand, token: UUID, ending: Ending) -> None:
        run, op = errand.run, errand.op
        match ending:
            case TryAgain(delay=delay, failure=failure):
                self._retry(Retry(run, op, token, delay, encode_failure(failure)))
            case HandBack(failure=failure, begun=begun):
                self._retry(Retry(run, op, token, timedelta(), encode_failure(failure) if begun else None, counts=begun))
            case Opened(by=by):
                self._opens.append((Open(run, op, token, by), errand.options.heartbeat_timeout))
            case Settled():
                return
            case _:
                self._settles.append(Settle(run, op, token, ending))
        self._ring()

    def _retry(self, retry: Retry) -> None:
        self._retries.append(retry)
        self._ring()

    def beaten(self, job: Job) -> None:
        """A durable activity's heartbeat, kept down to what is useful."""
        if job.token is None:
            return
        now = asyncio.get_running_loop().time()
        timeout = job.errand.options.heartbeat_timeout
        gap = BEAT_SECONDS if timeout is None else min(BEAT_SECONDS, timeout.total_seconds() / 4)
        self._beats[job.key] = Beat(job.errand.run, job.errand.op, job.token, job.heartbeat)
        due = self._beaten_at.get(job.key, 0.0) + gap
        if now >= due:
            self._beaten_at[job.key] = now
            self._ring()
        elif job.key not in self._held_beats:
            self._held_beats.add(job.key)
            asyncio.get_running_loop().call_at(due, self._send_held, job.key)

    def _send_held(self, key: tuple[int, int]) -> None:
        self._held_beats.discard(key)
        if key in self._beats:
            self._ring()

    def ask_about_all(self) -> None:
        """Beat for every durable job that runs here: the answer says which to stop.

        One whose row is being written has its token already; asked about too early, it would seem to be lost.
        """
        for job in self._runner.jobs:
            if job.token is not None and not job.becoming_a_row:
                self._beats.setdefault(job.key, Beat(job.errand.run, job.errand.op, job.token, None))
        if self._beats:
            self._ring()

    def _ring(self) -> None:
        self._quiet.clear()
        self._wake.set()

    async def report(self) -> None:
        """Send reports as fast as Postgres takes them; whatever comes up meanwhile goes with the next group."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._beats or self._retries or self._settles or self._opens:
                try:
                    await self._send()
                except (DatabaseError, OutcomeUnknownError):
                    # Tokens fence every report, so it may simply be repeated.
                    log.warning("cannot report on activities, trying again", exc_info=True)
                    await asyncio.sleep(0.2 + random.random())
            self._quiet.set()

    async def _send(self) -> None:
        if self._beats:
            beats, self._beats = self._beats, {}
            try:
                answers = await self._store.beat_activities(list(beats.values()))
            except (DatabaseError, OutcomeUnknownError):
                self._beats = {**beats, **self._beats}
                raise
            for answer in answers:
                job = self._runner.find(answer.run, answer.op)
                if job is not None and (why := _asked_to_stop(answer, job)) is not None:
                    self._runner.stop(job, why)
        if self._opens:
            opens = self._opens[:BATCH]
            await self._store.open_activities([opened for opened, _ in opens])
            del self._opens[: len(opens)]
            for opened, heartbeat in opens:
                # When their time is up somebody has to look; it is looked at anew with each heartbeat from outside.
                waits = [] if heartbeat is None else [heartbeat]
                if opened.attempt_by is not None:
                    waits.append(max(timedelta(), opened.attempt_by - self._now()))
                if waits:
                    self._tried_again(min(waits))
        if self._retries:
            retries = self._retries[:BATCH]
            await self._store.retry_activities(retries)
            del self._retries[: len(retries)]
            for retry in retries:
                self._tried_again(retry.delay)
        if self._settles:
            settles = self._settles[:BATCH]
            done = await self._store.settle_activities(settles)
            del self._settles[: len(settles)]
            for settle, kept in zip(settles, done, strict=True):
                if not kept:
                    log.warning("activity result came too late, dropped", extra={"run": settle.run, "op": settle.op})

    async def reported(self) -> None:
        """Until every report so far is in Postgres."""
        await self._quiet.wait()


def _asked_to_stop(answer: Beaten, job: Job) -> str | None:
    """Why a job should end, by the answer to its heartbeat. Of pauses and resets only those are told that do beat."""
    if answer.lost:
        return "lost"
    if answer.cancel_requested:
        return "cancel"
    if not job.beats:
        return None
    return "reset" if answer.reset else "paused" if answer.paused else None
