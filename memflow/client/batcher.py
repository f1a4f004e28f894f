"""Starts and signals in flight together share one statement: a statement costs 100 µs and more, a row inside it 10.

Self-clocking: the next batch leaves as soon as the last one has returned, never on a timer. A lone call waits for nobody,
and batches grow by themselves under load.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

from memflow.client.faults import blames_a_value
from memflow.errors import ConfigurationError, OutcomeUnknownError

Member = TypeVar("Member")
Answer = TypeVar("Answer")

Batch: TypeAlias = Sequence[tuple[Member, "asyncio.Future[Answer]"]]

logger = logging.getLogger(__name__)

LARGEST_BATCH = 500
"""Members of one statement. Past some hundred a row gets no cheaper, and the first of the batch waits for the last."""

REPEATS_AFTER_SECONDS = (0.05, 0.5, 2.0)
"""Waits before a batch of unknown outcome is repeated. The store has already tried to settle it by itself."""


class Batcher(Generic[Member, Answer]):
    """Carries members to `send`, many at a time and in the order they came, and each answer back to its caller.

    `repeatable` tells which members may be sent a second time when nobody knows whether the first time took effect.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Member]], Awaitable[Sequence[Answer]]],
        *,
        repeatable: Callable[[Member], bool],
        largest: int = LARGEST_BATCH,
    ) -> None:
        self._send = send
        self._repeatable = repeatable
        self._largest = largest
        self._waiting: deque[tuple[Member, asyncio.Future[Answer]]] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    async def submit(self, member: Member) -> Answer:
        """Send one member with whatever else is on its way.

        A caller that is cancelled before its batch leaves takes its member along; after that only the answer is lost.

        Raises:
            OutcomeUnknownError: the connection broke while Postgres was committing, and a repeat would not be safe.
            DatabaseError: Postgres refused this member, or cannot be reached.
        """
        if self._closed:
            raise ConfigurationError("the client is closed")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((member, future))
        if self._pump is None:
            # A task of its own: the caller whose member happens to come first may be cancelled, the batch goes on.
            self._pump = asyncio.create_task(self._run(), name="memflow batcher")
        return await future

    async def close(self) -> None:
        """Take nothing more, and see off what is on its way."""
        self._closed = True
        if self._pump is not None:
            await asyncio.shield(self._pump)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._deliver(self._take())
        finally:
            self._pump = None
            while self._waiting:             # only when the loop is shutting down and cancels us
                self._waiting.popleft()[1].cancel()

    def _take(self) -> list[tuple[Member, asyncio.Future[Answer]]]:
        batch: list[tuple[Member, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._largest:
            member, future = self._waiting.popleft()
            if not future.done():            # its caller was cancelled meanwhile
                batch.append((member, future))
        return batch

    async def _deliver(self, batch: Batch[Member, Answer], *, repeats: int = 0) -> None:
        """Send a batch and answer every future in it, whatever happens."""
        if not batch:
            return
        try:
            answers = await self._send([member for member, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except OutcomeUnknownError as error:
            await self._repeat(batch, error, repeats)
        except Exception as error:  # not only ours: a defect of the store must reach the callers, not leave them waiting
            if len(batch) > 1 and blames_a_value(error):
                # Nothing of a refused statement is written. Halving finds the culprit in log2(n) statements.
                middle = len(batch) // 2
                await self._deliver(batch[:middle], repeats=repeats)
                await self._deliver(batch[middle:], repeats=repeats)
            else:
                _fail(batch, error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _repeat(self, batch: Batch[Member, Answer], unknown: OutcomeUnknownError, repeats: int) -> None:
        """Send again what is safe to send again; the callers of the rest learn that nobody knows."""
        safe = [(member, future) for member, future in batch if self._repeatable(member)]
        _fail([(member, future) for member, future in batch if not self._repeatable(member)], unknown)
        if repeats == len(REPEATS_AFTER_SECONDS):
            _fail(safe, unknown)
            return
        logger.info("repeating a batch of unknown outcome", extra={"members": len(safe)})
        try:
            await asyncio.sleep(REPEATS_AFTER_SECONDS[repeats])
        except asyncio.CancelledError:
            for _, future in safe:
                future.cancel()
            raise
        await self._deliver(safe, repeats=repeats + 1)


def _fail(batch: Batch[Member, Answer], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
