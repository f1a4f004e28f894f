"""A workflow ready to run: what a decorated function or class becomes, checked when it is built."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from memflow.core.dialect import DIALECT, Dialect
from memflow.errors import NondeterminismError
from memflow.interceptors import WorkflowInbound
from memflow.run_info import CRON_HEADER as CRON_HEADER
from memflow.run_info import LAST_FAILURE_HEADER as LAST_FAILURE_HEADER
from memflow.run_info import LAST_RESULT_HEADER as LAST_RESULT_HEADER
from memflow.run_info import SCHEDULE_HEADER as SCHEDULE_HEADER
from memflow.run_info import SCHEDULED_AT_HEADER as SCHEDULED_AT_HEADER
from memflow.run_info import Origin as Origin
from memflow.run_info import RunInfo as RunInfo
from memflow.run_info import bound_in as bound_in
from memflow.run_info import header_of as header_of
from memflow.run_info import payload_in as payload_in


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
    raw: bool = False                  # function and validator take the name and the payload as it came


@dataclass(frozen=True, slots=True)
class Hook:
    """A function that runs as a further coroutine of a run."""

    name: str
    function: Callable[..., Coroutine[Any, Any, Any]]
    argument_types: tuple[Any, ...]
    required_arguments: int
    result_type: Any


def no_hooks() -> Mapping[str, Hook]:
    """The default of `hooks`."""
    return {}


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
    versioning: str | None = None
    """`pinned` to the version of the code that began it, or `auto_upgrade`; None: as its worker says."""
    hooks: Mapping[str, Hook] = field(default_factory=no_hooks, compare=False, repr=False)
    """What may be started in its runs by name: all that its worker knows."""
    dialect: Dialect = field(default=DIALECT, compare=False, repr=False)
    fails_unfit: Callable[[NondeterminismError], BaseException] | None = field(default=None, compare=False, repr=False)
    """The error that ends a run whose journal this code does not fit; None: such a run is parked."""
