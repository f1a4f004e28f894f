"""Signals by id: for whoever waits, else kept for the first who will."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memflow.store.database import Database
from memflow.store.values import Sent, ToSignalId


async def signal(database: Database, signals: Sequence[ToSignalId], *, connection: Any = None) -> list[Sent]:
    """Send signals by id; several to one id are given in their order, to those who wait in the order they began."""
    answers: list[Sent | None] = [None] * len(signals)
    for namespace in dict.fromkeys(each.namespace for each in signals):
        members = [n for n, each in enumerate(signals) if each.namespace == namespace]
        batch = [signals[n] for n in members]
        row = await database.row(
            "signal_ids",
            namespace,
            [each.signal_id for each in batch],
            [each.payload.encoding for each in batch],
            [each.payload.data for each in batch],
            [each.expire for each in batch],
            [each.request_id for each in batch],
            connection=connection,
            repeat=all(each.request_id is not None for each in batch),
        )
        assert row is not None, "the function always gives one row"
        for n, outcome in zip(members, row["outcomes"], strict=True):
            answers[n] = Sent(outcome)
    return [answer for answer in answers if answer is not None]
