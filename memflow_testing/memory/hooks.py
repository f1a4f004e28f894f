"""Hooks that other runs wait for. Counterpart of `functions/17_hooks.sql`."""

from __future__ import annotations

from memflow.core.arrivals import HookFailed, HookReceived
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
