"""A world made by chance around a workflow: activities, timers, signals and children that answer in any order and at any time.

No database and no worker: the runs are `Script`s, so every turn is also checked against a replay rebuilt from the journal. The
same chance makes the same play. `explore` plays with real activities, `strategies.journals` with values that hypothesis draws.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from memflow.codec import Codec
from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityFailed,
    ActivityTimedOut,
    Arrival,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildStarted,
    MessageDelivered,
    MessageNotDelivered,
    SignalReceived,
    TimerFired,
)
from memflow.core.definition import Definition
from memflow.core.interrupts import (
    AwaitSignal,
    CancelActivity,
    Cancelled,
    CancelTimer,
    CancelWait,
    Complete,
    ContinueAsNew,
    Fail,
    Interrupt,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
)
from memflow.errors import ConfigurationError
from memflow.failure import Failure
from memflow.judging import judge_attempt
from memflow.payload import Payload
from memflow.worker import verdicts
from memflow_testing.script import Script

SHORTEST_SECONDS = 0.001
"""The shortest delay of anything. Delays are spread evenly over the orders of magnitude from here to the longest."""

TOGETHER = 0.3
"""How often a turn also brings what comes next for the same run: its worker was slow."""

STEPS = 10_000
"""Turns of one play: more of them mean that it goes round for ever."""


class NeverEnds(Exception):
    """A play in which nothing will happen any more, or that goes on for ever. The message says what the runs wait for."""


@dataclass(frozen=True, slots=True)
class Errand:
    """An attempt of an activity that ends now: somebody has to say how."""

    asked: ScheduleActivity
    attempt: int
    scheduled_at: datetime

    @property
    def id(self) -> str:
        """The activity's id within its run."""
        return self.asked.options.activity_id or str(self.asked.op)


@dataclass(frozen=True, slots=True)
class ById:
    """A signal by id on its way to whoever waits for it."""

    name: str
    payload: Payload


@dataclass(slots=True, eq=False)
class Event:
    """Something that reaches a run at `at`."""

    at: datetime
    tie: float
    run: Run
    what: Arrival | Errand | ById

    @property
    def order(self) -> tuple[datetime, float]:
        return self.at, self.tie


@dataclass(slots=True, eq=False)
class Run:
    """One run of the play; `parent` waits for its end at `start.op`."""

    script: Script
    parent: Run | None = None
    start: StartChild | None = None
    waits: dict[int, str] = field(default_factory=dict[int, str])
    stopped: bool = False

    @property
    def open(self) -> bool:
        """Whether it can still hear."""
        return self.script.ended is None and not self.stopped


