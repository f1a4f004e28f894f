"""A handle on one workflow: wait for its result, look at it, talk to it, stop it. Making one asks nobody."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, TypeVarTuple, cast, overload
from uuid import uuid4

from memflow.client.describe import (
    RunDescription,
    description_of,
    failure_in,
    waiting_of,
)
from memflow.client.histories import WorkflowHistory, history_from
from memflow.client.hooks import hook_received
from memflow.client.link import Link
from memflow.client.steering import Steering
from memflow.client.updates import UpdateHandle
from memflow.client.values import encode_arguments, encode_signal_to
from memflow.core.arrivals import Arrival, SignalReceived, UpdateReceived
from memflow.duration import Duration, to_timedelta
from memflow.errors import (
    CancelledError,
    ConfigurationError,
    FailureError,
    QueryFailedError,
    TerminatedError,
    TimeoutError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
)
from memflow.interceptors import (
    DescribeWorkflowInput,
    HookWorkflowInput,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartUpdateInput,
)
from memflow.names import check_name
from memflow.runs import Status
from memflow.store.values import Outcome, RunRow, Sent, ToRun
from memflow.workflow.handlers import handler_name
from memflow.workflow.hooks import hook_of

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Ts = TypeVarTuple("Ts")

QUERY_TIMEOUT: Duration = "10 seconds"
"""How long a query waits for a worker by default: it is asked by somebody who waits, often a person."""

EXISTS_SECONDS = 300.0
"""How often a waiting `result` makes sure that the run still exists: an ended run can expire while nobody could ask."""


class Handle(Steering["Handle[R_co]"], Generic[R_co]):
    """One workflow, by its id and perhaps the id of one run.

    Without `run_id` every call means the latest run of that id. With it, `status`, `describe` and `history` mean exactly
    that run, while `result`, `signal`, `cancel` and `terminate` follow it to the run that goes on where it ended
    (continued as new, tried again).
    """

    def __init__(self, link: Link, workflow_id: str, *, run_id: str | None, result_type: Any, run: int | None = None) -> None:
        self._link = link
        self._id = workflow_id
        self._run_id = run_id
        self._result_type = result_type
        self._run = run

    def __repr__(self) -> str:
        return f"Handle(id={self._id!r}, run_id={self._run_id!r})"

    @property
    def id(self) -> str:
        """The workflow id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The run this handle was made for; None means the latest of its id."""
        return self._run_id

    @property
    def run(self) -> int | None:
        """The row of that run, where it is known without asking."""
        return self._run

    @property
    def result_type(self) -> Any:
        """The declared type of the result; Any: plain JSON values."""
        return self._result_type

    def reading(self, result_type: Any) -> Handle[Any]:
        """A handle of the same run that decodes its result to that type."""
        return Handle(self._link, self._id, run_id=self._run_id, result_type=result_type, run=self._run)

    # -- the result

    async def result(self, timeout: Duration | None = None, *, follow: bool = True) -> R_co:  # text and timedelta are taken too
        """Wait for the end and return what the workflow returned, decoded to its declared type.

        `timeout` (timedelta, text or seconds) bounds the wait, not the run. Any number of waiters cost one query together.
        With `follow=False` the run's own end counts, even if another run goes on where it ended.

        Raises:
            WorkflowFailedError: the run failed, timed out, was cancelled or terminated; `cause` says why.
            WorkflowNotFoundError: there is no such run.
            builtins.TimeoutError: the run has not ended within `timeout`.
            PayloadError: the result is not of the declared type.
        """
        limit = None if timeout is None else to_timedelta(timeout, what="timeout").total_seconds()
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                outcome, run_id = await self._outcome(follow=follow)
        except builtins.TimeoutError:
            if not scope.expired():
                raise
            raise builtins.TimeoutError(f"workflow {self._id!r} has not ended within {timeout}; it goes on") from None
        if outcome.status is not Status.COMPLETED:
            raise self._failed(outcome, run_id)
        result: Any = None if outcome.result is None else self._link.codec.decode(outcome.result, self._result_type)
        return cast("R_co", result)

    async def _outcome(self, *, follow: bool) -> tuple[Outcome, str]:
        """The end of this run, or of the last that goes on where it ended, with that run's id."""
        run, run_id = self._run, self._run_id
        while True:
            if run is None or run_id is None:
                row = await self._row(run_id)
                run, run_id = row.run, row.run_id
                if not row.status.is_open:
                    outcome = Outcome(row.run, row.status, row.result, row.next_run_id)
                else:
                    outcome = await self._wait(run, run_id)
            else:
                outcome = await self._wait(run, run_id)
            if outcome.next_run_id is None or not follow:
                return outcome, run_id
            run, run_id = None, outcome.next_run_id

    async def _wait(self, run: int, run_id: str) -> Outcome:
        while True:
            scope = asyncio.timeout(EXISTS_SECONDS)
            try:
                async with scope:
                    return await self._link.waiters.outcome(run)
            except builtins.TimeoutError:
                if not scope.expired():
                    raise
                await self._row(run_id)

    def _failed(self, outcome: Outcome, run_id: str) -> WorkflowFailedError:
        cause = failure_in(outcome.result, self._link.codec) or _unexplained(outcome.status)
        said = str(cause).partition("\n")[0]
        name = getattr(cause, "type", None) or type(cause).__name__
        error = WorkflowFailedError(
            f"workflow {self._id!r} (run {run_id}) {_ENDED[outcome.status]}: {name}: {said}",
            workflow_id=self._id,
            run_id=run_id,
            status=outcome.status.value,
        )
        error.__cause__ = cause
        return error

    # -- looking

    async def status(self) -> Status:
        """Where the run stands.

        Raises:
            WorkflowNotFoundError: there is no such run.
        """
        return (await self._row(self._run_id)).status

    async def describe(self) -> RunDescription:
        """The run with what it waits for and where, its pending activities, its record and its failure.

        Raises:
            WorkflowNotFoundError: there is no such run.
        """
        if self._link.outbound is None:
            return await self.look()
        found: RunDescription = await self._link.outbound.describe_workflow(DescribeWorkflowInput(self._id, self._run_id))
        return found

    async def look(self) -> RunDescription:
        """`describe`, behind interceptors."""
        row = await self._row(self._run_id)
        return description_of(row, await self._link.store.activities_of(row.run), self._link.codec)

    async def history(self) -> WorkflowHistory:
        """The journal: every arrival and interrupt so far, in order. `to_json()` of it is for `Replayer` and `memflow run check`.

        Raises:
            WorkflowNotFoundError: there is no such run.
        """
        row = await self._row(self._run_id)
        facts = await self._link.store.facts_of(row.run)
        if facts is None:
            raise WorkflowNotFoundError(self._id, run_id=row.run_id, namespace=self._link.namespace)
        return history_from(row, facts, await self._link.store.history(row.run), self._link.codec)

    async def stack(self) -> str:
        """Where the code of an open run waits: one paragraph for each waiting coroutine, outermost frame first.

        Empty for a run that has ended, or that no worker has begun.

        Raises:
            WorkflowNotFoundError: there is no such run.
        """
        waiting = waiting_of(await self._row(self._run_id))
        return "\n\n".join("\n".join([one.what, *(f"  {frame}" for frame in one.where)]) for one in waiting)

    # -- talking

    @overload
    async def signal(self, target: str, *arguments: Any, request_id: str | None = ..., connection: Any = ...) -> None: ...
    @overload
    async def signal(
        self, target: Callable[[Any, *Ts], Any], *arguments: *Ts, request_id: str | None = ..., connection: Any = ...
    ) -> None: ...
    async def signal(  # type: ignore[misc]  # mypy holds `*arguments: *Ts` of an overload against `*arguments: Any` here
        self, target: Any, *arguments: Any, request_id: str | None = None, connection: Any = None
    ) -> None:
        """Send this run a signal by name, or by a method marked `@workflow.signal`. It is kept until the run takes it.

        One argument is the payload itself, several are a list. A repeat with the same `request_id` counts once.
        `connection` (asyncpg, inside a transaction) sends it if and only if the caller commits.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
            PayloadError: an argument cannot be stored.
            OutcomeUnknownError: the connection broke meanwhile; with a `request_id` a repeat is safe.
        """
        name, outbound = handler_name(target, "signal"), self._link.outbound
        if outbound is None:
            await self.give(name, target, arguments, {}, request_id, connection)
        else:
            await outbound.signal_workflow(
                SignalWorkflowInput(self._id, self._run_id, name, arguments, {}, request_id, connection, target)
            )

    async def give(
        self,
        name: str,
        target: Any,
        arguments: Sequence[Any],
        headers: Mapping[str, str],
        request_id: str | None,
        connection: Any,
    ) -> None:
        """`signal`, behind interceptors."""
        payload = encode_signal_to(target, arguments, self._link.codec)
        await self._send(SignalReceived(name, payload, headers=headers), request_id, connection)

    @overload
    async def hook(
        self,
        target: str,
        *arguments: Any,
        search: Mapping[str, Any] | None = ...,
        request_id: str | None = ...,
        connection: Any = ...,
    ) -> str: ...
    @overload
    async def hook(
        self,
        target: Callable[[*Ts], Coroutine[Any, Any, Any]],
        *arguments: *Ts,
        search: Mapping[str, Any] | None = ...,
        request_id: str | None = ...,
        connection: Any = ...,
    ) -> str: ...
    async def hook(  # type: ignore[misc]  # as for signal
        self,
        target: Any,
        *arguments: Any,
        search: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        connection: Any = None,
    ) -> str:
        """Start a hook in this run: a further coroutine beside its main code, that shares its journal, record and memo.

        `target` is an async function (a workflow function will do), or its name; the run's worker must know it by that name,
        from `Worker(hooks=[...])` or `workflows`. If it does not, the run waits, visibly, for one that does. `search` is
        written to the run's record first. A repeat with the same `request_id` counts once. `connection` (asyncpg, inside a
        transaction) starts it if and only if the caller commits. Returns the hook's id, as it stands in the journal.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
            ConfigurationError: it cannot be a hook.
            TypeError: too few or too many arguments.
            PayloadError: an argument cannot be stored.
            OutcomeUnknownError: the connection broke meanwhile; with a `request_id` a repeat is safe.
        """
        if self._link.outbound is None:
            return await self.start_hook(target, arguments, search, request_id, connection)
        name = check_name(target, what="hook name") if isinstance(target, str) else hook_of(target).name
        return await self._link.outbound.hook_workflow(
            HookWorkflowInput(self._id, self._run_id, name, arguments, search, request_id, connection, target)
        )

    async def start_hook(
        self,
        target: Any,
        arguments: Sequence[Any],
        search: Mapping[str, Any] | None,
        request_id: str | None,
        connection: Any,
    ) -> str:
        """`hook`, behind interceptors."""
        arrival = hook_received(target, arguments, search, self._link.codec)
        if request_id is not None:
            request_id = f"hook:{check_name(request_id, what='request id')}"
        await self._send(arrival, request_id, connection)
        return arrival.hook_id

    @overload
    async def query(self, target: str, *arguments: Any, result_type: type[R], timeout: Duration = ...) -> R: ...
    @overload
    async def query(self, target: str, *arguments: Any, timeout: Duration = ...) -> Any: ...
    @overload
    async def query(self, target: Callable[[Any, *Ts], Awaitable[R]], *arguments: *Ts, timeout: Duration = ...) -> R: ...
    @overload
    async def query(self, target: Callable[[Any, *Ts], R], *arguments: *Ts, timeout: Duration = ...) -> R: ...
    async def query(  # type: ignore[misc]  # as for signal
        self, target: Any, *arguments: Any, result_type: Any = None, timeout: Duration = QUERY_TIMEOUT
    ) -> Any:
        """Ask this run something: `target` is a query's name, or a method marked `@workflow.query`.

        Any worker that knows the workflow answers, also for a run that has ended. The answer knows of whatever was sent to the
        run before. Nothing of the run changes. `timeout` bounds the wait.

        Raises:
            QueryFailedError: the handler raised, or there is none of that name; `cause` says what.
            WorkflowNotFoundError: there is no such run.
            builtins.TimeoutError: no worker answered within `timeout`.
            PayloadError: an argument cannot be stored, or the answer is not of the declared type.
        """
        name, outbound = handler_name(target, "query"), self._link.outbound
        if outbound is None:
            return await self.ask(name, target, arguments, {}, result_type, timeout)
        return await outbound.query_workflow(
            QueryWorkflowInput(self._id, self._run_id, name, arguments, {}, timeout, target, result_type)
        )

    async def ask(
        self, name: str, target: Any, arguments: Sequence[Any], headers: Mapping[str, str], result_type: Any, timeout: Duration
    ) -> Any:
        """`query`, behind interceptors."""
        link = self._link
        input, declared = encode_arguments(arguments, target, link.codec)
        id = uuid4()
        scope = asyncio.timeout(to_timedelta(timeout, what="timeout").total_seconds())
        try:
            async with scope:
                if not await link.store.ask_question(id, self._id, self._run_id, name, input, headers):
                    raise WorkflowNotFoundError(self._id, run_id=self._run_id, namespace=link.namespace)
                answer = await link.replies.answer(id)
        except builtins.TimeoutError:
            if not scope.expired():
                raise
            raise builtins.TimeoutError(
                f"no worker answered query {name!r} of workflow {self._id!r} within {timeout};"
                " is one running that serves its queue and knows its type?"
            ) from None
        if answer.outcome == "failed":
            cause = failure_in(answer.payload, link.codec)
            message = f"query {name!r} of workflow {self._id!r}: {cause}"
            raise QueryFailedError(message, workflow_id=self._id, query=name) from cause
        return None if answer.payload is None else link.codec.decode(answer.payload, result_type or declared)

    @overload
    async def update(
        self, target: str, *arguments: Any, id: str | None = ..., result_type: type[R], timeout: Duration | None = ...
    ) -> R: ...
    @overload
    async def update(self, target: str, *arguments: Any, id: str | None = ..., timeout: Duration | None = ...) -> Any: ...
    @overload
    async def update(
        self, target: Callable[[Any, *Ts], Awaitable[R]], *arguments: *Ts, id: str | None = ..., timeout: Duration | None = ...
    ) -> R: ...
    @overload
    async def update(
        self, target: Callable[[Any, *Ts], R], *arguments: *Ts, id: str | None = ..., timeout: Duration | None = ...
    ) -> R: ...
    async def update(  # type: ignore[misc]  # as for signal
        self,
        target: Any,
        *arguments: Any,
        id: str | None = None,
        result_type: Any = None,
        timeout: Duration | None = None,
    ) -> Any:
        """Send this run an update, wait for its end, and return what its handler returned: `start_update` and `result`.

        Raises:
            UpdateFailedError: it was rejected, its handler failed, or the run ended before; `cause` says why.
            WorkflowNotFoundError, WorkflowClosedError, PayloadError, OutcomeUnknownError: as for `start_update`.
            builtins.TimeoutError: it has not ended within `timeout`; it goes on.
        """
        handle = await self._start_update(target, arguments, id, result_type)
        return await handle.result(timeout)

    @overload
    async def start_update(
        self,
        target: str,
        *arguments: Any,
        wait_for: Literal["accepted", "completed"] = ...,
        id: str | None = ...,
        result_type: type[R],
        timeout: Duration | None = ...,
    ) -> UpdateHandle[R]: ...
    @overload
    async def start_update(
        self,
        target: str,
        *arguments: Any,
        wait_for: Literal["accepted", "completed"] = ...,
        id: str | None = ...,
        timeout: Duration | None = ...,
    ) -> UpdateHandle[Any]: ...
    @overload
    async def start_update(
        self,
        target: Callable[[Any, *Ts], Awaitable[R]],
        *arguments: *Ts,
        wait_for: Literal["accepted", "completed"] = ...,
        id: str | None = ...,
        timeout: Duration | None = ...,
    ) -> UpdateHandle[R]: ...
    @overload
    async def start_update(
        self,
        target: Callable[[Any, *Ts], R],
        *arguments: *Ts,
        wait_for: Literal["accepted", "completed"] = ...,
        id: str | None = ...,
        timeout: Duration | None = ...,
    ) -> UpdateHandle[R]: ...
    async def start_update(  # type: ignore[misc]  # as for signal
        self,
        target: Any,
        *arguments: Any,
        wait_for: str = "accepted",
        id: str | None = None,
        result_type: Any = None,
        timeout: Duration | None = None,
    ) -> Any:
        """Send this run an update and wait until it is accepted or rejected, or with `wait_for="completed"` until it has ended.

        `target` is its name, or a method marked `@workflow.update`. `id` names the update: the same id again is the same update,
        with the same reply. A rejection shows in `result()` of the handle.

        Raises:
            WorkflowNotFoundError: there is no such run.
            WorkflowClosedError: the run has ended.
            PayloadError: an argument is not of its declared type, or cannot be stored.
            builtins.TimeoutError: nothing was heard within `timeout`; the update goes on.
            OutcomeUnknownError: the connection broke meanwhile; a repeat with the same `id` is safe.
        """
        if wait_for not in ("accepted", "completed"):
            raise ConfigurationError(f"wait_for: {wait_for!r} is not one of accepted, completed")
        handle = await self._start_update(target, arguments, id, result_type)
        await handle.wait(final=wait_for == "completed", timeout=timeout)
        return handle

    def get_update_handle(self, id: str, *, result_type: Any = Any) -> UpdateHandle[Any]:
        """A handle on an update that was sent before. Asks nobody."""
        return UpdateHandle(self._link, self._id, self._run_id, check_name(id, what="update id"), result_type=result_type)

    async def _start_update(self, target: Any, arguments: tuple[Any, ...], id: str | None, result_type: Any) -> UpdateHandle[Any]:
        name, outbound = handler_name(target, "update"), self._link.outbound
        if outbound is None:
            return await self.put(name, target, arguments, {}, id, result_type)
        handle: UpdateHandle[Any] = await outbound.start_update(
            StartUpdateInput(self._id, self._run_id, name, arguments, id, {}, target, result_type)
        )
        return handle

    async def put(
        self, name: str, target: Any, arguments: Sequence[Any], headers: Mapping[str, str], id: str | None, result_type: Any
    ) -> UpdateHandle[Any]:
        """`start_update`, behind interceptors."""
        input, declared = encode_arguments(arguments, target, self._link.codec)
        update_id = str(uuid4()) if id is None else check_name(id, what="update id")
        sent = await self._send(UpdateReceived(update_id, name, input, headers), f"update:{update_id}", None)
        return UpdateHandle(
            self._link, self._id, self._run_id, update_id, result_type=result_type or declared, chain=sent.chain
        )

    async def _send(self, arrival: Arrival, request_id: str | None, connection: Any) -> Sent:
        def send(run_id: str | None) -> Awaitable[Sent]:
            return self._link.send(ToRun(self._link.namespace, self._id, run_id, arrival, request_id), connection)

        return await self._reach(send)

    async def _reach(self, deliver: Callable[[str | None], Awaitable[Sent]]) -> Sent:
        """Deliver to this run, or to the one that goes on where it ended."""
        run_id = self._run_id
        while True:
            sent = await deliver(run_id)
            match sent.outcome:
                case "not_found":
                    raise WorkflowNotFoundError(self._id, run_id=run_id, namespace=self._link.namespace)
                case "closed":
                    run_id = await self._next_of(run_id, sent.status)
                case _:
                    return sent

    async def _next_of(self, run_id: str | None, status: Status | None) -> str:
        row = None if run_id is None else await self._link.store.find_run(self._id, run_id)
        if row is None or row.next_run_id is None:
            raise WorkflowClosedError(self._id, run_id=run_id, status=None if status is None else status.value)
        return row.next_run_id

    def _beside(self, workflow_id: str, run_id: str, run: int) -> Handle[R_co]:
        return Handle(self._link, workflow_id, run_id=run_id, result_type=self._result_type, run=run)

    async def _row(self, run_id: str | None) -> RunRow:
        row = await self._link.store.find_run(self._id, run_id)
        if row is None:
            raise WorkflowNotFoundError(self._id, run_id=run_id, namespace=self._link.namespace)
        return row


_ENDED = {
    Status.FAILED: "failed",
    Status.CANCELLED: "was cancelled",
    Status.TERMINATED: "was terminated",
    Status.TIMED_OUT: "timed out",
    Status.CONTINUED_AS_NEW: "continued as new",
}


def _unexplained(status: Status) -> FailureError:
    """The cause of an end that left no failure behind."""
    match status:
        case Status.CANCELLED:
            return CancelledError()
        case Status.TIMED_OUT:
            return TimeoutError("the run's time was up", kind="run")
        case _:
            return TerminatedError()
