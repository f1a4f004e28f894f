"""Hooks: a second coroutine in this run, or in another open one. It shares that run's journal, record and memo.

A hook may do whatever a workflow may. `hook` starts one and goes on; `exec_hook` waits for what it returns; the batch starts
several before it waits for any. A hook ends with its run at the latest, as a task does with its program.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, TypeVarTuple, overload

from memflow.core import context
from memflow.core.arrivals import HookCompleted, HookDelivered, HookFailed, HookNotDelivered
from memflow.core.definition import Definition, Hook
from memflow.core.hooks import UnknownHook
from memflow.core.interrupts import SendHook, StartHook
from memflow.core.logs import logger
from memflow.core.record import check_fields
from memflow.core.replay import Replay
from memflow.core.unwinding import Evicted
from memflow.errors import ConfigurationError, HookError, WorkflowClosedError, WorkflowNotFoundError
from memflow.failure import exception_of
from memflow.names import check_name, hook_id
from memflow.payload import Payload
from memflow.signatures import hints_of, name_of, parameters_of
from memflow.workflow.define import definition_of, is_workflow

R = TypeVar("R")
K = TypeVar("K")
Ts = TypeVarTuple("Ts")


@overload
async def hook(
    target: str, *arguments: Any, workflow_id: str | None = ..., run_id: str | None = ..., search: Mapping[str, Any] | None = ...
) -> str: ...
@overload
async def hook(
    target: Callable[[*Ts], Coroutine[Any, Any, Any]],
    *arguments: *Ts,
    workflow_id: str | None = ...,
    run_id: str | None = ...,
    search: Mapping[str, Any] | None = ...,
) -> str: ...
async def hook(  # type: ignore[misc]  # mypy holds `*arguments: *Ts` of an overload against `*arguments: Any` here
    target: Any,
    *arguments: Any,
    workflow_id: str | None = None,
    run_id: str | None = None,
    search: Mapping[str, Any] | None = None,
) -> str:
    """Start a hook and go on. Returns an id that names it in the journal.

    `target` is an async function (a workflow function will do), or the name of one that the worker lists in
    `Worker(hooks=[...])` or `workflows`. Without `workflow_id` it becomes a second coroutine of this run, at the next
    `await`. With it, it starts in that run, whose worker must know it by name: this returns once that run has it in its
    inbox. `search` is written to the record of the run first.

    The end of a run's main code ends its hooks; wait for one with `exec_hook`. What a hook raises ends its run as what the
    main code raises does.

    Raises:
        WorkflowNotFoundError, WorkflowClosedError: the other run is not there, or has ended.
        ConfigurationError: it cannot be a hook, or it is this run's own workflow, which would start itself in itself without
            end. (A name that the worker does not know is no error of the code: the run waits, visibly, for one that does.)
        TypeError, PayloadError: the arguments do not fit, or cannot be stored.
    """
    replay = context.current("hook")
    known, name, input = _prepared(replay, target, arguments, workflow_id, run_id)
    if workflow_id is None or _is_own(replay, workflow_id, run_id):
        assert known is not None, "a name is looked up for this run"
        if search:
            replay.write_record("search.set", [dict(search)])
        op, agreed = _ask_here(replay, name, input)
        replay.hooks.start(known, agreed)
        return hook_id(replay.info.run_id, op)
    asked = _ask_there(replay, name, input, workflow_id, run_id, search, answer=False)
    await _answer(replay, asked, name)
    return asked.hook_id


@overload
async def exec_hook(
    target: str, *arguments: Any, workflow_id: str | None = ..., run_id: str | None = ..., result_type: type[R]
) -> R: ...
@overload
async def exec_hook(
    target: str,
    *arguments: Any,
    workflow_id: str | None = ...,
    run_id: str | None = ...,
    signal_id: str | None = ...,
) -> Any: ...
@overload
async def exec_hook(
    target: Callable[..., Coroutine[Any, Any, Any]],
    *arguments: Any,
    workflow_id: str | None = ...,
    run_id: str | None = ...,
    signal_id: str,
) -> Any: ...
@overload
async def exec_hook(
    target: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, workflow_id: str | None = ..., run_id: str | None = ...
) -> R: ...
async def exec_hook(  # type: ignore[misc]  # as for hook
    target: Any,
    *arguments: Any,
    workflow_id: str | None = None,
    run_id: str | None = None,
    signal_id: str | None = None,
    result_type: Any = None,
) -> Any:
    """Start a hook and wait for what it returns. `target` and the run are as for `hook`.

    From another run the result comes back as a child's does: it survives crashes of both. `result_type` says how to read the
    result of a hook that is given by name. Cancelling the wait cancels a hook of this run; one in another run goes on.

    With `signal_id` the answer is the first signal of that id instead, whoever sends it. A function that takes one argument
    more than given gets `{"signal": signal_id}` as its last.

    Raises:
        HookError: the hook failed, was cancelled, or the other run ended before it; the reason is its cause.
        WorkflowNotFoundError, WorkflowClosedError, ConfigurationError, TypeError, PayloadError: as for `hook`.
    """
    replay = context.current("exec_hook")
    if signal_id is not None:
        return await _by_signal(replay, target, arguments, workflow_id, run_id, signal_id)
    return await _started(replay, target, arguments, workflow_id, run_id, result_type)


@overload
async def exec_hook_batch(hooks: Mapping[K, Sequence[Any]]) -> dict[K, Any]: ...
@overload
async def exec_hook_batch(hooks: Sequence[Sequence[Any]]) -> dict[Any, Any]: ...
async def exec_hook_batch(hooks: Mapping[Any, Sequence[Any]] | Sequence[Sequence[Any]]) -> dict[Any, Any]:
    """Start several hooks in this run before waiting for any, and return their results by key.

    `hooks` is `{key: (function, *arguments)}` or `[(key, function, *arguments), ...]`. All of them are waited for; then, if
    some failed, the error of the first in order is raised.

    Raises:
        HookError: one of them failed.
        ConfigurationError, TypeError, PayloadError: as for `hook`, before any is started.
    """
    replay = context.current("exec_hook_batch")
    listed = _listed(hooks)
    for _, target, arguments in listed:                  # what cannot start is refused before anything has
        _prepared(replay, target, arguments, None, None)
    waiting = [_started(replay, target, arguments, None, None, None) for _, target, arguments in listed]
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException):
            raise each
    return {key: result for (key, _, _), result in zip(listed, ended, strict=True)}


def hook_of(target: object) -> Hook:
    """A function as a hook: a workflow function, or any async function, by its name.

    Raises:
        ConfigurationError: it cannot be one; the message says why.
    """
    # A function inside another is made anew by each call: kept, it would fill memory.
    lasting = inspect.isfunction(target) and "<locals>" not in target.__qualname__
    return _hook_of(target) if lasting else _made(target)


def hook_of_definition(definition: Definition) -> Hook | None:
    """A workflow as a hook; None for a class, whose instance is the run's own."""
    if definition.make is not None:
        return None
    return Hook(
        definition.name, definition.run, definition.argument_types, definition.required_arguments, definition.result_type
    )


