"""The end of the chain of client interceptors: what a client asks reaches memflow."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from memflow import errors
from memflow.client import Client as EngineClient
from memflow.client import Handle
from memflow.client.updates import UpdateHandle
from memflow.core.definition import CRON_HEADER
from memflow.runs import Status
from memflow.temporal.client.activities import AsyncActivityCalls
from memflow.temporal.client.activity_describing import ActivityExecutionDescription
from memflow.temporal.client.activity_handle import ActivityHandle
from memflow.temporal.client.activity_inputs import (
    CancelActivityInput,
    CompleteAsyncActivityInput,
    CountActivitiesInput,
    DescribeActivityInput,
    FailAsyncActivityInput,
    HeartbeatAsyncActivityInput,
    ListActivitiesInput,
    PauseActivityInput,
    ReportCancellationAsyncActivityInput,
    StartActivityInput,
    TerminateActivityInput,
    UnpauseActivityInput,
)
from memflow.temporal.client.activity_listing import ActivityExecutionAsyncIterator, ActivityExecutionCount
from memflow.temporal.client.describing import STATUSES, WorkflowExecutionDescription, description_of
from memflow.temporal.client.errors import (
    WorkflowContinuedAsNewError,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    as_rpc_errors,
)
from memflow.temporal.client.handle import WorkflowHandle
from memflow.temporal.client.histories import WorkflowHistoryEventAsyncIterator
from memflow.temporal.client.inputs import (
    CancelWorkflowInput,
    CountWorkflowsInput,
    DescribeWorkflowInput,
    FetchWorkflowHistoryEventsInput,
    ListWorkflowsInput,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    StartWorkflowUpdateWithStartInput,
    TerminateWorkflowInput,
    UpdateWithStartUpdateWorkflowInput,
)
from memflow.temporal.client.listing import WorkflowExecutionAsyncIterator, WorkflowExecutionCount, counted
from memflow.temporal.client.outbound import OutboundInterceptor
from memflow.temporal.client.schedule_handle import ScheduleCalls
from memflow.temporal.client.standalone import ActivityCalls
from memflow.temporal.client.updates import (
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
    check_chain,
    known_update,
    update_timeouts,
)
from memflow.temporal.common import (
    QueryRejectCondition,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
    completed_policy,
    engine_policy,
    engine_priority,
)
from memflow.temporal.converter import WorkflowSerializationContext
from memflow.temporal.exceptions import (
    CancelledError,
    TerminatedError,
    TimeoutError,
    TimeoutType,
    WorkflowAlreadyStartedError,
)
from memflow.temporal.search_attributes import fields_of
from memflow.temporal.startup import Startup
from memflow.temporal.stored import Arguments, ConvertingCodec, Raw, stored_signal
from memflow.temporal.telling import serving
from memflow.temporal.workflow.facts import plain_fields
from memflow.worker.chains import cron_delay

if TYPE_CHECKING:
    from memflow.temporal.client.client import Client

log = logging.getLogger(__name__)

_BUILT_IN = ("__enhanced_stack_trace", "__stack_trace", "__temporal_workflow_metadata")
"""Queries that every workflow answers."""

_TERMINATED = "terminated by user via frontend"
"""What Temporal's server says of a termination without a reason."""

_CONFLICT = {
    WorkflowIDConflictPolicy.UNSPECIFIED: "fail",
    WorkflowIDConflictPolicy.FAIL: "fail",
    WorkflowIDConflictPolicy.USE_EXISTING: "use_existing",
    WorkflowIDConflictPolicy.TERMINATE_EXISTING: "terminate_existing",
}
_REUSE = {
    WorkflowIDReusePolicy.ALLOW_DUPLICATE: "allow",
    WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY: "failed_only",
    WorkflowIDReusePolicy.REJECT_DUPLICATE: "reject",
    WorkflowIDReusePolicy.TERMINATE_IF_RUNNING: "allow",
}


