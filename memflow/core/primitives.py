"""The table of primitives: what each interrupt means, from the verb to its answer. Worker, commit and docs follow it."""

from __future__ import annotations

from dataclasses import dataclass

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    Arrival,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    HookReceived,
    MessageDelivered,
    MessageNotDelivered,
    RunStarted,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    UpdateReceived,
    WaitCancelled,
)
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


@dataclass(frozen=True, slots=True)
class Primitive:
    """One row. `writes` is what the commit writes besides the entry, `acts` what the worker does once it is durable."""

    verb: str
    interrupt: type[Interrupt]
    writes: str
    acts: str
    answers: tuple[type[Arrival], ...] = ()


TABLE: tuple[Primitive, ...] = (
    Primitive(
        "execute_activity, start_activity, proxy_activities",
        ScheduleActivity,
        "a row in activities, unless it runs in this worker's memory",
        "start it here if served here, else ring its queue",
        (ActivityCompleted, ActivityFailed, ActivityTimedOut, ActivityCancelled),
    ),
    Primitive(
        "(cancelling an activity)",
        CancelActivity,
        "the cancel mark on its row; a row that nobody runs is answered at once",
        "cancel it if it runs here, else ring its worker",
        (ActivityCancelled,),
    ),
    Primitive("sleep_for, sleep_until, asyncio.sleep, asyncio.timeout", StartTimer, "wake_at", "", (TimerFired,)),
    Primitive("(leaving a timeout or sleep early)", CancelTimer, "wake_at", ""),
    Primitive(
        "wait_for",
        AwaitSignal,
        "a row in waits, or takes the signal kept under that id; the escalation, if one is asked for",
        "",
        (SignalReceived, WaitCancelled),
    ),
    Primitive("(leaving a wait_for early)", CancelWait, "removes the row in waits", ""),
    Primitive(
        "signal, ChildHandle.signal, get_external_handle().signal",
        SendSignal,
        "the target's inbox, or keeps it under its id",
        "ring its owner or queue",
        (MessageDelivered, MessageNotDelivered),
    ),
    Primitive(
        "start_child, execute_child",
        StartChild,
        "the child's run",
        "ring its queue",
        (ChildStarted, ChildNotStarted, ChildCompleted, ChildFailed, ChildCancelled),
    ),
    Primitive(
        "cancel, terminate, ChildHandle.cancel",
        StopOther,
        "the target's inbox, or its end",
        "ring its owner or queue",
        (MessageDelivered, MessageNotDelivered),
    ),
    Primitive("hook, exec_hook, exec_hook_batch (in this run)", StartHook, "", ""),
    Primitive(
        "hook, exec_hook, exec_hook_batch (in another run)",
        SendHook,
        "the target's inbox; a row in hooks while an answer is awaited",
        "ring its owner or queue",
        (HookDelivered, HookNotDelivered, HookCompleted, HookFailed),
    ),
    Primitive("(the end of a hook that another run waits for)", AnswerHook, "the caller's inbox", "ring its owner or queue"),
    Primitive("enrich, search, entity, upsert_search_attributes", WriteRecord, "the run's record", ""),
    Primitive("upsert_memo, progress", WriteMemo, "the run's memo", ""),
    Primitive("emit", Emit, "rows in events", "ring subscribers"),
    Primitive("trace", Trace, "", "hand the attributes to the tracing sink"),
    Primitive("patched, deprecate_patch", MarkPatch, "", ""),
    Primitive("(an update's handler)", AnswerUpdate, "a row in replies", "ring clients that wait for replies"),
    Primitive("return", Complete, "status and result; the parent's inbox", "ring waiters and the parent"),
    Primitive(
        "raise",
        Fail,
        "status and failure; the parent's inbox, or the run that tries again with the unread mail",
        "ring waiters and the parent",
    ),
    Primitive("(ending as cancelled)", Cancelled, "status and failure; the parent's inbox", "ring waiters and the parent"),
    Primitive("continue_as_new", ContinueAsNew, "status; the next run of the chain, with the unread mail", "ring its queue"),
)
"""A row for each interrupt, in the order in which one meets them."""

UNASKED: dict[type[Arrival], str] = {
    RunStarted: "the first arrival of every run: runs the code",
    SignalReceived: "a signal sent to this run by name: for its handler, else whoever waits for that name, or kept for who will",
    UpdateReceived: "asks the validator of the update's handler, then runs the handler",
    HookReceived: "writes its fields to the record, then starts the hook of that name",
    CancelRequested: "cancels the run's main task, as asyncio cancels any",
    RunTerminated: "ends the run over its code's head; no code sees it",
    RunTimedOut: "ends the run over its code's head; no code sees it",
}
"""Arrivals that nobody asked for, and what the replay does with them."""
