"""The options of a start: what a person may say, checked once, as the row that starts the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from memflow.client.link import Link
from memflow.client.values import check_headers, encode_fields, encode_signal
from memflow.codec import Codec
from memflow.core.definition import Definition
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.names import DEFAULT_QUEUE, check_name, new_id
from memflow.payload import Payload
from memflow.retry import RetryPolicy, retry_policy
from memflow.store.values import NewRun
from memflow.workflow.define import definition_of

OnConflict = Literal["fail", "use_existing", "terminate_existing"]
Reuse = Literal["allow", "failed_only", "reject"]

ON_CONFLICT: tuple[str, ...] = ("fail", "use_existing", "terminate_existing")
REUSE: tuple[str, ...] = ("allow", "failed_only", "reject")


class StartOptions(TypedDict, total=False):
    """How a workflow is started. Durations are a timedelta, text or seconds."""

    id: str | None
    """The workflow id; by default a new one. At most one open run has it."""
    task_queue: str
    """The queue whose workers run it; "default" by default."""
    on_conflict: OnConflict
    """If a run with this id is open: `fail` (the default), `use_existing`, or `terminate_existing` and start anew."""
    reuse: Reuse
    """If a run with this id has ended: `allow` (the default) a new one, only if it `failed_only`, or `reject`."""
    request_id: str | None
    """A start repeated with the same request id answers with the run that it made the first time."""
    start_delay: Duration | None
    """Not to begin before this long from now."""
    execution_timeout: Duration | None
    """For the whole chain of runs, then it is ended as timed out."""
    run_timeout: Duration | None
    """For this run, then it is ended as timed out."""
    task_timeout: Duration | None
    """For one turn of its code: one that computes for longer is interrupted and tried again; by default 10 seconds."""
    retry: RetryPolicy | None
    """When a run that fails is tried again, as the next run of its chain; by default it is not."""
    expire: Duration | None
    """How long after its end the run is kept; by default for good."""
    search: Mapping[str, Any] | None
    """First fields of the run's searchable record."""
    entity: Mapping[str, Any] | None
    """The record as a document, to begin with; fields of `search` are set in it."""
    memo: Mapping[str, Any] | None
    """Facts kept with the run, shown but not searched."""
    headers: Mapping[str, str] | None
    """Text that travels with the run and to its activities."""
    priority: int
    """Runs of a higher priority are taken first; 0 by default."""
    start_signal: str | None
    """A signal delivered with the start, before the code runs."""
    start_signal_args: Sequence[Any]
    """What that signal carries."""
    connection: Any
    """An asyncpg connection inside a transaction: the run starts if and only if that commits."""


OPTIONS = frozenset(StartOptions.__annotations__)


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse a misspelt option, naming the near ones.

    Raises:
        TypeError: as for any unknown keyword.
    """
    for name in options:
        if name not in OPTIONS:
            near = get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TypeError(f"start() has no option {name!r}; {hint}options: {', '.join(sorted(OPTIONS))}")


def definition_for(workflow: object) -> Definition | None:
    """The definition of what was given to start; None for a workflow named by text."""
    return None if isinstance(workflow, str) else definition_of(workflow)


def new_run(
    link: Link, workflow: object, definition: Definition | None, arguments: Sequence[Any], options: Mapping[str, Any]
) -> NewRun:
    """The run to start.

    Raises:
        ConfigurationError: an option cannot work; the message names it and what is allowed.
        TypeError: too few or too many arguments.
        PayloadError: an argument is not of its declared type or cannot be stored.
    """
    codec = link.codec
    signal = options.get("start_signal")
    signal_arguments = options.get("start_signal_args", ())
    if signal is None and signal_arguments:
        raise ConfigurationError("start_signal_args: there is no start_signal to carry them")
    workflow_id = options.get("id")
    request_id = options.get("request_id")
    return NewRun(
        namespace=link.namespace,
        workflow_id=new_id() if workflow_id is None else check_name(workflow_id, what="workflow id"),
        run_id=new_id(),
        workflow=check_name(workflow, what="workflow type") if definition is None else definition.name,
        task_queue=check_name(options.get("task_queue", DEFAULT_QUEUE), what="task queue"),
        input=_input(link, definition, arguments),
        on_conflict=_one_of(options.get("on_conflict", "fail"), ON_CONFLICT, what="on_conflict"),
        reuse=_one_of(options.get("reuse", "allow"), REUSE, what="reuse"),
        request_id=None if request_id is None else check_name(request_id, what="request id"),
        start_delay=_duration(options, "start_delay"),
        run_timeout=_duration(options, "run_timeout", positive=True),
        execution_timeout=_duration(options, "execution_timeout", positive=True),
        task_timeout=_duration(options, "task_timeout", positive=True),
        headers=check_headers(options.get("headers")),
        memo=encode_fields(options.get("memo"), codec, what="memo"),
        search=_record(options, codec),
        expire=_duration(options, "expire"),
        priority=_priority(options.get("priority", 0)),
        retry=retry_policy(options.get("retry")),
        signal=None if signal is None else (check_name(signal, what="start_signal"), encode_signal(signal_arguments, codec)),
    )


def _input(link: Link, definition: Definition | None, arguments: Sequence[Any]) -> Payload:
    if definition is None:
        return link.codec.encode_arguments(arguments, ())
    most, least = len(definition.argument_types), definition.required_arguments
    if not least <= len(arguments) <= most:
        takes = str(most) if least == most else f"{least} to {most}"
        noun = "argument" if takes == "1" else "arguments"
        raise TypeError(f"workflow {definition.name!r} takes {takes} {noun}, {len(arguments)} given")
    return link.codec.encode_arguments(arguments, definition.argument_types)


def _record(options: Mapping[str, Any], codec: Codec) -> Payload | None:
    document, fields = options.get("entity"), options.get("search")
    if document is None or fields is None:
        what = "search" if document is None else "entity"
        return encode_fields(options.get(what), codec, what=what)
    encode_fields(document, codec, what="entity")
    encode_fields(fields, codec, what="search")
    return encode_fields({**document, **fields}, codec, what="search")


def _one_of(word: object, allowed: tuple[str, ...], *, what: str) -> str:
    if isinstance(word, str) and word in allowed:
        return str(word)
    raise ConfigurationError(f"{what}: {word!r} is not one of {', '.join(allowed)}")


def _duration(options: Mapping[str, Any], name: str, *, positive: bool = False) -> timedelta | None:
    value = options.get(name)
    if value is None:
        return None
    duration = to_timedelta(value, what=name)
    if positive and not duration:
        raise ConfigurationError(f"{name}: a time longer than 0 is needed; leave it out for no limit")
    return duration


def _priority(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and -(2**15) <= value < 2**15:
        return value
    raise ConfigurationError(f"priority: {value!r} is not a whole number from -32768 to 32767")
