"""Child workflows: runs of their own, whose end comes back to the run that started them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from typing import Any, Generic, TypeVar, TypeVarTuple, cast, overload

from typing_extensions import TypedDict, Unpack

from memflow.core import context
from memflow.core.arrivals import ChildCancelled, ChildCompleted, ChildFailed, ChildNotStarted, ChildStarted
from memflow.core.interrupts import Interrupt, StartChild, StopOther
from memflow.core.replay import Replay
from memflow.duration import Duration
from memflow.errors import ConfigurationError, WorkflowAlreadyStartedError
from memflow.failure import exception_of
from memflow.interceptors import StartChildWorkflowInput
from memflow.names import check_name, child_run_id, child_workflow_id
from memflow.options import CancellationType, ChildOptions, ParentClosePolicy
from memflow.retry import RetryPolicy, retry_policy
from memflow.scheduling import cancellation_type, text_headers, time_limit
from memflow.workflow.control import signal_run
from memflow.workflow.define import definition_of

R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class ChildKeywords(TypedDict, total=False):
    """How a child is started. Without `id` it is derived from this run; without `task_queue` it is this run's own.

    `run_timeout` bounds one attempt, `execution_timeout` all of them; with `retry` a child that fails is started again.
    """

    id: str | None
    task_queue: str | None
    parent_close_policy: ParentClosePolicy | str
    cancellation_type: CancellationType | str
    run_timeout: Duration | None
    execution_timeout: Duration | None
    retry: RetryPolicy | None
    headers: Mapping[str, str] | None


class ChildHandle(Generic[R]):
    """A child that has been started. Await it, or `result()`, for what it returns."""

    def __init__(self, replay: Replay, asked: StartChild, result_type: Any) -> None:
        self._replay = replay
        self._asked = asked
        self._result_type = result_type
        self._ended: ChildCompleted | ChildFailed | ChildCancelled | None = None

    @property
    def id(self) -> str:
        """The child's workflow id."""
        return self._asked.workflow_id

    @property
    def run_id(self) -> str:
        """The child's run id."""
        return self._asked.run_id

    async def result(self) -> R:
        """What the child returns. May be asked more than once.

        Raises:
            ChildWorkflowError: it did not complete; the reason is its cause.
            asyncio.CancelledError: this task was cancelled; what becomes of the child tells `cancellation_type`.
        """
        if self._ended is None:
            answer = await _answer(self._replay, self._asked, patient=True)
            assert isinstance(answer, ChildCompleted | ChildFailed | ChildCancelled), f"{answer} does not end a child"
            self._ended = answer
        return cast("R", _outcome(self._replay, self._ended, self._result_type))

    def __await__(self) -> Generator[Any, Any, R]:
        return self.result().__await__()

    @overload
    async def signal(self, target: str, *arguments: Any, type: Any = ...) -> None: ...
    @overload
    async def signal(self, target: Callable[[Any, *Ts], Any], *arguments: *Ts) -> None: ...
    async def signal(self, target: Any, *arguments: Any, type: Any = Any) -> None:  # type: ignore[misc]  # as for start_child
        """Send the child a signal by name, or by a method marked `@workflow.signal`. One argument is the payload itself, several
        are a list. `type` describes the payload of a signal by name.

        Raises:
            TypeError: too few or too many arguments for the method.
            PayloadError: an argument does not fit, or is no plain JSON value and nothing says what it is.
        """
        await signal_run("handle.signal", target, arguments, type, self.id, self.run_id, child=True)

    async def cancel(self, *, reason: str | None = None) -> None:
        """Ask the child to cancel itself. Whether it does shows in `result()`."""
        replay = context.current("handle.cancel")
        replay.ask(_stop(replay, self._asked, reason))

    def __repr__(self) -> str:
        return f"<child {self._asked.workflow} {self.id}>"


