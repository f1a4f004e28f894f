"""Timers, conditions, patches, the next run, handlers set at run time: the smaller verbs of workflows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

from memflow.core.asking import TIMER_SUMMARY
from memflow.core.chain import ContinueAsNewError, continuation_in
from memflow.core.handlers import CURRENT_UPDATE
from memflow.core.interrupts import CancelTimer, ContinueAsNew, StartTimer
from memflow.errors import FailureError
from memflow.names import check_name
from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.common import RetryPolicy, SearchAttributes, TypedSearchAttributes, engine_policy
from memflow.temporal.interception import ContinueAsNewInput
from memflow.temporal.search_attributes import SearchAttributePair
from memflow.temporal.startup import Startup
from memflow.temporal.workflow.define import HandlerDefinition, check_dynamic, name_and_result_type
from memflow.temporal.workflow.facts import plain_fields, upsert_search_attributes
from memflow.temporal.workflow.running import Running, bound, current, current_or_none, engine_handler
from memflow.temporal.workflow.words import (
    ContinueAsNewVersioningBehavior,
    UpdateInfo,
    VersioningIntent,
)
from memflow.workflow import patches, recurring


async def sleep(
    duration: float | timedelta, *, summary: str | None = None, event_groups: Sequence[Any] | None = None
) -> None:
    """Sleep durably. 0 is a timer too, due at once: what follows is a turn of its own, as on Temporal's servers.

    Raises:
        RuntimeError: the duration is negative.
    """
    current()
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < 0:
        raise RuntimeError("Attempting to schedule timer with negative delay")
    if seconds == 0:
        replay = current().replay
        op = replay.next_op()
        replay.ask(StartTimer(op, replay.now, summary))
        await replay.answer(op, on_cancel=lambda: CancelTimer(op))
        return
    if summary is None:
        await asyncio.sleep(seconds)
        return
    with _told(summary):
        await asyncio.sleep(seconds)


async def wait_condition(
    fn: Callable[[], bool],
    *,
    timeout: timedelta | float | None = None,
    timeout_summary: str | None = None,
    event_groups: Sequence[Any] | None = None,
) -> None:
    """Wait until `fn()` is true.

    Raises:
        asyncio.TimeoutError: `timeout` was up.
    """
    running = current()
    running.check_writable("wait condition")
    replay = running.replay
    if timeout is None:
        await replay.condition(fn)
        return
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if timeout_summary is None:
        await asyncio.wait_for(replay.condition(fn), seconds)
        return
    with _told(timeout_summary):
        await asyncio.wait_for(replay.condition(fn), seconds)


@contextmanager
def _told(summary: str) -> Generator[None]:
    """Timers that begin inside are shown with this line."""
    token = TIMER_SUMMARY.set(summary)
    try:
        yield
    finally:
        TIMER_SUMMARY.reset(token)


def patched(id: str, *, event_groups: Sequence[Any] | None = None) -> bool:
    """Whether this run takes a patch; decided at the first question."""
    current()
    return patches.patched(id)


def deprecate_patch(id: str, *, event_groups: Sequence[Any] | None = None) -> None:
    """The old path of a patch is gone; runs that took it go on."""
    current()
    patches.deprecate_patch(id)


# ------------------------------------------------------------------------------------------------- the next run


def continue_as_new(
    arg: Any = UNSET,
    *,
    args: Sequence[Any] = [],
    workflow: Callable[..., Any] | str | None = None,
    task_queue: str | None = None,
    run_timeout: timedelta | None = None,
    task_timeout: timedelta | None = None,
    backoff_start_interval: timedelta | None = None,
    retry_policy: RetryPolicy | None = None,
    memo: Mapping[str, Any] | None = None,
    search_attributes: SearchAttributes | TypedSearchAttributes | None = None,
    versioning_intent: VersioningIntent | None = None,
    initial_versioning_behavior: ContinueAsNewVersioningBehavior | None = None,
    event_groups: Sequence[Any] | None = None,
) -> NoReturn:
    """End this run and begin the next of its chain, with these arguments. What is not given stays as it is.

    Raises:
        ContinueAsNewError: always, and no `except Exception` meets it.
    """
    running = current()
    running.check_writable("continue as new")
    name = None if workflow is None else name_and_result_type(workflow)[0]
    input = ContinueAsNewInput(
        name,
        arg_or_args(arg, args),
        task_queue,
        run_timeout,
        task_timeout,
        backoff_start_interval,
        retry_policy,
        memo,
        search_attributes,
        {},
        versioning_intent,
        initial_versioning_behavior,
    )
    if running.outbound is not None:
        running.outbound.continue_as_new(input)
    next_run(running, input)


def next_run(running: Running, input: ContinueAsNewInput) -> NoReturn:
    """Ask for the next run.

    Raises:
        ContinueAsNewError: always.
    """
    codec = running.codec
    payload = codec.write_arguments(input.args, input.headers)
    attributes = input.search_attributes
    if attributes:
        # The record goes on into the next run, so what is to be in it is put there now.
        listed: Any = attributes
        if isinstance(attributes, TypedSearchAttributes):
            pairs: Sequence[SearchAttributePair[Any]] = attributes.search_attributes
            listed = [pair.key.value_set(pair.value) for pair in pairs]
        upsert_search_attributes(listed)
    raise ContinueAsNewError(
        ContinueAsNew(
            input=payload,
            workflow=input.workflow,
            task_queue=None if input.task_queue is None else check_name(input.task_queue, what="task queue"),
            run_timeout=input.run_timeout,
            retry=engine_policy(input.retry_policy),
            memo=None if input.memo is None else codec.encode(plain_fields(input.memo, codec.payloads)),
            headers=_headers_of_next(running, input),
        )
    )


def _headers_of_next(running: Running, input: ContinueAsNewInput) -> dict[str, str] | None:
    """What the next run is told of its options, where they differ from this one's."""
    options = {"run_timeout": input.run_timeout, "task_timeout": input.task_timeout, "retry_policy": input.retry_policy}
    changed: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    if not changed:
        return None
    headers = running.replay.info.headers or {}
    return {**headers, **replace(Startup.of(headers), **changed).headers()}


