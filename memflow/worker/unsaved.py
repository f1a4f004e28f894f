"""What turns have asked and no commit has made durable yet."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from memflow.core.entries import JournalEntry
from memflow.core.interrupts import ScheduleActivity, Trace
from memflow.payload import Payload
from memflow.store.turns import Effect

Marks = tuple[int, ...]


NO_MARKS: Final[Marks] = (0,) * 8
"""Where the lists end while all are empty."""


class Unsaved:
    """Grows turn by turn, is emptied by a won commit, and can be cut back to where a turn began.

    Not a dataclass: one is made with each commit, and the factories of eight lists would cost three times the lists.
    """

    __slots__ = ("cancelled", "dropped", "effects", "entries", "memos", "records", "scheduled", "traces")

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.effects: list[Effect] = []
        self.scheduled: list[tuple[ScheduleActivity, datetime]] = []
        self.cancelled: list[int] = []
        self.dropped: list[int] = []
        self.traces: list[Trace] = []
        self.records: list[Payload | None] = []              # as each turn that wrote left it
        self.memos: list[Payload | None] = []

    def marks(self) -> Marks:
        """Where each list ends now."""
        if not (self.entries or self.effects or self.dropped):
            return NO_MARKS                                  # the others never hold anything without an entry
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