@overload
async def start_child(
    workflow: str, *arguments: Any, args: Sequence[Any] | None = None, result_type: type[R], **keywords: Unpack[ChildKeywords]
) -> ChildHandle[R]: ...
@overload
async def start_child(
    workflow: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[ChildKeywords]
) -> ChildHandle[Any]: ...
@overload
async def start_child(
    workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ChildKeywords]
) -> ChildHandle[R]: ...
@overload
async def start_child(
    workflow: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ChildKeywords]
) -> ChildHandle[R]: ...
async def start_child(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    workflow: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> ChildHandle[Any]:
    """Start a child (a decorated function, `Cls.run`, or a name with `args` and `result_type`) and wait until it exists.

    Raises:
        WorkflowAlreadyStartedError: its id is taken by another open run.
        PayloadError: an argument cannot be stored.
        ConfigurationError: an option cannot work.
    """
    given = cast("ChildKeywords", keywords)
    return await _start("start_child", workflow, _one_of(arguments, args), result_type, given, announce=True)


@overload
async def execute_child(
    workflow: str, *arguments: Any, args: Sequence[Any] | None = None, result_type: type[R], **keywords: Unpack[ChildKeywords]
) -> R: ...
@overload
async def execute_child(
    workflow: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[ChildKeywords]
) -> Any: ...
@overload
async def execute_child(
    workflow: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ChildKeywords]
) -> R: ...
@overload
async def execute_child(
    workflow: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ChildKeywords]
) -> R: ...
async def execute_child(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    workflow: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> Any:
    """Start a child and give what it returns. One arrival less than `start_child` and `result()`.

    Raises:
        ChildWorkflowError: it did not complete; the reason is its cause.
        WorkflowAlreadyStartedError: its id is taken by another open run.
        PayloadError: an argument cannot be stored, or the result does not fit.
        asyncio.CancelledError: this task was cancelled; what becomes of the child tells `cancellation_type`.
    """
    given = cast("ChildKeywords", keywords)
    handle = await _start("execute_child", workflow, _one_of(arguments, args), result_type, given, announce=False)
    return await handle.result()


def _one_of(arguments: Sequence[Any], args: Sequence[Any] | None) -> Sequence[Any]:
    if args is None:
        return arguments
    if arguments:
        raise ConfigurationError("give the arguments one by one or as args=[...], not both")
    return args


async def _start(
    verb: str, workflow: Any, arguments: Sequence[Any], result_type: Any, keywords: ChildKeywords, *, announce: bool
) -> ChildHandle[Any]:
    replay = context.current(verb)
    if isinstance(workflow, str):
        name, types, result = check_name(workflow, what="workflow name"), (), result_type
    else:
        definition = definition_of(workflow)
        name, types, result = definition.name, definition.argument_types, definition.result_type
        if not definition.required_arguments <= len(arguments) <= len(types):
            raise TypeError(f"workflow {name} takes {len(types)} arguments, {len(arguments)} were given")
    given = keywords.get("id")
    if given is not None:
        check_name(given, what="workflow id")
    options, headers = _options(keywords), text_headers(keywords.get("headers"))
    asked = StartChildWorkflowInput(name, arguments, given, headers, options, types, result, announce)
    if replay.outbound is None:
        return await begin(replay, asked)
    handle: ChildHandle[Any] = await replay.outbound.start_child_workflow(asked)
    return handle


async def begin(replay: Replay, wanted: StartChildWorkflowInput) -> ChildHandle[Any]:
    """Ask for a child; with `announce` wait until it exists. Encodes first: a refused argument leaves no op behind."""
    info = replay.info
    input = replay.codec.encode_arguments(wanted.args, wanted.arg_types)
    given = wanted.id
    op = replay.next_op()
    asked = StartChild(
        op=op,
        workflow=wanted.workflow,
        workflow_id=child_workflow_id(info.workflow_id, info.run_id, op) if given is None else given,
        run_id=child_run_id(info.run_id, op),
        input=input,
        options=wanted.options,
        announce=wanted.announce,
        headers=wanted.headers,
    )
    replay.ask(asked)
    if wanted.announce:
        # A cancelled start does not wait for the child's end: there is no handle yet that would give it.
        answer = await _answer(replay, asked, patient=False)
        assert isinstance(answer, ChildStarted), f"{answer} does not answer the start of a child"
    return ChildHandle(replay, asked, wanted.result_type)


def _options(keywords: ChildKeywords) -> ChildOptions:
    unknown = set(keywords) - ChildKeywords.__annotations__.keys()
    if unknown:
        raise ConfigurationError(
            f"a child has no option {', '.join(sorted(unknown))}; options are {', '.join(ChildKeywords.__annotations__)}"
        )
    queue = keywords.get("task_queue")
    return ChildOptions(
        task_queue=None if queue is None else check_name(queue, what="task_queue"),
        parent_close_policy=_close_policy(keywords.get("parent_close_policy", ParentClosePolicy.TERMINATE)),
        cancellation_type=cancellation_type(keywords.get("cancellation_type", CancellationType.WAIT_CANCELLATION_COMPLETED)),
        run_timeout=time_limit(keywords.get("run_timeout"), "run_timeout"),
        execution_timeout=time_limit(keywords.get("execution_timeout"), "execution_timeout"),
        retry=retry_policy(keywords.get("retry")),
    )


def _close_policy(value: ParentClosePolicy | str) -> ParentClosePolicy:
    try:
        return ParentClosePolicy(value)
    except ValueError:
        raise ConfigurationError(f"parent_close_policy: {value!r} is not one of {', '.join(ParentClosePolicy)}") from None


def _stop(replay: Replay, asked: StartChild, reason: str | None) -> StopOther:
    return StopOther(replay.next_op(), "cancel", asked.workflow_id, asked.run_id, reason, child_op=asked.op)


async def _answer(
    replay: Replay, asked: StartChild, *, patient: bool
) -> ChildStarted | ChildCompleted | ChildFailed | ChildCancelled:
    """The child's next arrival. If our task is cancelled meanwhile, its cancellation type says what the child hears."""
    how = asked.options.cancellation_type
    stopped = False

    def on_cancel() -> Interrupt | None:
        nonlocal stopped
        stopped = True
        return None if how is CancellationType.ABANDON else _stop(replay, asked, "its parent no longer waits for it")

    wait = patient and how is CancellationType.WAIT_CANCELLATION_COMPLETED
    answer = await replay.answer(asked.op, on_cancel=on_cancel, wait=wait)
    match answer:
        case ChildNotStarted(workflow_id=taken, run_id=holder):
            raise WorkflowAlreadyStartedError(taken, workflow=asked.workflow, run_id=holder)
        case ChildCancelled() if stopped:
            # It ended because our task was cancelled, so the cancellation goes on its way.
            raise asyncio.CancelledError
        case ChildStarted() | ChildCompleted() | ChildFailed() | ChildCancelled():
            return answer
        case _:
            raise AssertionError(f"{answer} does not answer a child")


def _outcome(replay: Replay, ended: ChildCompleted | ChildFailed | ChildCancelled, result_type: Any) -> Any:
    if isinstance(ended, ChildCompleted):
        return replay.codec.decode(ended.result, result_type)
    raise exception_of(ended.failure, replay.codec)
