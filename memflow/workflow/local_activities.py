"""Calling local activities: those that run in the worker of their workflow and are never queued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, TypeVarTuple, cast, overload

from typing_extensions import TypedDict, Unpack

from memflow.activity import Activity
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.options import CancellationType
from memflow.retry import RetryPolicy
from memflow.scheduling import ActivityCall, ActivityKeywords, performing, refuse_unknown
from memflow.workflow.activities import prepared

R = TypeVar("R")
Ts = TypeVarTuple("Ts")

DEFAULT_THRESHOLD = timedelta(minutes=1)
"""As in Temporal."""


class LocalActivityKeywords(TypedDict, total=False):
    """How a local activity is run. What is left out comes from `@activity.defn`, but for its queue and heartbeats."""

    start_to_close_timeout: Duration | None
    schedule_to_close_timeout: Duration | None
    schedule_to_start_timeout: Duration | None
    retry: RetryPolicy | None
    local_retry_threshold: Duration | None
    cancellation_type: CancellationType | str
    headers: Mapping[str, str] | None
    throw_on_error: bool
    activity_id: str | None


@overload
async def execute_local_activity(
    activity: str,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: type[R],
    **keywords: Unpack[LocalActivityKeywords],
) -> R: ...
@overload
async def execute_local_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[LocalActivityKeywords]
) -> Any: ...
@overload
async def execute_local_activity(
    activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> R: ...
@overload
async def execute_local_activity(
    activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> R: ...
@overload
async def execute_local_activity(
    activity: Callable[[*Ts], R], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> R: ...
async def execute_local_activity(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    activity: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> Any:
    """Run an activity in this workflow's own worker, and give its result, which is recorded as any other.

    For short work: the run is held while it runs. It has no heartbeats and cannot be completed from outside. Attempts are made
    here, one after the other; a backoff longer than `local_retry_threshold` (1 minute) is left to a durable timer. A worker that
    does not know the activity hands the run back, which shows as stuck.

    Raises:
        ActivityError: it failed for good, the reason is its cause; with `throw_on_error=False` it is the result instead.
        PayloadError: an argument cannot be stored, or the result does not fit its type. The former asks for nothing.
        ConfigurationError: an option is unknown or cannot work.
        asyncio.CancelledError: this task was cancelled; what becomes of the activity tells `cancellation_type`.
    """
    ready = _prepared("execute_local_activity", activity, arguments, args, result_type, keywords)
    return await performing("execute_local_activity", *ready)


@overload
def start_local_activity(
    activity: str,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: type[R],
    **keywords: Unpack[LocalActivityKeywords],
) -> asyncio.Task[R]: ...
@overload
def start_local_activity(
    activity: str, *arguments: Any, args: Sequence[Any] | None = None, **keywords: Unpack[LocalActivityKeywords]
) -> asyncio.Task[Any]: ...
@overload
def start_local_activity(
    activity: Callable[[*Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> asyncio.Task[R]: ...
@overload
def start_local_activity(
    activity: Callable[[Any, *Ts], Coroutine[Any, Any, R]], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> asyncio.Task[R]: ...
@overload
def start_local_activity(
    activity: Callable[[*Ts], R], *arguments: *Ts, **keywords: Unpack[LocalActivityKeywords]
) -> asyncio.Task[R]: ...
def start_local_activity(  # type: ignore[misc]  # mypy does not see that *Any takes *Ts
    activity: Any,
    *arguments: Any,
    args: Sequence[Any] | None = None,
    result_type: Any = Any,
    **keywords: Any,
) -> asyncio.Task[Any]:
    """Like `execute_local_activity`, but at once: the handle is an `asyncio.Task` to await, cancel or gather.

    Raises:
        PayloadError: an argument cannot be stored.
        ConfigurationError: an option is unknown or cannot work.
    """
    ready = _prepared("start_local_activity", activity, arguments, args, result_type, keywords)
    return asyncio.create_task(performing("start_local_activity", *ready), name=f"local activity {ready[0].name}")


def _prepared(
    verb: str,
    activity: Any,
    arguments: Sequence[Any],
    args: Sequence[Any] | None,
    result_type: Any,
    keywords: Mapping[str, Any],
) -> tuple[ActivityCall, Sequence[Any], Sequence[Any], Any]:
    refuse_unknown(keywords, LocalActivityKeywords.__annotations__, "a local activity")
    if isinstance(activity, Activity) and activity.is_transactional:
        raise ConfigurationError(f"{verb}: activity {activity.name!r} is transactional and cannot be local")
    given = dict(keywords)
    threshold = given.pop("local_retry_threshold", None)
    call, given_arguments, types, result = prepared(verb, activity, arguments, args, result_type, cast("ActivityKeywords", given))
    options = replace(
        call.options,
        task_queue=None,
        heartbeat_timeout=None,
        local_retry_threshold=DEFAULT_THRESHOLD if threshold is None else to_timedelta(threshold, what="local_retry_threshold"),
    )
    return replace(call, options=options), given_arguments, types, result
