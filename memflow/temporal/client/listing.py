"""Lists and counts of workflows, asked for in Temporal's list filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from memflow.client import Client as EngineClient
from memflow.client import RunSummary
from memflow.temporal.client.describing import STATUSES, WorkflowExecution, execution_of
from memflow.temporal.client.errors import as_rpc_errors
from memflow.temporal.client.histories import WorkflowHistory, WorkflowHistoryEventFilterType
from memflow.temporal.client.visibility import Order, Query, compiled

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client
    from memflow.temporal.client.inputs import ListWorkflowsInput


@dataclass
class WorkflowExecutionCountAggregationGroup:
    """How many of one group."""

    count: int
    group_values: Sequence[Any]


@dataclass
class WorkflowExecutionCount:
    """How many, together and by group."""

    count: int
    groups: Sequence[WorkflowExecutionCountAggregationGroup] = field(
        default_factory=list[WorkflowExecutionCountAggregationGroup]
    )


class WorkflowExecutionAsyncIterator:
    """Workflows that match, read page by page as they are asked for."""

    def __init__(self, client: Client, input: ListWorkflowsInput) -> None:
        self._client = client
        self._input = input
        self._query: Query = compiled(input.query)
        self._found: AsyncIterator[RunSummary] | None = None
        self._page: list[WorkflowExecution] | None = None
        self._at = 0
        self._given = 0
        self._more = True

    @property
    def current_page_index(self) -> int:
        """Where in the page the reader is."""
        return self._at

    @property
    def current_page(self) -> Sequence[WorkflowExecution] | None:
        """The page; None before the first."""
        return self._page

    @property
    def next_page_token(self) -> bytes | None:
        """Something while there may be more; it continues this iterator alone. Before the first page, what was given."""
        if self._page is None:
            return self._input.next_page_token
        return b"more" if self._more else None

    async def fetch_next_page(self, *, page_size: int | None = None) -> None:
        """Read the next page."""
        size = page_size or self._input.page_size
        client = self._client
        page: list[WorkflowExecution] = []
        with as_rpc_errors():
            if self._found is None:
                self._found = runs_of(await client.engine(), self._query)
            while len(page) < size:
                run = await anext(self._found, None)
                if run is None:
                    self._more = False
                    break
                page.append(execution_of(run, client.namespace, client.data_converter))
        self._page, self._at = page, 0

    def __aiter__(self) -> AsyncIterator[WorkflowExecution]:
        return self

    async def __anext__(self) -> WorkflowExecution:
        limit = self._input.limit
        if limit is not None and self._given >= limit:
            raise StopAsyncIteration
        while self._page is None or self._at >= len(self._page):
            if not self._more:
                raise StopAsyncIteration
            await self.fetch_next_page()
        run = self._page[self._at]
        self._at += 1
        self._given += 1
        return run

    async def map_histories(
        self,
        *,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> AsyncIterator[WorkflowHistory]:
        """The history of each."""
        async for run in self:
            handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
            yield await handle.fetch_history(event_filter_type=event_filter_type)


def runs_of(engine: EngineClient, query: Query) -> AsyncIterator[RunSummary]:
    """The runs that match, in the order asked for."""
    if isinstance(query.order, Order):
        return _sorted(engine.workflow.list(query.where), query.order)
    return engine.workflow.list(query.where, order=query.order)


async def _sorted(listed: AsyncIterator[RunSummary], order: Order) -> AsyncIterator[RunSummary]:
    for run in order.sorted([run async for run in listed]):
        yield run


async def counted(client: Client, query: str | None) -> WorkflowExecutionCount:
    """How many match; with `GROUP BY ExecutionStatus` for each status."""
    asked = compiled(query)
    engine = await client.engine()
    if not asked.by_status:
        return WorkflowExecutionCount(await engine.workflow.count(asked.where))
    groups: list[WorkflowExecutionCountAggregationGroup] = []
    for status, name in STATUSES.items():
        count = await engine.workflow.count(f"({asked.where}) and status = {status.value}")
        if count:
            title = {"CANCELED": "Canceled", "TIMED_OUT": "TimedOut", "CONTINUED_AS_NEW": "ContinuedAsNew"}
            groups.append(WorkflowExecutionCountAggregationGroup(count, [title.get(name.name, name.name.capitalize())]))
    return WorkflowExecutionCount(sum(group.count for group in groups), groups)
