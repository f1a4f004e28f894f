"""Lists and counts of standalone activities, asked for in Temporal's list filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memflow.client import RunSummary
from memflow.temporal.client.activity_describing import STATUSES, ActivityExecution, execution_of
from memflow.temporal.client.activity_inputs import ListActivitiesInput
from memflow.temporal.client.errors import as_rpc_errors
from memflow.temporal.client.listing import runs_of
from memflow.temporal.client.visibility import ACTIVITIES, compiled

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client


@dataclass(frozen=True)
class ActivityExecutionCountAggregationGroup:
    """How many of one group."""

    count: int
    group_values: Sequence[Any]


@dataclass(frozen=True)
class ActivityExecutionCount:
    """How many, together and by group."""

    count: int
    groups: Sequence[ActivityExecutionCountAggregationGroup]


class ActivityExecutionAsyncIterator:
    """Standalone activities that match, read page by page as they are asked for."""

    def __init__(self, client: Client, input: ListActivitiesInput) -> None:
        self._client = client
        self._input = input
        self._query = compiled(input.query, ACTIVITIES)
        self._found: AsyncIterator[RunSummary] | None = None
        self._page: list[ActivityExecution] | None = None
        self._at = 0
        self._given = 0
        self._more = True

    @property
    def current_page_index(self) -> int:
        """Where in the page the reader is."""
        return self._at

    @property
    def current_page(self) -> Sequence[ActivityExecution] | None:
        """The page; None before the first."""
        return self._page

    @property
    def next_page_token(self) -> bytes | None:
        """Something while there may be more; it continues this iterator alone."""
        if self._page is None:
            return self._input.next_page_token
        return b"more" if self._more else None

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Read the next page."""
        size = page_size or self._input.page_size
        page: list[ActivityExecution] = []
        with as_rpc_errors():
            if self._found is None:
                self._found = runs_of(await self._client.engine(), self._query)
            while len(page) < size:
                run = await anext(self._found, None)
                if run is None:
                    self._more = False
                    break
                page.append(execution_of(run, self._client.namespace))
        self._page, self._at = page, 0

    def __aiter__(self) -> AsyncIterator[ActivityExecution]:
        return self

    async def __anext__(self) -> ActivityExecution:
        limit = self._input.limit
        if limit is not None and self._given >= limit:
            raise StopAsyncIteration
        while self._page is None or self._at >= len(self._page):
            if not self._more:
                raise StopAsyncIteration
            await self.fetch_next_page()
        self._at += 1
        self._given += 1
        return self._page[self._at - 1]


async def counted(client: Client, query: str | None) -> ActivityExecutionCount:
    """How many match; with `GROUP BY ExecutionStatus` for each status."""
    asked = compiled(query, ACTIVITIES)
    engine = await client.engine()
    if not asked.by_status:
        return ActivityExecutionCount(await engine.workflow.count(asked.where), ())
    groups: list[ActivityExecutionCountAggregationGroup] = []
    for status, name in STATUSES.items():
        count = await engine.workflow.count(f"({asked.where}) and status = {status.value}")
        if count:
            groups.append(ActivityExecutionCountAggregationGroup(count, [name.name.title().replace("_", "")]))
    return ActivityExecutionCount(sum(group.count for group in groups), groups)
