"""A workflow ready to run: what a decorated function or class becomes, checked when it is built."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from memflow.core.dialect import DIALECT, Dialect
from memflow.interceptors import WorkflowInbound
from memflow.payload import Payload

SCHEDULE_HEADER = "memflow-schedule-id"
SCHEDULED_AT_HEADER = "memflow-scheduled-at"
"""Headers that tell a run which schedule started it, and for which instant."""

LAST_RESULT_HEADER = "memflow-last-result"
LAST_FAILURE_HEADER = "memflow-last-failure"
"""Headers with what the schedule's run before this one left: `header_of` a payload."""


CRON_HEADER = "memflow-cron"
"""A cron line, perhaps with `CRON_TZ=<zone> ` before it: when a run ends that carries it, another follows at its next time."""


def header_of(payload: Payload, bound: str | None = None) -> str:
    """A payload as the text of a header. `bound`: the id of the run that it is bound to, if it is sealed."""
    found = [base64.b64encode(payload.data).decode(), payload.encoding]
    return json.dumps(found if bound is None else [*found, bound])


def payload_in(header: str | None) -> Payload | None:
    """The payload that `header_of` wrote."""
    if header is None:
        return None
    data, encoding, *_ = json.loads(header)
    return Payload(base64.b64decode(data), encoding)


def bound_in(header: str) -> str | None:
    """The run that a payload in a header is bound to."""
    _, _, *bound = json.loads(header)
    return bound[0] if bound else None


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


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose ids the turns up to and including `turn` were written under: of the run that a reset or fork copied them from.

    With turn 0 no turn is that run's, but payloads may be.
    """

    turn: int
    workflow_id: str
    run_id: str
    first_run_id: str = ""


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
    handed_on: Mapping[str, Payload] | None = field(default=None, repr=False, kw_only=True)
    """What headers hold that are sealed, by their names. Not in `headers`, which code may send on."""

    @property
    def schedule_id(self) -> str | None:
        """The schedule that started this run, or the run that it goes on from."""
        return (self.headers or {}).get(SCHEDULE_HEADER)

    @property
    def scheduled_at(self) -> datetime | None:
        """The instant for which that schedule started it; it may begin later (jitter, catching up, waiting for another run)."""
        text = (self.headers or {}).get(SCHEDULED_AT_HEADER)
        return None if text is None else datetime.fromisoformat(text)
    origins: tuple[Origin, ...] = field(default=(), repr=False)
    """Of a run that was reset or forked, oldest first: what its copied turns drew from their ids must come out the same."""

    def at_turn(self, turn: int) -> RunInfo:
        """This run as the code of that turn saw it."""
        for origin in self.origins:
            if turn <= origin.turn:
                return replace(self, workflow_id=origin.workflow_id, run_id=origin.run_id)
        return self
