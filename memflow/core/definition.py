"""A workflow ready to run: what a decorated function or class becomes, checked when it is built."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memflow.interceptors import WorkflowInbound
from memflow.payload import Payload


@dataclass(frozen=True, slots=True)
class Handler:
    """Code that answers a signal, query or update by name; `name` None: one of any name that has no handler of its own.

    A handler without a name takes the name and the list of arguments. `silent` says that nobody minds when the run ends
    while it is running. In a definition `function` and `validator` are methods that still need their instance.
    """

    kind: str                          # signal | query | update
    name: str | None
    function: Callable[..., Any]
    argument_types: tuple[Any, ...]
    required_arguments: int
    result_type: Any
    validator: Callable[..., Any] | None = None
    silent: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A workflow type. `fails_on` are the exceptions of its code that end a run; any other is a bug that is retried.

    With `make` it is a class: that makes the instance of a run, which is the first argument of `run` and of each handler.
    """

    name: str
    run: Callable[..., Coroutine[Any, Any, Any]]
    argument_types: tuple[Any, ...]
    required_arguments: int
    result_type: Any
    fails_on: tuple[type[BaseException], ...]
    make: Callable[..., Any] | None = None
    handlers: tuple[Handler, ...] = ()
    intercept: Callable[[Any], WorkflowInbound] | None = None
    """Puts interceptors around a replay, and gives what is to be called in place of its code; None without any."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which run this is. Everything here is fixed when the run starts."""

    namespace: str
    workflow_id: str
    run_id: str
    workflow: str
    task_queue: str
    started_at: datetime
    attempt: int = 1
    first_run_id: str | None = None
    parent_workflow_id: str | None = None
    parent_run_id: str | None = None
    headers: dict[str, str] | None = None
    continued_run_id: str | None = None
    """The run before this one in its chain: it continued as new, or failed and is tried again."""
    given_record: Payload | None = field(default=None, repr=False)
    given_memo: Payload | None = field(default=None, repr=False)
