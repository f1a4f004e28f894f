"""The filter language of lists, as a value: text in, a tree out. The store turns the tree into parameters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Value = str | int | float | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Compare:
    """`field operator value`. `field` is a known column or `record.<path>`; `in` has a tuple of values."""

    field: str
    operator: str                      # = != < <= > >= in ~ is_null
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Both:
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Either:
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Not:
    inner: Filter


Filter = Compare | Both | Either | Not
