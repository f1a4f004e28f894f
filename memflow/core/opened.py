"""Which operations of a run are open: asked, and not yet answered or given up."""

from __future__ import annotations

from datetime import datetime

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    Arrival,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    MessageDelivered,
    MessageNotDelivered,
    TimerFired,
    WaitCancelled,
)
from memflow.core.interrupts import (
    AwaitSignal,
    CancelTimer,
    CancelWait,
    Interrupt,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
)
from memflow.core.wording import what


class OpenOps:
    """Open operations by op. Each change costs the same however many are open."""

    __slots__ = ("activities", "children", "hooks", "messages", "timers", "waits")

    def __init__(self) -> None:
        self.activities: dict[int, ScheduleActivity] = {}
        self.timers: dict[int, datetime] = {}
        self.children: dict[int, StartChild] = {}
        self.waits: dict[int, AwaitSignal] = {}
        self.hooks: dict[int, SendHook] = {}
        self.messages: dict[int, SendSignal | StopOther] = {}

    def asked(self, interrupt: Interrupt) -> None:
        """Note what an interrupt opens or gives up."""
        match interrupt:
            case ScheduleActivity():
                self.activities[interrupt.op] = interrupt
            case StartTimer():
                self.timers[interrupt.op] = interrupt.due
            case AwaitSignal():
                self.waits[interrupt.op] = interrupt
            case StartChild():
                self.children[interrupt.op] = interrupt
            case SendHook():
                self.hooks[interrupt.op] = interrupt
            case SendSignal(tell=True) | StopOther(tell=True):
                self.messages[interrupt.op] = interrupt
            case CancelTimer(op=op):
                self.timers.pop(op, None)
            case CancelWait(op=op):
                self.waits.pop(op, None)
            case _:
                pass

    def expects(self, arrival: Arrival) -> bool:
        """Whether `arrival` answers an open op. Of arrivals that answer none: True."""
        match arrival:
            case ActivityCompleted(op=op) | ActivityFailed(op=op) | ActivityTimedOut(op=op) | ActivityCancelled(op=op):
                return op in self.activities
            case TimerFired(op=op):
                return op in self.timers
            case (
                ChildStarted(op=op)
                | ChildNotStarted(op=op)
                | ChildCompleted(op=op)
                | ChildFailed(op=op)
                | ChildCancelled(op=op)
            ):
                return op in self.children
            case HookDelivered(op=op) | HookNotDelivered(op=op) | HookCompleted(op=op) | HookFailed(op=op):
                return op in self.hooks
            case MessageDelivered(op=op) | MessageNotDelivered(op=op):
                return op in self.messages
            case WaitCancelled(op=op):
                return op in self.waits
            case _:
                return True

    def is_open(self, op: int) -> bool:
        """Whether an answer to `op` may still come."""
        return (
            op in self.activities or op in self.timers or op in self.children or op in self.hooks or op in self.messages
        )

    def forget(self, op: int) -> None:
        """Nobody waits for `op` any more: drop its answer. A child stays open, its handle may ask again."""
        self.activities.pop(op, None)
        self.timers.pop(op, None)
        self.waits.pop(op, None)
        self.hooks.pop(op, None)
        self.messages.pop(op, None)

    def words(self) -> dict[int, str]:
        """What each open op is, in words."""
        words = {op: what(StartTimer(op, due)) for op, due in self.timers.items()}
        for opened in (self.activities, self.children, self.waits, self.hooks, self.messages):
            words.update((op, what(asked)) for op, asked in opened.items())
        return words

    def clear(self) -> None:
        """Nothing is open: the run is over."""
        for opened in (self.activities, self.timers, self.children, self.waits, self.hooks, self.messages):
            opened.clear()