# ------------------------------------------------------------------------------------------------- handlers


def set_signal_handler(name: str, handler: Callable[..., Any] | None) -> None:
    """Answer signals of this name with `handler` from now on; those that came before are answered at once. None: no longer."""
    _set("signal", check_name(name, what="signal name"), handler)


def set_query_handler(name: str, handler: Callable[..., Any] | None) -> None:
    """Answer queries of this name with `handler` from now on. None: no longer."""
    _set("query", check_name(name, what="query name"), handler)


def set_update_handler(
    name: str, handler: Callable[..., Any] | None, *, validator: Callable[..., Any] | None = None
) -> None:
    """Answer updates of this name with `handler` from now on. None: no longer. `validator` may reject them before."""
    _set("update", check_name(name, what="update name"), handler, validator)


def set_dynamic_signal_handler(handler: Callable[..., Any] | None) -> None:
    """Answer every signal without a handler of its own; `handler` takes the name and the list of raw values."""
    _set("signal", None, handler)


def set_dynamic_query_handler(handler: Callable[..., Any] | None) -> None:
    """Answer every query without a handler of its own; `handler` takes the name and the list of raw values."""
    _set("query", None, handler)


def set_dynamic_update_handler(
    handler: Callable[..., Any] | None, *, validator: Callable[..., Any] | None = None
) -> None:
    """Answer every update without a handler of its own; `handler` takes the name and the list of raw values."""
    _set("update", None, handler, validator)


def get_signal_handler(name: str) -> Callable[..., Any] | None:
    """The handler of signals of exactly this name."""
    return _get("signal", name)


def get_query_handler(name: str) -> Callable[..., Any] | None:
    """The handler of queries of exactly this name."""
    return _get("query", name)


def get_update_handler(name: str) -> Callable[..., Any] | None:
    """The handler of updates of exactly this name."""
    return _get("update", name)


def get_dynamic_signal_handler() -> Callable[..., Any] | None:
    """The handler of all other signals."""
    return _get("signal", None)


def get_dynamic_query_handler() -> Callable[..., Any] | None:
    """The handler of all other queries."""
    return _get("query", None)


def get_dynamic_update_handler() -> Callable[..., Any] | None:
    """The handler of all other updates."""
    return _get("update", None)


def _set(
    kind: str, name: str | None, handler: Callable[..., Any] | None, validator: Callable[..., Any] | None = None
) -> None:
    running = current()
    running.check_writable(f"set {kind} handler")
    if handler is None:
        running.set_handlers.pop((kind, name), None)
        running.replay.set_handler(kind, name, None)
        return
    if name is None:
        check_dynamic(kind, handler, is_method=False)
    known = HandlerDefinition(kind, name, handler, is_method=False, validator=validator)
    running.set_handlers[kind, name] = known
    running.replay.set_handler(kind, name, bound(engine_handler(known), running))


def _get(kind: str, name: str | None) -> Callable[..., Any] | None:
    running = current()
    known = running.set_handlers.get((kind, name)) or running.definition.handlers.get((kind, name))
    if known is None:
        return None
    found: Callable[..., Any] = known.fn.__get__(running.obj) if known.is_method else known.fn
    return found


def all_handlers_finished() -> bool:
    """Whether no handler of a signal or update is under way."""
    return not current().replay.handlers.running


def current_update_info() -> UpdateInfo | None:
    """Which update the calling code answers; None outside handlers of updates."""
    update = CURRENT_UPDATE.get()
    return None if update is None else UpdateInfo(update.id, update.name)


# ------------------------------------------------------------------------------------------------- where am I


def in_workflow() -> bool:
    """Whether the code of a workflow calls."""
    return current_or_none() is not None


def instance() -> Any:
    """The workflow's own object."""
    return current().obj


def cancellation_reason() -> str | None:
    """Why the workflow was asked to cancel itself; None if it was not."""
    return current().replay.cancellation_reason


def is_failure_exception(err: BaseException) -> bool:
    """Whether this error, when it leaves the workflow's code, fails the workflow rather than its turn."""
    running = current()
    if isinstance(err, FailureError | TimeoutError):
        return True
    types = (
        *running.definition.failure_exception_types,
        *running.failure_exception_types,
        *running.settings.failure_exception_types,
    )
    return isinstance(err, types) and continuation_in(err) is None


def set_current_details(description: str) -> None:
    """A text about where the workflow stands, for people."""
    running = current()
    running.check_writable("set current details")
    running.details = description


def get_current_details() -> str:
    """That text."""
    return current().details


def extern_functions() -> Mapping[str, Callable[..., Any]]:
    """What interceptors of the worker offer to workflows."""
    return current().settings.extern_functions


def has_last_completion_result() -> bool:
    """Whether a run before this one, of its schedule or its cron line, left a result."""
    current()
    return recurring.has_last_completion_result()


def get_last_completion_result(type_hint: type | None = None) -> Any | None:
    """What it returned."""
    current()
    found: Any = recurring.get_last_completion_result
    return found(Any if type_hint is None else type_hint)


def get_last_failure() -> BaseException | None:
    """Why the run before this one failed; None if it did not."""
    current()
    return recurring.get_last_failure()
