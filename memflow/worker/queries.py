"""Answers queries: from a run in memory, from a suspended one, or from one rebuilt from its journal. Nothing of a run changes.

What is not durable yet is not told: a run with unsaved turns is asked when their commit has won.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from memflow.codec import Codec
from memflow.core.definition import RunInfo
from memflow.core.journal import rebuild
from memflow.core.replay import Replay
from memflow.errors import PayloadError
from memflow.failure import encode_failure, failure_of
from memflow.store.base import Answer, Question, Store
from memflow.worker.cache import Cache
from memflow.worker.registry import Registry
from memflow.worker.resident import Resident
from memflow.worker.watchdog import Watchdog

log = logging.getLogger(__name__)

QUESTIONS = 100
"""Queries taken at once. Each may rebuild a run, so few enough that the others' turns are not kept waiting."""

FIRST_PAUSE = 0.01
"""Seconds until the next look at queries that cannot be answered yet, doubled each time: their run is about to read its mail."""


class Queries:
    """What was asked and can be answered here."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        registry: Registry,
        cache: Cache,
        residents: dict[int, Resident],
        watchdog: Watchdog,
        ring: Callable[[], None],
    ) -> None:
        self._store = store
        self._codec = codec
        self._registry = registry
        self._cache = cache
        self._residents = residents
        self._watchdog = watchdog
        self._ring = ring
        self._answers: list[Answer] = []
        self._pause = FIRST_PAUSE

    async def look(self, worker: int, task_queue: str, *, rung: bool) -> float | None:
        """Take queries and answer them. Returns in how many seconds to look again; None: when it rings, or as usual."""
        await self._send()
        types = list(self._registry.workflows)
        taken, pending = await self._store.take_questions(worker, task_queues=[task_queue], types=types, limit=QUESTIONS)
        await self._answer(taken)
        await self._send()
        if len(taken) == QUESTIONS:
            return 0.0
        if rung or not pending:
            self._pause = FIRST_PAUSE
        if not pending:
            return None
        pause, self._pause = self._pause, self._pause * 2
        return pause

    def saved(self, resident: Resident) -> None:
        """A commit of this run has won: what was asked meanwhile can be answered now."""
        waiting, resident.questions = resident.questions, []
        self._answers.extend(self._ask(resident.replay, question) for question in waiting)
        self._ring()

    async def _send(self) -> None:
        if self._answers:
            answers, self._answers = self._answers, []
            await self._store.answer_questions(answers)

    async def _answer(self, questions: Sequence[Question]) -> None:
        cold: list[Question] = []
        for question in questions:
            resident = self._residents.get(question.run)
            if resident is None:
                suspended = self._cache.take(question.run, question.length)
                if suspended is None:
                    cold.append(question)
                else:
                    self._answers.append(self._ask(suspended.replay, question))
                    self._cache.keep(question.run, suspended)
            elif resident.unsaved:
                resident.questions.append(question)
            else:
                self._answers.append(self._ask(resident.replay, question))
        if cold:
            await self._answer_cold(cold)

    async def _answer_cold(self, questions: Sequence[Question]) -> None:
        journals = await self._store.load_journals([(run, 0) for run in dict.fromkeys(each.run for each in questions)])
        rebuilt: dict[int, Replay] = {}
        try:
            for question in questions:
                try:
                    if question.run not in rebuilt:
                        entries = journals.get(question.run, [])
                        if isinstance(entries, PayloadError):
                            raise entries
                        with self._watchdog.turn(question.workflow_id):
                            rebuilt[question.run] = rebuild(
                                self._registry.workflows[question.workflow],
                                _info(question, self._store.namespace),
                                self._codec,
                                entries,
                            )
                except Exception as error:
                    self._answers.append(self._failed(question, error.__cause__ or error))
                else:
                    self._answers.append(self._ask(rebuilt[question.run], question))
                await asyncio.sleep(0)                   # a long journal must not hold up everything else
        finally:
            for replay in rebuilt.values():
                replay.close()

    def _ask(self, replay: Replay, question: Question) -> Answer:
        try:
            with self._watchdog.turn(question.workflow_id):
                return Answer(question.id, "answered", replay.query(question.name, question.input, question.asked_headers))
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # user code is called: an error is its answer
            return self._failed(question, error)

    def _failed(self, question: Question, error: BaseException) -> Answer:
        log.info(
            "a query failed",
            exc_info=error,
            extra={"workflow_id": question.workflow_id, "run_id": question.run_id, "query": question.name},
        )
        return Answer(question.id, "failed", encode_failure(failure_of(error, self._codec)))


def _info(question: Question, namespace: str) -> RunInfo:
    return RunInfo(
        namespace,
        question.workflow_id,
        question.run_id,
        question.workflow,
        question.task_queue,
        question.started_at,
        question.attempt,
        question.first_run_id,
        question.parent_workflow_id,
        question.parent_run_id,
        dict(question.headers),
    )
