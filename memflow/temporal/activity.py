"""Activities as Temporal's programs declare them, and what their code may ask while it runs."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import Callable, Generator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from memflow import activity as engine
from memflow.activity import Activity
from memflow.attempts import CompleteAsync
from memflow.errors import NotInActivityError
from memflow.signatures import hints_of, parameters_of
from memflow.temporal.attempt import ATTEMPT, ActivityCancellationDetails, Attempt, in_its_context
from memflow.temporal.common import Priority, RetryPolicy
from memflow.temporal.converter import PayloadConverter
from memflow.temporal.metrics import MetricMeter

if TYPE_CHECKING:
    from memflow.temporal.client import Client

__all__ = [
    "ActivityCancellationDetails",
    "Info",
    "LoggerAdapter",
    "cancellation_details",
    "client",
    "defn",
    "heartbeat",
    "in_activity",
    "info",
    "is_cancelled",
    "is_worker_shutdown",
    "logger",
    "metric_meter",
    "payload_converter",
    "raise_complete_async",
    "shield_thread_cancel_exception",
    "wait_for_cancelled",
    "wait_for_cancelled_sync",
    "wait_for_worker_shutdown",
    "wait_for_worker_shutdown_sync",
]

F = TypeVar("F", bound=Callable[..., Any])

_DEFINITION = "__temporal_activity_definition"


@dataclass(frozen=True)
class Info:
    """Which activity this is."""

    activity_id: str
    activity_type: str
    attempt: int
    current_attempt_scheduled_time: datetime
    heartbeat_details: Sequence[Any]
    heartbeat_timeout: timedelta | None
    is_local: bool
    namespace: str
    schedule_to_close_timeout: timedelta | None
    scheduled_time: datetime
    start_to_close_timeout: timedelta | None
    started_time: datetime
    task_queue: str
    task_token: bytes
    workflow_id: str | None
    workflow_namespace: str | None
    workflow_run_id: str | None
    workflow_type: str | None
    priority: Priority
    retry_policy: RetryPolicy | None
    activity_run_id: str | None = None

    @property
    def in_workflow(self) -> bool:
        """Whether a workflow started it."""
        return self.workflow_id is not None


@dataclass(eq=False)
class ActivityDefinition:
    """A decorated function, method or class with `__call__`. `name` None: of any type that has no activity of its own."""

    name: str | None
    fn: Callable[..., Any] = field(repr=False)
    is_async: bool
    no_thread_cancel_exception: bool = False

    @cached_property
    def types(self) -> tuple[tuple[Any, ...], Any]:
        """The declared types of the parameters and of the result, without `self`."""
        called: Any = self.fn.__call__ if inspect.isclass(self.fn) else self.fn
        listed = list(inspect.signature(called).parameters)
        parameters = parameters_of(called, what="activity", skip_self=bool(listed) and listed[0] == "self")
        return hints_of(called, parameters)

    @staticmethod
    def of(fn: Any) -> ActivityDefinition | None:
        """What a decorated callable says of itself."""
        found = getattr(fn, _DEFINITION, None)
        return found if isinstance(found, ActivityDefinition) else None

    @staticmethod
    def must_of(fn: Any) -> ActivityDefinition:
        """The same.

        Raises:
            TypeError: it is not decorated.
        """
        found = ActivityDefinition.of(fn)
        if found is None:
            name = getattr(fn, "__name__", None) or "<unknown>"
            raise TypeError(f"Activity {name} missing attributes, was it decorated with @activity.defn?")
        return found


@overload
def defn(fn: F) -> F: ...
@overload
def defn(*, name: str | None = None, no_thread_cancel_exception: bool = False) -> Callable[[F], F]: ...
@overload
def defn(*, no_thread_cancel_exception: bool = False, dynamic: bool = False) -> Callable[[F], F]: ...
def defn(
    fn: Any = None, *, name: str | None = None, no_thread_cancel_exception: bool = False, dynamic: bool = False
) -> Any:
    """Declare an activity: a function or method, async or not, or a class with `__call__`.

    Raises:
        TypeError: it cannot be one.
        RuntimeError: both a name and `dynamic`.
    """
    if name is not None and dynamic:
        raise RuntimeError("Cannot provide name and dynamic boolean")

    def declare(found: Any) -> Any:
        if not callable(found):
            raise TypeError("Activity is not callable")
        if hasattr(found, _DEFINITION) and _DEFINITION in vars(found):
            raise ValueError("Function already contains activity definition")
        called: Any = found.__call__ if inspect.isclass(found) else found
        if not callable(called):
            raise TypeError("Activity is not callable")
        for parameter in inspect.signature(called).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                raise TypeError("Activity cannot have keyword-only arguments")
        is_async = inspect.iscoroutinefunction(called)
        named = None if dynamic else name or found.__name__
        setattr(found, _DEFINITION, ActivityDefinition(named, found, is_async, no_thread_cancel_exception))
        return found

    return declare if fn is None else declare(fn)


def name_and_types(activity: Any) -> tuple[str, list[Any] | None, Any]:
    """The name of an activity to call, and the types of its parameters and result as far as they are known.

    Raises:
        TypeError: it is no activity.
    """
    if isinstance(activity, str):
        return activity, None, None
    if isinstance(activity, Activity):
        return activity.name, None, None
    if not callable(activity):
        raise TypeError("Activity must be a string or callable")
    definition = ActivityDefinition.must_of(activity)
    if definition.name is None:
        raise ValueError("Cannot invoke dynamic activity explicitly")
    types, ret = definition.types
    return definition.name, list(types), ret


# ------------------------------------------------------------------------------------------------- while one runs


def _current() -> Attempt:
    attempt = ATTEMPT.get(None)
    if attempt is None:
        raise NotInActivity("Not in activity context")
    return attempt


class NotInActivity(NotInActivityError, RuntimeError):
    """What belongs to a running activity was called where none runs."""


class _Context:
    """The running attempt, to be handed to threads of one's own. Not public there either, but programs use it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.info = attempt.info
        self.heartbeat = in_its_context(attempt.heartbeat)

    @staticmethod
    def current() -> _Context:
        """The one that runs here.

        Raises:
            RuntimeError: none does.
        """
        return _Context(_current())