@cache
def _hook_of(target: Callable[..., Any]) -> Hook:
    return _made(target)


def _made(target: Any) -> Hook:
    if isinstance(target, type) or is_workflow(target):
        found = hook_of_definition(definition_of(target))
        if found is None:
            raise ConfigurationError(f"hook {name_of(target)}: a class cannot be a hook; give an async function")
        return found
    shown = name_of(target) if callable(target) else repr(target)
    if not inspect.iscoroutinefunction(target):
        raise ConfigurationError(f"hook {shown}: an async function is needed; write `async def`")
    parameters = parameters_of(target, what="hook", skip_self=False)
    types, result = hints_of(target, parameters)
    named = getattr(target, "__name__", "")
    return Hook(check_name(named, what="hook name"), target, types, parameters.required, result)


def fitting(hook: Hook, arguments: Sequence[Any]) -> Sequence[Any]:
    """`arguments`, if the hook takes so many.

    Raises:
        TypeError: it does not.
    """
    most, least = len(hook.argument_types), hook.required_arguments
    if not least <= len(arguments) <= most:
        takes = str(most) if least == most else f"{least} to {most}"
        noun = "argument" if takes == "1" else "arguments"
        raise TypeError(f"hook {hook.name!r} takes {takes} {noun}, {len(arguments)} given")
    return arguments


# ------------------------------------------------------------------------------------------------- parts


def _is_own(replay: Replay, workflow_id: str, run_id: str | None) -> bool:
    info = replay.info
    return workflow_id == info.workflow_id and run_id in (None, info.run_id)


def _prepared(
    replay: Replay, target: Any, arguments: Sequence[Any], workflow_id: str | None, run_id: str | None
) -> tuple[Hook | None, str, Payload]:
    """The hook, its name, and the encoded arguments. Asks nothing yet. None: one of another run, by its name."""
    if workflow_id is not None:
        check_name(workflow_id, what="workflow id")
    elif run_id is not None:
        raise ConfigurationError(f"run_id={run_id!r} alone says nothing; give the workflow_id it belongs to")
    here = workflow_id is None or _is_own(replay, workflow_id, run_id)
    known = None if isinstance(target, str) else hook_of(target)
    name = check_name(target, what="hook name") if known is None else known.name
    if here and name == replay.info.workflow:
        raise ConfigurationError(
            f"hook {name!r} is this run's own workflow: started in itself, each would start the next without end;"
            " give workflow_id= of another run, or another function"
        )
    if here and known is None:
        known = _known(replay, name)
    codec = replay.codec
    if known is None:
        return None, name, codec.encode_arguments(arguments, ())
    return known, name, codec.encode_arguments(fitting(known, arguments), known.argument_types)


def _known(replay: Replay, name: str) -> Hook:
    try:
        return replay.hooks.named(name)
    except UnknownHook as unknown:
        # Another worker may know it: no error that the code may catch, or fail by, but one for people.
        replay.broke(unknown)
        raise Evicted from unknown


