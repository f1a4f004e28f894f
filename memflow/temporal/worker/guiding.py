"""Replaying a history of Temporal's: its events are brought to the code task by task, and what the code asks is held against
it.

Unlike memflow's own journals, in which an op stands with every entry, events say what was asked by kind and name alone. So the
code is run first, and what it asked in a task is then matched with the events of that task, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from memflow.codec import Codec
from memflow.core.arrivals import Arrival, ChildStarted, Turn
from memflow.core.definition import Definition, RunInfo
from memflow.core.interrupts import (
    AnswerUpdate,
    CancelActivity,
    Cancelled,
    CancelTimer,
    Complete,
    ContinueAsNew,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
    WriteMemo,
    WriteRecord,
)
from memflow.core.mismatch import Witness
from memflow.core.replay import Replay
from memflow.core.wording import what
from memflow.temporal.api.enums.v1 import EventType as T
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.client.failure_json import table
from memflow.temporal.siphash import siphash13
from memflow.temporal.worker.imported import (
    PATCHES_ATTRIBUTE,
    LocalEnd,
    Ops,
    Task,
    arrival_of,
    local_end_in,
    patch_in,
    patches_of,
    said,
    tasks_of,
    update_id_of,
)
from memflow.temporal.workflow import NondeterminismError

_KINDS: Final[dict[T, type]] = {
    T.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: ScheduleActivity,
    T.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: CancelActivity,
    T.EVENT_TYPE_TIMER_STARTED: StartTimer,
    T.EVENT_TYPE_TIMER_CANCELED: CancelTimer,
    T.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: StartChild,
    T.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: SendSignal,
    T.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: StopOther,
    T.EVENT_TYPE_MARKER_RECORDED: MarkPatch,
    T.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: WriteRecord,
    T.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: WriteMemo,
    T.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: Complete,
    T.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: Fail,
    T.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: Cancelled,
    T.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: ContinueAsNew,
}
SINGLE_BATCH: Final = 2
"""The flag of newer SDKs that give a task's signals, updates and answers to the code all at once."""

_ASKED: Final = frozenset(_KINDS.values())
_UPDATES: Final = frozenset(
    {T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED}
)


def replay_guided(definition: Definition, info: RunInfo, codec: Codec, events: Sequence[HistoryEvent]) -> None:
    """Replay a history of Temporal's.

    Raises:
        NondeterminismError: the code asks for something else than the history holds, or that holds what memflow has not.
        TurnFailed: the code raises something that does not fail the run.
    """
    guided = _Guided(Replay(definition, info, codec), info, events)
    try:
        guided.run()
    finally:
        guided.replay.close()


def _refuse(message: str) -> NondeterminismError:
    return NondeterminismError(f"[TMPRL1100] Nondeterminism error: {message}")


class _Listening(Witness):
    """Takes whatever the code asks; it is looked at when the task is done."""

    def __init__(self, info: RunInfo, patches: dict[str, bool]) -> None:
        super().__init__(info, ())
        self.patches = frozenset(patches)
        self.heard: list[Interrupt] = []                     # in this task

    def agree(self, code: Interrupt) -> Interrupt | None:
        self.heard.append(code)
        return code

    def missing(self) -> bool:
        return False


