"""The side of a run that its code speaks to: what it asks, what it waits for, what is answered.

Verbs and the loop call this; `replay.Replay` adds the turns.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, ContextVar
from datetime import UTC, datetime
from random import Random
from typing import Any

from memflow import errors
from memflow.codec import Codec
from memflow.core.arrivals import Answer, SignalReceived
from memflow.core.chance import random_of
from memflow.core.definition import Definition, RunInfo
from memflow.core.interrupts import (
    AnswerUpdate,
    AwaitSignal,
    CancelTimer,
    Closing,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartTimer,
    StopOther,
    WriteMemo,
    WriteRecord,
)
from memflow.core.loop import LAST_YEAR, Timer, TurnLoop
from memflow.core.mismatch import Witness
from memflow.core.opened import OpenOps
from memflow.core.patches import Patches
from memflow.core.places import calling_place
from memflow.core.record import Document, Folded, folding
from memflow.core.signals import Signals
from memflow.core.unwinding import Evicted
from memflow.core.waiting import Answers, Conditions
from memflow.core.wording import what
from memflow.interceptors import WorkflowOutbound
from memflow.payload import Payload


class TurnFailed(Exception):
    """Workflow code raised what does not fail the run: a bug. The cause is what it raised.

    The run has not advanced. This replay is of no more use and only to be closed; the turn is tried again later, perhaps
    with mended code.
    """


TIMER_SUMMARY: ContextVar[str | None] = ContextVar("memflow_timer_summary", default=None)
"""The line for people that timers of asyncio get which begin in this context."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _never() -> bool:
    return False


