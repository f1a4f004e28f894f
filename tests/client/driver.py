"""Brings runs to their end through the store alone, so that the client's tests need no worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg

from memflow.client.client import Client
from memflow.core.arrivals import RunStarted
from memflow.core.entries import Entry, JournalEntry
from memflow.core.interrupts import Complete, Fail
from memflow.errors import ApplicationError
from memflow.failure import encode_failure, failure_of
from memflow.runs import Status
from memflow.store.turns import Claim, Committed, Effect, TurnCommit

QUEUE = "default"


class Driver:
    """One registered worker that commits whatever a test says."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._store = client.store
        self._worker: int | None = None

    async def claim(self, *, queue: str = QUEUE, limit: int = 1000) -> Sequence[Claim]:
        """Take what is due."""
        if self._worker is None:
            self._worker = await self._store.register_worker(
                identity="driver", task_queues=[queue], types=[], lease=timedelta(seconds=60), version=None
            )
        return (await self._store.claim_runs(self._worker, task_queues=[queue], limit=limit)).claims

    async def complete(self, result: Any = None, *, queue: str = QUEUE) -> int:
        """Complete every due run with this result. How many there were."""
        payload = self._client.codec.encode(result)
        return await self._close(Complete(payload), Status.COMPLETED, payload, queue)

    async def fail(self, error: BaseException, *, queue: str = QUEUE) -> int:
        """Fail every due run with this error and its causes."""
        failure = failure_of(error, self._client.codec)
        return await self._close(Fail(failure), Status.FAILED, encode_failure(failure), queue)

    async def _close(self, ending: Entry, status: Status, result: Any, queue: str) -> int:
        claims = await self.claim(queue=queue)
        now = await self._store.now()
        turns = [
            TurnCommit(
                claim.run,
                claim.token,
                claim.length,
                [
                    JournalEntry(claim.length + 1, claim.turn + 1, now, RunStarted()),
                    JournalEntry(claim.length + 2, claim.turn + 1, now, ending),
                ],
                consumed=claim.arrived,
                release=True,
                status=status,
                result=result,
            )
            for claim in claims
        ]
        await self._commit(turns)
        return len(claims)

    async def park(
        self,
        claim: Claim,
        *,
        entries: Sequence[Entry] = (),
        effects: Sequence[Effect] = (),
        waiting_at: str | None = None,
        detail: str | None = None,
        **more: Any,
    ) -> None:
        """Commit a turn of an open run and let go of it."""
        now = await self._store.now()
        spoken = [RunStarted(), *entries]
        journal = [JournalEntry(claim.length + n, claim.turn + 1, now, entry) for n, entry in enumerate(spoken, start=1)]
        turn = TurnCommit(
            claim.run, claim.token, claim.length, journal, consumed=claim.arrived, release=True,
            effects=effects, waiting_at=waiting_at, detail=detail, **more,
        )
        await self._commit([turn])

    async def _commit(self, turns: Sequence[TurnCommit]) -> None:
        assert self._worker is not None
        committed: list[Committed] = await self._store.commit_turns(self._worker, turns) if turns else []
        assert {(one.outcome, one.reason) for one in committed} <= {("won", None)}


def card_declined() -> ApplicationError:
    """A failure with a cause, as an activity leaves it."""
    try:
        try:
            raise ApplicationError("card 4242 declined", 4242, type="CardDeclined", non_retryable=True)
        except ApplicationError as cause:
            raise ApplicationError("payment failed", type="PaymentFailed") from cause
    except ApplicationError as error:
        return error


async def cut_connections(dsn: str) -> None:
    """Break every connection to this database, as a failover does."""
    direct = await asyncpg.connect(dsn)
    try:
        await direct.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
        )
    finally:
        await direct.close()
