"""A handle on one workflow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memflow.temporal.client.describing import WorkflowExecutionDescription
from memflow.temporal.client.histories import (
    WorkflowHistory,
    WorkflowHistoryEventAsyncIterator,
    WorkflowHistoryEventFilterType,
)
from memflow.temporal.client.inputs import (
    CancelWorkflowInput,
    DescribeWorkflowInput,
    FetchWorkflowHistoryEventsInput,
    TerminateWorkflowInput,
)
from memflow.temporal.client.talking import Metadata, Talking

if TYPE_CHECKING:
    from memflow.client import Handle
    from memflow.temporal.client.client import Client

S = TypeVar("S")
R = TypeVar("R")


class WorkflowHandle(Talking[S], Generic[S, R]):
    """One workflow, by its id and perhaps the id of one run. Making one asks nobody."""

    def __init__(
        self,
        client: Client,
        id: str,
        *,
        run_id: str | None = None,
        result_run_id: str | None = None,
        first_execution_run_id: str | None = None,
        result_type: Any = None,
        known: Handle[Any] | None = None,
    ) -> None:
        self._client = client
        self._id = id
        self._run_id = run_id
        self._result_run_id = result_run_id
        self._first_execution_run_id = first_execution_run_id
        self._result_type = result_type
        self._known = known

    def __repr__(self) -> str:
        return f"WorkflowHandle(id={self._id!r}, run_id={self._run_id!r})"

    @property
    def id(self) -> str:
        """The workflow id."""
        return self._id

    @property
    def run_id(self) -> str | None:
        """The run that signals, queries and the like are meant for; None means the latest."""
        return self._run_id

    @property
    def result_run_id(self) -> str | None:
        """The run whose result is waited for, or that of the runs after it; None means the latest."""
        return self._result_run_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The first run of the chain that this handle's start began."""
        return self._first_execution_run_id

    async def result(
        self, *, follow_runs: bool = True, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> R:
        """Wait for the end, however long, and return what the workflow returned.

        `rpc_timeout` is for single calls of a server, which there are none of here; `asyncio.timeout` bounds the wait.

        Raises:
            WorkflowFailureError: it did not complete; `cause` says why.
            WorkflowContinuedAsNewError: it goes on as another run, and `follow_runs` is False.
            RPCError: there is no such workflow.
        """
        result: R = await self._client.result_of(
            self._id, self._result_run_id, self._result_type, follow=follow_runs, known=self._known
        )
        return result

    async def cancel(
        self, *, reason: str = "", rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> None:
        """Ask it to cancel itself.

        Raises:
            RPCError: there is no such workflow, or it has ended.
        """
        await self._client.chain.cancel_workflow(
            CancelWorkflowInput(self._id, self._run_id, self._first_execution_run_id, reason, rpc_metadata, rpc_timeout)
        )

    async def terminate(
        self,
        *args: Any,
        reason: str | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """End it at once. `args` become details of the error that whoever waits for it gets.

        Raises:
            RPCError: there is no such workflow, or it has ended.
        """
        await self._client.chain.terminate_workflow(
            TerminateWorkflowInput(
                self._id, self._run_id, self._first_execution_run_id, args, reason, rpc_metadata, rpc_timeout
            )
        )

    async def describe(
        self, *, rpc_metadata: Metadata = {}, rpc_timeout: timedelta | None = None  # noqa: B006
    ) -> WorkflowExecutionDescription:
        """The workflow, its pending activities, its memo and search attributes.

        Raises:
            RPCError: there is no such workflow.
        """
        return await self._client.chain.describe_workflow(
            DescribeWorkflowInput(self._id, self._run_id, rpc_metadata, rpc_timeout)
        )

    async def fetch_history(
        self,
        *,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowHistory:
        """The whole history, which a Replayer can replay.

        Raises:
            RPCError: there is no such workflow.
        """
        found = self.fetch_history_events(
            event_filter_type=event_filter_type, rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout
        )
        return WorkflowHistory(self._id, [event async for event in found])

    def fetch_history_events(
        self,
        *,
        page_size: int | None = None,
        next_page_token: bytes | None = None,
        wait_new_event: bool = False,
        event_filter_type: WorkflowHistoryEventFilterType = WorkflowHistoryEventFilterType.ALL_EVENT,
        skip_archival: bool = False,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowHistoryEventAsyncIterator:
        """The events of the history, read as they are asked for; with `wait_new_event` also those to come."""
        return self._client.chain.fetch_workflow_history_events(
            FetchWorkflowHistoryEventsInput(
                self._id,
                self._run_id,
                page_size,
                next_page_token,
                wait_new_event,
                event_filter_type,
                skip_archival,
                rpc_metadata,
                rpc_timeout,
            )
        )
