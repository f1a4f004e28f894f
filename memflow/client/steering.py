"""What a handle can do to its run besides talking to it: stop it, hold it, move it, begin it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from memflow.client.branching import branch
from memflow.client.link import Link
from memflow.core.arrivals import Arrival, CancelRequested
from memflow.interceptors import CancelWorkflowInput, TerminateWorkflowInput
from memflow.names import check_name
from memflow.store.values import RunRow, Sent

H_co = TypeVar("H_co", covariant=True)


class Steering(ABC, Generic[H_co]):
    """The part of a handle that changes where its run goes. `H_co` is what a handle on another run is."""

    _link: Link
    _id: str
    _run_id: str | None

    @abstractmethod
    async def _send(self, arrival: Arrival, request_id: str | None, connection: Any) -> Sent: ...
    @abstractmethod
    async def _reach(self, deliver: Callable[[str | None], Awaitable[Sent]]) -> Sent: ...
    @abstractmethod
    async def _row(self, run_id: str | None) -> RunRow: ...
    @abstractmethod
    def _beside(self, workflow_id: str, run_id: str, run: int) -> H_co: ...

    async def cancel(self, reason: str | None = None) -> None:
        """Ask the run to cancel itself: its code sees `asyncio.CancelledError` and may clean up. A paused run sees it when it is
        resumed.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
        """
        if self._link.outbound is None:
            await self.ask_to_cancel(reason)
        else:
            await self._link.outbound.cancel_workflow(CancelWorkflowInput(self._id, self._run_id, reason))

    async def ask_to_cancel(self, reason: str | None) -> None:
        """`cancel`, behind interceptors."""
        await self._send(CancelRequested(reason), None, None)

    async def terminate(self, reason: str | None = None) -> None:
        """End the run at once. Its code sees nothing of it; open children follow their `parent_close_policy`.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
        """
        if self._link.outbound is None:
            await self.end(reason)
        else:
            await self._link.outbound.terminate_workflow(TerminateWorkflowInput(self._id, self._run_id, reason))

    async def end(self, reason: str | None) -> None:
        """`terminate`, behind interceptors."""
        await self._reach(lambda run_id: self._link.store.terminate(self._id, run_id, reason))

    async def interrupt(self, reason: str | None = None) -> None:
        """The same as `terminate`, under the name that HotMesh users know."""
        await self.terminate(reason)

    async def pause(self, reason: str | None = None) -> None:
        """Keep the run from going on until `resume`. Status `paused`; `reason` shows in lists.

        Nothing is lost meanwhile: signals and updates are taken and kept, activities that have been asked for go on and their
        results are kept, timers that fall due fire when it is resumed. Its time limits go on counting, and act then. Pausing
        twice is pausing once.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
        """
        await self._reach(lambda run_id: self._link.store.pause(self._id, run_id, reason))

    async def resume(self) -> None:
        """Let a paused run go on. One that is not paused goes on anyway.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
        """
        await self._reach(lambda run_id: self._link.store.resume(self._id, run_id))

    async def update_options(self, *, version: str | None) -> None:
        """Move the run to workers of another version, and pin it there; None leaves it to the newest version that is there.

        Raises:
            ConfigurationError: this cannot be a version.
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
        """
        pin = None if version is None else check_name(version, what="version")
        await self._reach(lambda run_id: self._link.store.repin(self._id, run_id, pin))

    async def reset(
        self, to: int | str, *, reapply: bool = True, version: str | None = None, reason: str | None = None
    ) -> H_co:
        """Begin the run again from a point of its journal, as a new run of the same workflow id; if it is open, it is terminated.
        A handle on the new run; handles on the old one follow to it.

        `to` is the `seq` of a turn's last entry, `"first"`, `"last"`, `"last_turn"`, or `"op:3"`: what came up to there is kept,
        the code goes on from there. Activities that are unanswered at that point are run again; children under way stay
        children of the new run. With `reapply` signals and updates that came later are delivered again; mail that the run has
        not read goes along in any case. `version` pins the new run to that version of the code. All in one transaction; a run
        that has ended can be reset too.

        Raises:
            ConfigurationError: no such point; the message names the nearest.
            WorkflowNotFoundError: there is no such run.
        """
        return await self._branch(to, fork=False, id=None, reapply=reapply, version=version, reason=reason)

    async def fork(
        self, from_: int | str, *, id: str | None = None, reapply: bool = False, version: str | None = None
    ) -> H_co:
        """Begin another run, under another id, with this one's journal up to a point. This one does not notice.

        `from_` as `to` of `reset`. `id` is a new one by default. Activities unanswered at that point are run for the new run
        too; a child that has ended by now is taken over with its result, one that has not refuses the fork.

        Raises:
            ConfigurationError: no such point, or a child is under way there; the message says which.
            WorkflowAlreadyStartedError: an open run has that id.
            WorkflowNotFoundError: there is no such run.
        """
        new = None if id is None else check_name(id, what="workflow id")
        return await self._branch(from_, fork=True, id=new, reapply=reapply, version=version, reason=None)

    async def _branch(
        self, point: int | str, *, fork: bool, id: str | None, reapply: bool, version: str | None, reason: str | None
    ) -> H_co:
        pin = None if version is None else check_name(version, what="version")
        row = await self._row(self._run_id)
        made = await branch(
            self._link, row, point, fork=fork, new_id_of_workflow=id, reapply=reapply, version=pin, reason=reason
        )
        return self._beside(*made)