class Asking(ABC):
    """What workflow code sees of its run, and what it has asked."""

    # Slots: beyond 30 attributes CPython gives each instance a dict of its own, three times as dear to make as the rest of it.
    __slots__ = (
        "_answers", "_asked", "_conditions", "_context", "_ending", "_error", "_last_op", "_loop", "_memo", "_opened",
        "_own_info", "_patches", "_random", "_record", "_seed", "_signals", "_timers", "_witness", "codec",
        "definition", "info", "length", "length_before", "now", "open_activities", "open_children", "open_hooks",
        "open_messages", "open_timers", "open_waits", "outbound", "read_only", "silent", "turn_number",
    )

    def __init__(self, definition: Definition, info: RunInfo, codec: Codec) -> None:
        self.definition = definition
        self.info = info                                     # as the code of this turn sees it
        self._own_info = info
        self.codec = codec
        self.now: datetime = info.started_at
        self.turn_number: int = 0
        self.length: int = 0                                 # of the journal before this turn
        self.length_before: int = 0                          # the same, also between turns: of the last one
        self.silent = False                                  # nothing is logged: it has been, or it is not meant
        self.read_only = False                               # in queries, validators and conditions, which may only look
        self._opened = OpenOps()
        self.open_activities: Mapping[int, ScheduleActivity] = self._opened.activities
        self.open_timers: Mapping[int, datetime] = self._opened.timers
        self.open_children: Mapping[int, StartChild] = self._opened.children
        self.open_waits: Mapping[int, AwaitSignal] = self._opened.waits
        self.outbound: WorkflowOutbound | None = None        # what verbs go through, where there are interceptors
        self.open_hooks: Mapping[int, SendHook] = self._opened.hooks
        self.open_messages: Mapping[int, SendSignal | StopOther] = self._opened.messages
        self._context = Context()
        self._loop = TurnLoop(self, info.at_turn(1).run_id, self._context)
        if definition.dialect.loop_tells_the_time:
            self._loop.began = _EPOCH
        self._asked: list[Interrupt] = []
        self._last_op = 0
        self._answers = Answers(self)
        self._signals = Signals(self)
        self._conditions = Conditions()
        self._patches = Patches()
        self._record = Folded(info.given_record)
        self._memo = Folded(info.given_memo)
        self._timers: dict[int, Timer] = {}
        self._error: BaseException | None = None             # why this replay is of no more use
        self._witness: Witness | None = None
        self._random: Random | None = None
        self._seed = ""
        self._ending: Closing | None = None                  # the end, held back until updates of its turn are answered

    # ------------------------------------------------------------------------------------------------- for the verbs

    @property
    def random(self) -> Random:
        """The run's own chance, seeded from its id: every replay draws the same.

        Raises:
            ReadOnlyError: in a query or condition, whose draws no replay would repeat.
        """
        self.check_writable("random")
        if self._random is None or self._seed != self.info.run_id:
            self._seed = self.info.run_id                    # what follows the copied turns of a reset run draws anew
            self._random = random_of(self._seed)
        return self._random

    def draw_from(self, random: Random) -> None:
        """Take chance from elsewhere: for a history that another engine recorded, which seeds in its own way."""
        self._seed, self._random = self.info.run_id, random

    @property
    def refusing(self) -> bool:
        """Whether the code is being unwound, so that nothing is asked any more."""
        return self._loop.halted

    def next_op(self) -> int:
        """The number of the next durable operation.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        self.check_writable("something durable")
        if self._loop.halted:
            self._loop.refusals.refuse()
        self._last_op += 1
        return self._last_op

    def ask(self, interrupt: Interrupt) -> None:
        """Ask the world for something. It is durable when the turn is.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        if self.read_only:
            raise self.definition.dialect.read_only(what(interrupt), calling_place())
        if self._loop.halted:
            self._loop.refusals.refuse()
            return
        if self._ending is not None and not isinstance(interrupt, AnswerUpdate | Closing | MarkPatch):
            self._opened.asked(interrupt)  # the run has ended: whoever asks waits in vain, and ends with it
            return
        if self._witness is not None:
            interrupt = self._agreed(self._witness, interrupt)
        self._asked.append(interrupt)
        self._opened.asked(interrupt)

    def ask_agreed(self, interrupt: Interrupt) -> Interrupt:
        """`ask`, and what is asked in the end: in a rebuild the journal's own, which counts where the code gives another now."""
        self.ask(interrupt)
        last = self._asked[-1] if self._asked else None
        return last if last is not None and type(last) is type(interrupt) else interrupt

    def answer(
        self, op: int, *, on_cancel: Callable[[], Interrupt | None] | None = None, wait: bool = False
    ) -> Coroutine[Any, Any, Answer]:
        """Wait for the arrival that answers `op`.

        If the waiting task is cancelled first, what `on_cancel()` returns is asked. Then, without `wait`, the cancellation
        goes on and a late answer is dropped; with `wait` it is absorbed, and how the operation really ends is returned.
        A child stays open either way, so that its handle may ask for the end again.
        """
        return self._answers.wait(op, on_cancel, wait)

    def wait_signal(
        self, signal_id: str, escalation: str | None = None, expired: Callable[[], bool] = _never
    ) -> Coroutine[Any, Any, SignalReceived | None]:
        """Wait for a signal: one sent to this run by that name, or to that id by anybody. Each waiter gets one, in order.

        With an escalation, a JSON object, people are asked meanwhile; None when somebody cancels that. If this task is cancelled,
        `expired()` tells whether it was because the wait's time was up.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        self.check_writable("a wait for a signal")
        return self._signals.wait(signal_id, escalation, expired)

    @property
    def asks_people(self) -> bool:
        """Whether the code waits for people: their answer, once given, must be read before the time is up."""
        return self._signals.ask_people

    @property
    def record(self) -> Document:
        """The run's record now. Not to be changed."""
        return self._record.document(self.codec)

    @property
    def memo(self) -> Document:
        """The run's memo now. Not to be changed."""
        return self._memo.document(self.codec)

    def write_record(self, verb: str, arguments: list[Any]) -> Any:
        """Change the record, and give the verb's answer.

        Raises:
            TypeError, ValueError, PayloadError, ConfigurationError: see `record.folding`; nothing is asked then.
            ReadOnlyError: in a query or condition.
        """
        changed, _ = folding(verb, arguments)(self.record)   # first, as it names the place in a value that is refused
        asked = self.codec.encode(arguments)
        self._record.check(changed, self.codec, len(asked.data))
        self.ask(WriteRecord(self.next_op(), verb, asked))
        # In a rebuild the journal's arguments count, not what the code gives now: others have seen that record.
        agreed = self._asked[-1] if self._asked else None
        written = agreed.arguments if isinstance(agreed, WriteRecord) else asked
        return self._record.apply(folding(verb, self.codec.decode(written)), self.codec, len(written.data))

    def write_memo(self, fields: Document) -> None:
        """Change the memo.

        Raises:
            PayloadError: a value cannot be stored, or the memo would be too large.
            ReadOnlyError: in a query or condition.
        """
        asked = self.codec.encode(fields)
        changed, _ = folding("memo.set", [fields])(self.memo)
        self._memo.check(changed, self.codec, len(asked.data))
        self.ask(WriteMemo(self.next_op(), asked))
        agreed = self._asked[-1] if self._asked else None
        written = agreed.fields if isinstance(agreed, WriteMemo) else asked
        self._memo.apply(folding("memo.set", [self.codec.decode(written)]), self.codec, len(written.data))

    def record_payload(self) -> Payload | None:
        """The record as it is stored, None where there never was one. Encoded when a live turn ends."""
        return self._record.payload(self.codec)

    def memo_payload(self) -> Payload | None:
        """The memo as it is stored."""
        return self._memo.payload(self.codec)

    def patch(self, mark: MarkPatch) -> bool:
        """Whether this run takes a patch. The first question decides, and the mark is asked for if it does.

        Raises:
            ReadOnlyError: a query or condition asks first.
        """
        if self.read_only and not self._patches.decided(mark):
            raise self.definition.dialect.read_only(what(mark), calling_place())
        return self._patches.taken(mark, self._witness, self.ask)

    def condition(self, fn: Callable[[], bool]) -> asyncio.Future[None]:
        """A future that ends when `fn()` is true. It is looked at whenever all code is blocked, in order of registration."""
        self.check_writable("a condition")
        future = self.new_future()
        self._conditions.add(fn, future)
        return future

    async def sleep_until(self, due: datetime) -> None:
        """Sleep until `due`; an instant that has passed gives way to other tasks once.

        Raises:
            ConfigurationError: `due` is after the year 9000.
        """
        if due <= self.now:
            await asyncio.sleep(0)
            return
        if due.year > LAST_YEAR:
            raise errors.ConfigurationError(f"a timer until {due} is after the year {LAST_YEAR}; give it an earlier end")
        op = self.next_op()
        self.ask(StartTimer(op, due))
        await self.answer(op, on_cancel=lambda: CancelTimer(op))

    @abstractmethod
    def handle_signal(self, signal: SignalReceived, *, dynamic: bool) -> bool:
        """Start the handler of a signal, the one of its name or the dynamic one. False: there is none."""

    def check_writable(self, wanted: str) -> None:
        """Refuse what changes the run where code may only look.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        if self.read_only:
            raise self.definition.dialect.read_only(wanted, calling_place())

    # ------------------------------------------------------------------------------------------------- for the loop

    def new_future(self) -> asyncio.Future[Any]:
        """A future on this run's loop."""
        return asyncio.Future(loop=self._loop)

    def is_open(self, op: int) -> bool:
        """Whether an answer to `op` may still come."""
        return self._opened.is_open(op)

    def forget(self, op: int) -> None:
        """Nobody waits for `op` any more: drop its answer. A child stays open."""
        self._opened.forget(op)

    def start_timer(self, timer: Timer, due: datetime) -> None:
        """asyncio wants a callback later: a durable timer."""
        op = self.next_op()
        self.ask(StartTimer(op, due, TIMER_SUMMARY.get()))
        if not self._loop.halted:
            timer.op = op
            self._timers[op] = timer

    def cancel_timer(self, timer: Timer) -> None:
        """asyncio does not want it any more."""
        op = timer.op
        if op is not None and self._timers.pop(op, None) is not None and not self._loop.halted:
            self.ask(CancelTimer(op))

    def broke(self, error: BaseException) -> None:
        """The turn cannot go on. The first reason counts."""
        if self._error is None:
            if isinstance(error, errors.NondeterminismError):
                self._error = error
            else:
                self._error = TurnFailed(f"{type(error).__name__} in {self.definition.name}: turn {self.turn_number} is not done")
                self._error.__cause__ = error
        self._loop.halt()

    def _agreed(self, witness: Witness, interrupt: Interrupt) -> Interrupt:
        journal = witness.agree(interrupt)
        if journal is None:
            self.broke(witness.object(interrupt, calling_place()))
            raise Evicted
        return journal

