"""Activities: ordinary functions that a workflow calls and that do the work, with retries and timeouts.

    @activity.defn(retry=RetryPolicy(maximum_attempts=5))
    async def charge(order: str, cents: int) -> str: ...

Called in a workflow, `await charge("o-1", 500)` has a worker run it; called anywhere else it runs the function itself.
While one runs, `info()`, `heartbeat()`, `is_cancelled()`, `connection()` and `logger` tell and do what concerns it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from typing_extensions import Unpack

from memflow.attempts import ActivityContext as ActivityContext
from memflow.attempts import (
    CancellationDetails,
    Info,
    cancellation_details,
    client,
    connection,
    heartbeat,
    in_activity,
    info,
    is_cancelled,
    is_worker_shutdown,
    logger,
    raise_complete_async,
    shield_thread_cancel_exception,
    wait_for_cancelled,
    wait_for_cancelled_sync,
    wait_for_worker_shutdown,
    wait_for_worker_shutdown_sync,
)
from memflow.attempts import activity_context as activity_context
from memflow.attempts import idempotency_key as idempotency_key
from memflow.core import context
from memflow.errors import ConfigurationError, NotInWorkflowError
from memflow.options import ActivityOptions
from memflow.scheduling import ActivityCall, ActivityKeywords, activity_call, merge, performing
from memflow.signatures import Parameters, hints_of, local_names, name_of, parameters_of

P = ParamSpec("P")
P2 = ParamSpec("P2")
R = TypeVar("R")
S = TypeVar("S")

__all__ = [
    "Activity",
    "CancellationDetails",
    "Info",
    "cancellation_details",
    "client",
    "connection",
    "defn",
    "heartbeat",
    "in_activity",
    "info",
    "is_cancelled",
    "is_worker_shutdown",
    "logger",
    "raise_complete_async",
    "shield_thread_cancel_exception",
    "wait_for_cancelled",
    "wait_for_cancelled_sync",
    "wait_for_worker_shutdown",
    "wait_for_worker_shutdown_sync",
]


# ------------------------------------------------------------------------------------------------- what a worker runs


@dataclass(frozen=True, eq=False)
class ActivityDefinition:
    """An activity ready to run: `run` is the plain function, bound to its instance if it is a method.

    Two are equal when they would run the same function under the same name. Types are resolved when first asked for,
    since a decorator runs before the module is complete.
    """

    name: str
    run: Callable[..., Any]
    options: ActivityOptions
    transactional: bool
    is_async: bool
    required_arguments: int
    types: Callable[[], tuple[tuple[Any, ...], Any]] = field(repr=False)
    no_thread_cancel_exception: bool = False
    dynamic: bool = False

    @cached_property
    def argument_types(self) -> tuple[Any, ...]:
        """The declared type of each parameter."""
        return self.types()[0]

    @cached_property
    def result_type(self) -> Any:
        """The declared type of the result."""
        return self.types()[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActivityDefinition) and (self.name, self.run) == (other.name, other.run)

    def __hash__(self) -> int:
        return hash(self.name)


def activity_definition_of(value: object) -> ActivityDefinition | None:
    """What to run for a decorated function or a bound method; None if it is no activity. A definition is one already.

    Raises:
        ConfigurationError: a method without its instance.
    """
    if isinstance(value, ActivityDefinition):
        return value
    return cast("Activity[..., Any]", value).definition() if isinstance(value, Activity) else None


# ------------------------------------------------------------------------------------------------- what authors hold


_KNOWN_CALLS = 256
"""Sets of options kept per activity. Programs have a handful; a queue name per customer must not fill the memory."""


class _Body:
    """The function behind an activity, and what reading it once has shown."""

    def __init__(self, function: Callable[..., Any], name: str | None, known_names: Mapping[str, Any] | None) -> None:
        if isinstance(function, classmethod):
            raise ConfigurationError(f"activity {function.__name__}: a class method cannot be one; use a method")
        self.function: Callable[..., Any] = function.__func__ if isinstance(function, staticmethod) else function
        if not callable(self.function):
            raise ConfigurationError(f"@activity.defn is for functions and methods, this is {function!r}")
        plain = getattr(self.function, "__name__", "")
        if name is None and plain in ("", "<lambda>"):
            raise ConfigurationError("an activity needs a name: a lambda has none, so say @activity.defn(name=...)")
        self.name = name or plain
        self.is_static = isinstance(function, staticmethod)
        self.is_method = False
        self._known_names = known_names
        self._parameters: dict[bool, Parameters] = {}
        self._types: tuple[tuple[Any, ...], Any] | None = None
        self._calls: dict[tuple[tuple[str, object], ...], ActivityCall] = {}

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)

    @property
    def parameters(self) -> Parameters:
        """As a caller gives them, without `self`."""
        found = self._parameters.get(self.is_method)
        if found is None:
            found = parameters_of(self.function, what="activity", skip_self=self.is_method)
            self._parameters[self.is_method] = found
        return found

    def call(self, keywords: ActivityKeywords) -> ActivityCall:
        """The checked form of the keywords; the same one for the same keywords."""
        try:
            key = tuple(keywords.items())
            known = self._calls.get(key)
        except TypeError:                        # headers are a dict, which has no hash
            return activity_call(self.name, keywords)
        if known is None:
            if len(self._calls) >= _KNOWN_CALLS:
                self._calls.clear()
            known = self._calls[key] = activity_call(self.name, keywords)
        return known

    def types(self) -> tuple[tuple[Any, ...], Any]:
        if self._types is None:
            self._types = hints_of(self.function, self.parameters, self._known_names)
        return self._types


class Activity(Generic[P, R]):
    """A decorated function: in a workflow a call schedules it, elsewhere a call runs it. Either way it is awaited."""

    __name__: str
    __doc__: str | None

    def __init__(
        self,
        body: _Body,
        keywords: ActivityKeywords,
        *,
        transactional: bool = False,
        instance: object = None,
        stub: bool = False,
        no_thread_cancel_exception: bool = False,
        dynamic: bool = False,
    ) -> None:
        self._no_thread_cancel_exception = no_thread_cancel_exception
        self._dynamic = dynamic
        self._body = body
        self._keywords = keywords
        self._transactional = transactional
        self._instance = instance
        self._stub = stub
        self._call: ActivityCall = body.call(keywords)
        update_wrapper(cast("Callable[..., Any]", self), body.function)

    @property
    def name(self) -> str:
        """The name under which workers know it."""
        return self._body.name

    @property
    def is_transactional(self) -> bool:
        """Whether it runs in a transaction that records its result."""
        return self._transactional

    @property
    def fn(self) -> Callable[..., Any]:
        """The function itself, bound if this is a method of an instance."""
        function: Any = self._body.function
        bound: Callable[..., Any] = function if self._instance is None else function.__get__(self._instance)
        return bound

    # No Any in the result: mypy would see nothing but Any in `asyncio.gather` of several calls.
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, object, R]:
        if context.in_workflow():
            return self._schedule(args, kwargs)
        if self._stub:
            raise NotInWorkflowError(f"{self.name}: activities of a proxy can be called in a workflow only")
        return self._run(args, kwargs)

    def options(self, **keywords: Unpack[ActivityKeywords]) -> Activity[P, R]:
        """The same activity with other options, which go before those it was declared with.

        Raises:
            ConfigurationError: an option is unknown or its value cannot work.
        """
        like: Activity[P, R] = self._like(merge(self._keywords, keywords))
        return like

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Activity[P, R]: ...
    @overload
    def __get__(self: Activity[Concatenate[S, P2], R], instance: S, owner: type[Any] | None = None) -> Activity[P2, R]: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None or self._body.is_static or not self._body.is_method:
            return self
        return self._like(self._keywords, instance=instance)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._body.is_method = not self._body.is_static

    def __repr__(self) -> str:
        return f"<activity {self.name}>"

    def definition(self) -> ActivityDefinition:
        """What a worker runs.

        Raises:
            ConfigurationError: this is a method without its instance, or its parameters cannot be kept.
        """
        body = self._body
        if body.is_method and self._instance is None:
            raise ConfigurationError(f"{name_of(body.function)} is a method; list an instance of its class")
        return ActivityDefinition(
            name=body.name,
            run=self.fn,
            options=self._call.options,
            transactional=self._transactional,
            is_async=body.is_async,
            required_arguments=body.parameters.required,
            types=body.types,
            no_thread_cancel_exception=self._no_thread_cancel_exception,
            dynamic=self._dynamic,
        )

    def proxied(self, keywords: ActivityKeywords) -> Activity[..., Any]:
        """For `proxy_activities`: this activity with the proxy's options, callable in workflows only, without `self`."""
        like: Activity[..., Any] = self._like(merge(self._keywords, keywords), stub=True)
        return like

    def prepare(self, keywords: ActivityKeywords) -> tuple[ActivityCall, Parameters, tuple[tuple[Any, ...], Any]]:
        """For `execute_activity`: what is called, with what, and the types of it."""
        call = self._body.call(merge(self._keywords, keywords)) if keywords else self._call
        return call, self._body.parameters, self._body.types()

    def _like(self, keywords: ActivityKeywords, *, instance: object = None, stub: bool = False) -> Any:
        """A copy. Made for each proxy of each run and each look at a method, so nothing is checked twice."""
        like = object.__new__(type(self))
        like.__dict__.update(self.__dict__)
        like._instance = self._instance if instance is None else instance
        like._stub = stub or self._stub
        if keywords is not self._keywords:
            like._keywords = keywords
            like._call = self._body.call(keywords)
        return like

    async def _schedule(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        body = self._body
        if body.is_method and self._instance is None and not self._stub:
            args = args[1:]                      # Mail.send(mail, "x"): the worker has an instance of its own
        types, result_type = body.types()
        return cast("R", await performing(self.name, self._call, body.parameters.bind(args, kwargs), types, result_type))

    async def _run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        result = self.fn(*args, **kwargs)
        return cast("R", await result if inspect.isawaitable(result) else result)


class _Defn(Protocol):
    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Activity[P, R]: ...


@overload
def defn(fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
@overload
def defn(fn: Callable[P, R], /) -> Activity[P, R]: ...
@overload
def defn(
    *,
    name: str | None = None,
    transactional: bool = False,
    no_thread_cancel_exception: bool = False,
    dynamic: bool = False,
    **keywords: Unpack[ActivityKeywords],
) -> _Defn: ...
def defn(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    transactional: bool = False,
    no_thread_cancel_exception: bool = False,
    dynamic: bool = False,
    **keywords: Unpack[ActivityKeywords],
) -> Any:
    """Declare an activity: a function or method, async or not (then it runs in a thread). Types are kept.

    `name` is what workflows and workers call it, by default the function's name. The other options are defaults for its
    callers. `transactional=True` runs it in a transaction of memflow's own Postgres that also records the result, so that
    effect and result happen together, exactly once; it gets its connection from `connection()`.

    `no_thread_cancel_exception=True` keeps `CancelledError` from being raised in the thread of a sync one that is asked to end;
    it has to look at `is_cancelled()`. `dynamic=True` takes every name that the worker has no other activity for: one parameter,
    a list that gets the arguments as plain JSON values; `info().activity` is the name.

    Raises:
        ConfigurationError: an option is unknown or cannot work, or there is no name.
    """

    def declare(function: Callable[..., Any]) -> Activity[..., Any]:
        body = _Body(function, name, local_names(function, depth=3))
        if transactional and not body.is_async:
            raise ConfigurationError(f"activity {body.name}: a transactional one is async, since its connection is")
        if dynamic and (name is not None or body.parameters.required > 1):
            raise ConfigurationError(f"activity {body.name}: a dynamic one has no name=, and one parameter for all arguments")
        return Activity(
            body,
            merge(keywords),
            transactional=transactional,
            no_thread_cancel_exception=no_thread_cancel_exception,
            dynamic=dynamic,
        )

    return declare if fn is None else declare(fn)


def stub_of(function: Callable[..., Any], keywords: ActivityKeywords, *, is_method: bool) -> Activity[..., Any]:
    """An activity that lives elsewhere: only its name and types are known here, from an undecorated function."""
    body = _Body(function, None, None)
    body.is_method = is_method and not body.is_static
    return Activity(body, keywords, stub=True)
