"""Inboxes: leave arrivals for runs, read what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from memflow.core.arrivals import CancelRequested
from memflow.core.entries import to_row
from memflow.runs import Status
from memflow.store.database import Database
from memflow.store.rows import arrival_of, columns
from memflow.store.turns import Mail
from memflow.store.values import Sent, ToRun

SEND_COLUMNS = 8


async def send(
    database: Database, messages: Sequence[ToRun], *, connection: Any = None, patient: bool = False
) -> list[Sent]:
    """Leave messages in the inboxes of runs; those to one run keep their order.

    `patient`: the sender comes again if one is busy.
    """
    answers: list[Sent | None] = [None] * len(messages)
    for namespace in dict.fromkeys(message.namespace for message in messages):
        members = [n for n, message in enumerate(messages) if message.namespace == namespace]
        batch = [messages[n] for n in members]
        # Asking twice to cancel is asking once.
        repeat = all(message.request_id is not None or isinstance(message.arrival, CancelRequested) for message in batch)
        rows = await database.fetch(
            "send", namespace, *columns(_send_rows(batch), SEND_COLUMNS), patient, connection=connection, repeat=repeat
        )
        for n, row in zip(members, rows, strict=True):
            answers[n] = Sent(row["outcome"], None if row["status"] is None else Status(row["status"]), row["chain"])
    return [answer for answer in answers if answer is not None]


def _send_rows(messages: Sequence[ToRun]) -> Iterator[tuple[Any, ...]]:
    for message in messages:
        yield message.workflow_id, message.run_id, *message_row(message)


def message_row(message: ToRun) -> tuple[Any, ...]:
    """A message's own columns, without those of its target."""
    row = to_row(message.arrival)
    return row.kind, row.op, row.attributes, row.encoding, row.data, message.request_id


async def read_inbox(database: Database, runs: Sequence[tuple[int, int]], *, limit: int) -> list[Mail]:
    """Mail of each run after the position given with it: by run, in order."""
    rows = await database.fetch("read_inbox", [run for run, _ in runs], [after for _, after in runs], limit)
    return [Mail(run, position, arrival_of(*rest)) for run, position, *rest in rows]


async def owned_with_mail(database: Database, worker: int) -> list[int]:
    """Runs of this worker to which something came since their last commit."""
    return [row["run"] for row in await database.fetch("owned_with_mail", worker)]
