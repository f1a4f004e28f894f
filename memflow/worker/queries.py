"""Answers queries: from a run in memory, from a suspended one, or from one rebuilt from its journal. Nothing of a run changes.

What is not durable yet is not told: a run with unsaved turns is asked when their commit has won.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from memflow.codec import Codec
from memflow.core.definition import Definition, RunInfo
from memflow.core.journal import rebuild
from memflow.core.replay import Replay
from memflow.errors import PayloadError
from memflow.failure import encode_failure, failure_of
from memflow.store.base import Store
from memflow.store.values import Answer, Question
from memflow.worker.cache import Cache
from memflow.worker.registry import Registry
from memflow.worker.resident import Resident
from memflow.worker.watchdog import Watchdog

log = logging.getLogger(__name__)

QUESTIONS = 100
"""Queries taken at once. Each may rebuild a run, so few enough that the others' turns are not kept waiting."""

FIRST_PAUSE = 0.01
"""Seconds until the next look at queries that cannot be answered yet, doubled each time: their run is about to read its mail."""


ENDED_KEPT = 20
"""Ended runs that are kept rebuilt, the last to be asked about: a dashboard asks the same one several things."""


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
        *,
        version: str | None = None,
    ) -> None:
        self._store = store
        self._codec = codec
        self._registry = registry
        self._cache = cache
        self._residents = residents
        self._watchdog = watchdog
        self._ring = ring
        self._version = version
        self._ended: OrderedDict[int, Replay] = OrderedDict()
        self._answers: list[Answer] = []
        self._pause = FIRST_PAUSE

    async def look(self, worker: int, task_queue: str, *, rung: bool) -> float | None:
        """Take queries and answer them. Returns in how many seconds to look again; None: when it rings, or as usual."""
        await self._send()
        types = list(self._registry.workflows)
        taken, pending = await self._store.take_questions(
            worker, task_queues=[task_queue], types=types, limit=QUESTIONS, version=self._version
        )
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
            ended = self._ended.get(question.run)
            if ended is not None:
                self._ended.move_to_end(question.run)
                self._answers.append(self._ask(ended, question))
            elif resident is None:
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
                                _known(self._registry, question.workflow),
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
            for run, replay in rebuilt.items():
                self._keep_ended(run, replay)

    def _keep_ended(self, run: int, replay: Replay) -> None:
        """A run that has ended stays as it is, so that the next question need not rebuild it; any other is closed."""
        if not replay.finished or run in self._ended:
            replay.close()
            return
        self._ended[run] = replay
        while len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)[1].close()

    def close(self) -> None:
        """Let go of what was kept."""
        while self._ended:
            self._ended.popitem()[1].close()

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
        question.continued_run_id,
        question.record,
        question.memo,
        tuple(question.origins),
        handed_on=question.handed_on,
    )


def _known(registry: Registry, workflow: str) -> Definition:
    found = registry.workflow(workflow)
    assert found is not None, "only questions to known types are taken"
    return found
