"""What is left out of Temporal's surface answers with what to use instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from memflow.errors import MemflowError


class NotOffered(MemflowError, NotImplementedError):
    """Part of Temporal's API that memflow.temporal leaves out. The message names what to use instead."""

    def __init__(self, name: str, instead: str) -> None:
        self.name = name
        self.instead = instead
        super().__init__(f"not offered by memflow.temporal: {name}; {instead}")


def not_offered(module: str, instead: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__`: `instead` says for each name that is left out what to use."""

    def missing(name: str) -> NoReturn:
        if name in instead:
            short = module.removeprefix("memflow.temporal").lstrip(".")
            raise AttributeError(f"not offered by memflow.temporal: {short}.{name}; {instead[name]}".replace(": .", ": "))
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    missing.left_out = dict(instead)  # type: ignore[attr-defined]  # read by the reference page
    return missing
