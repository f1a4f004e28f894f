"""What a decorated function takes and returns: its parameters in order, its type hints, and how a call becomes a list."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memflow.errors import ConfigurationError

_EMPTY: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a function as a caller sees them: without `self`, each by position or name."""

    function: str
    names: tuple[str, ...]
    required: int
    defaults: tuple[Any, ...]

    def bind(self, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Sequence[Any]:
        """A call as a list of arguments. Defaults before the last one given are filled in.

        Raises:
            TypeError: the call does not fit, as Python itself would say.
        """
        if not keywords and self.required <= len(arguments) <= len(self.names):
            return arguments
        if len(arguments) > len(self.names):
            raise TypeError(f"{self.function}() takes {self._count()}, {len(arguments)} were given")
        given = dict(zip(self.names, arguments, strict=False))
        for name, value in keywords.items():
            if name not in self.names:
                raise TypeError(f"{self.function}() has no parameter {name!r}; it has {', '.join(self.names) or 'none'}")
            if name in given:
                raise TypeError(f"{self.function}() got two values for {name!r}")
            given[name] = value
        missing = [name for name in self.names[: self.required] if name not in given]
        if missing:
            raise TypeError(f"{self.function}() takes {self._count()}, {', '.join(missing)} {_is(missing)} missing")
        last = max((at for at, name in enumerate(self.names) if name in given), default=-1)
        return [
            given[name] if name in given else self.defaults[at - self.required]
            for at, name in enumerate(self.names[: last + 1])
        ]

    def _count(self) -> str:
        most = len(self.names)
        count = str(most) if self.required == most else f"{self.required} to {most}"
        return f"{count} argument{'' if count == '1' else 's'} ({', '.join(self.names)})" if most else "no arguments"


def parameters_of(function: Callable[..., Any], *, what: str, skip_self: bool) -> Parameters:
    """Read a function's parameters.

    Raises:
        ConfigurationError: it has parameters that a list of arguments cannot fill.
    """
    label = name_of(function)
    listed = list(inspect.signature(function).parameters.values())
    if skip_self:
        if not listed or listed[0].kind not in (listed[0].POSITIONAL_ONLY, listed[0].POSITIONAL_OR_KEYWORD):
            raise ConfigurationError(f"{what} {label}: a method needs `self` as its first parameter")
        listed = listed[1:]
    for parameter in listed:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            # As Python writes it: "*names", "**options"; a keyword-only one has no mark of its own.
            shown = str(parameter.replace(annotation=_EMPTY, default=_EMPTY))
            wrong = f"the keyword-only {shown}" if parameter.kind is parameter.KEYWORD_ONLY else shown
            raise ConfigurationError(
                f"{what} {label}: {wrong} cannot be kept, since arguments are stored as a list;"
                " use plain parameters, or one parameter that is a dataclass, list or dict"
            )
    defaults = tuple(parameter.default for parameter in listed if parameter.default is not _EMPTY)
    return Parameters(label, tuple(parameter.name for parameter in listed), len(listed) - len(defaults), defaults)


def hints_of(
    function: Callable[..., Any], parameters: Parameters, local_names: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], Any]:
    """The declared types of the parameters and of the result; Any where none is declared.

    Raises:
        ConfigurationError: a hint names something that cannot be found.
    """
    target: Any = inspect.unwrap(getattr(function, "__func__", function))
    try:
        hints = typing.get_type_hints(target, localns=None if local_names is None else dict(local_names), include_extras=True)
    except NameError as missing:
        raise ConfigurationError(
            f"{parameters.function}: its type hints name {missing.name!r}, which cannot be found;"
            " import it at the top of the module, not under TYPE_CHECKING"
        ) from None
    return tuple(hints.get(name, Any) for name in parameters.names), hints.get("return", Any)


def local_names(function: Callable[..., Any], *, depth: int) -> Mapping[str, Any] | None:
    """Names of the function that a local function is defined in, for its hints; None for one of a module."""
    if "<locals>" not in getattr(function, "__qualname__", ""):
        return None
    return dict(sys._getframe(depth).f_locals)  # pyright: ignore[reportPrivateUsage]  # `inspect` would walk all frames


def name_of(function: Callable[..., Any]) -> str:
    """The name of a function for messages."""
    name: str = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or repr(function)
    return name.rpartition("<locals>.")[2]


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
