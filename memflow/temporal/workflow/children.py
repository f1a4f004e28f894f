"""Child workflows, and other workflows seen from one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast, overload

from typing_extensions import TypedDict, Unpack

from memflow import errors
from memflow.core.arrivals import (
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
)
from memflow.core.definition import CRON_HEADER
from memflow.core.interrupts import StartChild, StopOther
from memflow.core.loop import TurnLoop
from memflow.core.ordering import WorkflowTask
from memflow.failure import exception_of
from memflow.names import check_name, child_run_id
from memflow.options import CancellationType, ChildOptions
from memflow.temporal.arguments import UNSET, arg_or_args, checked, with_options
from memflow.temporal.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
    VersioningOverride,
    WorkflowIDReusePolicy,
    engine_policy,
)
from memflow.temporal.converter import WorkflowSerializationContext
from memflow.temporal.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    RetryState,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)
from memflow.temporal.interception import SignalChildWorkflowInput, StartChildWorkflowInput
from memflow.temporal.search_attributes import fields_of
from memflow.temporal.startup import Startup
from memflow.temporal.stored import ConvertingCodec
from memflow.temporal.workflow.define import WorkflowDefinition, handler_name, name_and_result_type
from memflow.temporal.workflow.external import send_signal
from memflow.temporal.workflow.facts import plain_fields, uuid4
from memflow.temporal.workflow.running import Running, current
from memflow.temporal.workflow.words import (
    CHILD_WORDS,
    CLOSE_WORDS,
    ChildWorkflowCancellationType,
    ParentClosePolicy,
    VersioningIntent,
)

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")


class ChildWorkflowConfig(TypedDict, total=False):
    """Options of a child workflow, to be kept and given as `**config`."""

    id: str | None
    task_queue: str | None
    cancellation_type: ChildWorkflowCancellationType
    parent_close_policy: ParentClosePolicy
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    id_reuse_policy: WorkflowIDReusePolicy
    retry_policy: RetryPolicy | None
    cron_schedule: str
    memo: Mapping[str, Any] | None
    search_attributes: SearchAttributes | TypedSearchAttributes | None
    versioning_intent: VersioningIntent | None
    versioning_override: VersioningOverride | None
    static_summary: str | None
    static_details: str | None
    event_groups: Sequence[Any] | None
    priority: Priority


_OPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(ChildWorkflowConfig.__annotations__),
    "cancellation_type": ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
    "parent_close_policy": ParentClosePolicy.TERMINATE,
    "id_reuse_policy": WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    "cron_schedule": "",
    "priority": Priority.default,
}


class _Child:
    """A child that was asked for."""

    __slots__ = ("asked", "begun", "cancelled", "result", "running")

    def __init__(self, running: Running, asked: StartChild, result: Any) -> None:
        self.running = running
        self.asked = asked
        self.result = result
        self.begun = False
        self.cancelled = False

    def cancel(self) -> StopOther | None:
        """What is asked when nobody wants it any more."""
        self.cancelled = True
        if self.asked.options.cancellation_type is CancellationType.ABANDON:
            return None
        asked, replay = self.asked, self.running.replay
        return StopOther(replay.next_op(), "cancel", asked.workflow_id, asked.run_id, None, child_op=asked.op)

    async def started(self) -> None:
        """Wait until it exists.

        Raises:
            WorkflowAlreadyStartedError: its id is taken.
        """
        replay = self.running.replay
        try:
            answer = await replay.answer(self.asked.op, on_cancel=self.cancel)
        except asyncio.CancelledError:
            if not self.cancelled or replay.refusing or replay.cancelling:
                raise
            _absorb()
            error = self._cancelled("Child Workflow Execution cancelled before scheduled: ")
            raise error from error.__cause__
        if isinstance(answer, ChildNotStarted):
            raise WorkflowAlreadyStartedError(answer.workflow_id, self.asked.workflow, run_id=answer.run_id)
        assert isinstance(answer, ChildStarted), f"{answer} does not answer the start of a child"

    async def outcome(self) -> Any:
        """What it returns.

        Raises:
            ChildWorkflowError: it did not complete; the reason is its cause.
        """
        self.begun = True
        replay, asked = self.running.replay, self.asked
        patient = asked.options.cancellation_type is CancellationType.WAIT_CANCELLATION_COMPLETED
        if self.cancelled and not patient:
            raise self._cancelled()
        try:
            answer = await replay.answer(asked.op, on_cancel=self.cancel, wait=patient)
        except asyncio.CancelledError:
            if not self.cancelled or replay.refusing:
                raise
            _absorb()
            error = self._cancelled()
            raise error from error.__cause__     # in place of asyncio's
        match answer:
            case ChildCompleted(result=result):
                return self._codec().decode(result, self.result)
            case ChildFailed(failure=failure) | ChildCancelled(failure=failure):
                raise self._ended(exception_of(failure, self._codec()), cancelled=isinstance(answer, ChildCancelled))
            case ChildNotStarted(workflow_id=taken, run_id=holder):
                raise WorkflowAlreadyStartedError(taken, asked.workflow, run_id=holder)
            case _:
                raise AssertionError(f"{answer} does not end a child")

    def _codec(self) -> ConvertingCodec:
        return self.running.codec.told(
            WorkflowSerializationContext(self.running.replay.info.namespace, self.asked.workflow_id)
        )

    def _ended(self, error: BaseException, *, cancelled: bool) -> ChildWorkflowError:
        cause = error.__cause__ if isinstance(error, errors.ChildWorkflowError) else error
        match cause:
            case CancelledError() if cancelled:
                return self._failed("Child Workflow execution cancelled", cause, RetryState.NON_RETRYABLE_FAILURE)
            case TerminatedError():
                gone = TerminatedError("Terminated", *cause.details)
                return self._failed("Child Workflow execution terminated", gone, RetryState.NON_RETRYABLE_FAILURE)
            case TimeoutError() if cause.message.startswith("the workflow's "):
                late = TimeoutError("Timed out", type=cause.type, last_heartbeat_details=cause.last_heartbeat_details)
                return self._failed("Child Workflow execution timed out", late, RetryState.TIMEOUT)
            case _:
                state = RetryState.RETRY_POLICY_NOT_SET
                if self.asked.options.retry is not None:
                    fixed = isinstance(cause, ApplicationError) and cause.non_retryable
                    state = RetryState.NON_RETRYABLE_FAILURE if fixed else RetryState.MAXIMUM_ATTEMPTS_REACHED
                return self._failed("Child Workflow execution failed", cause, state)

    def _cancelled(self, message: str = "Child Workflow execution cancelled") -> ChildWorkflowError:
        return self._failed(message, CancelledError("Cancelled"), RetryState.NON_RETRYABLE_FAILURE)

    def _failed(self, message: str, cause: BaseException | None, state: RetryState) -> ChildWorkflowError:
        asked = self.asked
        error = ChildWorkflowError(
            message,
            namespace=self.running.replay.info.namespace,
            workflow_id=asked.workflow_id,
            run_id=asked.run_id,
            workflow_type=asked.workflow,
            initiated_event_id=0,
            started_event_id=0,
            retry_state=state,
        )
        error.__cause__ = cause
        return error


def _absorb() -> None:
    """The cancellation has become the child's."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


