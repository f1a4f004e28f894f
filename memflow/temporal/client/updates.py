"""Updates: a request to a workflow with a result, by id."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memflow import errors
from memflow.client import Client as EngineClient
from memflow.client import Handle
from memflow.client.updates import UpdateHandle
from memflow.temporal.client.errors import (
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    as_rpc_errors,
    rpc_error,
)
from memflow.temporal.converter import WorkflowSerializationContext
from memflow.temporal.exceptions import ApplicationError
from memflow.temporal.service import RPCStatusCode
from memflow.temporal.stored import Raw
from memflow.temporal.telling import serving

if TYPE_CHECKING:
    from memflow.client import Client as EngineClient
    from memflow.temporal.client.client import Client
    from memflow.temporal.client.inputs import StartWorkflowUpdateInput

R = TypeVar("R")

WORKFLOW_CLOSED = "AcceptedUpdateCompletedWorkflow"
"""The type of the failure of an update whose workflow ended before its handler did."""


class WorkflowUpdateStage(IntEnum):
    """How far an update has come."""

    ADMITTED = 1
    ACCEPTED = 2
    COMPLETED = 3


class WorkflowUpdateHandle(Generic[R]):
    """One update of one workflow."""

    def __init__(
        self,
        client: Client,
        id: str,
        workflow_id: str,
        *,
        workflow_run_id: str | None = None,
        result_type: Any = None,
        sent: bool = False,
    ) -> None:
        self._client = client
        self._sent = sent
        self._id = id
        self._workflow_id = workflow_id
        self._workflow_run_id = workflow_run_id
        self._result_type = result_type

    @property
    def id(self) -> str:
        """The update id."""
        return self._id

    @property
    def workflow_id(self) -> str:
        """The workflow it was sent to."""
        return self._workflow_id

    @property
    def workflow_run_id(self) -> str | None:
        """The run it was sent to, where that is known."""
        return self._workflow_run_id

    async def result(
        self,
        *,
        rpc_metadata: Mapping[str, str | bytes] = {},
        rpc_timeout: timedelta | None = None,
    ) -> R:
        """What its handler returned.

        Raises:
            WorkflowUpdateFailedError: it was rejected, or its handler failed; `cause` says which.
            WorkflowUpdateRPCTimeoutOrCancelledError: nothing was heard within `rpc_timeout`, or the task was cancelled.
            RPCError: there is no such workflow.
        """
        engine = await self._client.engine()
        handle: Any = engine.get_handle(self._workflow_id, self._workflow_run_id).get_update_handle(self._id, result_type=Raw)
        context = WorkflowSerializationContext(self._client.namespace, self._workflow_id)
        with as_rpc_errors(), update_timeouts(), serving(context):
            if not self._sent and not await handle.exists():
                raise rpc_error(RPCStatusCode.NOT_FOUND, f'update "{self._id}" not found')
            self._sent = True
            try:
                stored = await handle.result(rpc_timeout)
            except errors.UpdateFailedError as error:
                failed = WorkflowUpdateFailedError(failure_of_update(error))
                raise failed from failed.cause
        result: R = None if stored is None else self._client.codec.told(context).decode(stored, _hint(self._result_type))  # type: ignore[assignment]
        return result


@contextmanager
def update_timeouts() -> Generator[None]:
    """A wait inside whose time is up, or that is cancelled, comes out as Temporal's error of it."""
    try:
        yield
    except asyncio.CancelledError as cancelled:
        raise WorkflowUpdateRPCTimeoutOrCancelledError from cancelled
    except builtins.TimeoutError:
        raise WorkflowUpdateRPCTimeoutOrCancelledError from rpc_error(RPCStatusCode.CANCELLED, "Timeout expired")


async def check_chain(engine: EngineClient, input: StartWorkflowUpdateInput) -> None:
    """Say it as Temporal does, where the id has another chain of runs by now than the one that was meant.

    Raises:
        RPCError: it has.
    """
    if input.run_id is None and input.first_execution_run_id is not None:
        current = await engine.get_handle(input.id).describe()
        if (current.first_run_id or current.run_id) != input.first_execution_run_id:
            raise rpc_error(RPCStatusCode.NOT_FOUND, "workflow execution not found")


def failure_of_update(error: errors.UpdateFailedError) -> BaseException:
    """Why an update failed, as Temporal's programs read it."""
    cause = error.cause
    if cause is None or isinstance(cause, errors.WorkflowClosedError):
        return ApplicationError(
            "Workflow Update failed because the Workflow completed before the Update completed.",
            type=WORKFLOW_CLOSED,
            non_retryable=True,
        )
    if isinstance(cause, errors.ApplicationError) and cause.type == "UnknownHandler":
        said, _, names = cause.message.partition(", known updates: ")
        known = names.strip("[]").replace(", ", " ")
        message = f"{said[:1].upper()}{said[1:]}, and there is no dynamic handler. known updates: [{known}]"
        return ApplicationError(message, type="RuntimeError")
    return cause


async def known_update(
    engine: EngineClient, workflow_id: str, update_id: str
) -> tuple[Handle[Any], UpdateHandle[Any]] | None:
    """An update of that id which the workflow has already: one of an open run, or of a closed one that had answered it.

    Whoever sends it once more with a start means that update, whatever the policies say of the start.
    """
    row = await engine.store.find_run(workflow_id, None)
    if row is None:
        return None
    handle = engine.get_handle(workflow_id, row.run_id, result_type=Raw)
    update = handle.get_update_handle(update_id, result_type=Raw)
    if not await update.exists():
        return None
    if not row.status.is_open:
        try:
            _ = await update.result()
        except errors.UpdateFailedError as error:
            if getattr(failure_of_update(error), "type", None) == WORKFLOW_CLOSED:
                return None
    return handle, update


def _hint(result_type: Any) -> Any:
    return Any if result_type is None else result_type
