"""From a call in workflow code to an activity's result: encode, ask, wait, decode. Verbs and decorated functions share it."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Collection, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, cast

from typing_extensions import TypedDict

from memflow.core import context
from memflow.core.arrivals import ActivityCancelled, ActivityCompleted, ActivityFailed, ActivityTimedOut
from memflow.core.interrupts import CancelActivity, ScheduleActivity
from memflow.core.replay import Replay
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.failure import exception_of
from memflow.interceptors import StartActivityInput, WorkflowOutbound
from memflow.names import check_name
from memflow.options import ActivityOptions, CancellationType
from memflow.payload import Payload
from memflow.retry import DEFAULT_RETRY, RetryPolicy, retry_policy


class ActivityKeywords(TypedDict, total=False):
    """How an activity is run, where it is called. What is left out comes from the proxy, else from `@activity.defn`."""

    task_queue: str | None
    start_to_close_timeout: Duration | None
    schedule_to_close_timeout: Duration | None
    schedule_to_start_timeout: Duration | None
    heartbeat_timeout: Duration | None
    retry: RetryPolicy | None
    cancellation_type: CancellationType | str
    headers: Mapping[str, str] | None
    throw_on_error: bool
    activity_id: str | None


_KEYWORDS: Final = frozenset(ActivityKeywords.__annotations__)


@dataclass(frozen=True, slots=True)
class ActivityCall:
    """What is known of an activity before its arguments are: everything the keywords came to."""

    name: str
    options: ActivityOptions = field(default_factory=ActivityOptions)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    throw_on_error: bool = True


def merge(*levels: ActivityKeywords) -> ActivityKeywords:
    """One set of keywords; later levels win. An explicit None takes back what an earlier level said.

    Raises:
        ConfigurationError: a keyword is unknown.
    """
    merged: dict[str, Any] = {}
    for level in levels:
        for name, value in level.items():
            if name not in _KEYWORDS:
                refuse_unknown((name,), _KEYWORDS, "an activity")
            merged[name] = value
    return cast("ActivityKeywords", merged)


def refuse_unknown(names: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse a misspelt option, naming a near one.

    Raises:
        ConfigurationError: one of `names` is not `known`.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), 1)
            hint = f"did you mean {near[0]!r}?" if near else f"options are {', '.join(sorted(known))}"
            raise ConfigurationError(f"{what} has no option {name!r}; {hint}")


def activity_call(name: str, keywords: ActivityKeywords) -> ActivityCall:
    """Check the keywords and freeze them.

    Raises:
        ConfigurationError: a value cannot work; the message names it.
    """
    queue = keywords.get("task_queue")
    named = keywords.get("activity_id")
    retry = retry_policy(keywords.get("retry"))
    options = ActivityOptions(
        task_queue=None if queue is None else check_name(queue, what="task_queue"),
        start_to_close_timeout=time_limit(keywords.get("start_to_close_timeout"), "start_to_close_timeout"),
        schedule_to_close_timeout=time_limit(keywords.get("schedule_to_close_timeout"), "schedule_to_close_timeout"),
        schedule_to_start_timeout=time_limit(keywords.get("schedule_to_start_timeout"), "schedule_to_start_timeout"),
        heartbeat_timeout=time_limit(keywords.get("heartbeat_timeout"), "heartbeat_timeout"),
        retry=DEFAULT_RETRY if retry is None else retry,
        cancellation_type=cancellation_type(keywords.get("cancellation_type", CancellationType.TRY_CANCEL)),
        activity_id=None if named is None else check_name(named, what="activity_id"),
    )
    headers = text_headers(keywords.get("headers"))
    return ActivityCall(check_name(name, what="activity name"), options, headers, keywords.get("throw_on_error", True))


def cancellation_type(value: CancellationType | str) -> CancellationType:
    """The enum, or its lower-case word.

    Raises:
        ConfigurationError: another word.
    """
    try:
        return CancellationType(value)
    except ValueError:
        words = ", ".join(CancellationType)
        raise ConfigurationError(f"cancellation_type: {value!r} is not one of {words}") from None


def text_headers(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """A copy of the headers.

    Raises:
        ConfigurationError: a name or value is no text.
    """
    copied = dict(headers or {})
    for name, value in copied.items():
        if not isinstance(cast("object", name), str) or not isinstance(cast("object", value), str):
            raise ConfigurationError(f"headers: {name!r} is {value!r}; names and values are texts")
    return copied


def time_limit(value: Duration | None, what: str) -> timedelta | None:
    """A time limit, None for none.

    Raises:
        ConfigurationError: no duration, or 0.
    """
    if value is None:
        return None
    limit = to_timedelta(value, what=what)
    if not limit:
        raise ConfigurationError(f"{what}: 0 leaves no time at all; give a duration, or None for no limit")
    return limit


def performing(
    verb: str, call: ActivityCall, arguments: Sequence[Any], types: Sequence[Any], result_type: Any
) -> Coroutine[Any, Any, Any]:
    """A call of an activity, to be awaited: its arguments are encoded now, what it asks is asked then.

    Raises:
        PayloadError: an argument cannot be stored.
    """
    replay = context.current(verb)
    if replay.outbound is not None:
        return _intercepted(replay.outbound, call, arguments, types, result_type)
    return _perform(replay, call, replay.codec.encode_arguments(arguments, types), result_type)


async def _intercepted(
    outbound: WorkflowOutbound, call: ActivityCall, arguments: Sequence[Any], types: Sequence[Any], result_type: Any
) -> Any:
    asked = StartActivityInput(call.name, arguments, call.headers, call.options, types, result_type, call.throw_on_error)
    start = outbound.start_local_activity if call.options.is_local else outbound.start_activity
    return await start(asked)


class Scheduled:
    """An activity that has been asked for: await it for its result."""

    def __init__(self, replay: Replay, asked: StartActivityInput) -> None:
        input = replay.codec.encode_arguments(asked.args, asked.arg_types)
        call = ActivityCall(
            check_name(asked.activity, what="activity name"), asked.options, text_headers(asked.headers), asked.throw_on_error
        )
        self._awaited = replay, call, _ask(replay, call, input), asked.result_type

    def __await__(self) -> Generator[Any, Any, Any]:
        return _perform(*self._awaited).__await__()


def _ask(replay: Replay, call: ActivityCall, input: Payload) -> int:
    named = call.options.activity_id
    if named is not None and any(each.options.activity_id == named for each in replay.open_activities.values()):
        raise ConfigurationError(f"activity_id: {named!r} is the id of another activity that this run waits for")
    op = replay.next_op()
    replay.ask(ScheduleActivity(op, call.name, input, call.options, call.headers))
    return op


async def _perform(replay: Replay, call: ActivityCall, asked_as: Payload | int, result_type: Any) -> Any:
    """Schedule an activity with its input, unless it has been as an op, and give its result.

    Raises:
        ActivityError: it failed for good; with `throw_on_error=False` the error is the result instead.
        asyncio.CancelledError: this task was cancelled; what becomes of the activity tells `cancellation_type`.
        PayloadError: the result does not fit `result_type`.
    """
    op = asked_as if isinstance(asked_as, int) else _ask(replay, call, asked_as)
    how = call.options.cancellation_type
    asked = False

    def on_cancel() -> CancelActivity | None:
        nonlocal asked
        asked = True
        return None if how is CancellationType.ABANDON else CancelActivity(op)

    answer = await replay.answer(op, on_cancel=on_cancel, wait=how is CancellationType.WAIT_CANCELLATION_COMPLETED)
    match answer:
        case ActivityCompleted(result=result):
            return replay.codec.decode(result, result_type)
        case ActivityCancelled() if asked:
            # It ended because our task was cancelled, so the cancellation goes on its way.
            raise asyncio.CancelledError
        case ActivityFailed(failure=failure) | ActivityTimedOut(failure=failure) | ActivityCancelled(failure=failure):
            error = exception_of(failure, replay.codec)
            if call.throw_on_error:
                raise error
            return error
        case _:
            raise AssertionError(f"{answer} does not answer an activity")