if TYPE_CHECKING:

    class _Task(asyncio.Task[R], Generic[S, R]):
        pass
else:

    class _Task(WorkflowTask):
        """A task; its type parameters matter to checkers alone."""

        def __class_getitem__(cls, item):
            return cls


class ChildWorkflowHandle(_Task[S, R]):
    """A child that has been started: a task that ends as it does."""

    outlived: ClassVar[bool] = True                      # by a child, as its parent close policy says
    child: _Child

    @property
    def id(self) -> str:
        """Its workflow id."""
        return self.child.asked.workflow_id

    @property
    def first_execution_run_id(self) -> str | None:
        """The run id of its first run."""
        return self.child.asked.run_id

    async def signal(
        self,
        signal: str | Callable[..., Any],
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        event_groups: Sequence[Any] | None = None,
    ) -> None:
        """Send it a signal.

        Raises:
            ApplicationError: it has ended; the type is ExternalWorkflowExecutionNotFound.
        """
        running = self.child.running
        running.check_writable("signal child handle")
        name, _ = handler_name(signal, "signal")
        input = SignalChildWorkflowInput(name, arg_or_args(arg, args), self.id, {})
        if running.outbound is not None:
            await running.outbound.signal_child_workflow(input)
        else:
            await send_signal(running, input.signal, input.args, input.headers, self.id, None)

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask it to cancel itself. What awaiting the handle yields then tells its cancellation type."""
        child = self.child
        if child.begun or self.done():
            return super().cancel(msg)
        if not child.cancelled:
            asked = child.cancel()
            if asked is not None:
                child.running.replay.ask(asked)
        return True


def ask_for(running: Running, input: StartChildWorkflowInput, *, announce: bool) -> _Child:
    """Ask for a child."""
    replay = running.replay
    facts = replay.info
    here = Startup.of(facts.headers)
    startup = Startup(
        cron_schedule=input.cron_schedule,
        execution_timeout=input.execution_timeout or None,
        run_timeout=input.run_timeout or None,
        task_timeout=input.task_timeout or None,
        retry_policy=input.retry_policy,
        static_summary=input.static_summary,
        static_details=input.static_details,
        priority_key=input.priority.priority_key or here.priority_key,
        root=here.root or (facts.run_id, facts.workflow_id),
    )
    codec = running.codec.told(WorkflowSerializationContext(facts.namespace, input.id))
    payload = codec.write_arguments(input.args, input.headers)
    op = replay.next_op()
    asked = StartChild(
        op=op,
        workflow=input.workflow,
        workflow_id=check_name(input.id, what="workflow id"),
        run_id=child_run_id(facts.run_id, op),
        input=payload,
        options=ChildOptions(
            task_queue=input.task_queue,
            parent_close_policy=CLOSE_WORDS[input.parent_close_policy],
            cancellation_type=CHILD_WORDS[input.cancellation_type],
            run_timeout=input.run_timeout or None,
            execution_timeout=input.execution_timeout or None,
            retry=engine_policy(input.retry_policy),
        ),
        announce=announce,
        headers={**startup.headers(), **({CRON_HEADER: input.cron_schedule} if input.cron_schedule else {})},
        memo=running.codec.encode(plain_fields(input.memo, codec.payloads)) if input.memo else None,
        search=running.codec.encode(fields_of(input.search_attributes)) if input.search_attributes else None,
    )
    replay.ask(asked)
    return _Child(running, asked, Any if input.ret_type is None else input.ret_type)


def handle_of(child: _Child) -> ChildWorkflowHandle[Any, Any]:
    """A task that waits for a child's end."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnLoop), "workflow code runs on the loop of its run"
    handle = loop.create_task_of(cast("Any", ChildWorkflowHandle), child.outcome(), f"child {child.asked.workflow_id}")
    handle.child = child
    return cast("ChildWorkflowHandle[Any, Any]", handle)


