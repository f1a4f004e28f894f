"""Group commit: whatever is ready when a connection is free goes to Postgres in one statement.

There is no timer: the batch is what came up while the last commit was in flight, so latency stays low on an idle worker
and batches grow by themselves under load or on a slow disk. Here advance, commit and act meet.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from datetime import datetime
from time import monotonic

from memflow.core.replay import TurnFailed
from memflow.errors import DatabaseError, NondeterminismError
from memflow.store.base import Store
from memflow.store.turns import Committed, TurnCommit
from memflow.worker.jobs import Job
from memflow.worker.resident import Acts, Resident
from memflow.worker.watchdog import Watchdog

log = logging.getLogger(__name__)

BATCH = 500
"""Runs in one commit: beyond that a statement gets no cheaper per row (DESIGN 3), only later."""

BREATH_SECONDS = 0.005
"""Turns are computed for at most this long before activities and IO get their chance."""


BUSY_SECONDS = 0.05
"""How soon a commit comes again that sends to a run which is just ending. It may, ten seconds after that run last tried."""


class Committer:
    """Advances marked residents, commits them together, then acts."""

    def __init__(
        self,
        store: Store,
        watchdog: Watchdog,
        *,
        now: Callable[[], datetime],
        ahead: Callable[[Resident, list[Job]], None],
        act: Callable[[Resident, Committed, Acts], None],
        drop: Callable[[Resident, str], None],
    ) -> None:
        self._store = store
        self._watchdog = watchdog
        self._now = now
        self._ahead = ahead
        self._act = act
        self._drop = drop
        self._marked: deque[Resident] = deque()
        self._asleep: deque[asyncio.Future[None]] = deque()    # pumps with nothing to do
        self._rising = False                                   # one of them was woken and has not looked yet
        self._in_flight = 0
        self._unsent: list[tuple[Resident, TurnCommit]] = []   # refused because of a run that was just ending
        self._quiet = asyncio.Event()
        self._quiet.set()

    def mark(self, resident: Resident) -> None:
        """There is something to do for this resident; while it is being committed, once that is done."""
        if resident.marked:
            return
        resident.marked = True
        if not resident.committing:
            self._queue(resident)

    def _queue(self, resident: Resident) -> None:
        self._marked.append(resident)
        self._quiet.clear()
        self._wake()

    def _wake(self) -> None:
        """Wake one pump: it takes all there is, and the other would look in vain."""
        if self._rising:
            return
        while self._asleep:
            sleeper = self._asleep.popleft()
            if not sleeper.done():                       # else its pump was cancelled
                self._rising = True
                sleeper.set_result(None)
                return

    async def _sleep(self) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._asleep.append(sleeper)
        try:
            await sleeper
        finally:
            self._rising = False

    async def quiet(self) -> None:
        """Until nothing is marked and nothing is in flight."""
        await self._quiet.wait()

    async def pump(self, worker: Callable[[], int]) -> None:
        """Advance and commit for ever. Two of these may run: one computes while the other's commit is in flight."""
        while True:
            while not self._marked and not self._unsent:
                if not self._in_flight:
                    self._quiet.set()
                await self._sleep()
            self._in_flight += 1
            try:
                batch, self._unsent = self._unsent, []
                breath, now = monotonic() + BREATH_SECONDS, self._now()
                while self._marked and len(batch) < BATCH:
                    resident = self._marked.popleft()
                    resident.marked = False
                    share = self._advance(resident, now)
                    if share is not None:
                        resident.committing = True
                        batch.append((resident, share))
                    if monotonic() > breath:
                        await asyncio.sleep(0)
                        breath, now = monotonic() + BREATH_SECONDS, self._now()
                if batch:
                    await self._commit(worker(), batch)
            finally:
                self._in_flight -= 1

    def _advance(self, resident: Resident, now: datetime) -> TurnCommit | None:
        """One turn; None when its activities may run ahead of the commit."""
        try:
            with self._watchdog.turn(resident.claim.workflow_id, resident.claim.task_timeout):
                resident.advance(now)
        except (NondeterminismError, TurnFailed) as error:
            why = error if isinstance(error, NondeterminismError) else error.__cause__ or error
            claim, replay = resident.claim, resident.replay
            extra = {"workflow_id": claim.workflow_id, "run_id": claim.run_id, "retries": claim.retries}
            replay.definition.dialect.log_failed_turn(
                log, "turn failed; the run is parked and tried again", why, replay.info, extra
            )
            resident.cut_back(stuck_because(why), stuck=True)
            return resident.share(now)
        jobs = resident.run_ahead()
        if jobs:
            self._ahead(resident, jobs)
            return None
        return resident.share(now)

    async def _commit(self, worker: int, batch: list[tuple[Resident, TurnCommit]]) -> None:
        answers = await self._until_answered(worker, [share for _, share in batch])
        for (resident, share), answer in zip(batch, answers, strict=True):
            match answer.outcome:
                case "busy":
                    # It sends to a run that is just ending: the same commit comes again, and nobody waits for it meanwhile.
                    self._later(resident, share)
                    continue
                case "won":
                    self._act(resident, answer, resident.won())
                case "unread":
                    # Mail came while the code was ending, or gave up a wait that was just answered: undo that turn, so that the
                    # next one sees the mail first.
                    resident.cut_back("unread mail", stuck=False)
                    resident.marked = True
                case "paused":
                    # It may not go on: keep what came before this turn, and let go of it until it is resumed.
                    resident.pause()
                    resident.marked = True
                case "refused":
                    resident.cut_back(f"stuck: Postgres refused the commit: {answer.reason}", stuck=True, everything=True)
                    resident.marked = True
                case _:
                    resident.marked = False
                    self._drop(resident, "fenced")
            # Only now: whoever marked it meanwhile, or while we acted, must not have queued it a second time.
            resident.committing = False
            if resident.marked:
                self._queue(resident)

    def _later(self, resident: Resident, share: TurnCommit) -> None:
        self._in_flight += 1                             # nothing is quiet before it has come again
        seconds = BUSY_SECONDS * (0.5 + random.random())
        asyncio.get_running_loop().call_later(seconds, self._again, resident, share)

    def _again(self, resident: Resident, share: TurnCommit) -> None:
        self._in_flight -= 1
        self._unsent.append((resident, share))
        self._wake()

    async def _until_answered(self, worker: int, shares: list[TurnCommit]) -> list[Committed]:
        delay = 0.05
        while True:
            try:
                return await self._store.commit_turns(worker, shares)
            except DatabaseError:
                # Nothing was written, or length and token will tell: the same commit may be sent again.
                log.warning("cannot commit, trying again", exc_info=True, extra={"runs": len(shares)})
                await asyncio.sleep(delay * (0.5 + random.random()))
                delay = min(2.0, delay * 2)


def stuck_because(error: BaseException) -> str:
    """The detail that lists and `describe` show for a parked run."""
    if isinstance(error, NondeterminismError):
        return f"stuck: {error}"
    return f"stuck: {type(error).__name__}: {error}"