class Calls(ABC):
    """What the calls need of a client."""

    @property
    @abstractmethod
    def codec(self) -> ConvertingCodec:
        """The data converter as memflow's codec."""

    @property
    @abstractmethod
    def namespace(self) -> str:
        """The namespace."""

    @abstractmethod
    async def engine(self) -> EngineClient:
        """memflow's client beneath."""

    def root(self) -> OutboundInterceptor:
        """The end of the chain of interceptors."""
        return Root(cast("Client", self))

    async def result_of(
        self,
        id: str,
        run_id: str | None,
        result_type: Any,
        *,
        follow: bool,
        known: Handle[Any] | None = None,
    ) -> Any:
        """A workflow's result. `known` is memflow's handle of that run, where there is one.

        Raises:
            WorkflowFailureError: it did not complete.
            WorkflowContinuedAsNewError: it goes on as another run that is not to be followed.
            RPCError: there is no such workflow.
        """
        handle: Any = (await self.engine()).get_handle(id, run_id, result_type=Raw) if known is None else known
        codec = self.codec.told(WorkflowSerializationContext(self.namespace, id))
        with as_rpc_errors(), serving(WorkflowSerializationContext(self.namespace, id)):
            try:
                stored = await handle.result(follow=follow)
            except errors.WorkflowFailedError as error:
                if error.status == Status.CONTINUED_AS_NEW:
                    following = (await handle.describe()).next_run_id
                    raise WorkflowContinuedAsNewError(following or "") from None
                raise WorkflowFailureError(cause=_cause_of(error)) from _cause_of(error)
        return None if stored is None else codec.decode(stored, Any if result_type is None else result_type)


def _cause_of(error: errors.WorkflowFailedError) -> BaseException:
    """Why a workflow did not complete, as Temporal's programs read it."""
    cause = error.cause
    match error.status:
        case Status.CANCELLED:
            details = cause.details if isinstance(cause, errors.CancelledError) else ()
            return CancelledError("Workflow cancelled", *details)
        case Status.TERMINATED:
            reason = cause.reason if isinstance(cause, errors.TerminatedError) else None
            known = cause.details if isinstance(cause, TerminatedError) else ()
            return TerminatedError(reason or _TERMINATED, *known)
        case Status.TIMED_OUT:
            return TimeoutError("Workflow timed out", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[])
        case _:
            return error if cause is None else cause


_EAGERLY: Final = "__temporal_eagerly_started"
"""What programs that ask for an eager start look at: whether a worker of their own client takes what was started."""