def _input(workflow: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]) -> StartChildWorkflowInput:
    options = checked("start_child_workflow", given, _OPTIONS)
    name, ret_type = name_and_result_type(workflow)
    return StartChildWorkflowInput(
        workflow=name,
        args=arg_or_args(arg, args),
        headers={},
        arg_types=None if isinstance(workflow, str) else list(WorkflowDefinition.must_from_run_fn(workflow).argument_types),
        ret_type=ret_type if result_type is None else result_type,
        **cast("dict[str, Any]", {**options, "id": options["id"] or str(uuid4())}),
    )


async def _start(workflow: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]) -> Any:
    running = current()
    input = _input(workflow, arg, args, result_type, given)
    running.check_writable("start child workflow")
    if running.outbound is not None:
        return await running.outbound.start_child_workflow(input)
    return await started(running, input)


async def started(running: Running, input: StartChildWorkflowInput) -> ChildWorkflowHandle[Any, Any]:
    """Ask for a child and wait until it exists."""
    child = ask_for(running, input, announce=True)
    await child.started()
    return handle_of(child)


@overload
async def start_child_workflow(
    workflow: Callable[[S], Awaitable[R]], **options: Unpack[ChildWorkflowConfig]
) -> ChildWorkflowHandle[S, R]: ...
@overload
async def start_child_workflow(
    workflow: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[ChildWorkflowConfig]
) -> ChildWorkflowHandle[S, R]: ...
@overload
async def start_child_workflow(
    workflow: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ChildWorkflowConfig]
) -> ChildWorkflowHandle[Any, R]: ...
@overload
async def start_child_workflow(
    workflow: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[ChildWorkflowConfig],
) -> ChildWorkflowHandle[Any, Any]: ...
@with_options(_OPTIONS)
async def start_child_workflow(
    workflow: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Start a child and wait until it exists. The handle is a task that ends as the child does.

    Raises:
        WorkflowAlreadyStartedError: its id is taken.
    """
    return await _start(workflow, arg, args, result_type, options)


@overload
async def execute_child_workflow(
    workflow: Callable[[S], Awaitable[R]], **options: Unpack[ChildWorkflowConfig]
) -> R: ...
@overload
async def execute_child_workflow(
    workflow: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[ChildWorkflowConfig]
) -> R: ...
@overload
async def execute_child_workflow(
    workflow: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ChildWorkflowConfig]
) -> R: ...
@overload
async def execute_child_workflow(
    workflow: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[ChildWorkflowConfig],
) -> Any: ...
@with_options(_OPTIONS)
async def execute_child_workflow(
    workflow: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Start a child and give what it returns.

    Raises:
        ChildWorkflowError: it did not complete; the reason is its cause.
        WorkflowAlreadyStartedError: its id is taken.
    """
    running = current()
    input = _input(workflow, arg, args, result_type, options)
    if running.outbound is not None:
        return await (await running.outbound.start_child_workflow(input))
    # One arrival less than a start and its end.
    return await ask_for(running, input, announce=False).outcome()
