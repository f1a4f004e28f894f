"""What the turns of a commit ask of others. Counterpart of `functions/32_commit_effects.sql` and `33_commit_replies.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from memflow.core.arrivals import (
    Arrival,
    CancelRequested,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    MessageDelivered,
    MessageNotDelivered,
    SignalReceived,
)
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelWait,
    Emit,
    SendHook,
    SendSignal,
    StartChild,
    StopOther,
)
from memflow.failure import encode_failure
from memflow.payload import NOTHING
from memflow.store.turns import Effect, TurnCommit
from memflow.store.values import Event
from memflow_testing.memory.ending import Endings
from memflow_testing.memory.hooks import hook_sent
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.rows import fields_of
from memflow_testing.memory.signals import Signals
from memflow_testing.memory.starting import set_deadline
from memflow_testing.memory.tables import ReplyRec, Run, Tables


class Effects:
    """Does them: in the order asked, but for children, which are started together. What must come before a child of the same
    id comes early. Letters are delivered at the end of each round, to those that are still open then.
    """

    def __init__(self, tables: Tables, mail: MailRoom, endings: Endings, signals: Signals) -> None:
        self._tables = tables
        self._mail = mail
        self._endings = endings
        self._signals = signals
        self._letters: list[tuple[Run, Arrival]] = []

    def do(self, turns: Sequence[TurnCommit]) -> None:
        """The effects of turns that won, in the order of their runs."""
        for turn in turns:
            for n, effect in enumerate(turn.effects):
                if _before_child(turn, n):
                    self._do(turn, effect)
        self._deliver()
        for turn in turns:
            for effect in turn.effects:
                if isinstance(effect, StartChild):
                    self._start_child(turn, effect)
        for turn in turns:
            if turn.status.is_open:
                self._letters += [(self._tables.runs[turn.run], arrival) for arrival in turn.mail]
            for n, effect in enumerate(turn.effects):
                if not _before_child(turn, n):
                    self._do(turn, effect)
        self._deliver()

    def _deliver(self) -> None:
        letters, self._letters = self._letters, []
        for run, arrival in letters:
            if run.status.is_open:
                self._mail.deliver(run, arrival)

    def _do(self, turn: TurnCommit, effect: Effect) -> None:
        run, ended = self._tables.runs[turn.run], not turn.status.is_open
        match effect:
            case AwaitSignal(op=op, signal_id=signal_id, escalation=about):
                answer = None if ended else self._signals.wait(run, op, signal_id, about)
                if answer is not None:
                    self._letters.append((run, answer))
            case CancelWait(op=op, became=became, payload=payload):
                # Without `became` its code may have been changed so that it asks nobody any more.
                self._signals.unwait(run.id, op, became or "cancelled", payload)
            case SendSignal():
                self._send_signal(effect)
                if effect.tell and effect.workflow_id is not None and not ended:
                    self._letters.append((run, self._told(effect.op, effect.workflow_id, effect.run_id)))
            case StopOther(how=how, workflow_id=target, run_id=run_id, reason=reason):
                if effect.tell and not ended:
                    self._letters.append((run, self._told(effect.op, target, run_id)))
                other = self._open(target, run_id)
                if other is not None and how == "cancel":
                    self._letters.append((other, CancelRequested(reason)))
                elif other is not None:
                    self._endings.end_at_once(other, reason)
            case StartChild():
                pass                                     # together, before the others
            case SendHook():
                self._send_hook(run, effect, ended)
            case AnswerHook():
                self._answer_hook(run, effect)
            case Emit(events=events):
                for topic, payload in events.items():
                    self._tables.last_event += 1
                    self._tables.events.append(
                        Event(self._tables.last_event, topic, payload, self._tables.now(), run.workflow_id)
                    )
                self._tables.ring("event")
            case AnswerUpdate(update_id=update_id, outcome=outcome, result=result, failure=failure):
                answered = result if failure is None else encode_failure(failure)
                self._tables.replies[run.first_run_id, update_id] = ReplyRec(outcome, answered)
                self._tables.ring("reply")
            case _:
                assert_never(effect)

    def _open(self, workflow_id: str, run_id: str | None) -> Run | None:
        """Of a run that has ended, or is not there, nothing is asked: there is nobody to tell."""
        found = self._tables.find_open(workflow_id, run_id)
        return found if found is not None and found.status.is_open else None

    def _send_signal(self, signal: SendSignal) -> None:
        if signal.workflow_id is None:
            given = self._signals.give(signal.name, signal.payload, None)
            if given is not None:
                run, op = given
                self._letters.append((run, SignalReceived(signal.name, signal.payload, op=op)))
            return
        other = self._open(signal.workflow_id, signal.run_id)
        if other is not None:
            self._letters.append((other, SignalReceived(signal.name, signal.payload, headers=signal.headers)))

    def _told(self, op: int, workflow_id: str, run_id: str | None) -> Arrival:
        """Whether what is sent beside this finds a run that takes it."""
        if self._open(workflow_id, run_id) is not None:
            return MessageDelivered(op)
        there = self._tables.find(workflow_id, run_id)
        return MessageNotDelivered(op, workflow_id, None if there is None else there.status.value)

    # ------------------------------------------------------------------------------------------------- hooks

    def _send_hook(self, run: Run, hook: SendHook, ended: bool) -> None:
        other = self._open(hook.workflow_id, hook.run_id)
        if other is None:
            if not ended:
                there = self._tables.find(hook.workflow_id, hook.run_id)
                status = None if there is None else there.status.value
                self._letters.append((run, HookNotDelivered(hook.op, hook.workflow_id, status)))
            return
        if not hook.answer and not ended:
            self._letters.append((run, HookDelivered(hook.op)))
        self._letters.append((other, hook_sent(self._tables, other, run, hook, answered=hook.answer and not ended)))

    def _answer_hook(self, run: Run, answer: AnswerHook) -> None:
        """Whoever waits is told once; a caller that has ended or gone on as another run is not."""
        waiting = self._tables.hooks.get(answer.hook_id)
        if waiting is None or waiting.run != run.id:
            return
        del self._tables.hooks[answer.hook_id]
        caller = self._tables.runs.get(waiting.caller)
        if caller is None:
            return
        if answer.failure is None:
            self._letters.append((caller, HookCompleted(answer.caller_op, answer.result or NOTHING)))
        else:
            self._letters.append((caller, HookFailed(answer.caller_op, answer.failure)))

    # ------------------------------------------------------------------------------------------------- children

    def _start_child(self, turn: TurnCommit, child: StartChild) -> None:
        """One whose id is taken by another run is answered so; a repeat of the same child is the same child."""
        parent = self._tables.runs[turn.run]
        there = self._tables.latest.get(child.workflow_id)
        if there is None or (there.run_id != child.run_id and not there.status.is_open):
            there = self._tables.find(child.workflow_id, child.run_id) or self._make_child(parent, child)
        if not turn.status.is_open:
            return
        if there.run_id != child.run_id:
            self._mail.deliver(parent, ChildNotStarted(child.op, child.workflow_id, there.run_id))
        elif child.announce:
            self._mail.deliver(parent, ChildStarted(child.op))

    def _make_child(self, parent: Run, child: StartChild) -> Run:
        now, options = self._tables.now(), child.options
        queue = options.task_queue or parent.task_queue
        inherits = parent.pinned and queue == parent.task_queue
        run = Run(
            self._tables.new_id(), child.workflow_id, child.run_id, child.run_id, child.workflow, queue, now, now, child.input,
            run_timeout=options.run_timeout, retry=options.retry, headers=dict(child.headers),
            execution_deadline=None if options.execution_timeout is None else now + options.execution_timeout,
            parent=parent.id, parent_op=child.op, parent_policy=options.parent_close_policy.value,
            parent_workflow_id=parent.workflow_id, parent_run_id=parent.run_id,
            version=parent.version if inherits else None, pinned=inherits, memo=child.memo, search=child.search,
            record=fields_of(child.search),
        )
        set_deadline(run, now)
        self._tables.add(run, now)
        return run


def _before_child(turn: TurnCommit, n: int) -> bool:
    """Whether an effect asks something of an older run with the id of a child that is started further down."""
    effect = turn.effects[n]
    target = effect.workflow_id if isinstance(effect, SendSignal | StopOther | SendHook) else None
    return target is not None and any(
        isinstance(each, StartChild) and each.workflow_id == target for each in turn.effects[n + 1 :]
    )
