"""Methods of restricted classes, watched where they live: a class behind a proxy would fail in `match`, hints and schemas."""

from __future__ import annotations

import ctypes
import functools
import gc
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

from memflow.core.replay import CURRENT
from memflow.temporal.worker.workflow_sandbox.matching import SandboxMatcher
from memflow.temporal.worker.workflow_sandbox.proxies import Path
from memflow.worker.callers import WRAPPERS, check
from memflow.worker.guard import WATCHED

WRAPPERS.add(id(globals()))

_UNBOUND: tuple[type[Any], ...] = (classmethod, staticmethod)
_watched: set[tuple[type, str]] = {*WATCHED}


def watched_in_place(matcher: SandboxMatcher, value: object) -> bool:
    """Whether a class needs no proxy: only methods of it are restricted, and only their use."""
    names = matcher.use
    return (
        isinstance(value, type)
        and bool(names)
        and not (matcher.match_self or matcher.access or matcher.children)
        and names.isdisjoint({"*", "__call__"})
        and all(callable(getattr(value, name, len)) for name in names)
    )


def watch(root: SandboxMatcher) -> None:
    """Watch the methods of restricted classes in the modules loaded so far."""
    for path, matcher in branches(root):
        kind = _found(path)
        if kind is not None and watched_in_place(matcher, kind):
            for name in matcher.use:
                if (kind, name) not in _watched and hasattr(kind, name):
                    _watched.add((kind, name))
                    _watch(kind, name, ".".join((*path, name, "__call__")))


def branches(matcher: SandboxMatcher, path: Path = ()) -> Iterator[tuple[Path, SandboxMatcher]]:
    """All that a matcher names, by path."""
    for name, child in matcher.children.items():
        yield (*path, name), child
        yield from branches(child, (*path, name))


def _found(path: Path) -> Any:
    """What lies at a path, if its module is loaded."""
    for end in range(len(path) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(path[:end]))
        if found is not None:
            for name in path[end:]:
                found = inspect.getattr_static(found, name, None)
            return found
    return None


def _watch(kind: type, name: str, call: str) -> None:
    member: Any = inspect.getattr_static(kind, name)
    made: Any
    if isinstance(member, _UNBOUND):
        made = type(member)(_checking(member.__func__, call))
    elif inspect.isfunction(member) or inspect.ismethoddescriptor(member):
        made = _checking(member, call)
        if type(member).__name__ == "classmethod_descriptor":  # a class method in C, which wants its class
            made = classmethod(_checking(_bound(member), call))
    else:
        made = None
    if made is None:
        return
    try:
        setattr(kind, name, made)
    except TypeError:  # a type made in C: through its dict, as the guard's clocks
        if sys.implementation.name == "cpython":
            namespace: dict[str, Any]
            (namespace,) = gc.get_referents(kind.__dict__)
            namespace[name] = made
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _bound(member: Any) -> Callable[..., Any]:
    @functools.wraps(member)
    def bound(cls: type, *args: Any, **kwargs: Any) -> Any:
        return member.__get__(None, cls)(*args, **kwargs)

    return bound


def _checking(real: Callable[..., Any], call: str) -> Callable[..., Any]:
    """`real`, except that the run's sandbox is asked first."""

    @functools.wraps(real)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None:
            check(call)
        return real(*args, **kwargs)

    return checked