def in_activity() -> bool:
    """Whether an activity runs here."""
    return ATTEMPT.get(None) is not None


def info() -> Info:
    """Which activity this is.

    Raises:
        RuntimeError: none runs here.
    """
    return _current().info()


def client() -> Client:
    """The client of the worker, in async activities.

    Raises:
        RuntimeError: none runs here, or it is not async.
    """
    found = _current().client
    if found is None:
        raise RuntimeError(
            "No client available. The client is only available in `async def` activities; not in `def` activities. In tests"
            " you can pass a client when creating ActivityEnvironment."
        )
    return found


def heartbeat(*details: Any) -> None:
    """Say that this attempt is alive, and keep `details` for the next one."""
    _current().heartbeat(*details)


def is_cancelled() -> bool:
    """Whether this attempt is asked to end."""
    return _current().cancelled.is_set()


def cancellation_details() -> ActivityCancellationDetails | None:
    """Why it is; None if it is not."""
    return _current().why()


async def wait_for_cancelled() -> None:
    """Wait until this attempt is asked to end."""
    await _current().cancelled.wait()


def wait_for_cancelled_sync(timeout: timedelta | float | None = None) -> None:
    """The same in a thread, at most so long."""
    _current().cancelled.wait_sync(_seconds(timeout))


def is_worker_shutdown() -> bool:
    """Whether the worker is about to stop."""
    return _current().shutdown.is_set()


async def wait_for_worker_shutdown() -> None:
    """Wait until the worker is about to stop."""
    await _current().shutdown.wait()


def wait_for_worker_shutdown_sync(timeout: timedelta | float | None = None) -> None:
    """The same in a thread, at most so long."""
    _current().shutdown.wait_sync(_seconds(timeout))


@contextlib.contextmanager
def shield_thread_cancel_exception() -> Generator[None]:
    """No cancellation is raised in this thread inside; one that came meanwhile is raised at the end."""
    raiser = _current().raiser
    with contextlib.nullcontext() if raiser is None else raiser.shield():
        yield


def raise_complete_async() -> NoReturn:
    """Leave the activity open: somebody else completes it, by its task token or its id.

    Raises:
        CompleteAsync: always, and no `except Exception` meets it.
    """
    _current()
    if engine.in_activity():
        engine.raise_complete_async()
    raise CompleteAsync                          # in an ActivityEnvironment


def payload_converter() -> PayloadConverter:
    """How values become payloads here."""
    return _current().converter


def metric_meter() -> MetricMeter:
    """Counts and measures."""
    attempt = _current()
    facts = attempt.info()
    return attempt.meter.with_additional_attributes(
        {
            "namespace": facts.namespace,
            "task_queue": facts.task_queue,
            "activity_type": facts.activity_type,
            **({"workflow_type": facts.workflow_type} if facts.workflow_type else {}),
        }
    )


def _seconds(timeout: timedelta | float | None) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


class LoggerAdapter(logging.LoggerAdapter[logging.Logger]):
    """Adds what is known of the running activity: to the message, and as `temporal_activity` to `extra`."""

    def __init__(self, logger: logging.Logger, extra: Mapping[str, Any] | None) -> None:
        super().__init__(logger, extra or {})
        self.activity_info_on_message = True
        self.activity_info_on_extra = True
        self.full_activity_info_on_extra = False

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        attempt = ATTEMPT.get(None)
        if attempt is None:
            return msg, kwargs
        if not (self.activity_info_on_message or self.activity_info_on_extra or self.full_activity_info_on_extra):
            return msg, kwargs
        facts = attempt.info()
        details = {
            "activity_id": facts.activity_id,
            "activity_type": facts.activity_type,
            "attempt": facts.attempt,
            "namespace": facts.namespace,
            "task_queue": facts.task_queue,
            "workflow_id": facts.workflow_id,
            "workflow_run_id": facts.workflow_run_id,
            "workflow_type": facts.workflow_type,
        }
        if self.activity_info_on_message:
            msg = f"{msg} ({details})"
        extra: dict[str, Any] = dict(kwargs.get("extra") or {})
        if self.activity_info_on_extra:
            extra["temporal_activity"] = details
        if self.full_activity_info_on_extra:
            extra["activity_info"] = facts
        kwargs["extra"] = extra
        return msg, kwargs

    @property
    def base_logger(self) -> logging.Logger:
        """The logger beneath."""
        return self.logger


logger = LoggerAdapter(logging.getLogger(__name__), None)
"""A logger whose records carry the running activity."""


def logger_details(facts: Info) -> dict[str, Any]:
    """All facts, for a log."""
    return asdict(facts)
