"""A journal's entries: arrivals and interrupts in the order spoken, and how each looks as a row.

`kind` names the class in snake_case (`activity_completed`). A row holds the op, one payload at most, and the rest as a
small JSON object. Rows written by older versions of the library must read for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from memflow.core.arrivals import Arrival
from memflow.core.interrupts import Interrupt

Entry = Arrival | Interrupt


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored. `attributes` is a JSON object as text, or None when there is nothing to say."""

    kind: str
    op: int | None
    attributes: str | None
    encoding: str | None
    data: bytes | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One entry at its place: `seq` is dense from 1, `turn` numbers the turn it belongs to, `at` is that turn's time."""

    seq: int
    turn: int
    at: datetime
    entry: Entry