class Play:
    """One play. `take` gives what happens next, `deliver` brings it to its run with the outcomes of its errands."""

    def __init__(
        self,
        workflow: Any,
        arguments: Sequence[Any],
        random: Random,
        *,
        codec: Codec,
        children: Mapping[str, Definition],
        signals: Sequence[tuple[str, Payload]] = (),
        longest: timedelta,
    ) -> None:
        self._random = random
        self._codec = codec
        self._children = children
        self._longest = longest.total_seconds()
        self._events: list[Event] = []
        self._kept: defaultdict[str, deque[Payload]] = defaultdict(deque)
        self._steps = 0
        self._signals = signals
        self.main = Run(Script(workflow, *arguments, workflow_id="play", codec=codec))
        self.runs: dict[str, Run] = {"play": self.main}

    # ------------------------------------------------------------------------------------------------- playing

    def begin(self) -> None:
        """The first turn. Raises as `deliver`."""
        self._heard(self.main, self.main.script.start())
        handled = {each.name for each in self.main.script.definition.handlers if each.kind == "signal"}
        for name, payload in self._signals:
            if name in handled:
                self._later(self.main, SignalReceived(name, payload))
            else:
                self._events.append(Event(self._soon(), self._random.random(), self.main, ById(name, payload)))

    @property
    def now(self) -> datetime:
        """The latest time of any run."""
        return max(run.script.now for run in self.runs.values())

    def take(self) -> list[Event]:
        """What happens next: one event, or some of one run together. Empty: the main run has ended.

        Raises:
            NeverEnds: nothing will happen any more.
        """
        while self.main.open:
            self._steps += 1
            if self._steps > STEPS:
                raise NeverEnds(f"{STEPS} turns, and no end")
            if not self._events:
                raise NeverEnds("nothing more will happen, and it waits for " + self._waiting())
            first = min(self._events, key=_order)
            self._events.remove(first)
            if isinstance(first.what, ById):
                self._by_id(first.what.name, first.what.payload)
                continue
            batch = [first]
            while self._random.random() < TOGETHER:
                more = min((each for each in self._events if each.run is first.run), key=_order, default=None)
                if more is None or isinstance(more.what, ById) or more.at - first.at > timedelta(seconds=self._longest):
                    break
                self._events.remove(more)
                batch.append(more)
            batch = [each for each in batch if self._counts(each)]
            if batch:
                return batch
        return []

    def deliver(self, batch: Sequence[Event], outcomes: Mapping[int, Arrival | timedelta]) -> None:
        """One turn. `outcomes` by op: how errands ended; a timedelta: another attempt after so long.

        Raises:
            AssertionError, TurnFailed, NondeterminismError: as `Script.send`.
        """
        run, at = batch[0].run, max(each.at for each in batch)
        arrivals: list[Arrival] = []
        for each in batch:
            if isinstance(each.what, ById):
                continue                                 # `take` has passed it on
            if not isinstance(each.what, Errand):
                arrivals.append(each.what)
                continue
            outcome = outcomes[each.what.asked.op]
            if isinstance(outcome, timedelta):
                again = Errand(each.what.asked, each.what.attempt + 1, each.what.scheduled_at)
                self._events.append(Event(at + outcome + self._delay(each.what.asked), self._random.random(), run, again))
            else:
                arrivals.append(outcome)
        arrivals = [each for each in arrivals if run.script.expects(each)]
        if arrivals:
            self._heard(run, run.script.send(*arrivals, after=max(timedelta(), at - run.script.now)))

    # ------------------------------------------------------------------------------------------------- what runs ask

    def _heard(self, run: Run, asked: Sequence[Interrupt]) -> None:
        for each in asked:
            self._hear(run, each)

    def _hear(self, run: Run, asked: Interrupt) -> None:
        match asked:
            case ScheduleActivity():
                errand = Errand(asked, 1, run.script.now)
                self._events.append(Event(run.script.now + self._delay(asked), self._random.random(), run, errand))
            case CancelActivity(op=op):
                if self._random.random() < 0.8:          # else it was about to end anyway
                    self._drop(run, op)
                    self._later(run, ActivityCancelled(op, verdicts.cancelled()))
            case StartTimer(op=op, due=due):
                late = self._some() if self._random.random() < 0.2 else timedelta()
                self._events.append(Event(due + late, self._random.random(), run, TimerFired(op)))
            case CancelTimer(op=op):
                self._drop(run, op)
            case AwaitSignal(op=op, signal_id=name):
                if self._kept[name]:
                    self._later(run, SignalReceived(name, self._kept[name].popleft(), op=op))
                else:
                    run.waits[op] = name
            case CancelWait(op=op, signal_id=name):
                if run.waits.pop(op, None) is None:
                    self._goes_back(run, op, name)
            case SendSignal(workflow_id=None, name=name, payload=payload):
                self._events.append(Event(self._soon(), self._random.random(), run, ById(name, payload)))
            case SendSignal(workflow_id=other, name=name, payload=payload) if other is not None:
                if other in self.runs:
                    self._later(self.runs[other], SignalReceived(name, payload))
                self._tell(run, asked, other)
            case StartChild():
                self._begin(run, asked)
            case StopOther(how=how, workflow_id=other):
                self._tell(run, asked, other)
                if other in self.runs:
                    self._stop(self.runs[other], how)
            case SendHook():
                raise ConfigurationError("hooks in other runs are not part of plays; test this workflow with memflow_env")
            case Complete() | Fail() | Cancelled() | ContinueAsNew():
                self._ended(run, asked)
            case _:                                      # asks for no answer
                pass

    def _tell(self, run: Run, asked: SendSignal | StopOther, other: str) -> None:
        if not asked.tell:
            return
        there = self.runs.get(other)
        if there is not None and there.open:
            self._later(run, MessageDelivered(asked.op))
        else:
            self._later(run, MessageNotDelivered(asked.op, other, None if there is None else "completed"))

    def _begin(self, parent: Run, asked: StartChild) -> None:
        definition = self._children.get(asked.workflow)
        if definition is None:
            known = ", ".join(sorted(self._children)) or "none"
            raise ConfigurationError(
                f"child workflow {asked.workflow!r} is not known here; list it in workflows=[...] (listed: {known})"
            )
        child = Run(self._script(definition, asked.input, asked.workflow_id, asked.run_id, parent.script.now), parent, asked)
        self.runs[asked.workflow_id] = child
        if asked.announce:
            self._later(parent, ChildStarted(asked.op))
        self._heard(child, child.script.start())

    def _script(self, definition: Definition, input: Payload, workflow_id: str, run_id: str, at: datetime) -> Script:
        arguments = self._codec.decode_arguments(input, definition.argument_types, definition.required_arguments)
        return Script(definition, *arguments, workflow_id=workflow_id, run_id=run_id, at=at, codec=self._codec)

    def _stop(self, run: Run, how: str) -> None:
        if how == "cancel":
            self._later(run, CancelRequested())
        elif run.open:
            run.stopped = True
            if run.parent is not None and run.start is not None:
                failure = verdicts.child_failed(run.start, Failure("terminated", "terminated"))
                self._later(run.parent, ChildFailed(run.start.op, failure))

    def _ended(self, run: Run, ending: Complete | Fail | Cancelled | ContinueAsNew) -> None:
        self._events = [each for each in self._events if each.run is not run or isinstance(each.what, ById)]
        if isinstance(ending, ContinueAsNew):
            script = run.script
            definition = script.definition
            if ending.workflow not in (None, definition.name):
                definition = self._children.get(ending.workflow, definition)
            number = int(script.run_id.rpartition("+")[2]) + 1 if "+" in script.run_id else 2
            run_id = f"{script.run_id.partition('+')[0]}+{number}"
            run.script = self._script(definition, ending.input, script.workflow_id, run_id, script.now)
            script.close()
            self._steps += 1
            if self._steps > STEPS:
                raise NeverEnds(f"{STEPS} turns, and no end")
            self._heard(run, run.script.start())
        elif run.parent is not None and run.start is not None:
            op = run.start.op
            match ending:
                case Complete(result=result):
                    self._later(run.parent, ChildCompleted(op, result))
                case Fail(failure=failure):
                    self._later(run.parent, ChildFailed(op, verdicts.child_failed(run.start, failure)))
                case Cancelled(failure=failure):
                    self._later(run.parent, ChildCancelled(op, verdicts.child_failed(run.start, failure)))

    # ------------------------------------------------------------------------------------------------- signals by id

    def _by_id(self, name: str, payload: Payload) -> None:
        for run in self.runs.values():
            for op, wanted in list(run.waits.items()):
                if wanted == name and run.open:
                    del run.waits[op]
                    self._later(run, SignalReceived(name, payload, op=op))
                    return
        self._kept[name].append(payload)

    def _goes_back(self, run: Run, op: int, name: str) -> None:
        """It was on its way to a wait that is given up."""
        for each in self._events:
            if each.run is run and isinstance(each.what, SignalReceived) and each.what.op == op:
                self._events.remove(each)
                self._by_id(name, each.what.payload)
                return

    # ------------------------------------------------------------------------------------------------- chance

    def _later(self, run: Run, arrival: Arrival) -> None:
        self._events.append(Event(run.script.now + self._some(), self._random.random(), run, arrival))

    def _soon(self) -> datetime:
        return self.now + self._some()

    def _some(self) -> timedelta:
        """A delay: as often some milliseconds as some hours."""
        least, most = math.log(SHORTEST_SECONDS), math.log(max(self._longest, SHORTEST_SECONDS))
        return timedelta(seconds=math.exp(least + (most - least) * self._random.random()))

    def _delay(self, asked: ScheduleActivity) -> timedelta:
        """How long an attempt takes: less than its timeouts allow."""
        options = asked.options
        limits = [each for each in (options.start_to_close_timeout, options.schedule_to_close_timeout) if each is not None]
        return min([self._some(), *(limit * 0.9 for limit in limits)])

    def _drop(self, run: Run, op: int) -> None:
        self._events = [each for each in self._events if each.run is not run or _op_of(each.what) != op]

    def _counts(self, event: Event) -> bool:
        """Whether its run can still notice it."""
        if not event.run.open:
            return False
        if isinstance(event.what, ById):
            return False
        if isinstance(event.what, Errand):
            return event.run.script.expects(ActivityCancelled(event.what.asked.op, verdicts.cancelled()))
        return event.run.script.expects(event.what)

    def _waiting(self) -> str:
        rows = [row for run in self.runs.values() if run.open for row in run.script.waiting]
        return "; ".join(f"{row.what}{f' ({row.chain[-1]})' if row.chain else ''}" for row in rows) or "nothing that it told"

    def close(self) -> None:
        """Take the code of all runs out of memory."""
        for run in self.runs.values():
            run.script.close()


def _order(event: Event) -> tuple[datetime, float]:
    return event.order


def _op_of(what: object) -> int | None:
    return what.asked.op if isinstance(what, Errand) else getattr(what, "op", None)


def judged(errand: Errand, failure: Failure, at: datetime) -> Arrival | timedelta:
    """What becomes of a failed attempt: the delay before the next one, or the activity's end."""
    asked, options = errand.asked, errand.asked.options
    close = options.schedule_to_close_timeout
    verdict = judge_attempt(
        options,
        failure,
        name=asked.name,
        id=errand.id,
        attempt=errand.attempt,
        now=at,
        close_by=None if close is None else errand.scheduled_at + close,
    )
    if isinstance(verdict, timedelta):
        return verdict
    return ActivityTimedOut(asked.op, verdict) if failure.kind == "timeout" else ActivityFailed(asked.op, verdict)
