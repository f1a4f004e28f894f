"""The local activities of one run: they run in the worker that holds it, and nowhere else.

While one runs, or rests for a short backoff, its run is held. What must outlive this worker is kept as a row that nobody can
claim, since its queue has no name: the attempts begun, the last failure, and when the next attempt is due. A longer backoff is
such a row alone, and wakes the run like a timer. After a lost owner each attempt is counted there before it begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from memflow.activity import ActivityDefinition
from memflow.core.interrupts import ScheduleActivity
from memflow.failure import Failure, encode_failure
from memflow.payload import Payload
from memflow.store.turns import ActivityRow
from memflow.worker import verdicts
from memflow.worker.jobs import Ending, Errand, HandBack, Job, TryAgain

NOBODYS_QUEUE = ""
"""No worker can serve it: names of queues are not empty."""


class Host(Protocol):
    """What is to be known of the worker."""

    def now(self) -> datetime:
        """The database's time."""
        ...

    def knows(self, activity: str) -> ActivityDefinition | None:
        """The activity, if this worker could run it at all."""
        ...


class Run(Protocol):
    """The run they belong to."""

    def finished(self, job: Job, ending: Ending) -> None:
        """One ended, or one attempt of it."""
        ...


@dataclass(slots=True)
class _Resting:
    errand: Errand
    begun: int                     # attempts
    due: datetime
    failure: Payload | None
    saved: bool = False            # its row says so


class Locals:
    """Those that do not run at the moment, and which of all have a row."""

    __slots__ = ("_cautious", "_host", "_kept", "_resting", "used")

    def __init__(self, host: Host, *, cautious: bool) -> None:
        self._host = host
        self._cautious = cautious
        self.used = False                            # whether the run has had one here
        self._resting: dict[int, _Resting] = {}
        self._kept: set[int] = set()                 # have a row, or will have with the next commit

    # ------------------------------------------------------------------------------------------------- jobs

    def job(self, errand: Errand, run: Run) -> Job | None:
        """The first attempt, in memory alone. None after a lost owner: then it is counted first."""
        definition = self._host.knows(errand.name)
        self.used = True
        if definition is None or self._cautious:
            return None
        return Job(errand, definition, 1, None, run.finished)

    def rest(self, errand: Errand, begun: int, due: datetime, failure: Payload | None = None) -> None:
        """The next attempt is due then."""
        self.used = True
        self._resting[errand.op] = _Resting(errand, begun, due, failure)

    def take_up(
        self, rows: Mapping[int, Mapping[str, Any]], errands: Iterable[Errand], *, never: datetime
    ) -> None:
        """What rows tell of those that are waited for. Without one, a lost owner may have begun the first attempt."""
        for errand in errands:
            row = rows.get(errand.op)
            if row is None:
                self.rest(errand, int(self._cautious), self._host.now())
            else:
                self._kept.add(errand.op)
                self.rest(errand, row["attempt"], row["next_attempt_at"] or never, row["last_failure"])
                self._resting[errand.op].saved = True

    def again(self, job: Job, ending: TryAgain | HandBack, run: Run) -> Job | None:
        """An attempt in memory failed: the next one, to begin after its delay. None: it rests, and its row says so."""
        if isinstance(ending, HandBack):
            self.rest(job.errand, job.attempt if ending.begun else job.attempt - 1, self._host.now())
            return None
        threshold = job.errand.options.local_retry_threshold
        if self._cautious or threshold is None or ending.delay > threshold:
            self.rest(job.errand, job.attempt, self._host.now() + ending.delay, encode_failure(ending.failure))
            return None
        return Job(job.errand, job.definition, job.attempt + 1, None, run.finished)

    def commit(
        self, now: datetime, run: Run, *, stays: bool
    ) -> tuple[list[Job], list[ActivityRow], list[tuple[Errand, int]]]:
        """For the commit made now: attempts that begin once it is won, rows, and those whose last attempt was lost.

        Unless the run `stays`, all that rests is left to its next owner.
        """
        jobs: list[Job] = []
        rows: list[ActivityRow] = []
        lost: list[tuple[Errand, int]] = []
        for op, each in list(self._resting.items()):
            definition = self._host.knows(each.errand.name)
            most = each.errand.options.retry.maximum_attempts
            if not stays or definition is None or each.due > now:
                if not each.saved:
                    each.saved = True
                    rows.append(self._row(each.errand, each.begun, each.due, each.failure))
            elif most and each.begun >= most:
                del self._resting[op]
                lost.append((each.errand, each.begun))
            else:
                del self._resting[op]
                jobs.append(Job(each.errand, definition, each.begun + 1, None, run.finished))
                if self._cautious or op in self._kept:
                    rows.append(self._row(each.errand, each.begun + 1, now, each.failure))
        return jobs, rows, lost

    def _row(self, errand: Errand, begun: int, due: datetime, failure: Payload | None) -> ActivityRow:
        self._kept.add(errand.op)
        return ActivityRow(
            errand.op,
            errand.name,
            NOBODYS_QUEUE,
            errand.input,
            errand.options,
            errand.headers,
            begun,
            due,
            errand.scheduled_at,
            errand.close_by,
            last_failure=failure,
        )

    # ------------------------------------------------------------------------------------------------- looking

    def due(self) -> Iterable[datetime]:
        """When those that rest are due, or out of time."""
        for each in self._resting.values():
            yield each.due if each.errand.close_by is None else min(each.due, each.errand.close_by)

    def overdue(self, now: datetime) -> list[int]:
        """Those that rest and whose time to end is up."""
        return [op for op, each in self._resting.items() if each.errand.close_by is not None and each.errand.close_by <= now]

    def stop_resting(self, op: int) -> None:
        """It is not waited for any more."""
        self._resting.pop(op, None)

    def forget(self, op: int) -> bool:
        """Answered, or no longer waited for. Whether it has a row, which must go."""
        self._resting.pop(op, None)
        kept = op in self._kept
        self._kept.discard(op)
        return kept


def unknown(asked: ScheduleActivity) -> str:
    """Why a run with this local activity cannot go on here."""
    return f"stuck: local activity {asked.name!r} is not registered on the worker that took the run; it runs nowhere else"


def lost(errand: Errand, begun: int) -> Failure:
    """The verdict on one whose last attempt was lost with its worker."""
    return verdicts.activity_failed(
        errand.name, errand.options.activity_id or errand.op, begun, "worker_lost", verdicts.worker_lost()
    )
