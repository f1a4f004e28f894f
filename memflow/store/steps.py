"""Commits of turns that only add to their journal, by a statement of their own; see functions/34_commit_steps.sql.

A run that works through a sequence of activities commits little else, and waits for each commit: what the general statement
spends on parts that are empty would be a third of its time (measured: 0.37 ms of Postgres per step, 0.2 with this one; a single
turn of a single run has one of its own again).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memflow.runs import Status
from memflow.store.database import Database
from memflow.store.rows import JOURNAL_WORDS, columns, journal_row, text_of
from memflow.store.turns import Committed, TurnCommit

_MEMBER_WORDS = frozenset({0, 2, 3, 4, 5})
"""Run, length, consumed, how many entries, turn."""


def is_step(turn: TurnCommit) -> bool:
    """Whether a turn adds entries to its journal and asks for nothing else."""
    return not turn.release and turn.status is Status.RUNNING and leaves_entries_alone(turn)


def leaves_entries_alone(turn: TurnCommit) -> bool:
    """Whether nothing comes of a turn, besides how its run stands, but entries of its journal."""
    return (
        bool(turn.entries)
        and turn.version is None
        and turn.detail is None
        and turn.retries == 0
        and turn.record is None
        and turn.memo is None
        and not turn.activities
        and not turn.effects
        and not turn.cancelled_activities
        and not turn.dropped_activities
        and not turn.mail
    )


async def commit_steps(database: Database, worker: int, turns: Sequence[TurnCommit]) -> list[Committed]:
    """Make such turns durable. They are in the order of their runs. Who did not win counts as fenced off: why, nobody looked."""
    if len(turns) == 1 and turns[0].entries[0].turn == turns[0].entries[-1].turn:
        return [await _commit_step(database, worker, turns[0])]
    members: list[tuple[Any, ...]] = []
    journal: list[tuple[Any, ...]] = []
    for member, turn in enumerate(turns, start=1):
        last = turn.entries[-1]
        members.append((turn.run, turn.token, turn.length, turn.consumed, len(turn.entries), last.turn, last.at))
        for each in turn.entries:
            journal.append((member, *journal_row(each)))
    answer = await database.row(
        "commit_steps",
        worker,
        *columns(members, 7, _MEMBER_WORDS),
        *columns(journal, 9, JOURNAL_WORDS),
        repeat=False,
    )
    assert answer is not None, "the function always gives one row"
    won: dict[int, int] = dict(zip(answer["members"], answer["arrived"], strict=True)) if answer["members"] else {}
    return [
        Committed(turn.run, "won" if member in won else "fenced", won.get(member, 0), member not in won)
        for member, turn in enumerate(turns, start=1)
    ]


async def _commit_step(database: Database, worker: int, turn: TurnCommit) -> Committed:
    rows = [journal_row(each) for each in turn.entries]
    _, number, at, _, _, _, _, _ = rows[0]
    _, _, _, kinds, ops, attributes, encodings, data = zip(*rows, strict=True)
    answer = await database.row(
        "commit_step",
        worker,
        turn.run,
        turn.token,
        turn.length,
        turn.consumed,
        number,
        at,
        text_of(kinds),
        text_of(ops),
        attributes,
        None if encodings.count(None) == len(encodings) else encodings,
        data,
        repeat=False,
    )
    assert answer is not None, "the function always gives one row"
    arrived = answer["arrived"]
    return Committed(turn.run, "fenced", 0, True) if arrived is None else Committed(turn.run, "won", arrived, False)
