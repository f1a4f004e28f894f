"""Histories: memflow's journals as Temporal's events, and as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from memflow.client import Client as EngineClient
from memflow.client import HistoryEntry, RunDescription
from memflow.core.arrivals import Arrival, CancelRequested, RunStarted, SignalReceived
from memflow.core.entries import kind_of
from memflow.temporal.api.enums.v1 import EventType
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.client.errors import as_rpc_errors
from memflow.temporal.client.events import CLOSING, events_of
from memflow.temporal.client.history_json import event_from_json, event_to_json

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client
    from memflow.temporal.client.inputs import FetchWorkflowHistoryEventsInput

UNREAD_AT_MOST = 1000
LOOK_SECONDS = 0.2
"""How often a reader that waits for new events looks."""


class WorkflowHistoryEventFilterType(IntEnum):
    """Which events are wanted."""

    ALL_EVENT = 1
    CLOSE_EVENT = 2


@dataclass(frozen=True)
class WorkflowHistory:
    """A whole history, which a Replayer can replay."""

    workflow_id: str
    events: Sequence[HistoryEvent]

    @property
    def run_id(self) -> str:
        """The run that it is the history of.

        Raises:
            RuntimeError: it does not begin with a start.
        """
        if not self.events or self.events[0].event_type is not EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            raise RuntimeError("First event is not workflow start")
        return str(self.events[0].attributes.get("original_execution_run_id", ""))

    @staticmethod
    def from_json(workflow_id: str, history: str | dict[str, Any]) -> WorkflowHistory:
        """Read what `to_json` wrote, or Temporal's own JSON of a history.

        Raises:
            ValueError: it is neither.
        """
        body: dict[str, Any] = json.loads(history) if isinstance(history, str) else history
        if not isinstance(body.get("events"), list):
            raise ValueError("a history is a JSON object with a list of events")
        return WorkflowHistory(workflow_id, [event_from_json(event) for event in body["events"]])

    def to_json(self) -> str:
        """The history as JSON."""
        return json.dumps(self.to_json_dict())

    def to_json_dict(self) -> dict[str, Any]:
        """The same, not yet as text."""
        return {"events": [event_to_json(event) for event in self.events]}


class WorkflowHistoryEventAsyncIterator:
    """The events of a history, read as they are asked for."""

    def __init__(self, client: Client, input: FetchWorkflowHistoryEventsInput) -> None:
        self._client = client
        self._input = input
        self._page: Sequence[HistoryEvent] | None = None
        self._given = 0

    @property
    def current_page_index(self) -> int:
        """Where in the page the reader is."""
        return self._given

    @property
    def current_page(self) -> Sequence[HistoryEvent] | None:
        """The page; None before the first."""
        return self._page

    @property
    def next_page_token(self) -> bytes | None:
        """None: a history is one page."""
        return None

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Read the history."""
        client, input = self._client, self._input
        engine = await client.engine()
        handle = engine.get_handle(input.id, input.run_id)
        with as_rpc_errors():
            run = await handle.describe()
            whole = await engine.get_handle(input.id, run.run_id).history()
            journal: Sequence[HistoryEntry] = whole
            if run.is_open and (not journal or run.unread) and not input.wait_new_event:
                journal = [*journal, *await _unread(engine, run, journal[-1] if journal else None)]
        # Who waits for events is told only of what stays.
        given = whole.info.given_memo
        memo: Mapping[str, Any] = {} if given is None else client.codec.decode(given)
        events = events_of(run, journal, client.codec, standing=not input.wait_new_event, memo=memo)
        if input.event_filter_type is WorkflowHistoryEventFilterType.CLOSE_EVENT:
            events = [event for event in events if event.event_type in CLOSING]
        self._page = events

    def __aiter__(self) -> AsyncIterator[HistoryEvent]:
        return self

    async def __anext__(self) -> HistoryEvent:
        if self._page is None:
            await self.fetch_next_page()
        while self._page is not None and self._given >= len(self._page):
            if not self._input.wait_new_event or self._ended:
                raise StopAsyncIteration
            await asyncio.sleep(LOOK_SECONDS)
            await self.fetch_next_page()
        assert self._page is not None
        event = self._page[self._given]
        self._given += 1
        return event

    @property
    def _ended(self) -> bool:
        page = self._page
        return page is not None and len(page) > 0 and page[-1].event_type in CLOSING


async def _unread(engine: EngineClient, run: RunDescription, last: HistoryEntry | None) -> list[HistoryEntry]:
    """What has arrived for a run that its code has not been told yet: in Temporal's histories it shows from the first moment.

    These entries are in no journal: their number is 0, and the time of the last one that is, stands for theirs.
    """
    row = await engine.store.find_run(run.id, run.run_id)
    if row is None:
        return []
    came: list[Arrival] = [] if last else [RunStarted(row.input)]
    at = last.at if last else run.started_at
    for mail in await engine.store.read_inbox([(row.run, row.consumed)], limit=UNREAD_AT_MOST):
        if isinstance(mail.arrival, SignalReceived | CancelRequested):
            came.append(mail.arrival)
    return [HistoryEntry(0, kind_of(arrival), 0, at, None, arrival) for arrival in came]
