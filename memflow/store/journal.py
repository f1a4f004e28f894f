"""Journals, read back: what lies on the run's row (input, result, failure) is put where it was spoken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memflow.core.entries import JournalEntry, Row, from_row
from memflow.store.database import Database


async def load_journals(database: Database, runs: Sequence[tuple[int, int]]) -> Mapping[int, list[JournalEntry]]:
    """The entries of each run after the seq given with it. A run without any is not in the answer."""
    rows = await database.fetch("load_journals", [run for run, _ in runs], [after for _, after in runs])
    found: dict[int, list[JournalEntry]] = {}
    for run, seq, turn, at, kind, op, attributes, encoding, data in rows:
        found.setdefault(run, []).append(JournalEntry(seq, turn, at, from_row(Row(kind, op, attributes, encoding, data))))
    return found


async def history(database: Database, run: int) -> list[JournalEntry]:
    """The whole journal of one run."""
    return list((await load_journals(database, [(run, 0)])).get(run, []))
