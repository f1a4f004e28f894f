"""The next runs of chains. Counterpart of `functions/33_commit_next.sql`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from memflow.core.arrivals import Arrival, HookReceived, SignalReceived
from memflow.store.turns import NextRun
from memflow_testing.memory.rows import fields_of
from memflow_testing.memory.starting import set_deadline
from memflow_testing.memory.tables import Letter, Run, Tables


def go_on(tables: Tables, old: Run, new: NextRun) -> None:
    """The next run of a chain begins in the place of the one that ends, and gets the mail that no code has taken."""
    now = tables.now()
    due = now + new.delay
    queue = new.task_queue or old.task_queue
    pinned = old.pinned and queue == old.task_queue      # on another queue there may be no worker of that version
    run = Run(
        tables.new_id(), old.workflow_id, new.run_id, old.first_run_id, new.workflow or old.workflow, queue, now, due,
        new.input or old.input, continued_run_id=old.run_id, run_timeout=new.run_timeout or old.run_timeout,
        execution_deadline=old.execution_deadline, retry=new.retry or old.retry, attempt=new.attempt, priority=old.priority,
        parent=old.parent, parent_op=old.parent_op, parent_policy=old.parent_policy,
        parent_workflow_id=old.parent_workflow_id, parent_run_id=old.parent_run_id, memo=new.memo, search=new.record,
        headers=old.headers if new.headers is None else dict(new.headers), version=old.version if pinned else None,
        expire=old.expire, record=fields_of(new.record),
        schedule=old.schedule, scheduled_at=old.scheduled_at, pinned=pinned, task_timeout=old.task_timeout,
        # No turn of the new run is theirs, but payloads may be.
        origins=tuple(replace(each, turn=0) for each in old.origins),
    )
    set_deadline(run, due)
    letters: list[tuple[datetime, Arrival, str | None]] = [(now, signal, None) for signal in new.signals]
    # What answers an operation of the run that ended goes with it, but for signals: by now they are this workflow's.
    letters += [
        (each.at, each.arrival, each.dedupe)
        for each in old.inbox
        if getattr(each.arrival, "op", None) is None or isinstance(each.arrival, SignalReceived)
    ]
    run.inbox = [Letter(n, at, _by_name(arrival), dedupe) for n, (at, arrival, dedupe) in enumerate(letters, start=1)]
    run.first_arrivals = run.arrived = len(run.inbox)
    # Hooks that were not read go along, with those who wait for them.
    for each in run.inbox:
        waiting = tables.hooks.get(each.arrival.hook_id) if isinstance(each.arrival, HookReceived) else None
        if waiting is not None and waiting.run == old.id:
            waiting.run = run.id
    old.inbox.clear()
    old.next_run_id = new.run_id
    tables.add(run, due)


def _by_name(arrival: Arrival) -> Arrival:
    return replace(arrival, op=None) if isinstance(arrival, SignalReceived) and arrival.op is not None else arrival
