"""Where a worker can be killed, what runs are called there, and what becomes of the workers of one environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from memflow.client.histories import WorkflowHistory
from memflow.codec import Codec
from memflow.core.arrivals import Answer
from memflow.core.definition import Definition
from memflow.core.entries import kind_of
from memflow.core.interrupts import Interrupt
from memflow.core.journal import rebuild
from memflow.store.turns import TurnCommit
from memflow_testing.effects import Effects

STUCK = "stuck: "


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that a worker writes, or takes, of one run. `at` is a seq for `commit`, an op or a length for the others."""

    verb: str                          # commit, write (a commit without entries), settle, retry, claim, claim activity
    run: str
    at: int
    nth: int = 1                       # of the same kind at the same place
    kinds: tuple[str, ...] = ()        # of the entries of a commit
    ops: tuple[int, ...] = ()          # that it is about
    answered: tuple[int, ...] = ()     # those whose answer a commit holds

    @property
    def place(self) -> tuple[str, str, int, int]:
        """What it is known by in another run of the test."""
        return self.verb, self.run, self.at, self.nth

    def __str__(self) -> str:
        match self.verb:
            case "commit":
                first = self.at - len(self.kinds) + 1
                seqs = f"entry {self.at}" if first == self.at else f"entries {first} to {self.at}"
                what = f"the commit of {seqs} ({_in_short(self.kinds)})"
            case "write":
                what = f"writing what entry {self.at} left to be done"
            case "settle":
                what = f"recording the end of the activity of op {self.at}"
            case "retry":
                what = f"recording failed attempt {self.nth} of the activity of op {self.at}"
            case "claim activity":
                what = f"taking the activity of op {self.at}"
            case _:
                what = f"taking the run at entry {self.at}"
        return f"{what} of {self.run}"


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where a worker is killed: `before` or `after` a moment."""

    when: str
    moment: Moment

    def __str__(self) -> str:
        return f"killed {self.when} {self.moment}"


def _in_short(kinds: Sequence[str]) -> str:
    """`schedule_activity x 10, activity_completed`."""
    counted = [(kind, len(list(group))) for kind, group in groupby(kinds)]
    return ", ".join(kind if count == 1 else f"{kind} x {count}" for kind, count in counted)


class Names:
    """What runs are called in messages, and across runs of one test: by their workflow id, where the test chose it."""

    def __init__(self, chosen: frozenset[str] | None) -> None:
        self._chosen = chosen
        self._names: dict[int, str] = {}
        self._by_run_id: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self.workflow_ids: set[str] = set()

    def learn(self, run: int, run_id: str, workflow_id: str, workflow: str) -> None:
        """Give a run its name, if it has none."""
        if run in self._names:
            return
        self.workflow_ids.add(workflow_id)
        name = workflow if self._chosen is not None and workflow_id not in self._chosen else f"{workflow} {workflow_id!r}"
        count = self._counts[name] = self._counts.get(name, 0) + 1
        self._names[run] = self._by_run_id[run_id] = name if count == 1 else f"{name} #{count}"

    def of(self, run: int) -> str:
        """Its name."""
        return self._names.get(run, f"run {run}")

    def of_run_id(self, run_id: str) -> str:
        """Its name."""
        return self._by_run_id.get(run_id, run_id)


class Fate:
    """What becomes of the workers of one environment: what they do is noted, and at one point one of them is killed."""

    def __init__(self, point: CrashPoint | None, *, chosen: frozenset[str] | None = None) -> None:
        self.point = point
        self.names = Names(chosen)
        self.effects = Effects()
        self.moments: list[Moment] = []
        self.reached = False
        self.stuck: dict[str, str] = {}
        self.workflows: dict[str, Definition] = {}
        self._counts: dict[tuple[str, str, int], int] = {}

    def moment(self, verb: str, run: int, at: int, **more: tuple[Any, ...]) -> Moment:
        """Note that this is about to happen."""
        name = self.names.of(run)
        nth = self._counts[verb, name, at] = self._counts.get((verb, name, at), 0) + 1
        made = Moment(verb, name, at, nth, **more)
        self.moments.append(made)
        return made

    def of_activity(self, verb: str, run: int, op: int) -> Moment:
        """Note something of an activity."""
        return self.moment(verb, run, op, ops=(op,))

    def strikes(self, when: str, moments: Sequence[Moment]) -> bool:
        """Whether the worker that does this dies of it, now."""
        if self.reached or self.point is None or self.point.when != when:
            return False
        wanted = self.point.moment
        for each in moments:
            # What goes on at once may be committed in other portions: then it is the commit that holds the entry, or the answer.
            late = wanted.verb == "commit" and each.verb == "commit" and each.at >= wanted.at
            other = wanted.verb == "settle" and wanted.at in each.answered
            if each.place == wanted.place or (each.run == wanted.run and (late or other)):
                self.reached = True
                return True
        return False

    def turn(self, turn: TurnCommit) -> Moment:
        """The moment of one share of a commit."""
        last = turn.length + len(turn.entries)
        if not turn.entries:
            return self.moment("write", turn.run, last)
        entries = [each.entry for each in turn.entries]
        ops = dict.fromkeys(op for each in entries if (op := getattr(each, "op", None)) is not None)
        answered = tuple(each.op for each in entries if isinstance(each, Answer))
        kinds = tuple(map(kind_of, entries))
        return self.moment("commit", turn.run, last, kinds=kinds, ops=tuple(ops), answered=answered)

    def complain(self, turn: TurnCommit) -> str | None:
        """What is wrong with a run that is parked by this commit."""
        if turn.detail is None or not turn.detail.startswith(STUCK):
            return None
        return self.stuck.setdefault(self.names.of(turn.run), turn.detail.removeprefix(STUCK))


def crash_points(moments: Iterable[Moment]) -> list[CrashPoint]:
    """Where a worker can be killed, in order: each moment once."""
    known: set[tuple[object, ...]] = set()
    points: list[CrashPoint] = []
    for moment in moments:
        key = moment.place if moment.verb != "commit" else moment.place[:3]
        if key in known:
            continue
        known.add(key)
        when = ("after",) if moment.verb.startswith("claim") else ("before", "after")
        points.extend(CrashPoint(each, moment) for each in when)
    return points


def line_of(history: WorkflowHistory, moment: Moment, fate: Fate, codec: Codec) -> str | None:
    """The line of the workflow that awaits what a moment is about, as far as a replay of the undisturbed run can tell."""
    definition = fate.workflows.get(history.info.workflow)
    if definition is None:
        return None
    for op in moment.ops:
        asks = (each for each in history.journal if isinstance(each.entry, Interrupt))
        turn = next((each.turn for each in asks if getattr(each.entry, "op", None) == op), None)
        if turn is None:
            continue
        try:
            replay = rebuild(definition, history.info, codec, [each for each in history.journal if each.turn <= turn])
        except Exception:                                # user code was called; the message does without the line
            return None
        try:
            waiting = next((row for row in replay.waiting() if row.op == op and row.chain), None)
        finally:
            replay.close()
        if waiting is not None:
            return waiting.chain[-1]
    return None