class Root(ScheduleCalls):
    """Asks memflow."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._activities = AsyncActivityCalls(client)
        self._standalone = ActivityCalls(client)

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        client = self._client
        engine = await client.engine()
        payload = self._codec(input.id).write_arguments(input.args, input.headers)
        with as_rpc_errors():
            options = await self._options(engine, input)
            # memflow encodes the memo.
            with _taken(input.workflow), serving(WorkflowSerializationContext(client.namespace, input.id)):
                handle = await engine.workflow.start(input.workflow, args=[payload], **options)
        return self._started(input, handle)

    def _started(self, input: StartWorkflowInput, handle: Handle[Any]) -> WorkflowHandle[Any, Any]:
        started = WorkflowHandle[Any, Any](
            self._client,
            input.id,
            result_run_id=handle.run_id,
            first_execution_run_id=handle.run_id,
            result_type=input.ret_type,
            known=handle.reading(Raw),
        )
        at_once = input.start_delay is None and not input.cron_schedule and input.start_signal is None
        taken = input.request_eager_start and at_once and self._client.service_client.serves(input.task_queue)
        setattr(started, _EAGERLY, taken)
        return started

    async def _options(self, engine: EngineClient, input: StartWorkflowInput) -> Any:
        codec = self._codec(input.id)
        startup = Startup(
            input.cron_schedule,
            input.execution_timeout or None,
            input.run_timeout or input.execution_timeout or None,
            input.task_timeout or None,
            completed_policy(input.retry_policy),
            input.static_summary,
            input.static_details,
            input.priority.priority_key,
            start_delay=input.start_delay,
        )
        conflict = _CONFLICT[input.id_conflict_policy]
        if input.id_reuse_policy is WorkflowIDReusePolicy.TERMINATE_IF_RUNNING:
            if input.id_conflict_policy is not WorkflowIDConflictPolicy.UNSPECIFIED:
                raise errors.ConfigurationError("id_reuse_policy TERMINATE_IF_RUNNING goes with no id_conflict_policy")
            conflict = "terminate_existing"
        elif input.start_signal is not None and input.id_conflict_policy is WorkflowIDConflictPolicy.UNSPECIFIED:
            conflict = "use_existing"            # a signal with a start goes to whoever is there
        options: dict[str, Any] = {
            "id": input.id,
            "task_queue": input.task_queue,
            "execution_timeout": input.execution_timeout or None,    # none of a length of nothing, as over there
            "run_timeout": input.run_timeout or None,
            "task_timeout": input.task_timeout or None,
            "on_conflict": conflict,
            "reuse": _REUSE[input.id_reuse_policy],
            "retry": engine_policy(input.retry_policy),
            "memo": None if input.memo is None else plain_fields(input.memo, codec.payloads),
            "search": fields_of(input.search_attributes) or None,
            "start_delay": input.start_delay,
            "headers": startup.headers(),
            "priority": engine_priority(input.priority),
        }
        if input.start_signal is not None:
            options["start_signal"] = input.start_signal
            payloads = codec.to_payloads(input.start_signal_args)
            options["start_signal_args"] = (codec.own(stored_signal(Arguments(payloads, input.headers))),)
        if input.cron_schedule:
            if input.start_delay is not None:
                raise errors.ConfigurationError("CronSchedule and WorkflowStartDelay may not be used together.")
            options["headers"] = {**options.get("headers", {}), CRON_HEADER: input.cron_schedule}
            options["start_delay"] = cron_delay(input.cron_schedule, await engine.store.now())
        return {name: value for name, value in options.items() if value is not None}

    def _codec(self, workflow_id: str) -> ConvertingCodec:
        client = self._client
        return client.codec.told(WorkflowSerializationContext(client.namespace, workflow_id))

    async def _target(self, id: str, run_id: str | None, first_execution_run_id: str | None = None) -> Handle[Any]:
        """The run that a call means: exactly the one named, else the current one of that first run's chain, else of that id."""
        engine = await self._client.engine()
        if run_id is None:
            return engine.get_handle(id, first_execution_run_id)
        return engine.get_handle(id, run_id).exactly()

    async def cancel_workflow(self, input: CancelWorkflowInput) -> None:
        handle = await self._target(input.id, input.run_id, input.first_execution_run_id)
        with as_rpc_errors():
            try:
                await handle.cancel(input.reason or None)
            except errors.WorkflowClosedError:
                log.debug("asked to cancel a workflow that has ended", extra={"workflow_id": input.id})

    async def terminate_workflow(self, input: TerminateWorkflowInput) -> None:
        handle = await self._target(input.id, input.run_id, input.first_execution_run_id)
        with as_rpc_errors():
            await handle.end(input.reason, input.args)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> WorkflowExecutionDescription:
        client = self._client
        with as_rpc_errors():
            run = await (await client.engine()).get_handle(input.id, input.run_id).describe()
        return description_of(run, run.headers, client.namespace, client.data_converter)

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        client = self._client
        handle: Any = (await client.engine()).get_handle(input.id, input.run_id)
        with as_rpc_errors():
            if input.reject_condition not in (None, QueryRejectCondition.NONE):
                await self._check_status(handle, input.reject_condition)
            codec = self._codec(input.id)
            payload = codec.write_arguments(input.args, input.headers)
            limit = {} if input.rpc_timeout is None else {"timeout": input.rpc_timeout}
            try:
                stored = await handle.query(input.query, payload, result_type=Raw, **limit)
            except errors.QueryFailedError as error:
                raise WorkflowQueryFailedError(_query_message(error)) from None
        return None if stored is None else codec.decode(stored, Any if input.ret_type is None else input.ret_type)

    async def _check_status(self, handle: Any, condition: QueryRejectCondition | None) -> None:
        status: Status = await handle.status()
        refused = not status.is_open
        if condition is QueryRejectCondition.NOT_COMPLETED_CLEANLY:
            refused = not status.is_open and status not in (Status.COMPLETED, Status.CONTINUED_AS_NEW)
        if refused:
            raise WorkflowQueryRejectedError(STATUSES[status])

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        handle: Any = await self._target(input.id, input.run_id)
        codec = self._codec(input.id)
        payloads = codec.to_payloads(input.args)
        with as_rpc_errors():
            await handle.signal(input.signal, codec.own(stored_signal(Arguments(payloads, input.headers))))

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        client = self._client
        run_id = input.run_id or input.first_execution_run_id
        handle: Any = await self._target(input.id, input.run_id, input.first_execution_run_id)
        payload = self._codec(input.id).write_arguments(input.args, input.headers)
        update_id = input.update_id or str(uuid4())
        final = input.wait_for_stage is WorkflowUpdateStage.COMPLETED
        with as_rpc_errors(), update_timeouts():
            try:
                await handle.start_update(
                    input.update,
                    payload,
                    wait_for="completed" if final else "accepted",
                    id=update_id,
                    result_type=Raw,
                    timeout=input.rpc_timeout,
                )
            except errors.WorkflowClosedError:
                await check_chain(await client.engine(), input)
                raise
        return WorkflowUpdateHandle(
            client, update_id, input.id, workflow_run_id=run_id, result_type=input.ret_type, sent=True
        )

    def fetch_workflow_history_events(self, input: FetchWorkflowHistoryEventsInput) -> WorkflowHistoryEventAsyncIterator:
        return WorkflowHistoryEventAsyncIterator(self._client, input)

    def list_workflows(self, input: ListWorkflowsInput) -> WorkflowExecutionAsyncIterator:
        return WorkflowExecutionAsyncIterator(self._client, input)

    async def count_workflows(self, input: CountWorkflowsInput) -> WorkflowExecutionCount:
        with as_rpc_errors():
            return await counted(self._client, input.query)

    async def start_update_with_start_workflow(
        self, input: StartWorkflowUpdateWithStartInput
    ) -> WorkflowUpdateHandle[Any]:
        client, update = self._client, input.update_workflow_input
        start = StartWorkflowInput(
            **vars(input.start_workflow_input),
            start_signal=None,
            start_signal_args=[],
            rpc_metadata=input.rpc_metadata,
            rpc_timeout=input.rpc_timeout,
            request_eager_start=False,
        )
        update_id = update.update_id or str(uuid4())
        final = update.wait_for_stage is WorkflowUpdateStage.COMPLETED
        with as_rpc_errors():
            try:
                engine = await client.engine()
                known = None if update.update_id is None else await known_update(engine, start.id, update_id)
                handle, sent = known or await self._start_with_update(engine, start, update, update_id)
            except BaseException as error:
                input.on_start_error(error)
                raise
            input.on_start(self._started(start, handle))
            with update_timeouts():
                await sent.wait(final=final, timeout=input.rpc_timeout)
        return WorkflowUpdateHandle(
            client, update_id, start.id, workflow_run_id=handle.run_id, result_type=update.ret_type, sent=True
        )

    async def _start_with_update(
        self, engine: EngineClient, start: StartWorkflowInput, update: UpdateWithStartUpdateWorkflowInput, update_id: str
    ) -> tuple[Handle[Any], UpdateHandle[Any]]:
        codec = self._codec(start.id)
        with _taken(start.workflow):
            return await engine.workflow.start_with_update(
                start.workflow,
                [codec.write_arguments(start.args, start.headers)],
                await self._options(engine, start),
                update=update.update,
                update_arguments=[codec.write_arguments(update.args, update.headers)],
                update_id=update_id,
                result_type=Raw,
            )

    async def heartbeat_async_activity(self, input: HeartbeatAsyncActivityInput) -> None:
        await self._activities.heartbeat(input)

    async def complete_async_activity(self, input: CompleteAsyncActivityInput) -> None:
        await self._activities.complete(input)

    async def fail_async_activity(self, input: FailAsyncActivityInput) -> None:
        await self._activities.fail(input)

    async def report_cancellation_async_activity(self, input: ReportCancellationAsyncActivityInput) -> None:
        await self._activities.report_cancellation(input)

    async def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:
        return await self._standalone.start(input)

    async def cancel_activity(self, input: CancelActivityInput) -> None:
        await self._standalone.cancel(input)

    async def terminate_activity(self, input: TerminateActivityInput) -> None:
        await self._standalone.terminate(input)

    async def describe_activity(self, input: DescribeActivityInput) -> ActivityExecutionDescription:
        return await self._standalone.describe(input)

    async def pause_activity(self, input: PauseActivityInput) -> None:
        await self._standalone.pause(input)

    async def unpause_activity(self, input: UnpauseActivityInput) -> None:
        await self._standalone.unpause(input)

    def list_activities(self, input: ListActivitiesInput) -> ActivityExecutionAsyncIterator:
        return ActivityExecutionAsyncIterator(self._client, input)

    async def count_activities(self, input: CountActivitiesInput) -> ActivityExecutionCount:
        return await self._standalone.count(input)


@contextmanager
def _taken(workflow: str) -> Generator[None]:
    """memflow's error of a taken workflow id inside comes out as Temporal's."""
    try:
        yield
    except errors.WorkflowAlreadyStartedError as taken:
        raise WorkflowAlreadyStartedError(
            taken.workflow_id, workflow, run_id=taken.run_id, first_run_id=taken.run_id
        ) from None


def _query_message(error: errors.QueryFailedError) -> str:
    cause = error.cause
    message = str(cause) if cause is not None else str(error)
    if isinstance(cause, errors.ApplicationError):
        message = cause.message
        if cause.type == "UnknownHandler":
            said, listed, names = message.partition("known queries: ")
            known = {name for name in names.strip("[]").split(", ") if name}
            message = f"{said[:1].upper()}{said[1:]}{listed}[{' '.join(sorted(known.union(_BUILT_IN)))}]"
    return message
