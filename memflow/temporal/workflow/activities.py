"""Calling activities from workflow code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar, overload

from typing_extensions import TypedDict, Unpack

from memflow.temporal.activity import name_and_types
from memflow.temporal.arguments import UNSET, arg_or_args, checked, with_options
from memflow.temporal.common import Priority, RetryPolicy
from memflow.temporal.interception import StartActivityInput, StartLocalActivityInput
from memflow.temporal.workflow.operations import ActivityHandle, begin, schedule
from memflow.temporal.workflow.running import current
from memflow.temporal.workflow.words import ActivityCancellationType, VersioningIntent

P = TypeVar("P")
R = TypeVar("R")
S = TypeVar("S")


class ActivityConfig(TypedDict, total=False):
    """Options of an activity, to be kept and given as `**config`."""

    task_queue: str | None
    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    cancellation_type: ActivityCancellationType
    activity_id: str | None
    versioning_intent: VersioningIntent | None
    summary: str | None
    event_groups: Sequence[Any] | None
    priority: Priority


class LocalActivityConfig(TypedDict, total=False):
    """Options of a local activity, to be kept and given as `**config`."""

    schedule_to_close_timeout: timedelta | None
    schedule_to_start_timeout: timedelta | None
    start_to_close_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    local_retry_threshold: timedelta | None
    cancellation_type: ActivityCancellationType
    activity_id: str | None
    summary: str | None
    event_groups: Sequence[Any] | None


OPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(ActivityConfig.__annotations__),
    "cancellation_type": ActivityCancellationType.TRY_CANCEL,
    "priority": Priority.default,
}
LOCAL_OPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(LocalActivityConfig.__annotations__),
    "cancellation_type": ActivityCancellationType.TRY_CANCEL,
}


def _input(activity: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]) -> StartActivityInput:
    options = checked("start_activity", given, OPTIONS)
    name, types, ret_type = name_and_types(activity)
    return StartActivityInput(
        activity=name,
        args=arg_or_args(arg, args),
        activity_id=options["activity_id"],
        task_queue=options["task_queue"],
        schedule_to_close_timeout=options["schedule_to_close_timeout"],
        schedule_to_start_timeout=options["schedule_to_start_timeout"],
        start_to_close_timeout=options["start_to_close_timeout"],
        heartbeat_timeout=options["heartbeat_timeout"],
        retry_policy=options["retry_policy"],
        cancellation_type=options["cancellation_type"],
        headers={},
        disable_eager_execution=False,
        versioning_intent=options["versioning_intent"],
        summary=options["summary"],
        priority=options["priority"],
        arg_types=types,
        ret_type=ret_type if result_type is None else result_type,
        event_groups=options["event_groups"],
    )


def _local_input(
    activity: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]
) -> StartLocalActivityInput:
    options = checked("start_local_activity", given, LOCAL_OPTIONS)
    name, types, ret_type = name_and_types(activity)
    return StartLocalActivityInput(
        activity=name,
        args=arg_or_args(arg, args),
        activity_id=options["activity_id"],
        schedule_to_close_timeout=options["schedule_to_close_timeout"],
        schedule_to_start_timeout=options["schedule_to_start_timeout"],
        start_to_close_timeout=options["start_to_close_timeout"],
        retry_policy=options["retry_policy"],
        local_retry_threshold=options["local_retry_threshold"],
        cancellation_type=options["cancellation_type"],
        headers={},
        summary=options["summary"],
        event_groups=options["event_groups"],
        arg_types=types,
        ret_type=ret_type if result_type is None else result_type,
    )


def _start(activity: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]) -> ActivityHandle[Any]:
    running = current()
    running.check_writable("start activity")
    input = _input(activity, arg, args, result_type, given)
    if running.outbound is not None:
        return running.outbound.start_activity(input)
    return begin(schedule(running, input), input.activity)


async def _execute(activity: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]) -> Any:
    running = current()
    running.check_writable("start activity")
    input = _input(activity, arg, args, result_type, given)
    if running.outbound is not None:
        return await running.outbound.start_activity(input)
    # No task of its own: whoever awaits is the one task that waits.
    return await schedule(running, input).outcome()


def _start_local(
    activity: Any, arg: Any, args: Sequence[Any], result_type: Any, given: Mapping[str, Any]
) -> ActivityHandle[Any]:
    running = current()
    running.check_writable("start local activity")
    running.settings.check_local(name_and_types(activity)[0])
    input = _local_input(activity, arg, args, result_type, given)
    if running.outbound is not None:
        return running.outbound.start_local_activity(input)
    return begin(schedule(running, input), input.activity)


# ------------------------------------------------------------------------------------------------- functions


@overload
def start_activity(activity: Callable[[], Awaitable[R]], **options: Unpack[ActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_activity(activity: Callable[[], R], **options: Unpack[ActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_activity(activity: Callable[[P], Awaitable[R]], arg: P, **options: Unpack[ActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_activity(activity: Callable[[P], R], arg: P, **options: Unpack[ActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_activity(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_activity(
    activity: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[ActivityConfig],
) -> ActivityHandle[Any]: ...
@with_options(OPTIONS)
def start_activity(
    activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Start an activity. The handle is a task.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return _start(activity, arg, args, result_type, options)


@overload
async def execute_activity(activity: Callable[[], Awaitable[R]], **options: Unpack[ActivityConfig]) -> R: ...
@overload
async def execute_activity(activity: Callable[[], R], **options: Unpack[ActivityConfig]) -> R: ...
@overload
async def execute_activity(activity: Callable[[P], Awaitable[R]], arg: P, **options: Unpack[ActivityConfig]) -> R: ...
@overload
async def execute_activity(activity: Callable[[P], R], arg: P, **options: Unpack[ActivityConfig]) -> R: ...
@overload
async def execute_activity(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[ActivityConfig]
) -> R: ...
@overload
async def execute_activity(activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[ActivityConfig]) -> R: ...
@overload
async def execute_activity(
    activity: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[ActivityConfig],
) -> Any: ...
@with_options(OPTIONS)
async def execute_activity(
    activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Run an activity and give its result.

    Raises:
        ActivityError: it failed for good, or was cancelled; the reason is its cause.
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await _execute(activity, arg, args, result_type, options)


@overload
def start_local_activity(
    activity: Callable[[], Awaitable[R]], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity(activity: Callable[[], R], **options: Unpack[LocalActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_local_activity(
    activity: Callable[[P], Awaitable[R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity(activity: Callable[[P], R], arg: P, **options: Unpack[LocalActivityConfig]) -> ActivityHandle[R]: ...
@overload
def start_local_activity(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> ActivityHandle[R]: ...
@overload
def start_local_activity(
    activity: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[LocalActivityConfig],
) -> ActivityHandle[Any]: ...
@with_options(LOCAL_OPTIONS)
def start_local_activity(
    activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Start an activity on the worker that runs this workflow.

    Raises:
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return _start_local(activity, arg, args, result_type, options)


@overload
async def execute_local_activity(activity: Callable[[], Awaitable[R]], **options: Unpack[LocalActivityConfig]) -> R: ...
@overload
async def execute_local_activity(activity: Callable[[], R], **options: Unpack[LocalActivityConfig]) -> R: ...
@overload
async def execute_local_activity(
    activity: Callable[[P], Awaitable[R]], arg: P, **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity(activity: Callable[[P], R], arg: P, **options: Unpack[LocalActivityConfig]) -> R: ...
@overload
async def execute_local_activity(
    activity: Callable[..., Awaitable[R]], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity(
    activity: Callable[..., R], *, args: Sequence[Any], **options: Unpack[LocalActivityConfig]
) -> R: ...
@overload
async def execute_local_activity(
    activity: str,
    arg: Any = ...,
    *,
    args: Sequence[Any] = ...,
    result_type: type | None = None,
    **options: Unpack[LocalActivityConfig],
) -> Any: ...
@with_options(LOCAL_OPTIONS)
async def execute_local_activity(
    activity: Any, arg: Any = UNSET, *, args: Sequence[Any] = [], result_type: Any = None, **options: Any
) -> Any:
    """Run an activity on the worker that runs this workflow, and give its result.

    Raises:
        ActivityError: it failed for good, or was cancelled; the reason is its cause.
        ValueError: there is no timeout, or both `arg` and `args`.
    """
    return await _start_local(activity, arg, args, result_type, options)
