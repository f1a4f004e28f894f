"""A handle on one update: wait for what it comes to. Making one asks nobody."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any, Generic, TypeVar, cast

from memflow.client.describe import failure_in
from memflow.client.link import Link
from memflow.duration import Duration, to_timedelta
from memflow.errors import UpdateFailedError, WorkflowClosedError, WorkflowNotFoundError
from memflow.store.values import Reply, UpdateKey

R_co = TypeVar("R_co", covariant=True)


class UpdateHandle(Generic[R_co]):
    """One update of one workflow, by its id."""

    def __init__(
        self, link: Link, workflow_id: str, run_id: str | None, update_id: str, *, result_type: Any, chain: str | None = None
    ) -> None:
        self._link = link
        self._workflow_id = workflow_id
        self._run_id = run_id
        self._id = update_id
        self._result_type = result_type
        self._chain = chain

    def __repr__(self) -> str:
        return f"UpdateHandle(id={self._id!r}, workflow_id={self._workflow_id!r})"

    @property
    def id(self) -> str:
        """The update id: the same id again is the same update."""
        return self._id

    @property
    def workflow_id(self) -> str:
        """The workflow it was sent to."""
        return self._workflow_id

    async def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for the end of the update and return what its handler returned, decoded to its declared type.

        `timeout` (timedelta, text or seconds) bounds the wait, not the update.

        Raises:
            UpdateFailedError: it was rejected, its handler failed, or its run ended before; `cause` says why.
            WorkflowNotFoundError: there is no such run.
            builtins.TimeoutError: it has not ended within `timeout`.
            PayloadError: the result is not of the declared type.
        """
        reply = await self.wait(final=True, timeout=timeout)
        match reply.outcome:
            case "completed":
                decoded: Any = None if reply.payload is None else self._link.codec.decode(reply.payload, self._result_type)
                return cast("R_co", decoded)
            case "failed" | "rejected":
                cause: BaseException | None = failure_in(reply.payload, self._link.codec)
                said = "" if cause is None else f": {getattr(cause, 'type', None) or type(cause).__name__}: {cause}"
                why = f"{'was rejected' if reply.outcome == 'rejected' else 'failed'}{said}"
            case _:
                cause = WorkflowClosedError(self._workflow_id, run_id=self._run_id)
                why = "was not answered: the run ended before"
        raise UpdateFailedError(
            f"update {self._id!r} of workflow {self._workflow_id!r} {why}", workflow_id=self._workflow_id, update_id=self._id
        ) from cause

    async def exists(self) -> bool:
        """Whether it was ever sent to the run, or to one of its chain.

        Raises:
            WorkflowNotFoundError: there is no such run.
        """
        return await self._link.store.knows_update(await self._key())

    async def wait(self, *, final: bool, timeout: Duration | None = None) -> Reply:
        """What is known of the update once it is accepted or rejected; with `final`, how it ended."""
        limit = None if timeout is None else to_timedelta(timeout, what="timeout").total_seconds()
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await self._link.replies.reply(await self._key(), final=final)
        except builtins.TimeoutError:
            if not scope.expired():
                raise
            raise builtins.TimeoutError(
                f"update {self._id!r} of workflow {self._workflow_id!r} was not answered within {timeout}; it goes on"
            ) from None

    async def _key(self) -> UpdateKey:
        if self._chain is None:
            row = await self._link.store.find_run(self._workflow_id, self._run_id)
            if row is None:
                raise WorkflowNotFoundError(self._workflow_id, run_id=self._run_id, namespace=self._link.namespace)
            self._chain = row.first_run_id
        return UpdateKey(self._workflow_id, self._chain, self._id)
