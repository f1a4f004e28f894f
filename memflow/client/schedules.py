"""`client.schedule`: create schedules, find and list them. Workers serve them; see `worker/schedules.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

from memflow.client.link import Link
from memflow.client.schedule_handle import (
    NEXT_TIMES_IN_LISTS,
    ScheduleDescription,
    ScheduleHandle,
    description_of,
    triggered,
)
from memflow.client.schedule_options import (
    ALL,
    ScheduleOptions,
    action_of,
    check_options,
    first_state,
    policy_of,
    schedule_id,
    spec_of,
)
from memflow.client.starting import definition_for
from memflow.client.values import check_headers
from memflow.errors import ConfigurationError, ScheduleAlreadyExistsError
from memflow.interceptors import CreateScheduleInput
from memflow.names import check_name
from memflow.store.schedule_values import ScheduleRow

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

SCHEDULES_PER_PAGE = 200


class Schedules:
    """The schedules of a client's namespace."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @overload
    async def create(
        self, id: str, workflow: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create(
        self, id: str, workflow: Callable[[*Ts], Awaitable[Any]], *arguments: *Ts, **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create(
        self, id: str, workflow: Callable[[Any, *Ts], Awaitable[Any]], *arguments: *Ts, **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create(
        self, id: str, workflow: Callable[..., Awaitable[Any]], *, args: Sequence[Any], **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    async def create(self, id: str, workflow: Any, *arguments: Any, args: Sequence[Any] | None = None, **options: Any) -> Any:  # type: ignore[misc]  # mypy holds `*arguments: *Ts` of an overload against `*arguments: Any` here
        """Start runs of a workflow by the clock: `create("report", report, "eu", spec="0 9 * * MON-FRI", zone="Europe/Berlin")`.

        `spec` is a cron line, several, or a `ScheduleSpec`; `every` an interval. The workflow and its arguments are given as for
        `client.workflow.start`, as are the options of its runs; the others are those of `ScheduleOptions`. The run of an instant
        has the id `<schedule>-<instant in UTC>`, so an instant has one run at most. A worker has to be there, of any queue.

        Raises:
            ScheduleAlreadyExistsError: there is a schedule of this id.
            ConfigurationError: an option cannot work, or the spec never comes; the message says what is allowed.
            PayloadError: an argument cannot be stored.
            TypeError: too few or too many arguments, or an unknown option.
        """
        return await self._asked(id, workflow, arguments, args, options, or_update=False)

    @overload
    async def create_or_update(
        self, id: str, workflow: str, *arguments: Any, args: Sequence[Any] | None = ..., **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create_or_update(
        self, id: str, workflow: Callable[[*Ts], Awaitable[Any]], *arguments: *Ts, **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create_or_update(
        self, id: str, workflow: Callable[[Any, *Ts], Awaitable[Any]], *arguments: *Ts, **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    @overload
    async def create_or_update(
        self, id: str, workflow: Callable[..., Awaitable[Any]], *, args: Sequence[Any], **options: Unpack[ScheduleOptions]
    ) -> ScheduleHandle: ...
    async def create_or_update(  # type: ignore[misc]  # as for create
        self, id: str, workflow: Any, *arguments: Any, args: Sequence[Any] | None = None, **options: Any
    ) -> Any:
        """Create a schedule, or give the one of this id this workflow, these arguments and options; for programs that start.

        What the schedule has done, and whether it is paused, stays; `paused`, `trigger_immediately` and `backfill` are for a new
        one alone.

        Raises:
            ConfigurationError, PayloadError, TypeError: as for `create`.
        """
        return await self._asked(id, workflow, arguments, args, options, or_update=True)

    async def _asked(
        self,
        id: str,
        workflow: Any,
        arguments: tuple[Any, ...],
        args: Sequence[Any] | None,
        options: Mapping[str, Any],
        *,
        or_update: bool,
    ) -> ScheduleHandle:
        check_options("create", options, ALL)
        if args is not None:
            if arguments:
                raise TypeError("arguments are given either one by one or as `args`, not both")
            arguments = tuple(args)
        if self._link.outbound is None:
            return await self.put(id, workflow, arguments, options, or_update=or_update)
        definition = definition_for(workflow)
        name = check_name(workflow, what="workflow type") if definition is None else definition.name
        rest = {name: value for name, value in options.items() if name != "headers"}
        headers = check_headers(options.get("headers"))
        made: ScheduleHandle = await self._link.outbound.create_schedule(
            CreateScheduleInput(schedule_id(id), name, arguments, headers, rest, or_update, workflow)
        )
        return made

    async def put(
        self, id: str, workflow: Any, arguments: Sequence[Any], options: Mapping[str, Any], *, or_update: bool
    ) -> ScheduleHandle:
        """`create` and `create_or_update`, behind interceptors."""
        row = await self._new_row(id, workflow, arguments, options)
        if not or_update:
            if not await self._link.store.create_schedule(row):
                raise ScheduleAlreadyExistsError(row.id, namespace=self._link.namespace)
            return ScheduleHandle(self._link, row.id)

        def renew(old: ScheduleRow) -> ScheduleRow:
            state = replace(old.state, note=row.state.note or old.state.note)
            if old.spec != row.spec:
                state = replace(state, cursor=max(state.cursor, old.now))
            if "limited_actions" in options:
                state = replace(state, remaining=row.state.remaining)
            return replace(old, spec=row.spec, policy=row.policy, action=row.action, state=state)

        while not await self._link.store.create_schedule(row):
            if await self._link.store.edit_schedule(row.id, renew) is not None:
                break                                # else it was deleted between the two: create it after all
        return ScheduleHandle(self._link, row.id)

    async def _new_row(
        self, id: str, workflow: Any, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> ScheduleRow:
        name, spec, policy = schedule_id(id), spec_of(options), policy_of(options)
        action = action_of(self._link, workflow, arguments, options)
        now = await self._link.store.now()
        state = first_state(options, now)
        row = ScheduleRow(name, spec, policy, action, state, now, now, now)
        if options.get("trigger_immediately"):
            row = triggered(row, None)
        if spec.next_after(now) is None and not row.state.wanted and not state.backfills:
            raise ConfigurationError(f"the schedule never comes: after now ({now.isoformat()}), {spec.to_text()} has no instant")
        return row

    def get_handle(self, id: str) -> ScheduleHandle:
        """A handle on a schedule. Asks nobody: a missing one shows on use, as `ScheduleNotFoundError`.

        Raises:
            ConfigurationError: this cannot be an id.
        """
        return ScheduleHandle(self._link, schedule_id(id))

    async def list(self, *, limit: int | None = None) -> AsyncIterator[ScheduleDescription]:
        """The schedules by id, page by page as they are read. `running` is as of the last look of a worker.

        Raises:
            ConfigurationError: a limit below 0.
        """
        if limit is not None and limit < 0:
            raise ConfigurationError(f"limit: {limit} is below 0")
        last: str | None = None
        left = limit
        while left is None or left > 0:
            size = SCHEDULES_PER_PAGE if left is None else min(SCHEDULES_PER_PAGE, left)
            page = await self._link.store.list_schedules(after=last, limit=size)
            for row in page:
                yield description_of(self._link, row, row.state.running, times=NEXT_TIMES_IN_LISTS)
            if len(page) < size:
                return
            last = page[-1].id
            left = None if left is None else left - size
