"""Handles on schedules, and what a client asks of memflow about them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from memflow import errors
from memflow.temporal.client.errors import ScheduleAlreadyRunningError, as_rpc_errors, rpc_error
from memflow.temporal.client.outbound import OutboundInterceptor
from memflow.temporal.client.schedule_filter import fields_of, matcher
from memflow.temporal.client.schedule_inputs import (
    BackfillScheduleInput,
    CreateScheduleInput,
    DeleteScheduleInput,
    DescribeScheduleInput,
    ListSchedulesInput,
    PauseScheduleInput,
    TriggerScheduleInput,
    UnpauseScheduleInput,
    UpdateScheduleInput,
)
from memflow.temporal.client.schedule_rows import (
    OVERLAPS,
    description_of,
    in_utc,
    input_of,
    listed,
    options_of,
    without_state,
)
from memflow.temporal.client.schedules import (
    Schedule,
    ScheduleBackfill,
    ScheduleDescription,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from memflow.temporal.common import SearchAttributes, TypedSearchAttributes
from memflow.temporal.service import RPCStatusCode

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

Metadata = Mapping[str, str | bytes]
Updater = Callable[[ScheduleUpdateInput], ScheduleUpdate | Awaitable[ScheduleUpdate | None] | None]


class ScheduleHandle:
    """One schedule, by its id. Making one asks nobody."""

    def __init__(self, client: Client, id: str) -> None:
        self._client = client
        self.id = id

    async def describe(
        self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> ScheduleDescription:
        """How it stands.

        Raises:
            RPCError: there is no such schedule.
        """
        return await self._client.chain.describe_schedule(DescribeScheduleInput(self.id, rpc_metadata, rpc_timeout))

    async def update(
        self, updater: Updater, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """Change it to what `updater` makes of its description; None changes nothing.

        Raises:
            RPCError: there is no such schedule, or it cannot be so.
        """
        await self._client.chain.update_schedule(UpdateScheduleInput(self.id, updater, rpc_metadata, rpc_timeout))

    async def pause(
        self,
        *,
        note: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Do nothing more until `unpause`."""
        await self._client.chain.pause_schedule(PauseScheduleInput(self.id, note, rpc_metadata, rpc_timeout))

    async def unpause(
        self,
        *,
        note: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Go on."""
        await self._client.chain.unpause_schedule(UnpauseScheduleInput(self.id, note, rpc_metadata, rpc_timeout))

    async def trigger(
        self,
        *,
        overlap: ScheduleOverlapPolicy | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Act now."""
        await self._client.chain.trigger_schedule(TriggerScheduleInput(self.id, overlap, rpc_metadata, rpc_timeout))

    async def backfill(
        self, *backfill: ScheduleBackfill, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """Catch up on times in the past.

        Raises:
            ValueError: none is given.
        """
        if not backfill:
            raise ValueError("At least one backfill required")
        await self._client.chain.backfill_schedule(BackfillScheduleInput(self.id, backfill, rpc_metadata, rpc_timeout))

    async def delete(self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None) -> None:  # noqa: B006
        """Delete it. Workflows that it started go on."""
        await self._client.chain.delete_schedule(DeleteScheduleInput(self.id, rpc_metadata, rpc_timeout))


class ScheduleAsyncIterator:
    """Schedules, read as they are asked for."""

    def __init__(self, client: Client, input: ListSchedulesInput) -> None:
        self._client = client
        self._input = input
        self._page: list[ScheduleListDescription] | None = None
        self._at = 0

    @property
    def current_page_index(self) -> int:
        """Where in the page the reader is."""
        return self._at

    @property
    def current_page(self) -> Sequence[ScheduleListDescription] | None:
        """The page; None before the first."""
        return self._page

    @property
    def next_page_token(self) -> bytes | None:
        """None: a list is one page."""
        return None

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Read the list."""
        client = self._client
        engine = await client.engine()
        page: list[ScheduleListDescription] = []
        wanted = matcher(self._input.query)
        with as_rpc_errors():
            async for found in engine.schedule.list():
                row = await engine.store.find_schedule(found.id)
                each = listed(found, row, client.data_converter)
                if wanted(fields_of(each)):
                    page.append(each)
        self._page, self._at = page, 0

    def __aiter__(self) -> AsyncIterator[ScheduleListDescription]:
        return self

    async def __anext__(self) -> ScheduleListDescription:
        if self._page is None:
            await self.fetch_next_page()
        assert self._page is not None
        if self._at >= len(self._page):
            raise StopAsyncIteration
        self._at += 1
        return self._page[self._at - 1]


class SchedulingClient:
    """What a client offers for schedules."""

    async def create_schedule(
        self: Any,
        id: str,
        schedule: Schedule,
        *,
        trigger_immediately: bool = False,
        backfill: Sequence[ScheduleBackfill] = [],
        memo: Mapping[str, Any] | None = None,
        search_attributes: TypedSearchAttributes | SearchAttributes | None = None,
        static_summary: str | None = None,
        static_details: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> ScheduleHandle:
        """Create a schedule.

        Raises:
            ScheduleAlreadyRunningError: there is one of this id.
            RPCError: it never comes, or cannot be so.
        """
        chain: OutboundInterceptor = self.chain
        return await chain.create_schedule(
            CreateScheduleInput(
                id, schedule, trigger_immediately, backfill, memo, search_attributes, rpc_metadata, rpc_timeout
            )
        )

    def get_schedule_handle(self: Any, id: str) -> ScheduleHandle:
        """A handle on a schedule that was created before. Asks nobody."""
        return ScheduleHandle(self, id)

    async def list_schedules(
        self: Any,
        query: str | None = None,
        *,
        page_size: int = 1000,
        next_page_token: bytes | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> ScheduleAsyncIterator:
        """All schedules, or those that `query` is about: `TemporalSchedulePaused`, `ScheduleId`, and their search attributes."""
        chain: OutboundInterceptor = self.chain
        return chain.list_schedules(ListSchedulesInput(page_size, next_page_token, rpc_metadata, rpc_timeout, query))


def _bounds(backfill: ScheduleBackfill) -> tuple[datetime, datetime]:
    return in_utc(backfill.start_at), in_utc(backfill.end_at)


_LOOKS: Final = 25
"""How often a client looks whether a worker has taken up a trigger: for half a second, as there may be no worker."""
_LOOK_SECONDS: Final = 0.02


class ScheduleCalls(OutboundInterceptor):
    """The end of the chain of interceptors, for schedules."""

    _client: Client

    async def create_schedule(self, input: CreateScheduleInput) -> ScheduleHandle:
        client = self._client
        state = input.schedule.state
        if state.limited_actions and not state.remaining_actions:
            raise ValueError("Must set limited actions to false if there are no remaining actions set")
        if state.remaining_actions and not state.limited_actions:
            raise ValueError("Must set limited actions to true if there are remaining actions set")
        engine = await client.engine()
        workflow, payload = input_of(input.schedule, client.codec)
        with _errors(input.id):
            options = options_of(input.schedule, client.codec, input.memo, input.search_attributes)
            try:
                await engine.schedule.create(
                    input.id,
                    workflow,
                    args=[payload],
                    paused=input.schedule.state.paused,
                    trigger_immediately=input.trigger_immediately,
                    backfill=[_bounds(each) for each in input.backfill if each.overlap is None],
                    **options,
                )
            except errors.ScheduleAlreadyExistsError:
                raise ScheduleAlreadyRunningError from None
            for each in input.backfill:
                if each.overlap is not None:
                    made = engine.schedule.get_handle(input.id)
                    await made.backfill(*_bounds(each), overlap=OVERLAPS[each.overlap])
        if input.trigger_immediately or input.backfill:
            await self._taken_up(input.id)
        return ScheduleHandle(client, input.id)

    async def _taken_up(self, id: str) -> None:
        """Wait until a worker has taken up what was asked for, so that a description tells of it; for a moment at most."""
        store = (await self._client.engine()).store
        for _ in range(_LOOKS):
            row = await store.find_schedule(id)
            if row is None or (not row.state.backfills and (row.state.running or not row.state.wanted)):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def list_schedules(self, input: ListSchedulesInput) -> ScheduleAsyncIterator:
        return ScheduleAsyncIterator(self._client, input)

    async def describe_schedule(self, input: DescribeScheduleInput) -> ScheduleDescription:
        client = self._client
        engine = await client.engine()
        with _errors(input.id):
            found = await engine.schedule.get_handle(input.id).describe()
            row = await engine.store.find_schedule(input.id)
        if row is None:
            raise rpc_error(RPCStatusCode.NOT_FOUND, "schedule not found")
        return description_of(row, found, client.codec, client.data_converter)

    async def update_schedule(self, input: UpdateScheduleInput) -> None:
        client = self._client
        before = await self.describe_schedule(
            DescribeScheduleInput(input.id, input.rpc_metadata, input.rpc_timeout)
        )
        state = replace(before.schedule.state)   # updaters change the description that they are given
        made = input.updater(ScheduleUpdateInput(before))
        wanted = await made if inspect.isawaitable(made) else made
        if wanted is None:
            return
        handle = (await client.engine()).schedule.get_handle(input.id)
        after = wanted.schedule
        attributes = before.typed_search_attributes if wanted.search_attributes is None else wanted.search_attributes
        with _errors(input.id):
            options = without_state(options_of(after, client.codec, before.own_memo, attributes), state, after.state)
            _, payload = input_of(after, client.codec)
            await handle.update(args=[payload], **options)
            if after.state.paused and not state.paused:
                await handle.pause()
            elif state.paused and not after.state.paused:
                await handle.resume()

    async def pause_schedule(self, input: PauseScheduleInput) -> None:
        with _errors(input.id):
            handle = (await self._client.engine()).schedule.get_handle(input.id)
            await handle.pause(note=input.note or "Paused via Python SDK")

    async def unpause_schedule(self, input: UnpauseScheduleInput) -> None:
        with _errors(input.id):
            handle = (await self._client.engine()).schedule.get_handle(input.id)
            await handle.resume(note=input.note or "Unpaused via Python SDK")

    async def trigger_schedule(self, input: TriggerScheduleInput) -> None:
        with _errors(input.id):
            handle = (await self._client.engine()).schedule.get_handle(input.id)
            await handle.trigger(overlap=None if input.overlap is None else OVERLAPS[input.overlap])
        await self._taken_up(input.id)

    async def backfill_schedule(self, input: BackfillScheduleInput) -> None:
        with _errors(input.id):
            handle = (await self._client.engine()).schedule.get_handle(input.id)
            for each in input.backfills:
                overlap = None if each.overlap is None else OVERLAPS[each.overlap]
                await handle.backfill(*_bounds(each), overlap=overlap)
        await self._taken_up(input.id)

    async def delete_schedule(self, input: DeleteScheduleInput) -> None:
        with _errors(input.id):
            await (await self._client.engine()).schedule.get_handle(input.id).delete()


@contextmanager
def _errors(id: str) -> Generator[None]:
    """memflow's errors inside come out as Temporal's."""
    try:
        with as_rpc_errors():
            yield
    except errors.ScheduleNotFoundError:
        raise rpc_error(RPCStatusCode.NOT_FOUND, f"workflow not found for ID: temporal-sys-scheduler:{id}") from None
