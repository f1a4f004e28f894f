"""An update together with the start of its workflow, if there is none."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from typing_extensions import TypedDict, Unpack

from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.client.handle import WorkflowHandle
from memflow.temporal.client.inputs import (
    StartWorkflowUpdateWithStartInput,
    UpdateWithStartStartWorkflowInput,
    UpdateWithStartUpdateWorkflowInput,
)
from memflow.temporal.client.outbound import OutboundInterceptor
from memflow.temporal.client.starting import start_input
from memflow.temporal.client.updates import WorkflowUpdateHandle, WorkflowUpdateStage
from memflow.temporal.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    VersioningOverride,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from memflow.temporal.workflow import UpdateMethodMultiParam
from memflow.temporal.workflow.define import handler_name

S = TypeVar("S")
R = TypeVar("R")
P = TypeVar("P")
T = TypeVar("T")

_ONLY_OF_STARTS = ("start_signal", "start_signal_args", "rpc_metadata", "rpc_timeout", "request_eager_start")


class WithStartOptions(TypedDict, total=False):
    """How the workflow of an update-with-start is started, beside its id, task queue and conflict policy."""

    result_type: type | None
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: TypedSearchAttributes | SearchAttributes | None
    static_summary: str | None
    static_details: str | None
    start_delay: timedelta | None
    priority: Priority
    versioning_override: VersioningOverride | None


class WithStartWorkflowOperation(Generic[S, R]):
    """The start of an update-with-start. Takes the options of `Client.start_workflow`; used once.

    Raises:
        ValueError: there is no `id_conflict_policy`.
    """

    @overload
    def __init__(
        self,
        workflow: Callable[[S], Awaitable[R]],
        *,
        id: str,
        task_queue: str,
        id_conflict_policy: WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        workflow: Callable[[S, P], Awaitable[R]],
        arg: P,
        *,
        id: str,
        task_queue: str,
        id_conflict_policy: WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        workflow: Callable[..., Awaitable[R]],
        *,
        args: Sequence[Any],
        id: str,
        task_queue: str,
        id_conflict_policy: WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: WithStartWorkflowOperation[Any, Any],
        workflow: str,
        arg: Any = ...,
        *,
        args: Sequence[Any] = ...,
        id: str,
        task_queue: str,
        id_conflict_policy: WorkflowIDConflictPolicy,
        **options: Unpack[WithStartOptions],
    ) -> None: ...
    def __init__(
        self,
        workflow: Any,
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        id: str,
        task_queue: str,
        id_conflict_policy: WorkflowIDConflictPolicy,
        **options: Any,
    ) -> None:
        if id_conflict_policy == WorkflowIDConflictPolicy.UNSPECIFIED:
            raise ValueError("WorkflowIDConflictPolicy is required")
        for name in _ONLY_OF_STARTS:
            if name in options:
                raise TypeError(f"WithStartWorkflowOperation got an unexpected keyword argument {name!r}")
        given = {"id": id, "task_queue": task_queue, "id_conflict_policy": id_conflict_policy, **options}
        start = vars(start_input(workflow, arg, args, given))
        self.input = UpdateWithStartStartWorkflowInput(
            **{name: value for name, value in start.items() if name not in _ONLY_OF_STARTS}
        )
        self._handle: asyncio.Future[WorkflowHandle[S, R]] | None = None
        self.used = False

    def started(self) -> asyncio.Future[WorkflowHandle[S, R]]:
        """What becomes of the start."""
        if self._handle is None:
            self._handle = asyncio.get_running_loop().create_future()
        return self._handle

    async def workflow_handle(self) -> WorkflowHandle[S, R]:
        """The workflow, once it is started or found.

        Raises:
            WorkflowAlreadyStartedError, RPCError: as for `Client.start_workflow`.
        """
        return await asyncio.shield(self.started())


class UpdateWithStart(ABC):
    """What a client offers for it."""

    @property
    @abstractmethod
    def chain(self) -> OutboundInterceptor:
        """The interceptors of the client."""

    @overload
    async def execute_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S], Awaitable[T]],
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S], T],
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S, P], Awaitable[T]],
        arg: P,
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S, P], T],
        arg: P,
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> T: ...
    @overload
    async def execute_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[..., Any],
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        args: Sequence[Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> Any: ...
    @overload
    async def execute_update_with_start_workflow(
        self,
        update: str,
        arg: Any = ...,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        args: Sequence[Any] = ...,
        result_type: type | None = None,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> Any: ...
    async def execute_update_with_start_workflow(
        self,
        update: Any,
        arg: Any = UNSET,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Start the workflow if it is not there, send it an update, and wait for what its handler returns.

        Raises:
            WorkflowUpdateFailedError: it was rejected, or its handler failed.
            WorkflowAlreadyStartedError, RPCError: as for `start_workflow`.
        """
        handle = await self._start(
            update, arg, args, start_workflow_operation, WorkflowUpdateStage.COMPLETED, id, result_type, rpc_metadata, rpc_timeout
        )
        return await handle.result(rpc_metadata=rpc_metadata, rpc_timeout=rpc_timeout)

    @overload
    async def start_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S], Awaitable[T]],
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S], T],
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S, P], Awaitable[T]],
        arg: P,
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[[S, P], T],
        arg: P,
        *,
        start_workflow_operation: WithStartWorkflowOperation[S, Any],
        wait_for_stage: WorkflowUpdateStage,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[T]: ...
    @overload
    async def start_update_with_start_workflow(
        self,
        update: UpdateMethodMultiParam[..., Any],
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any],
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]: ...
    @overload
    async def start_update_with_start_workflow(
        self,
        update: str,
        arg: Any = ...,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = ...,
        result_type: type | None = None,
        id: str | None = None,
        rpc_metadata: Mapping[str, str | bytes] = ...,
        rpc_timeout: timedelta | None = None,
    ) -> WorkflowUpdateHandle[Any]: ...
    async def start_update_with_start_workflow(
        self,
        update: Any,
        arg: Any = UNSET,
        *,
        start_workflow_operation: WithStartWorkflowOperation[Any, Any],
        wait_for_stage: WorkflowUpdateStage,
        args: Sequence[Any] = [],
        id: str | None = None,
        result_type: type | None = None,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> Any:
        """Start the workflow if it is not there, send it an update, and wait until that is accepted, or has ended.

        Raises:
            ValueError: `wait_for_stage` is ADMITTED.
            RuntimeError: the start was used before.
            WorkflowAlreadyStartedError, RPCError: as for `start_workflow`.
        """
        return await self._start(
            update, arg, args, start_workflow_operation, wait_for_stage, id, result_type, rpc_metadata, rpc_timeout
        )

    async def _start(
        self,
        update: Any,
        arg: Any,
        args: Sequence[Any],
        operation: WithStartWorkflowOperation[Any, Any],
        stage: WorkflowUpdateStage,
        id: str | None,
        result_type: Any,
        rpc_metadata: Mapping[str, str | bytes],
        rpc_timeout: timedelta | None,
    ) -> WorkflowUpdateHandle[Any]:
        if stage == WorkflowUpdateStage.ADMITTED:
            raise ValueError("ADMITTED wait stage not supported")
        if operation.used:
            raise RuntimeError("WithStartWorkflowOperation cannot be reused")
        operation.used = True
        name, ret_type = handler_name(update, "update")
        started = operation.started()

        def failed(error: BaseException) -> None:
            if not started.done():
                started.set_exception(error)
                started.exception()              # whoever asks gets it; nobody has to

        def found(handle: WorkflowHandle[Any, Any]) -> None:
            if not started.done():
                started.set_result(handle)

        return await self.chain.start_update_with_start_workflow(
            StartWorkflowUpdateWithStartInput(
                operation.input,
                UpdateWithStartUpdateWorkflowInput(
                    id, name, arg_or_args(arg, args), stage, {}, ret_type if result_type is None else result_type
                ),
                rpc_metadata,
                rpc_timeout,
                found,
                failed,
            )
        )

