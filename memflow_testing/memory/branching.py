"""Resets and forks: runs that begin with a copy of another's journal. Counterpart of `functions/17_branch.sql`."""

from __future__ import annotations

from dataclasses import replace

from memflow.core.arrivals import (
    ActivityCancelled,
    Arrival,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookReceived,
    SignalReceived,
    UpdateReceived,
    WaitCancelled,
)
from memflow.failure import Failure
from memflow.store.values import Branch, Branched
from memflow_testing.memory.ending import Endings, answer_of
from memflow_testing.memory.hooks import hook_answer, move_hooks
from memflow_testing.memory.rows import fields_of
from memflow_testing.memory.signals import Signals
from memflow_testing.memory.tables import NEVER, ActivityRec, Letter, Run, Tables

_ENDS = (ChildCompleted, ChildFailed, ChildCancelled, ChildNotStarted)
_OF_CHILDREN = (*_ENDS, ChildStarted)


class Branches:
    """Begins runs where others have been."""

    def __init__(self, tables: Tables, endings: Endings, signals: Signals) -> None:
        self._tables = tables
        self._endings = endings
        self._signals = signals

    def branch(self, branch: Branch) -> Branched:
        """See `Store.branch`."""
        tables = self._tables
        base = tables.find(branch.workflow_id, branch.run_id)
        if base is None:
            return Branched("not_found", None, None)
        again = tables.find(branch.new_workflow_id, branch.new_run_id)
        if again is not None:
            return Branched("done", None, again.id)      # a repeat of this very call
        last = tables.latest.get(branch.new_workflow_id)
        still_open = last is not None and last.status.is_open
        children = self._children(branch)
        if branch.fork:
            if last is not None and still_open:
                return Branched("taken", last.run_id, None)
            going = [each for each in children if each.status.is_open]
            if going:
                return Branched("children", ", ".join(each.workflow_id for each in going), None)
            waiting = self._hosts_waited_for(branch)
            if waiting:
                return Branched("hooks", ", ".join(each.workflow_id for each in waiting), None)
        run = self._copied(branch, base)
        if last is not None and not branch.fork:
            last.next_run_id = branch.new_run_id
            if still_open:
                run.parent, run.parent_op, run.parent_policy = last.parent, last.parent_op, last.parent_policy
        self._fill_inbox(branch, base, last, run, children)
        tables.add(run, tables.now())
        if not branch.fork:
            for child in children:
                if child.status.is_open:
                    tables.adopt(child, run)
        sources = [base] if last is None or last is base else [base, last]
        self._sent_hooks(branch, run, sources)
        if not branch.fork:
            move_hooks(tables, sources, run)
        self._waits(branch, run)
        self._activities(branch, base, run)
        if last is not None and not branch.fork and still_open:
            self._endings.end_at_once(last, branch.reason or f"reset to entry {branch.seq}")
        return Branched("done", None, run.id)

    def _children(self, branch: Branch) -> list[Run]:
        """The last runs of the children that are open at the point of the copy."""
        found = (self._tables.find_open(each.workflow_id, each.run_id) for each in branch.children.values())
        return sorted((each for each in found if each is not None), key=lambda each: each.id)

    def _hosts_waited_for(self, branch: Branch) -> list[Run]:
        """Where hooks run whose answers a run still waits for."""
        tables = self._tables
        sent = (tables.hooks.get(each.hook_id) for each in branch.hooks.values())
        waiting = [each for each in sent if each is not None and tables.is_open(each.caller)]
        return sorted((tables.runs[each.run] for each in waiting), key=lambda each: each.id)

    def _copied(self, branch: Branch, base: Run) -> Run:
        now = self._tables.now()
        execution = base.execution_deadline
        execution = execution if execution is not None and execution > now else None
        own = None if base.run_timeout is None else now + base.run_timeout
        limit = min((at for at in (own, execution) if at is not None), default=None)
        pinned = branch.version is not None or base.pinned
        return Run(
            self._tables.new_id(), branch.new_workflow_id, branch.new_run_id,
            branch.new_run_id if branch.fork else base.first_run_id, base.workflow, base.task_queue, now, branch.last_at,
            base.input, continued_run_id=base.continued_run_id, deadline=limit,
            deadline_kind=None if limit is None else "run" if limit == own else "execution", run_timeout=base.run_timeout,
            execution_deadline=execution, retry=base.retry, attempt=base.attempt, priority=base.priority,
            parent_workflow_id=base.parent_workflow_id, parent_run_id=base.parent_run_id, turn=branch.turn, memo=base.memo,
            memo_now=branch.memo, search=base.search, headers=base.headers,
            version=(branch.version or base.version) if pinned else None, expire=base.expire, record=fields_of(branch.record),
            pinned=pinned, task_timeout=base.task_timeout, origin_kind="fork" if branch.fork else "reset",
            origin_workflow_id=base.workflow_id, origin_run_id=base.run_id, origin_seq=branch.seq,
            origins=tuple(branch.origins), schedule=None if branch.fork else base.schedule,
            scheduled_at=None if branch.fork else base.scheduled_at, journal=base.journal[: branch.seq],
        )

    def _fill_inbox(self, branch: Branch, base: Run, last: Run | None, run: Run, children: list[Run]) -> None:
        """What came after the point of the copy and is told again, what nobody has read yet, and ends of children."""
        now = self._tables.now()
        known = {*branch.waits, *branch.children}
        letters: list[tuple[Arrival, str | None]] = []
        later = [each.entry for each in base.journal[branch.seq :]]
        for entry in later:
            if (
                (branch.reapply and isinstance(entry, SignalReceived | UpdateReceived | HookReceived))
                or (branch.reapply and isinstance(entry, WaitCancelled) and entry.op in branch.waits)
                or (isinstance(entry, _OF_CHILDREN) and entry.op in branch.children)
            ):
                letters.append((_known(entry, known), None))
        unread = base if branch.fork else last
        for each in [] if unread is None else unread.inbox:
            arrival = each.arrival
            ours = unread is base
            if (
                (not branch.fork and isinstance(arrival, SignalReceived | UpdateReceived | HookReceived))
                or (not branch.fork and ours and isinstance(arrival, WaitCancelled) and arrival.op in branch.waits)
                or (ours and isinstance(arrival, _OF_CHILDREN) and arrival.op in branch.children)
            ):
                # An op of a run that is neither copied nor in this one's place means nothing here.
                letters.append((_known(arrival, known if ours else set()), each.dedupe))
        answered = {entry.op for entry in later if isinstance(entry, _ENDS)}
        answered |= {each.arrival.op for each in base.inbox if isinstance(each.arrival, _ENDS)}
        for child in children:
            if not child.status.is_open and child.parent_op not in answered:
                letters.append((answer_of(child), None))
        letters += [(ActivityCancelled(op, Failure("cancelled", "cancelled")), None) for op in branch.cancelled]
        run.inbox = [Letter(n, now, arrival, dedupe) for n, (arrival, dedupe) in enumerate(letters, start=1)]
        run.arrived = len(letters)

    def _waits(self, branch: Branch, run: Run) -> None:
        """Waits that none of this answers: for a signal that was kept, or anew."""
        for op, wait in branch.waits.items():
            if any(getattr(each.arrival, "op", None) == op for each in run.inbox):
                continue
            answer = self._signals.wait(run, op, wait.signal_id, wait.escalation)
            if answer is not None:
                run.arrived += 1
                run.inbox.append(Letter(run.arrived, self._tables.now(), answer))

    def _sent_hooks(self, branch: Branch, run: Run, sources: list[Run]) -> None:
        """Hooks that the copied part has sent: their answers, as far as they have come; else they answer the new run now."""
        tables = self._tables
        for op, hook in branch.hooks.items():
            waiting = tables.hooks.get(hook.hook_id)
            if waiting is not None and (
                waiting.caller in {each.id for each in sources} or not tables.is_open(waiting.caller)
            ):
                waiting.caller, waiting.op = run.id, op
                continue
            run.arrived += 1
            run.inbox.append(Letter(run.arrived, tables.now(), hook_answer(sources, op, hook)))

    def _activities(self, branch: Branch, base: Run, run: Run) -> None:
        now = self._tables.now()
        for each in branch.activities:
            # Who paused one wants it to rest, whichever run it belongs to.
            before = None if branch.fork else self._tables.activities.get((base.id, each.op))
            rests = before is not None and before.paused_due is not None
            self._tables.add_activity(
                ActivityRec(
                    run.id, each.op, each.name, each.task_queue, each.input, each.options, dict(each.headers),
                    NEVER if rests else now, now, each.close_by, 0, paused_due=now if rests else None,
                )
            )
            self._tables.ring(f"activities:{each.task_queue}")


def _known(arrival: Arrival, ops: set[int]) -> Arrival:
    """A signal that answered a wait of the part that is not copied is for whoever asks by its name."""
    if isinstance(arrival, SignalReceived) and arrival.op is not None and arrival.op not in ops:
        return replace(arrival, op=None)
    return arrival
