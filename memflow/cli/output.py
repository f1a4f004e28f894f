"""How values look in a terminal, and in JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from memflow.core.timeline import duration


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> str:
    """Columns as wide as their widest cell; the last one is as long as it likes."""
    if not rows:
        return empty
    widths = [max(len(str(row[column])) for row in [heads, *rows]) for column in range(len(heads) - 1)]
    lines = ([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]] for row in [heads, *rows])
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def ago(instant: datetime, now: datetime) -> str:
    """A moment seen from now: `12s ago`, `in 3m 5s`."""
    seconds = (now - instant).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def as_json(value: Any) -> Any:
    """What `json.dumps` is to make of values that it does not know."""
    match value:
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
        case Mapping():
            return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # its values are anybody's
        case BaseException():
            return {"type": type(value).__name__, "message": str(value), "cause": value.__cause__}
        case set() | frozenset():
            return sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # as above
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        case _:
            return str(value)
