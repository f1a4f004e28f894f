"""Calling activities that are methods, or classes with `__call__`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from typing_extensions import Unpack

from memflow.temporal.arguments import UNSET, with_options
from memflow.temporal.types import (
    CallableAsyncNoParam,
    CallableAsyncSingleParam,
    CallableSyncNoParam,
    CallableSyncSingleParam,
)
from memflow.temporal.workflow.activities import (
    LOCAL_OPTIONS,
    OPTIONS,
    ActivityConfig,
    LocalActivityConfig,
    execute_activity,
    execute_local_activity,
    start_activity,
    start_local_activity,
)
from memflow.temporal.workflow.operations import ActivityHandle

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")


@overload
def start_activity_class(
    activity: type[CallableAsyncNoParam[R]], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_class(
    activity: type[CallableSyncNoParam[R]], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_class(
    activity: type[CallableAsyncSingleParam[P, R]], arg: P, **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_class(
    activity: type[CallableSyncSingleParam[P, R]], arg: P, **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_class(
    activity: type[Any], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> ActivityHandle[Any]: ...
@with_options(OPTIONS)
def start_activity_class(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Start an activity that is a class with `__call__`. The handle is a task.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return start_activity(activity, arg, args=args, **options)


@overload
def start_activity_method(
    activity: Callable[[S], Awaitable[R]], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_method(
    activity: Callable[[S], R], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_method(
    activity: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_method(
    activity: Callable[[S, P], R], arg: P, **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_method(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity_method(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@with_options(OPTIONS)
def start_activity_method(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Start an activity that is a method, named without an instance. The handle is a task.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return start_activity(activity, arg, args=args, **options)


@overload
async def execute_activity_class(
    activity: type[CallableAsyncNoParam[R]], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_class(
    activity: type[CallableSyncNoParam[R]], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_class(
    activity: type[CallableAsyncSingleParam[P, R]], arg: P, **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_class(
    activity: type[CallableSyncSingleParam[P, R]], arg: P, **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_class(
    activity: type[Any], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> Any: ...
@with_options(OPTIONS)
async def execute_activity_class(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Run an activity that is a class with `__call__`, and give its result.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await execute_activity(activity, arg, args=args, **options)


@overload
async def execute_activity_method(
    activity: Callable[[S], Awaitable[R]], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_method(
    activity: Callable[[S], R], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_method(
    activity: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_method(
    activity: Callable[[S, P], R], arg: P, **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_method(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity_method(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> R: ...
@with_options(OPTIONS)
async def execute_activity_method(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Run an activity that is a method, named without an instance, and give its result.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await execute_activity(activity, arg, args=args, **options)


@overload
def start_local_activity_class(
    activity: type[CallableAsyncNoParam[R]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_class(
    activity: type[CallableSyncNoParam[R]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_class(
    activity: type[CallableAsyncSingleParam[P, R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_class(
    activity: type[CallableSyncSingleParam[P, R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_class(
    activity: type[Any], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[Any]: ...
@with_options(LOCAL_OPTIONS)
def start_local_activity_class(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Start an activity that is a class with `__call__` on this workflow's worker. The handle is a task.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return start_local_activity(activity, arg, args=args, **options)


@overload
def start_local_activity_method(
    activity: Callable[[S], Awaitable[R]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_method(
    activity: Callable[[S], R], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_method(
    activity: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_method(
    activity: Callable[[S, P], R], arg: P, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_method(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity_method(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@with_options(LOCAL_OPTIONS)
def start_local_activity_method(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Start an activity that is a method, named without an instance on this workflow's worker. The handle is a task.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return start_local_activity(activity, arg, args=args, **options)


@overload
async def execute_local_activity_class(
    activity: type[CallableAsyncNoParam[R]], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_class(
    activity: type[CallableSyncNoParam[R]], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_class(
    activity: type[CallableAsyncSingleParam[P, R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_class(
    activity: type[CallableSyncSingleParam[P, R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_class(
    activity: type[Any], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> Any: ...
@with_options(LOCAL_OPTIONS)
async def execute_local_activity_class(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Run an activity that is a class with `__call__` on this workflow's worker, and give its result.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await execute_local_activity(activity, arg, args=args, **options)


@overload
async def execute_local_activity_method(
    activity: Callable[[S], Awaitable[R]], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_method(
    activity: Callable[[S], R], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_method(
    activity: Callable[[S, P], Awaitable[R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_method(
    activity: Callable[[S, P], R], arg: P, **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_method(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity_method(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> R: ...
@with_options(LOCAL_OPTIONS)
async def execute_local_activity_method(activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], **options: Any) -> Any:
    """Run an activity that is a method, named without an instance on this workflow's worker, and give its result.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await execute_local_activity(activity, arg, args=args, **options)
