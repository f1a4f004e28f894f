"""Calling activities from a workflow: one call, or a task to hold on to. Groups of them: `proxies`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, TypeVarTuple, cast, overload
from weakref import WeakKeyDictionary

from typing_extensions import Unpack

from memflow.activity import Activity, stub_of
from memflow.errors import ConfigurationError
from memflow.scheduling import ActivityCall, ActivityKeywords, activity_call, performing

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

_stubs: WeakKeyDictionary[Callable[..., Any], Activity[..., Any]] = WeakKeyDictionary()
"""What is known of undecorated functions, since reading a signature costs more than the call."""


@overload
async def execute_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, result_type: type[R], **keywords: Unpack[ActivityKeywords]
) -> R: ...
@overload
async def execute_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[ActivityKeywords]
) -> Any: ...
@overload
async def execute_activity(
    activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> R: ...
@overload
async def execute_activity(
    activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> R: ...
@overload
async def execute_activity(
    activity: Callable[[*Ts], R], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> R: ...
async def execute_activity(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    activity: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> Any:
    """Run an activity and give its result. `activity` is a function or method, decorated or not, or a name.

    A name comes with `args=[...]`, or arguments one by one, and `result_type`. A method of a class is named without an
    instance: `execute_activity(Mail.send, "x")`.

    Raises:
        ActivityError: it failed for good, the reason is its cause; with `throw_on_error=False` it is the result instead.
        PayloadError: an argument cannot be stored, or the result does not fit its type. The former asks for nothing.
        ConfigurationError: an option is unknown or cannot work.
        asyncio.CancelledError: this task was cancelled; what becomes of the activity tells `cancellation_type`.
    """
    given = cast("ActivityKeywords", keywords)
    return await performing("execute_activity", *prepared("execute_activity", activity, arguments, args, result_type, given))


@overload
def start_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, result_type: type[R], **keywords: Unpack[ActivityKeywords]
) -> asyncio.Task[R]: ...
@overload
def start_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[ActivityKeywords]
) -> asyncio.Task[Any]: ...
@overload
def start_activity(
    activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> asyncio.Task[R]: ...
@overload
def start_activity(
    activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> asyncio.Task[R]: ...
@overload
def start_activity(
    activity: Callable[[*Ts], R], *arguments: *Ts, **keywords: Unpack[ActivityKeywords]
) -> asyncio.Task[R]: ...
def start_activity(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    activity: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> asyncio.Task[Any]:
    """Like `execute_activity`, but at once: the handle is an `asyncio.Task` to await, cancel or gather.

    Raises:
        PayloadError: an argument cannot be stored.
        ConfigurationError: an option is unknown or cannot work.
    """
    given = cast("ActivityKeywords", keywords)
    ready = prepared("start_activity", activity, arguments, args, result_type, given)
    return asyncio.create_task(performing("start_activity", *ready), name=f"activity {ready[0].name}")


def prepared(
    verb: str,
    activity: Any,
    arguments: Sequence[Any],
    args: Sequence[Any] | None,
    result_type: Any,
    keywords: ActivityKeywords,
) -> tuple[ActivityCall, Sequence[Any], Sequence[Any], Any]:
    """What to ask for: the call, its arguments and their types, the type of its result.

    Raises:
        ConfigurationError, TypeError: as the verb says.
    """
    if args is not None:
        if arguments:
            raise ConfigurationError(f"{verb}: give the arguments one by one or as args=[...], not both")
        arguments = args
    if isinstance(activity, str):
        return activity_call(activity, keywords), arguments, (), result_type
    known = as_activity(activity)
    call, parameters, (types, declared) = known.prepare(keywords)
    result = declared if result_type is Any else result_type
    return call, parameters.bind(arguments, {}), types, result


def as_activity(function: Any) -> Activity[..., Any]:
    """A decorated function as it is; of another function what its name and hints say.

    Raises:
        ConfigurationError: it is no function.
    """
    if isinstance(function, Activity):
        return cast("Activity[..., Any]", function)
    if not callable(function) or isinstance(function, type):
        raise ConfigurationError(f"{function!r} is no activity; give a function, a method or a name")
    plain: Callable[..., Any] = getattr(function, "__func__", function)
    known = _stubs.get(plain)
    if known is None:
        known = _stubs[plain] = stub_of(plain, {}, is_method=inspect.ismethod(function) or _looks_like_a_method(plain))
    return known


def _looks_like_a_method(function: Callable[..., Any]) -> bool:
    """A function taken from its class does not know that it is a method; its qualified name and `self` tell."""
    holder = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(holder) and not holder.endswith("<locals>") and next(iter(inspect.signature(function).parameters), "") == "self"
