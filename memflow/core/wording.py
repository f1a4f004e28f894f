"""How an interrupt is called in a report: `activity charge`, `signal 'approved'`."""

from __future__ import annotations

from typing import assert_never

from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelActivity,
    Cancelled,
    CancelTimer,
    CancelWait,
    Complete,
    ContinueAsNew,
    Emit,
    Fail,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartHook,
    StartTimer,
    StopOther,
    Trace,
    WriteMemo,
    WriteRecord,
)
from memflow.payload import Payload

_SHOWN = 40  # characters of an input in a report


def what(interrupt: Interrupt) -> str:
    """A few words for one interrupt, without its input."""
    match interrupt:
        case ScheduleActivity(name=name, options=options):
            return f"local activity {name}" if options.is_local else f"activity {name}"
        case CancelActivity(op=op):
            return f"cancellation of activity op {op}"
        case StartTimer(due=due):
            return f"timer until {due:%Y-%m-%d %H:%M:%S} UTC"
        case CancelTimer(op=op):
            return f"cancellation of timer op {op}"
        case AwaitSignal(signal_id=signal_id, escalation=None):
            return f"signal {signal_id!r}"
        case AwaitSignal(signal_id=signal_id):
            return f"signal {signal_id!r} (escalated to people)"
        case CancelWait(signal_id=signal_id):
            return f"end of the wait for signal {signal_id!r}"
        case SendSignal(name=name, workflow_id=None):
            return f"signal {name!r} sent"
        case SendSignal(name=name, workflow_id=workflow_id):
            return f"signal {name!r} sent to {workflow_id}"
        case StartChild(workflow=workflow, workflow_id=workflow_id):
            return f"child {workflow_id} ({workflow})"
        case StopOther(how=how, workflow_id=workflow_id):
            return f"{how} of {workflow_id}"
        case StartHook(name=name):
            return f"hook {name}"
        case SendHook(name=name, workflow_id=workflow_id):
            return f"hook {name} in {workflow_id}"
        case AnswerHook(hook_id=hook_id, failure=failure):
            return f"the {'result' if failure is None else 'failure'} of hook {hook_id}"
        case WriteRecord(verb=verb):
            return f"record {verb}"
        case WriteMemo():
            return "memo"
        case Emit(events=events):
            return f"emit {', '.join(events)}"
        case Trace():
            return "trace"
        case MarkPatch(patch_id=patch_id):
            return f"patch {patch_id!r}"
        case AnswerUpdate(update_id=update_id, outcome=outcome):
            return f"update {update_id!r} {outcome}"
        case Complete():
            return "the run's result"
        case Fail(failure=failure):
            return f"the run's failure ({failure.type or failure.kind}: {failure.message[:_SHOWN]})"
        case Cancelled():
            return "the run's end as cancelled"
        case ContinueAsNew():
            return "the next run of the chain"
        case _:
            assert_never(interrupt)


def with_input(interrupt: Interrupt) -> str:
    """The same with the beginning of its input, where that is plain JSON."""
    match interrupt:
        case (
            ScheduleActivity(input=payload)
            | StartChild(input=payload)
            | ContinueAsNew(input=payload)
            | WriteRecord(arguments=payload)
            | StartHook(input=payload)
            | SendHook(input=payload)
        ):
            return what(interrupt) + _arguments(payload)
        case _:
            return what(interrupt)


def _arguments(payload: Payload) -> str:
    if payload.encoding is not None:
        return "(...)"
    text = payload.data[: _SHOWN * 4].decode("utf-8", "replace").strip()
    text = text.removeprefix("[")
    text = text[:_SHOWN] + "..." if len(text) > _SHOWN else text.removesuffix("]")
    return f"({text})"
