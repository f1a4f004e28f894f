"""The part of a handle that talks to its workflow: signals, queries, updates."""

from __future__ import annotations

from abc import ABC
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.client.inputs import QueryWorkflowInput, SignalWorkflowInput, StartWorkflowUpdateInput
from memflow.temporal.client.updates import WorkflowUpdateHandle, WorkflowUpdateStage
from memflow.temporal.common import QueryRejectCondition
from memflow.temporal.workflow import UpdateMethodMultiParam
from memflow.temporal.workflow.define import handler_name

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

S = TypeVar("S")
P = TypeVar("P")
T = TypeVar("T")

Metadata = Mapping[str, str | bytes]


class Talking(ABC, Generic[S]):
    """What a handle sends to its workflow, and what comes back."""

    _client: Client
    _id: str
    _run_id: str | None
    _first_execution_run_id: str | None

    @overload
    async def signal(
        self, signal: Callable[[S], Any], *, rpc_metadata: Metadata = ..., rpc_timeout: timedelta | None = None
    ) -> None: ...
    @overload
    async def signal(
        self, signal: Callable[[S, P], Any], arg: P, *, rpc_metadata: Metadata = ..., rpc_timeout: timedelta | None = None
    ) -> None: ...
    @overload
    async def signal(
        self,
        signal: Callable[..., Any],
        *,
        args: Sequence[Any],
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> None: ...
    @overload
    async def signal(
        self,
        signal: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> None: ...
    async def signal(
        self,
        signal: Any,
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> None:
        """Send it a signal, by name or by its method.

        Raises:
            RPCError: there is no such workflow, or it has ended.
        """
        name, _ = handler_name(signal, "signal")
        await self._client.chain.signal_workflow(
            SignalWorkflowInput(self._id, self._run_id, name, arg_or_args(arg, args), {}, rpc_metadata, rpc_timeout)
        )

    @overload
    async def query(
        self,
        query: Callable[[S], T],
        *,
        reject_condition: QueryRejectCondition | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def query(
        self,
        query: Callable[[S, P], T],
        arg: P,
        *,
        reject_condition: QueryRejectCondition | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def query(
        self,
        query: Callable[..., T],
        *,
        args: Sequence[Any],
        reject_condition: QueryRejectCondition | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def query(
        self,
        query: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        result_type: type | None = None,
        reject_condition: QueryRejectCondition | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> Any: ...
    async def query(
        self,
        query: Any,
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        result_type: Any = None,
        reject_condition: QueryRejectCondition | None = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Ask it something. Nothing of the workflow changes.

        Raises:
            WorkflowQueryFailedError: the handler raised, or there is none.
            WorkflowQueryRejectedError: its status is one of those that `reject_condition` excludes.
            RPCError: there is no such workflow, or nobody answered in time.
        """
        name, ret_type = handler_name(query, "query")
        return await self._client.chain.query_workflow(
            QueryWorkflowInput(
                self._id,
                self._run_id,
                name,
                arg_or_args(arg, args),
                reject_condition or self._client.default_query_reject_condition,
                {},
                ret_type if result_type is None else result_type,
                rpc_metadata,
                rpc_timeout,
            )
        )

    @overload
    async def execute_update(
        self,
        update: UpdateMethodMultiParam[[S], Awaitable[T]],
        *,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update(
        self,
        update: UpdateMethodMultiParam[[S], T],
        *,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update(
        self,
        update: UpdateMethodMultiParam[[S, P], Awaitable[T]],
        arg: P,
        *,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update(
        self,
        update: UpdateMethodMultiParam[[S, P], T],
        arg: P,
        *,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update(
        self,
        update: UpdateMethodMultiParam[..., Any],
        *,
        args: Sequence[Any],
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> Any: ...
    @overload
    async def execute_update(
        self,
        update: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> Any: ...
    async def execute_update(
        self,
        update: Any,
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: Any = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Send it an update and wait for what its handler returns.

        Raises:
            WorkflowUpdateFailedError: it was rejected, or its handler failed; `cause` says which.
            WorkflowUpdateRPCTimeoutOrCancelledError: nothing was heard within `rpc_timeout`.
            RPCError: there is no such workflow, or it has ended.
        """
        handle = await self._start_update(
            update, arg, args, id, result_type, WorkflowUpdateStage.COMPLETED, rpc_metadata, rpc_timeout
        )
        return await handle.result(rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)

    @overload
    async def start_update(
        self,
        update: UpdateMethodMultiParam[[S], Awaitable[T]],
        *,
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update(
        self,
        update: UpdateMethodMultiParam[[S], T],
        *,
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update(
        self,
        update: UpdateMethodMultiParam[[S, P], Awaitable[T]],
        arg: P,
        *,
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update(
        self,
        update: UpdateMethodMultiParam[[S, P], T],
        arg: P,
        *,
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update(
        self,
        update: UpdateMethodMultiParam[..., Any],
        *,
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any],
        id: str | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]: ...
    @overload
    async def start_update(
        self,
        update: str,
        arg: Any = ...,
        *,
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = ...,
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Metadata = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]: ...
    async def start_update(
        self,
        update: Any,
        arg: Any = UNSET,
        *,
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: Any = None,
        rpc_metadata: Metadata = {},  # noqa: B006
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Send it an update and wait until it is accepted or rejected, or until it has ended.

        A rejection shows in `result()` of the handle.

        Raises:
            ValueError: `wait_for_stage` is ADMITTED, which nobody can wait for.
            WorkflowUpdateRPCTimeoutOrCancelledError: nothing was heard within `rpc_timeout`.
            RPCError: there is no such workflow, or it has ended.
        """
        return await self._start_update(update, arg, args, id, result_type, wait_for_stage, rpc_metadata, rpc_timeout)

    async def _start_update(
        self,
        update: Any,
        arg: Any,
        args: Sequence[Any],
        id: str | None,
        result_type: Any,
        stage: WorkflowUpdateStage,
        rpc_metadata: Metadata,
        rpc_timeout: timedelta | None,
    ) -> WorkflowUpdateHandle[Any]:
        if stage == WorkflowUpdateStage.ADMITTED:
            raise ValueError("ADMITTED wait stage not supported")
        name, ret_type = handler_name(update, "update")
        return await self._client.chain.start_workflow_update(
            StartWorkflowUpdateInput(
                self._id,
                self._run_id,
                self._first_execution_run_id,
                id,
                name,
                arg_or_args(arg, args),
                stage,
                {},
                ret_type if result_type is None else result_type,
                rpc_metadata,
                rpc_timeout,
            )
        )

    def get_update_handle(
        self, id: str, *, workflow_run_id: str | None = None, result_type: Any = None
    ) -> WorkflowUpdateHandle[Any]:
        """A handle on an update that was sent before. Asks nobody."""
        return WorkflowUpdateHandle(
            self._client, id, self._id, workflow_run_id=workflow_run_id or self._run_id, result_type=result_type
        )

    def get_update_handle_for(
        self, update: UpdateMethodMultiParam[Any, T], id: str, *, workflow_run_id: str | None = None
    ) -> WorkflowUpdateHandle[T]:
        """The same, typed by its method."""
        return self.get_update_handle(id, workflow_run_id=workflow_run_id, result_type=handler_name(update, "update")[1])
