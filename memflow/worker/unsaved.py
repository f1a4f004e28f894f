"""What turns have asked and no commit has made durable yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from memflow.core.entries import JournalEntry
from memflow.core.interrupts import ScheduleActivity, Trace
from memflow.payload import Payload
from memflow.store.turns import Effect

Marks = tuple[int, ...]


def empty() -> list[Any]:
    """The default of a list made once or more per commit: calling `list[Trace]` costs ten times a `list`."""
    return []


@dataclass(slots=True)
class Unsaved:
    """Grows turn by turn, is emptied by a won commit, and can be cut back to where a turn began."""

    entries: list[JournalEntry] = field(default_factory=empty)
    effects: list[Effect] = field(default_factory=empty)
    scheduled: list[tuple[ScheduleActivity, datetime]] = field(default_factory=empty)
    cancelled: list[int] = field(default_factory=empty)
    dropped: list[int] = field(default_factory=empty)
    traces: list[Trace] = field(default_factory=empty)
    records: list[Payload | None] = field(default_factory=empty)  # as each turn that wrote left it
    memos: list[Payload | None] = field(default_factory=empty)

    def marks(self) -> Marks:
        """Where each list ends now."""
        # Spelled out: this runs once a turn.
        return (
            len(self.entries),
            len(self.effects),
            len(self.scheduled),
            len(self.cancelled),
            len(self.dropped),
            len(self.traces),
            len(self.records),
            len(self.memos),
        )

    def cut(self, marks: Marks) -> None:
        """Forget what came after `marks`."""
        for each, mark in zip(self._lists(), marks, strict=True):
            del each[mark:]

    def _lists(self) -> tuple[list[Any], ...]:
        return self.entries, self.effects, self.scheduled, self.cancelled, self.dropped, self.traces, self.records, self.memos
