"""Going on with a fresh journal: for workflows that never end, or would grow too long."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NoReturn

from memflow.core import context
from memflow.core.chain import ContinueAsNewError
from memflow.core.interrupts import ContinueAsNew
from memflow.core.replay import Replay
from memflow.duration import Duration
from memflow.errors import ConfigurationError, ReadOnlyError
from memflow.interceptors import ContinueAsNewInput
from memflow.names import check_name
from memflow.retry import RetryPolicy, retry_policy
from memflow.scheduling import text_headers, time_limit
from memflow.workflow.define import definition_of

LONG = 10_000
"""Entries after which a run is advised to continue as new: a cold worker takes some 7 µs an entry to rebuild it."""


def history_length() -> int:
    """How many entries this run's journal had before this turn."""
    return context.current("history_length").length


def continue_as_new_suggested() -> bool:
    """Whether the journal has become so long (10,000 entries) that a loop had better continue as new."""
    return history_length() >= LONG


def continue_as_new(
    *arguments: Any,
    args: Sequence[Any] | None = None,
    workflow: str | Callable[..., Coroutine[Any, Any, Any]] | None = None,
    task_queue: str | None = None,
    run_timeout: Duration | None = None,
    retry: RetryPolicy | None = None,
    memo: Mapping[str, Any] | None = None,
) -> NoReturn:
    """End this run and begin the next one of its chain in the same commit: same workflow id, fresh journal, these arguments.

    Whatever is not given stays as it is: the workflow, its queue, timeouts and retry policy, headers, memo, and the record.
    Signals that no code has taken yet are delivered to the next run. Whoever waits for the result waits for the last run's;
    open children follow their `parent_close_policy`. `finally` blocks run first; code behind the call never does.

    Raises:
        ContinueAsNewError: always, and no `except Exception` meets it.
        TypeError: too few or too many arguments.
        PayloadError: an argument cannot be stored.
        ConfigurationError: an option cannot work.
        ReadOnlyError: in a query or condition.
    """
    replay = context.current("continue_as_new")
    if replay.read_only:
        raise ReadOnlyError("continue_as_new: queries and conditions may only look")
    if args is not None and arguments:
        raise ConfigurationError("give the arguments one by one or as args=[...], not both")
    given = arguments if args is None else args
    name: str | None
    types: Sequence[Any] = ()
    if isinstance(workflow, str):
        name = check_name(workflow, what="workflow name")
    else:
        definition = replay.definition if workflow is None else definition_of(workflow)
        if not definition.required_arguments <= len(given) <= len(definition.argument_types):
            raise TypeError(
                f"workflow {definition.name} takes {len(definition.argument_types)} arguments, {len(given)} were given"
            )
        name = None if workflow is None else definition.name
        types = definition.argument_types
    asked = ContinueAsNewInput(
        args=given,
        workflow=name,
        headers=None,
        task_queue=None if task_queue is None else check_name(task_queue, what="task_queue"),
        run_timeout=time_limit(run_timeout, "run_timeout"),
        retry=retry_policy(retry),
        memo=None if memo is None else dict(memo),
        arg_types=types,
    )
    if replay.outbound is not None:
        replay.outbound.continue_as_new(asked)
    go_on(replay, asked)


def go_on(replay: Replay, wanted: ContinueAsNewInput) -> NoReturn:
    """The same, behind interceptors."""
    raise ContinueAsNewError(
        ContinueAsNew(
            input=replay.codec.encode_arguments(wanted.args, wanted.arg_types),
            workflow=wanted.workflow,
            task_queue=wanted.task_queue,
            run_timeout=wanted.run_timeout,
            retry=wanted.retry,
            memo=None if wanted.memo is None else replay.codec.encode(dict(wanted.memo)),
            headers=None if wanted.headers is None else text_headers(wanted.headers),
        )
    )