def _ask_here(replay: Replay, name: str, input: Payload) -> tuple[int, Payload]:
    """Ask for a hook in this run. Gives its op, and its input as the journal has it."""
    op = replay.next_op()
    agreed = replay.ask_agreed(StartHook(op, name, input))
    return op, agreed.input if isinstance(agreed, StartHook) else input


def _ask_there(
    replay: Replay,
    name: str,
    input: Payload,
    workflow_id: str,
    run_id: str | None,
    search: Mapping[str, Any] | None,
    *,
    answer: bool,
) -> SendHook:
    fields = replay.codec.encode(check_fields(dict(search))) if search else None
    op = replay.next_op()
    asked = SendHook(op, hook_id(replay.info.run_id, op), name, input, workflow_id, run_id, fields, answer)
    replay.ask(asked)
    return asked


async def _answer(replay: Replay, asked: SendHook, name: str) -> HookCompleted | None:
    answer = await replay.answer(asked.op)
    match answer:
        case HookDelivered():
            return None
        case HookCompleted():
            return answer
        case HookFailed(failure=failure):
            raise exception_of(failure, replay.codec)
        case HookNotDelivered(workflow_id=target, status=None):
            raise WorkflowNotFoundError(target, run_id=asked.run_id, namespace=replay.info.namespace)
        case HookNotDelivered(workflow_id=target, status=status):
            raise WorkflowClosedError(target, run_id=asked.run_id, status=status)
        case _:
            raise AssertionError(f"{answer} does not answer hook {name}")


def _started(
    replay: Replay, target: Any, arguments: Sequence[Any], workflow_id: str | None, run_id: str | None, result_type: Any
) -> Coroutine[Any, Any, Any]:
    """Start a hook now; await what this returns for its result."""
    known, name, input = _prepared(replay, target, arguments, workflow_id, run_id)
    if workflow_id is None or _is_own(replay, workflow_id, run_id):
        assert known is not None, "a name is looked up for this run"
        _, agreed = _ask_here(replay, name, input)
        return _end_here(replay, replay.hooks.start_awaited(known, agreed), name)
    asked = _ask_there(replay, name, input, workflow_id, run_id, None, answer=True)
    return _end_there(replay, asked, name, result_type or (Any if known is None else known.result_type))


async def _end_here(replay: Replay, task: asyncio.Task[Any], name: str) -> Any:
    try:
        return await task
    except asyncio.CancelledError as cancelled:
        own = asyncio.current_task()
        if replay.refusing or not task.cancelled() or (own is not None and own.cancelling()):
            raise                                        # we are cancelled, and it with us
        raise _failed(replay, name, cancelled) from cancelled
    except Exception as error:
        raise _failed(replay, name, error) from error


async def _end_there(replay: Replay, asked: SendHook, name: str, result_type: Any) -> Any:
    ended = await _answer(replay, asked, name)
    assert ended is not None, "only its end was asked for"
    return replay.codec.decode(ended.result, result_type)


def _failed(replay: Replay, name: str, error: BaseException) -> HookError:
    info = replay.info
    said = str(error) or type(error).__name__
    return HookError(f"hook {name} failed: {said}", hook=name, workflow_id=info.workflow_id, run_id=info.run_id)


async def _by_signal(
    replay: Replay, target: Any, arguments: Sequence[Any], workflow_id: str | None, run_id: str | None, signal_id: str
) -> Any:
    check_name(signal_id, what="signal id")
    given = list(arguments)
    if not isinstance(target, str) and len(given) < len(hook_of(target).argument_types):
        given.append({"signal": signal_id})
    ended = asyncio.ensure_future(_started(replay, target, given, workflow_id, run_id, None))
    signalled = asyncio.ensure_future(replay.wait_signal(signal_id))
    try:
        await asyncio.wait([ended, signalled], return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not signalled.done():
            ended.result()                               # raises if it failed: then nobody may ever send the signal
        received = await signalled
    finally:
        signalled.cancel()
        ended.add_done_callback(_told)
    return None if received is None else replay.codec.decode(received.payload)


def _told(task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        logger.warning("a hook failed whose signal had come before: %s", error)


def _listed(hooks: Mapping[Any, Sequence[Any]] | Sequence[Sequence[Any]]) -> list[tuple[Any, Any, tuple[Any, ...]]]:
    pairs = [(key, *call) for key, call in hooks.items()] if isinstance(hooks, Mapping) else hooks
    listed: list[tuple[Any, Any, tuple[Any, ...]]] = []
    seen: set[Any] = set()
    for pair in pairs:
        if len(pair) < 2:
            raise ConfigurationError(f"exec_hook_batch: {pair!r} is no (key, function, *arguments)")
        if pair[0] in seen:
            raise ConfigurationError(f"exec_hook_batch: the key {pair[0]!r} is there twice")
        seen.add(pair[0])
        listed.append((pair[0], pair[1], tuple(pair[2:])))
    return listed