class _Guided:
    def __init__(self, replay: Replay, info: RunInfo, events: Sequence[HistoryEvent]) -> None:
        self.replay = replay
        self._events = events
        self._witness = _Listening(info, patches_of(events))
        self._ops = Ops()
        self._activities: list[ScheduleActivity] = []        # all that the code has asked for, in order
        replay.draw_from(Random(siphash13(info.run_id.encode() + b"\xff")))

    def run(self) -> None:
        for task in tasks_of(self._events):
            self._witness.heard.clear()
            self.replay.single_batch = SINGLE_BATCH in task.flags
            self._bring(task, self._arrivals(task))
            ends = [end for end in map(local_end_in, task.asked) if end is not None]
            for end in ends:
                self._bring(task, [self._local(end)])
            self._match(task)

    def _arrivals(self, task: Task) -> list[Arrival]:
        """What a task brought: what had happened by then, and the updates that it accepted, at the places where they came."""
        arrived = list(task.arrived)
        for event in task.asked:
            if event.event_type is T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                after = int(event.attributes.get("accepted_request_sequencing_event_id", 0) or 0)
                place = sum(1 for each in arrived if each.event_id <= after or each in task.asked)
                arrived.insert(place, event)
        return [arrival_of(event, self._ops) for event in arrived]

    def _bring(self, task: Task, arrivals: Sequence[Arrival]) -> None:
        replay = self.replay
        wanted = [each for each in arrivals if self._expected(each)]
        if not wanted or replay.finished:
            return
        known = len(self._witness.heard)
        replay.repeat(Turn(task.at, wanted), task.started_id, (), self._witness)
        self._activities += [each for each in self._witness.heard[known:] if isinstance(each, ScheduleActivity)]

    def _expected(self, arrival: Arrival) -> bool:
        if isinstance(arrival, ChildStarted):
            child = self.replay.open_children.get(arrival.op)
            return child is not None and child.announce
        return self.replay.expects(arrival)

    def _local(self, end: LocalEnd) -> Arrival:
        if not 1 <= end.number <= len(self._activities):
            raise _refuse(f"the history holds the end of local activity {end.name}, the code asks for no such thing")
        asked = self._activities[end.number - 1]
        if not asked.options.is_local or asked.name != end.name:
            raise _refuse(f"the history holds the end of local activity {end.name}, the code asks for {what(asked)}")
        return end.arrival(asked.op)

    # ------------------------------------------------------------------------------------------------- matching

    def _match(self, task: Task) -> None:
        self._match_updates(task)
        code = _without_what_came_to_nothing(self._witness.heard)
        held = [event for event in task.asked if _counts(event)]
        at = 0
        for event in held:
            asked = code[at] if at < len(code) else None
            if asked is not None and _fits(event, asked):
                op = getattr(asked, "op", None)
                if op is not None:
                    self._ops.learn(event, op)
                at += 1
                continue
            mark = patch_in(event)
            if mark is not None and mark[1]:
                continue                         # a deprecated patch need not be asked for any more
            wants = "nothing more" if asked is None else what(asked)
            raise _refuse(f"the history holds {said(event)}, the code asks for {wants}")
        if at < len(code):
            raise _refuse(f"the code asks for {what(code[at])}, the history holds nothing more of task {task.started_id}")

    def _match_updates(self, task: Task) -> None:
        answers = (each for each in self._witness.heard if isinstance(each, AnswerUpdate))
        answered = {(each.update_id, each.outcome == "accepted") for each in answers}
        for event in task.asked:
            if event.event_type in _UPDATES:
                accepted = event.event_type is T.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
                if (update_id_of(event), accepted) not in answered:
                    raise _refuse(f"the history holds {said(event)}, the code does not answer update {update_id_of(event)}")


def _counts(event: HistoryEvent) -> bool:
    """Whether an event is matched with what the code asks, in order."""
    if event.event_type is T.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
        fields = table(table(event.attributes, "search_attributes"), "indexed_fields")
        return set(fields) != {PATCHES_ATTRIBUTE}
    if event.event_type is T.EVENT_TYPE_MARKER_RECORDED:
        return patch_in(event) is not None
    return event.event_type not in _UPDATES


def _without_what_came_to_nothing(heard: Sequence[Interrupt]) -> list[Interrupt]:
    """What of a task's interrupts has an event: Temporal sends nothing of what was asked for and given up within one task."""
    begun = {each.op for each in heard if isinstance(each, StartTimer | ScheduleActivity)}
    dropped = {each.op for each in heard if isinstance(each, CancelTimer | CancelActivity) and each.op in begun}
    kept: list[Interrupt] = []
    for each in heard:
        if type(each) not in _ASKED or getattr(each, "op", None) in dropped:
            continue
        if isinstance(each, ScheduleActivity) and each.options.is_local:
            continue
        if isinstance(each, CancelActivity) and each.op in dropped:
            continue
        kept.append(each)
    return kept


def _fits(event: HistoryEvent, asked: Interrupt) -> bool:
    """Whether an event is what the code asks for."""
    if _KINDS.get(event.event_type) is not type(asked):
        return False
    told = event.attributes
    match asked:
        case ScheduleActivity(name=name):
            return table(told, "activity_type").get("name") == name
        case StartChild(workflow=workflow, workflow_id=workflow_id):
            return table(told, "workflow_type").get("name") == workflow and told.get("workflow_id") == workflow_id
        case SendSignal(name=name, workflow_id=workflow_id):
            return told.get("signal_name") == name and table(told, "workflow_execution").get("workflow_id") == workflow_id
        case StopOther(workflow_id=workflow_id):
            return table(told, "workflow_execution").get("workflow_id") == workflow_id
        case MarkPatch(patch_id=patch_id):
            mark = patch_in(event)
            return mark is not None and mark[0] == patch_id
        case _:
            return True
