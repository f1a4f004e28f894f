"""Hooks that other runs wait for. Counterpart of `functions/17_hooks.sql`."""

from __future__ import annotations

from collections.abc import Sequence

from memflow.core.arrivals import (
    Arrival,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    HookReceived,
)
from memflow.core.interrupts import SendHook
from memflow.failure import Failure
from memflow_testing.memory.mail import MailRoom
from memflow_testing.memory.tables import HookRec, Run, Tables


def hook_sent(tables: Tables, run: Run, caller: Run, hook: SendHook, *, answered: bool) -> HookReceived:
    """What is left in the inbox of `run`. Answered: the caller's operation waits for its end, and that is remembered."""
    if not answered:
        return HookReceived(hook.hook_id, hook.name, hook.input, hook.search)
    tables.hooks.setdefault(hook.hook_id, HookRec(run.id, caller.id, hook.op))
    return HookReceived(hook.hook_id, hook.name, hook.input, hook.search, caller.workflow_id, caller.run_id, hook.op)


def drop_hooks(tables: Tables, mail: MailRoom, run: Run) -> None:
    """A run has ended: who waits for a hook in it is told that it will not end."""
    gone = {id: each for id, each in tables.hooks.items() if each.run == run.id}
    for id in gone:
        del tables.hooks[id]
    for each in sorted(gone.values(), key=lambda each: (each.caller, each.op)):
        caller = tables.runs.get(each.caller)
        if caller is None or not caller.status.is_open:
            continue
        failure = Failure(
            "hook",
            f"workflow {run.workflow_id} ended before the hook did",
            facts={"hook": "", "workflow_id": run.workflow_id, "run_id": run.run_id},
            cause=Failure("application", f"workflow {run.workflow_id} is {run.status}", type="WorkflowClosedError"),
        )
        mail.deliver(caller, HookFailed(each.op, failure))


def move_hooks(tables: Tables, old: Sequence[Run], new: Run) -> None:
    """Hooks that others have sent, and whose end they wait for: they run in the new run now, as far as it knows them."""
    arrivals = [each.entry for each in new.journal] + [each.arrival for each in new.inbox]
    known = {each.hook_id for each in arrivals if isinstance(each, HookReceived)}
    ids = {run.id for run in old}
    for id, each in tables.hooks.items():
        if each.run in ids and id in known:
            each.run = new.id


def hook_answer(runs: Sequence[Run], op: int, hook: SendHook) -> Arrival:
    """How a hook that nobody runs any more has answered one of these runs; where none has heard of it, its answer was lost."""
    senders = [
        run
        for run in runs
        if any(isinstance(e.entry, SendHook) and (e.entry.op, e.entry.hook_id) == (op, hook.hook_id) for e in run.journal)
    ]
    heard = [entry.entry for run in senders for entry in run.journal] + [each.arrival for run in senders for each in run.inbox]
    for each in heard:
        if isinstance(each, HookDelivered | HookNotDelivered | HookCompleted | HookFailed) and each.op == op:
            return each
    return HookFailed(
        op,
        Failure(
            "hook",
            f"hook {hook.name} in workflow {hook.workflow_id}: its answer was lost, the run that waited for it had ended",
            facts={"hook": hook.name, "workflow_id": hook.workflow_id, "run_id": hook.run_id or ""},
        ),
    )
