"""Signals: values that other code sends to whoever waits for their id; and conditions on the workflow's own state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import UnionType
from typing import Any, TypeVar, overload

from memflow.core import context
from memflow.core.interrupts import SendSignal
from memflow.core.replay import Replay
from memflow.duration import Duration, to_timedelta
from memflow.interceptors import SignalInput, WaitForInput
from memflow.names import check_name
from memflow.options import HandlerUnfinishedPolicy
from memflow.workflow.escalations import Escalation, escalation_text
from memflow.workflow.handlers import check_options, declare

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, None] | None])
D = TypeVar("D")

_NO_DEFAULT: Any = object()


@overload
async def wait_for(signal_id: str, *, type: type[T], timeout: Duration | None = None) -> T: ...
@overload
async def wait_for(
    signal_id: str, *, type: type[T], timeout: Duration | None = None, escalation: Escalation | Mapping[str, Any]
) -> T | None: ...
@overload
async def wait_for(
    signal_id: str,
    *,
    type: type[T],
    timeout: Duration | None = None,
    default: D,
    escalation: Escalation | Mapping[str, Any] | None = None,
) -> T | D: ...
@overload
async def wait_for(
    signal_id: str,
    *,
    type: UnionType,
    timeout: Duration | None = None,
    default: Any = ...,
    escalation: Escalation | Mapping[str, Any] | None = None,
) -> Any: ...
@overload
async def wait_for(
    signal_id: str,
    *,
    timeout: Duration | None = None,
    default: Any = ...,
    escalation: Escalation | Mapping[str, Any] | None = None,
) -> Any: ...
async def wait_for(
    signal_id: str,
    *,
    type: Any = Any,
    timeout: Duration | None = None,
    default: Any = _NO_DEFAULT,
    escalation: Escalation | Mapping[str, Any] | None = None,
) -> Any:
    """Wait for a signal by id and give its payload, read as `type`. A signal that was sent before is kept and taken.

    Of several who wait for one id, each gets one signal, in the order they began to wait.

    With `escalation` people are asked meanwhile: in the commit of the wait a row appears that `client.escalations` lists, and
    that one of them may claim and resolve; what it is resolved with is what this gives. When the wait ends otherwise, the row
    ends with it. When somebody cancels the row, this gives `default`, or None without one.

    Raises:
        TimeoutError: (the builtin one) `timeout` was up and no `default` is given.
        ConfigurationError: the signal id or the escalation cannot work.
        PayloadError: what was sent does not fit `type`; or the escalation's metadata are no plain JSON values.
        asyncio.CancelledError: the run, or this task, was cancelled meanwhile.
    """
    replay = context.current("wait_for")
    check_name(signal_id, what="signal id")
    limit = None if timeout is None else to_timedelta(timeout, what="timeout")
    wanted = WaitForInput(signal_id, type, limit, escalation, None if default is _NO_DEFAULT else default)
    try:
        if replay.outbound is None:
            return await received(replay, wanted)
        return await replay.outbound.wait_for(wanted)
    except TimeoutError:
        if default is _NO_DEFAULT or limit is None:
            raise
        return default


async def received(replay: Replay, wanted: WaitForInput) -> Any:
    """The same, behind interceptors."""
    limit, escalation, signal_id = wanted.timeout, wanted.escalation, wanted.signal_id
    if limit is None:
        about = None if escalation is None else escalation_text(escalation, expires_at=None)
        signal = await replay.wait_signal(signal_id, about)
    else:
        about = None if escalation is None else escalation_text(escalation, expires_at=replay.now + limit)
        scope = asyncio.timeout(limit.total_seconds())
        try:
            async with scope:
                signal = await replay.wait_signal(signal_id, about, scope.expired)
        except TimeoutError:
            raise TimeoutError(f"no signal {signal_id!r} within {limit.total_seconds():g} s") from None
    return wanted.cancelled if signal is None else replay.codec.decode(signal.payload, wanted.type)


async def wait_condition(fn: Callable[[], bool], *, timeout: Duration | None = None) -> None:
    """Wait until `fn()` is true. It is asked at the end of each turn, and may only look at the workflow's own state.

    Raises:
        TimeoutError: (the builtin one) `timeout` was up.
        asyncio.CancelledError: the run, or this task, was cancelled meanwhile.
    """
    replay = context.current("wait_condition")
    if timeout is None:
        await replay.condition(fn)
        return
    limit = to_timedelta(timeout, what="timeout").total_seconds()
    try:
        async with asyncio.timeout(limit):
            await replay.condition(fn)
    except TimeoutError:
        raise TimeoutError(f"the condition was not met within {limit:g} s") from None


@overload
def signal(target: F, /) -> F: ...
@overload
def signal(
    *,
    name: str | None = None,
    dynamic: bool = False,
    unfinished_policy: HandlerUnfinishedPolicy | str = HandlerUnfinishedPolicy.WARN_AND_ABANDON,
    description: str | None = None,
) -> Callable[[F], F]: ...
@overload
def signal(target: str, payload: Any = None, *, type: Any = Any) -> Coroutine[Any, Any, None]: ...
def signal(target: Any = None, payload: Any = None, *, type: Any = Any, **options: Any) -> Any:
    """Mark a method of a workflow class that answers a signal; or, as `await signal(id, payload)`, send one.

    `@workflow.signal`: a method, async or not, that is called for each signal sent to the run by its name (`name`, by default
    the method's own), in the order they came; those that come with the start before `run`. It may do whatever a workflow may.
    A method with several parameters takes the members of a list. With `dynamic` it takes (name, list of arguments) of every
    signal that has no handler. `unfinished_policy` says whether a run's end while it is running is worth a warning. What it
    raises ends the run as what `run` raises does; a payload that does not fit its parameters is logged and dropped.

    `await workflow.signal(id, payload)`: sent to whoever waits for the id, in any run; it is kept until somebody does. `type`
    describes the payload.

    Raises:
        PayloadError: the payload is no plain JSON value and `type` does not say what it is.
        ConfigurationError: the method cannot be a handler, or an option cannot work.
    """
    if isinstance(target, str):
        return _send(target, payload, type)
    check_options("signal", options)
    return declare("signal", target, **options)


async def _send(signal_id: str, payload: Any, type: Any) -> None:
    replay = context.current("signal")
    check_name(signal_id, what="signal id")
    if replay.outbound is None:
        give(replay, signal_id, payload, type)
    else:
        await replay.outbound.signal(SignalInput(signal_id, payload, type))


def give(replay: Replay, signal_id: str, payload: Any, type: Any) -> None:
    """The same, behind interceptors."""
    encoded = replay.codec.encode(payload, type)
    replay.ask(SendSignal(replay.next_op(), signal_id, encoded))
