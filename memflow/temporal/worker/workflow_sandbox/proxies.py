"""What a workflow's own module sees in place of a restricted module or member: the same thing, whose members are looked at first.

A proxy restricts only what stands in a module of the run whose turn it is. To everybody else, other threads and the libraries
that are handed one among them, it is the thing itself.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from datetime import date
from types import ModuleType
from typing import Any, Protocol

from memflow.core.dialect import Sandbox
from memflow.worker.callers import WRAPPERS, current_sandbox, own_caller

WRAPPERS.add(id(globals()))

Path = tuple[str, ...]
"""A name in parts: `("os", "environ")`."""


class Verdict(Protocol):
    """What a sandbox says of a member of something restricted."""

    path: Path
    wraps: bool
    """Whether its own members are looked at, too."""

    def check(self) -> None:
        """Raise or warn where the member is not to be looked at."""
        ...


class Judge(Sandbox, Protocol):
    """A sandbox that knows its members by path."""

    def judge(self, path: Path, name: str) -> Verdict | None:
        """Of a member `name` of what lies at `path`; None: it is free, and all below it."""
        ...


_PLAIN = (bool, int, float, complex, str, bytes, bytearray, date, BaseException)
_REAL = "memflow_real"
_PATH = "memflow_path"


def restrictable(value: object) -> bool:
    """Whether a value may be seen through a proxy. Classes of exceptions may not: they could not be caught."""
    return value is not None and not isinstance(value, _PLAIN) and not _is_exception(value) and type(value) is not Proxy


def proxied(path: Path, real: Any) -> Any:
    """A proxy, of the kind that `real` needs."""
    return RestrictedModule(path, real) if isinstance(real, ModuleType) else Proxy(path, real)


def unproxied(value: Any) -> Any:
    """What is behind a proxy; anything else as it is."""
    return object.__getattribute__(value, _REAL) if isinstance(value, _ProxyBase) else value


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


class _ProxyBase:
    def __getattribute__(self, name: str) -> Any:
        real = object.__getattribute__(self, _REAL)
        verdict = _verdict(self, name)
        if verdict is None:
            return getattr(real, name)
        verdict.check()
        value = getattr(real, name)
        return proxied(verdict.path, value) if verdict.wraps and restrictable(value) else value

    def __setattr__(self, name: str, value: object) -> None:
        _check(self, name)
        setattr(object.__getattribute__(self, _REAL), name, value)

    def __delattr__(self, name: str) -> None:
        _check(self, name)
        delattr(object.__getattribute__(self, _REAL), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _check(self, "__call__")
        real = object.__getattribute__(self, _REAL)
        made = real(*args, **kwargs)
        if isinstance(real, type) and restrictable(made):  # what is made of a restricted class is as restricted
            return Proxy(object.__getattribute__(self, _PATH), made)
        return made

    def __getitem__(self, key: Any) -> Any:
        real = object.__getattribute__(self, _REAL)
        if not isinstance(key, str):
            return real[key]
        verdict = _verdict(self, key)
        if verdict is None:
            return real[key]
        verdict.check()
        value = real[key]
        return proxied(verdict.path, value) if verdict.wraps and restrictable(value) else value

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, object.__getattribute__(self, _REAL))

    def __subclasscheck__(self, cls: type) -> bool:
        return issubclass(cls, object.__getattribute__(self, _REAL))

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (object.__getattribute__(self, _REAL),)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copy.copy, (object.__getattribute__(self, _REAL),)


def _verdict(proxy: _ProxyBase, name: str) -> Verdict | None:
    sandbox: Any = current_sandbox()  # who meets a proxy is in a sandbox that made some: a `Judge`
    if sandbox is None:
        return None
    verdict: Verdict | None = sandbox.judge(object.__getattribute__(proxy, _PATH), name)
    return None if verdict is None or own_caller(sandbox) is None else verdict


def _check(proxy: _ProxyBase, name: str) -> None:
    verdict = _verdict(proxy, name)
    if verdict is not None:
        verdict.check()


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: operation(unproxied(self), unproxied(other))


def _reflected(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: operation(unproxied(other), unproxied(self))


def _forwarded(operation: Callable[..., Any]) -> Callable[..., Any]:
    def forwarded(self: _ProxyBase, *args: Any) -> Any:
        return operation(unproxied(self), *args)

    return forwarded


def _own_method(name: str) -> Callable[..., Any]:
    def its_own(self: _ProxyBase, *args: Any) -> Any:
        return getattr(unproxied(self), name)(*args)

    return its_own


_ARITHMETIC = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor")
_COMPARED = ("lt", "le", "eq", "ne", "gt", "ge")
_ASKED: dict[str, Callable[..., Any]] = {
    **{"repr": repr, "str": str, "bytes": bytes, "format": format, "hash": hash, "bool": bool, "dir": dir, "len": len},
    **{"iter": iter, "next": next, "reversed": reversed, "int": int, "float": float, "complex": complex, "round": round},
    **{"abs": abs, "neg": operator.neg, "pos": operator.pos, "invert": operator.invert, "index": operator.index},
    **{"trunc": math.trunc, "floor": math.floor, "ceil": math.ceil, "length_hint": operator.length_hint},
    **{"contains": operator.contains, "setitem": operator.setitem, "delitem": operator.delitem},
    **{"copy": copy.copy, "deepcopy": copy.deepcopy},
}
_ITS_OWN = ("enter", "exit", "await", "aiter", "anext", "aenter", "aexit", "fspath")

for _name, _operation in _ASKED.items():
    setattr(_ProxyBase, f"__{_name}__", _forwarded(_operation))
for _name in _COMPARED:
    setattr(_ProxyBase, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in _ARITHMETIC:
    _operation = getattr(operator, f"__{_name}__")
    setattr(_ProxyBase, f"__{_name}__", _binary(_operation))
    setattr(_ProxyBase, f"__r{_name}__", _reflected(_operation))
for _name in _ITS_OWN:
    setattr(_ProxyBase, f"__{_name}__", _own_method(f"__{_name}__"))


class Proxy(_ProxyBase):
    """A restricted member: a function, a class, or what is kept in a module."""

    def __init__(self, path: Path, real: object) -> None:
        object.__setattr__(self, _PATH, path)
        object.__setattr__(self, _REAL, real)


class RestrictedModule(_ProxyBase, ModuleType):
    """A restricted module."""

    def __init__(self, path: Path, real: ModuleType) -> None:
        object.__setattr__(self, _PATH, path)
        object.__setattr__(self, _REAL, real)
        ModuleType.__init__(self, real.__name__, real.__doc__)
