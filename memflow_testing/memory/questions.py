"""Queries, and what became of updates. Counterpart of `functions/15_questions.sql` and `sql/questions.sql`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.values import Answer, Question, Reply, UpdateKey
from memflow_testing.memory.tables import QuestionRec, Run, Tables

_OTHERS_AFTER = timedelta(seconds=1)
_AGAIN_AFTER = timedelta(seconds=5)
_GIVEN_UP_AFTER = timedelta(minutes=1)


class Questions:
    """Queries under way."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def ask(
        self, id: UUID, workflow_id: str, run_id: str | None, name: str, input: Payload, headers: Mapping[str, str]
    ) -> bool:
        """Leave a query for a worker. False: there is no such run."""
        run = self._tables.find(workflow_id, run_id)
        if run is None:
            return False
        self._tables.questions.setdefault(id, QuestionRec(id, run.id, name, input, self._tables.now(), run.arrived, headers))
        self._tables.ring(f"questions:{run.task_queue}")
        return True

    def take(
        self, worker: int, queues: Sequence[str], types: Sequence[str], limit: int, version: str | None
    ) -> tuple[list[Question], int]:
        """Queries that can be answered now, and how many cannot yet."""
        now = self._tables.now()
        found: list[tuple[QuestionRec, Run]] = []
        for each in self._tables.questions.values():
            run = self._tables.runs.get(each.run)
            if run is None or each.outcome is not None or each.asked_at <= now - _GIVEN_UP_AFTER:
                continue
            if each.taken_at is not None and each.taken_at >= now - _AGAIN_AFTER:
                continue
            known = run.workflow in types or "*" in types
            if run.task_queue in queues and known and (not run.pinned or run.version == version):
                found.append((each, run))
        found.sort(key=lambda pair: (pair[0].asked_at, pair[0].id.bytes))
        ready = [(each, run) for each, run in found[:limit] if self._is_ready(each, run, worker)]
        for each, _ in ready:
            each.taken_at = now
        return [_question(each, run) for each, run in ready], len(found[:limit]) - len(ready)

    def _is_ready(self, each: QuestionRec, run: Run, worker: int) -> bool:
        """Whether all that came before the question is read, and nobody else has the run in memory (for a second)."""
        holder = worker if run.wake is None else run.wake.owner or run.wake.prefers or worker
        begun = run.length > 0
        read = not run.status.is_open or (begun and (run.status is Status.PAUSED or run.consumed >= each.arrived))
        return read and (holder == worker or each.asked_at < self._tables.now() - _OTHERS_AFTER)

    def answer(self, answers: Sequence[Answer]) -> None:
        """The first answer counts."""
        for each in answers:
            found = self._tables.questions.get(each.id)
            if found is not None and found.outcome is None:
                found.outcome, found.answer = each.outcome, each.payload
        self._tables.ring("reply")

    def answers(self, ids: Sequence[UUID]) -> list[Answer]:
        """Those of these queries that are answered."""
        found = (self._tables.questions.get(id) for id in ids)
        return [Answer(each.id, each.outcome, each.answer) for each in found if each is not None and each.outcome is not None]

    def knows_update(self, key: UpdateKey) -> bool:
        """Whether the update was ever sent."""
        tables = self._tables
        return (key.chain, f"update:{key.update_id}") in tables.requests or (key.chain, key.update_id) in tables.replies

    def replies(self, updates: Sequence[UpdateKey]) -> list[Reply]:
        """How far updates are, in the order given."""
        return [self._reply(each) for each in updates]

    def _reply(self, key: UpdateKey) -> Reply:
        run = self._tables.latest.get(key.workflow_id)
        open = run is not None and run.first_run_id == key.chain and run.status.is_open
        found = self._tables.replies.get((key.chain, key.update_id))
        return Reply(None, None, open) if found is None else Reply(found.outcome, found.payload, open)


def _question(each: QuestionRec, run: Run) -> Question:
    return Question(
        each.id, each.name, each.input, run.id, run.workflow_id, run.run_id, run.workflow, run.task_queue, run.length,
        run.started_at, dict(run.headers), run.attempt, run.first_run_id, run.parent_workflow_id, run.parent_run_id,
        run.continued_run_id, run.memo, run.search, run.origins, each.headers,
    )
