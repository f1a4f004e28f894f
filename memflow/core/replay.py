"""One run of a workflow: arrivals in, interrupts out. Does no IO; time moves only when a turn brings it.

A turn's order is part of the contract: signals first, then the start, answers and a cancellation, in the order given; after
either group the code runs until all of it is blocked, and pending conditions are looked at. The same calls serve a live run and
a rebuild from the journal (`journal.rebuild`), where each interrupt is compared with the entry that the journal holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, assert_never

from memflow import errors
from memflow.codec import Codec
from memflow.core import stacks
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
    RunStarted,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    Turn,
)
from memflow.core.asking import Asking, TurnFailed
from memflow.core.chain import continuation_in
from memflow.core.definition import Definition, RunInfo
from memflow.core.ending import ending_by
from memflow.core.interrupts import (
    Closing,
    Complete,
    Interrupt,
)
from memflow.core.mismatch import Asked, Witness
from memflow.core.stacks import Waiting
from memflow.core.unwinding import Evicted, unwind

log = logging.getLogger(__name__)

__all__ = ["CURRENT", "Replay", "TurnFailed"]

CURRENT: ContextVar[Replay | None] = ContextVar("memflow_replay", default=None)
"""The run whose code runs now. Set in every context of a run, and in no other."""


class Replay(Asking):
    """The engine of one run. `advance` it turn by turn, and `close` it when it leaves memory."""

    def __init__(self, definition: Definition, info: RunInfo, codec: Codec) -> None:
        super().__init__(definition, info, codec)
        self.finished = False
        self._left: list[SignalReceived] = []                # signals that no code had taken when the run ended
        self._context.run(CURRENT.set, self)
        self._main: asyncio.Task[Any] | None = None
        self._cancel: CancelRequested | None = None
        self._closed = False

    # ------------------------------------------------------------------------------------------------- for the worker

    def advance(self, turn: Turn) -> list[Interrupt]:
        """Apply a turn's arrivals, run the code until it is blocked, and return what it asked, in order.

        Raises:
            TurnFailed: the code raised something that does not fail the run.
            NondeterminismError: in a rebuild, the code asked for something else than the journal holds.
        """
        self._check_usable()
        self.turn_number += 1
        self.now = max(self.now, turn.at) if self.turn_number > 1 else turn.at
        loop = self._loop
        if loop.began is None:
            loop.began = turn.at
        before = loop.enter()
        try:
            self._deliver(turn.arrivals)
            if self.finished:
                self._drop_the_rest()
            if not self.replaying:
                self.record_payload()                        # here a value that cannot be stored fails the turn, not the worker
                self.memo_payload()
        except (KeyboardInterrupt, SystemExit) as error:  # in our own code: it is meant for the process
            self.broke(error)
            raise
        except BaseException as error:
            self.broke(error)
        finally:
            loop.leave(before)
        if self._error is not None:
            raise self._error
        asked = self._asked.copy()
        self.length += len(turn.arrivals) + len(asked)
        self._asked.clear()  # cleared, not replaced: code may hold on to it across an await
        return asked

    def repeat(self, turn: Turn, arrived: int, asked: Sequence[Asked], witness: Witness) -> None:
        """Advance by a turn that the journal holds, `arrived` being the entry of its last arrival.

        Raises:
            NondeterminismError, TurnFailed: as `advance`.
        """
        self._witness = witness
        self.silent = True
        witness.begin(arrived, asked)
        self.advance(turn)
        self.length = asked[-1].seq if asked else arrived    # deprecated marks that the code no longer asks for count too
        if witness.missing():
            waiting = self.waiting()
            raise witness.miss(waiting[0].chain[-1] if waiting and waiting[0].chain else None)

    def go_live(self) -> None:
        """The journal is repeated: what comes now is new."""
        self._witness = None
        self.silent = False

    @property
    def replaying(self) -> bool:
        """Whether this turn happened before, so that what it says has been said."""
        return self._witness is not None

    @property
    def cancelling(self) -> bool:
        """Whether the run was asked to cancel itself."""
        return self._cancel is not None

    @property
    def unread(self) -> list[SignalReceived]:
        """Signals that have arrived and no code has taken, in order by name. Of a run that has ended: what it left."""
        return self._left if self.finished else self._signals.unread()

    def expects(self, arrival: Arrival) -> bool:
        """Whether the code can still notice `arrival`. An answer to an op that nobody waits for is to be dropped."""
        if self.finished:
            return False
        if isinstance(arrival, RunStarted):
            return self.turn_number == 0
        return self._opened.expects(arrival)

    def waiting(self) -> list[Waiting]:
        """What each blocked coroutine waits for, and at which lines. Open ops first, in their order."""
        if self._closed:
            return []
        ops = self._answers.by_future() | self._signals.by_future()
        # asyncio.sleep waits for a future that its timer will resolve: the first argument of the callback.
        ops.update({id(timer.args[0]): op for op, timer in self._timers.items() if timer.args})
        return stacks.waiting_of(self._loop.tasks, ops, self._opened.words(), self._conditions.ids())

    def waiting_json(self) -> str:
        """`waiting()` as JSON text, at most 20 rows."""
        return stacks.to_json(self.waiting())

    def close(self) -> None:
        """Take the code out of memory: `finally` blocks run, verbs refuse, nothing is logged. Never raises."""
        if self._closed:
            return
        self._closed = self.silent = True
        before = self._loop.enter()
        try:
            self._unwind(Evicted)
        finally:
            self._loop.leave(before)
        # Contexts of suspended tasks outlive us until the garbage collector comes. A run that has ended has none, and
        # without the cycles it needs no collector: at thousands of runs a second that counts.
        self._context.run(CURRENT.set, None)
        self._main = None
        del self._loop.host, self._answers, self._signals

    # ------------------------------------------------------------------------------------------------- one turn

    def _check_usable(self) -> None:
        if self._closed or self.finished or self._error is not None:
            raise RuntimeError("this replay has ended; rebuild the run from its journal")

    def _deliver(self, arrivals: Sequence[Arrival]) -> None:
        others: list[Arrival] = []
        for arrival in arrivals:
            if isinstance(arrival, SignalReceived):
                self._signals.apply(arrival)
            elif isinstance(arrival, RunStarted):
                others.insert(0, arrival)
            else:
                others.append(arrival)
        if len(others) < len(arrivals):
            self._settle()
        for arrival in others:
            self._apply(arrival)
        self._settle()
        if self._loop.failed:
            continued = None if self.finished else self._loop.left_by_failed()
            if continued is not None:
                self._fail(continued)
            self._loop.report_failed(all_of_them=self.finished)

    def _settle(self) -> None:
        """Run until all code is blocked and no condition became true."""
        loop, conditions = self._loop, self._conditions
        loop.run_until_blocked()
        while conditions and not loop.halted:
            self.read_only = True
            try:
                resolved = conditions.evaluate()
            finally:
                self.read_only = False
            if not resolved:
                return
            loop.run_until_blocked()

    def _apply(self, arrival: Arrival) -> None:
        opened = self._opened
        match arrival:
            case ActivityCompleted() | ActivityFailed() | ActivityTimedOut() | ActivityCancelled():
                if opened.activities.pop(arrival.op, None) is not None:
                    self._answers.give(arrival.op, arrival)
            case TimerFired(op=op):
                if opened.timers.pop(op, None) is not None:
                    timer = self._timers.pop(op, None)
                    if timer is None:
                        self._answers.give(op, arrival)
                    else:
                        self._loop.fire(timer)
            case ChildStarted(op=op):
                if op in opened.children:
                    self._answers.give(op, arrival)
            case ChildNotStarted() | ChildCompleted() | ChildFailed() | ChildCancelled():
                if opened.children.pop(arrival.op, None) is not None:
                    self._answers.give(arrival.op, arrival)
            case RunStarted():
                self._start(arrival)
            case CancelRequested():
                if self._cancel is None and self._main is not None:
                    self._cancel = arrival
                    # After what is due: a run that starts in this turn gets to its first await, and can clean up there.
                    self._loop.call_soon(self._main.cancel)
            case RunTerminated() | RunTimedOut():
                pass  # the run was ended over its code's head
            case SignalReceived():
                self._signals.apply(arrival)
            case _:
                assert_never(arrival)

    def _start(self, started: RunStarted) -> None:
        definition = self.definition
        try:
            arguments = self.codec.decode_arguments(started.input, definition.argument_types, definition.required_arguments)
            coroutine = self._context.run(definition.run, *arguments)
        except Exception as error:
            self._fail(error)
            return
        self._main = self._loop.start(coroutine, self._context, self._main_ended)

    # ------------------------------------------------------------------------------------------------- the end

    def _main_ended(self, main: asyncio.Task[Any]) -> None:
        self._loop.tasks.pop(main, None)  # type: ignore[call-overload]  # the loop made it, so it is one of its tasks
        if main.cancelled():
            reason = None if self._cancel is None else self._cancel.reason
            self._fail(errors.CancelledError("cancelled" if reason is None else f"cancelled: {reason}"))
            return
        error = main.exception()
        if error is not None:
            self._fail(error)
            return
        try:
            result = self.codec.encode(main.result(), self.definition.result_type)
        except Exception as refused:
            self._fail(refused)
            return
        self._end(Complete(result))

    def _fail(self, error: BaseException) -> None:
        continued = continuation_in(error)
        if continued is not None:
            self._end(continued)
            return
        closing = ending_by(error, self.definition, self.codec, cancelling=self._cancel is not None)
        if closing is None:
            self.broke(error)
        else:
            self._end(closing)

    def _end(self, closing: Closing) -> None:
        try:
            self.ask(closing)
        except Evicted:  # a mismatch; it is noted
            return
        self.finished = True
        self._loop.halt()

    def _drop_the_rest(self) -> None:
        """The run has ended; what its code left running ends with it."""
        left = [task.get_name() for task in self._loop.tasks if not task.done()]
        if left and not self.silent:
            log.warning(
                "the workflow ended while tasks were running; they are dropped",
                extra={"workflow_id": self.info.workflow_id, "run_id": self.info.run_id, "tasks": left},
            )
        self.silent = True
        self._unwind(asyncio.CancelledError)

    def _unwind(self, first: Callable[[], BaseException]) -> None:
        loop = self._loop
        loop.halt()
        undead = unwind(loop, loop.tasks, first)
        if undead:
            log.warning(
                "workflow code catches BaseException in a loop and cannot be taken out of memory cleanly",
                extra={"workflow_id": self.info.workflow_id, "run_id": self.info.run_id, "places": undead},
            )
        loop.tasks.clear()
        loop.failed.clear()
        self._answers.clear()
        self._left = self._signals.unread()
        self._signals.clear()
        self._conditions.clear()
        self._timers.clear()
        self._opened.clear()
