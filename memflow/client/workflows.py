"""`client.workflow`: start workflows, find the started ones, list and count them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

from memflow.client.describe import RunSummary, summary_of
from memflow.client.finding import Found
from memflow.client.handle import Handle
from memflow.client.link import Link
from memflow.client.starting import StartOptions, check_options, definition_for, new_run
from memflow.client.updates import UpdateHandle
from memflow.client.values import check_headers
from memflow.core.arrivals import UpdateReceived
from memflow.errors import ConfigurationError, WorkflowAlreadyStartedError
from memflow.filters import Filter, needs_clock, parse
from memflow.interceptors import CountWorkflowsInput, ListWorkflowsInput, StartWorkflowInput
from memflow.names import DEFAULT_QUEUE, check_name
from memflow.store.records import ORDERS
from memflow.store.values import RunRow, ToRun

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

RUNS_PER_PAGE = 200
"""Rows of one list query; the next page is asked for when the reader gets there."""


class Workflows:
    """The workflows of a client's namespace."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @overload
    async def start(
        self, workflow: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[StartOptions]
    ) -> Handle[Any]: ...
    @overload
    async def start(
        self,
        workflow: str,
        *arguments: Any,
        args: Sequence[Any] | None = ...,
        result_type: type[R],
        **options: Unpack[StartOptions],
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[[*Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[[Any, *Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    @overload
    async def start(
        self, workflow: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[StartOptions]
    ) -> Handle[R]: ...
    async def start(  # type: ignore[misc]  # mypy 2.4 holds `*arguments: *Ts` of an overload against `*arguments: Any` here
        self, workflow: Any, *arguments: Any, args: Sequence[Any] | None = None, result_type: Any = None, **options: Any
    ) -> Any:
        """Start a workflow and return a handle on it, once Postgres has it. No worker need be there.

        `workflow` is a decorated function, the `run` method of a decorated class, or a workflow type by name (then
        `args=[...]` may hold the arguments, and `result_type` says how to read the result). The options are those of
        `StartOptions`. Starts in flight together share one statement.

        Raises:
            WorkflowAlreadyStartedError: the id is taken, by the rules of `on_conflict` and `reuse`.
            ConfigurationError: an option cannot work; the message says what is allowed.
            PayloadError: an argument is not of its declared type, or cannot be stored; names the path in it.
            TypeError: too few or too many arguments, or an unknown option.
            OutcomeUnknownError: nobody knows whether it started; repeat it with the same `id` or `request_id`.
        """
        check_options(options)
        if args is not None:
            if arguments:
                raise TypeError("arguments are given either one by one or as `args`, not both")
            arguments = tuple(args)
        if self._link.outbound is None:
            return await self.begin(workflow, arguments, result_type, options)
        rest = {name: value for name, value in options.items() if name not in ("id", "task_queue", "headers")}
        definition = definition_for(workflow)
        return await self._link.outbound.start_workflow(
            StartWorkflowInput(
                check_name(workflow, what="workflow type") if definition is None else definition.name,
                arguments,
                options.get("id"),
                options.get("task_queue", DEFAULT_QUEUE),
                check_headers(options.get("headers")),
                rest,
                workflow,
                result_type,
            )
        )

    async def begin(self, workflow: Any, arguments: Sequence[Any], result_type: Any, options: Mapping[str, Any]) -> Handle[Any]:
        """`start`, behind interceptors."""
        definition = definition_for(workflow)
        run = new_run(self._link, workflow, definition, arguments, options)
        started = await self._link.start(run, options.get("connection"))
        if started.conflict is not None:
            raise WorkflowAlreadyStartedError(
                run.workflow_id, workflow=run.workflow, run_id=started.run_id, reason=started.conflict
            )
        hint = _hint(result_type) if definition is None or result_type is not None else definition.result_type
        return Handle[Any](self._link, run.workflow_id, run_id=started.run_id, result_type=hint, run=started.run)

    async def start_with_update(
        self,
        workflow: str,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
        *,
        update: str,
        update_arguments: Sequence[Any],
        update_id: str,
        result_type: Any = None,
    ) -> tuple[Handle[Any], UpdateHandle[Any]]:
        """Start a workflow, or use the one that is open, and send it an update: both or neither, in one transaction.

        The update is before the code of a run that it starts. For `memflow.temporal`; interceptors of memflow do not see it.

        Raises:
            WorkflowAlreadyStartedError: the id is taken, by the rules of `on_conflict` and `reuse`; nothing was sent.
            ConfigurationError, PayloadError: as `start`.
        """
        link = self._link
        run = new_run(link, workflow, None, arguments, options)
        check_name(update_id, what="update id")
        arrival = UpdateReceived(update_id, update, link.codec.encode_arguments(update_arguments, ()))
        message = ToRun(link.namespace, run.workflow_id, None, arrival, f"update:{update_id}")
        started, sent = await link.store.start_and_send(run, message)
        if started.conflict is not None or sent is None:
            raise WorkflowAlreadyStartedError(
                run.workflow_id, workflow=run.workflow, run_id=started.run_id, reason=started.conflict or ""
            )
        made = Handle[Any](link, run.workflow_id, run_id=started.run_id, result_type=_hint(result_type), run=started.run)
        return made, UpdateHandle(
            link, run.workflow_id, started.run_id, update_id, result_type=_hint(result_type), chain=sent.chain
        )

    @overload
    async def execute(
        self, workflow: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[StartOptions]
    ) -> Any: ...
    @overload
    async def execute(
        self,
        workflow: str,
        *arguments: Any,
        args: Sequence[Any] | None = ...,
        result_type: type[R],
        **options: Unpack[StartOptions],
    ) -> R: ...
    @overload
    async def execute(
        self, workflow: Callable[[*Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> R: ...
    @overload
    async def execute(
        self, workflow: Callable[[Any, *Ts], Awaitable[R]], *arguments: *Ts, **options: Unpack[StartOptions]
    ) -> R: ...
    @overload
    async def execute(
        self, workflow: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[StartOptions]
    ) -> R: ...
    async def execute(self, workflow: Any, *arguments: Any, **options: Any) -> Any:  # type: ignore[misc]  # as for start
        """Start a workflow and wait for its result: `start` and then `Handle.result`, with the errors of both.

        With `connection=` there is nothing to wait for before the caller commits: use `start`.
        """
        if options.get("connection") is not None:
            raise TypeError("execute() cannot wait inside the caller's transaction: start(connection=...), commit, then result()")
        handle: Handle[Any] = await self.start(workflow, *arguments, **options)
        return await handle.result()

    @overload
    async def hook(
        self,
        workflow_id: str,
        target: str,
        *arguments: Any,
        run_id: str | None = ...,
        search: Mapping[str, Any] | None = ...,
        request_id: str | None = ...,
        connection: Any = ...,
    ) -> str: ...
    @overload
    async def hook(
        self,
        workflow_id: str,
        target: Callable[[*Ts], Coroutine[Any, Any, Any]],
        *arguments: *Ts,
        run_id: str | None = ...,
        search: Mapping[str, Any] | None = ...,
        request_id: str | None = ...,
        connection: Any = ...,
    ) -> str: ...
    async def hook(  # type: ignore[misc]  # as for start
        self,
        workflow_id: str,
        target: Any,
        *arguments: Any,
        run_id: str | None = None,
        search: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        connection: Any = None,
    ) -> str:
        """Start a hook in the run of that id: the same as `get_handle(workflow_id, run_id).hook(...)`, with its errors."""
        handle = Handle[Any](self._link, check_name(workflow_id, what="workflow id"), run_id=run_id, result_type=None)
        started: str = await handle.hook(target, *arguments, search=search, request_id=request_id, connection=connection)
        return started

    @overload
    def get_handle(self, id: str, run_id: str | None = ...) -> Handle[Any]: ...
    @overload
    def get_handle(self, id: str, run_id: str | None = ..., *, result_type: type[R]) -> Handle[R]: ...
    def get_handle(self, id: str, run_id: str | None = None, result_type: Any = None) -> Any:
        """A handle on a workflow that runs already. Asks nobody: a missing one shows on use as `WorkflowNotFoundError`.

        `result_type` says how `result` is decoded; without it the result is plain JSON values.

        Raises:
            ConfigurationError: this cannot be an id.
        """
        check_name(id, what="workflow id")
        if run_id is not None:
            check_name(run_id, what="run id")
        return Handle[Any](self._link, id, run_id=run_id, result_type=_hint(result_type))

    async def list(
        self, where: str | None = None, *, limit: int | None = None, order: str | None = None
    ) -> AsyncIterator[RunSummary]:
        """The runs that match, newest first, page by page as they are read.

        `where` is the filter language: `status = failed and started > ago("2h") and record.customer = "acme"`. `order` is
        `started`, `closed`, `id`, `type`, `queue`, `status`, `run` or `length`, alone or followed by `asc` or `desc` (by default
        `desc` for times, else `asc`); runs that have not closed count as the last to close.

        Raises:
            ConfigurationError: the filter or the order cannot be read; the message names what may stand there.
        """
        async for run in self._runs(where, limit, order):
            yield run

    def _runs(
        self, where: str | None, limit: int | None, order: str | None, *, records: bool = False
    ) -> AsyncIterator[RunSummary]:
        if self._link.outbound is None:
            return self.pages(where, limit, order, records=records)
        return self._link.outbound.list_workflows(ListWorkflowsInput(where, limit, order, records))

    async def pages(
        self, where: str | None, limit: int | None, order: str | None, *, records: bool = False
    ) -> AsyncIterator[RunSummary]:
        """`list` and `find`, behind interceptors."""
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit: {limit} is below 0")
        by = None if order is None else _order(order)
        tree = await self._tree(where, records=records)
        last: RunRow | None = None
        left = limit
        while left is None or left > 0:
            size = RUNS_PER_PAGE if left is None else min(RUNS_PER_PAGE, left)
            page = await self._link.store.list_runs(tree, limit=size, after=last, order=by)
            for row in page:
                yield summary_of(row, self._link.codec)
            if len(page) < size:
                return
            last = page[-1]
            left = None if left is None else left - size

    def find(self, where: str | None = None, *, limit: int | None = None, order: str | None = None) -> Found:
        """The runs whose record matches, newest first: `await` it for a list, or read it with `async for`.

        As `list`, but a field that is none of a run's is one of its record: `customer = "acme" and status = running` finds
        what `record.customer = "acme" and status = running` lists.

        Raises:
            ConfigurationError: when it is read: the filter or the order cannot be read.
        """
        return Found(lambda: self._runs(where, limit, order, records=True))

    async def count(self, where: str | None = None) -> int:
        """How many runs match.

        Raises:
            ConfigurationError: the filter cannot be read.
        """
        if self._link.outbound is not None:
            return await self._link.outbound.count_workflows(CountWorkflowsInput(where))
        return await self.counted(where)

    async def counted(self, where: str | None) -> int:
        """`count`, behind interceptors."""
        return await self._link.store.count_runs(await self._tree(where))

    async def _tree(self, where: str | None, *, records: bool = False) -> Filter | None:
        if where is None or not where.strip():
            return None
        # Only the database's clock counts, and it is asked only when the filter looks at it.
        now = await self._link.store.now() if needs_clock(where) else datetime.min.replace(tzinfo=UTC)
        return parse(where, now=now, records=records)


def _order(text: object) -> tuple[str, bool] | None:
    """The field to order by, and whether it descends; None: newest first."""
    words = text.lower().split() if isinstance(text, str) else []
    way = words[1] if len(words) == 2 else None
    if not 1 <= len(words) <= 2 or words[0] not in ORDERS or way not in (None, "asc", "desc"):
        raise ConfigurationError(f"order: {text!r} is not one of {', '.join(ORDERS)}, which may be followed by asc or desc")
    descends = way == "desc" if way is not None else words[0] in ("started", "closed")
    return words[0], descends


def _hint(result_type: Any) -> Any:
    return Any if result_type is None else result_type
