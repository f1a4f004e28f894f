"""`proxy_activities`: activities of a module, class, instance or Protocol, or single ones, under common options."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import Any, ParamSpec, TypeVar, cast, overload

from typing_extensions import Unpack

from memflow.activity import Activity, stub_of
from memflow.errors import ConfigurationError
from memflow.scheduling import ActivityKeywords, merge
from memflow.workflow.activities import as_activity

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=ModuleType)
AnyActivity = Callable[..., Any]
A1 = TypeVar("A1", bound=Callable[..., Any])
A2 = TypeVar("A2", bound=Callable[..., Any])
A3 = TypeVar("A3", bound=Callable[..., Any])
A4 = TypeVar("A4", bound=Callable[..., Any])


@overload
def proxy_activities(target: M, /, **keywords: Unpack[ActivityKeywords]) -> M: ...
@overload
def proxy_activities(target: Activity[P, R], /, **keywords: Unpack[ActivityKeywords]) -> Activity[P, R]: ...
@overload
def proxy_activities(target: Callable[P, Coroutine[Any, Any, R]], /, **keywords: Unpack[ActivityKeywords]) -> Activity[P, R]: ...
@overload  # classes and Protocols: `type[T]` would do for classes, but mypy lets no Protocol through it
def proxy_activities(target: Callable[..., T], /, **keywords: Unpack[ActivityKeywords]) -> T: ...
@overload
def proxy_activities(first: A1, second: A2, /, **keywords: Unpack[ActivityKeywords]) -> tuple[A1, A2]: ...
@overload
def proxy_activities(first: A1, second: A2, third: A3, /, **keywords: Unpack[ActivityKeywords]) -> tuple[A1, A2, A3]: ...
@overload
def proxy_activities(
    first: A1, second: A2, third: A3, fourth: A4, /, **keywords: Unpack[ActivityKeywords]
) -> tuple[A1, A2, A3, A4]: ...
@overload
def proxy_activities(target: T, /, **keywords: Unpack[ActivityKeywords]) -> T: ...
@overload
def proxy_activities(
    first: AnyActivity,
    second: AnyActivity,
    third: AnyActivity,
    fourth: AnyActivity,
    fifth: AnyActivity,
    /,
    *more: AnyActivity,
    **keywords: Unpack[ActivityKeywords],
) -> tuple[Any, ...]: ...
def proxy_activities(*targets: Any, **keywords: Unpack[ActivityKeywords]) -> Any:
    """Activities under common options, callable in a workflow, typed as what they stand for.

    One target is a module, a class, an instance or a Protocol (the result has its activities as attributes), or one function.
    Several functions give a tuple in the same order. Functions need not be decorated: of stubs, name and hints count.
    May be called anywhere, also at the top of a module. Options given here go before those of `@activity.defn`.

    Raises:
        ConfigurationError: an option is unknown or cannot work, or a target is no activity.
    """
    checked = merge(keywords)
    if len(targets) == 0:
        raise ConfigurationError("proxy_activities: say which activities: a module, a class, an instance, or functions")
    if len(targets) > 1:
        return tuple(_one(target, checked) for target in targets)
    return _only(targets[0], checked)


def _only(target: Any, keywords: ActivityKeywords) -> Any:
    if isinstance(target, Activity) or inspect.isroutine(target):
        return _one(target, keywords)
    return ActivityProxy(target, keywords)


def _one(target: Any, keywords: ActivityKeywords) -> Activity[..., Any]:
    return as_activity(target).proxied(keywords)


class ActivityProxy:
    """Looks up activities of a module, class or instance as attributes, and gives them the options of the proxy."""

    def __init__(self, target: Any, keywords: ActivityKeywords) -> None:
        self._target = target
        self._keywords = keywords
        self._label = getattr(target, "__name__", type(target).__name__)

    def __getattr__(self, name: str) -> Activity[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = inspect.getattr_static(self._target, name)
        except AttributeError:
            raise AttributeError(self._unknown(name)) from None
        activity = self._proxied(name, found)
        self.__dict__[name] = activity               # found without __getattr__ from now on
        return activity

    def __repr__(self) -> str:
        return f"<activities of {self._label}>"

    def _proxied(self, name: str, found: Any) -> Activity[..., Any]:
        if isinstance(found, Activity):
            return cast("Activity[..., Any]", found).proxied(self._keywords)
        if isinstance(found, staticmethod):
            function: Any = cast("staticmethod[..., Any]", found).__func__
            return _one(function, self._keywords)
        if not inspect.isfunction(found):
            raise AttributeError(f"{self._label}.{name} is no activity but {type(found).__name__}")
        if isinstance(self._target, ModuleType):
            return _one(found, self._keywords)
        if not inspect.iscoroutinefunction(found):
            # Types would let it be called without `await`, and then nothing would happen.
            raise ConfigurationError(f"{self._label}.{name} is awaited in a workflow: declare it `async def`, or decorate it")
        return stub_of(found, self._keywords, is_method=True)

    def _unknown(self, name: str) -> str:
        names = [each for each in dir(self._target) if not each.startswith("_")]
        near = difflib.get_close_matches(name, names, 3)
        return f"{self._label} has no activity {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
