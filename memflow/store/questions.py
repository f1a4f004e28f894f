"""Queries and their answers, and what became of updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from memflow.payload import Payload
from memflow.store.database import Database
from memflow.store.rows import data_of, encoding_of, headers_of, headers_text, origins_of, payload, payload_or_nothing
from memflow.store.values import Answer, Question, Reply, UpdateKey

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def ask_question(
    database: Database,
    namespace: str,
    id: UUID,
    workflow_id: str,
    run_id: str | None,
    name: str,
    input: Payload,
    headers: Mapping[str, str] = NO_HEADERS,
) -> bool:
    """Leave a query for a worker. False: there is no such run."""
    row = await database.row(
        "ask_question", id, namespace, workflow_id, run_id, name, input.encoding, input.data, headers_text(headers)
    )
    return row is not None and bool(row["asked"])


async def take_questions(
    database: Database, *, worker: int, namespace: str, task_queues: Sequence[str], types: Sequence[str], limit: int,
    version: str | None,
) -> tuple[list[Question], int]:
    """Queries that can be answered now, and how many cannot yet."""
    rows = await database.fetch("take_questions", worker, namespace, list(task_queues), list(types), limit, version)
    taken = [
        Question(
            row["id"],
            row["name"],
            payload_or_nothing(row["data"], row["encoding"]),
            row["run"],
            row["workflow_id"],
            row["run_id"],
            row["workflow"],
            row["task_queue"],
            row["length"],
            row["started_at"],
            headers_of(row["headers"]),
            row["attempt"],
            row["first_run_id"],
            row["parent_workflow_id"],
            row["parent_run_id"],
            row["continued_run_id"],
            payload(row["memo"], row["memo_encoding"]),
            payload(row["search"], row["search_encoding"]),
            origins_of(row["origins"]),
            headers_of(row["asked_headers"]),
        )
        for row in rows
        if row["id"] is not None
    ]
    return taken, rows[0]["pending"]


async def answer_questions(database: Database, namespace: str, answers: Sequence[Answer]) -> None:
    """Answer queries, and ring those who wait."""
    await database.fetch(
        "answer_questions",
        namespace,
        [each.id for each in answers],
        [each.outcome for each in answers],
        [encoding_of(each.payload) for each in answers],
        [data_of(each.payload) for each in answers],
    )


async def answers(database: Database, ids: Sequence[UUID]) -> list[Answer]:
    """Those of these queries that are answered."""
    rows = await database.fetch("answers", list(ids))
    return [Answer(row["id"], row["outcome"], payload(row["answer"], row["answer_encoding"])) for row in rows]


async def knows_update(database: Database, namespace: str, update: UpdateKey) -> bool:
    """Whether the update was ever sent."""
    row = await database.row("knows_update", namespace, update.chain, update.update_id)
    return row is not None and bool(row["known"])


async def replies(database: Database, namespace: str, updates: Sequence[UpdateKey]) -> list[Reply]:
    """How far updates are, in the order given."""
    rows = await database.fetch(
        "replies",
        namespace,
        [each.workflow_id for each in updates],
        [each.chain for each in updates],
        [each.update_id for each in updates],
    )
    return [Reply(row["outcome"], payload(row["data"], row["encoding"]), row["open"]) for row in rows]
