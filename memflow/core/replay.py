"""One run of a workflow: arrivals in, interrupts out. Does no IO; time moves only when a turn brings it.

A turn's order is part of the contract: a class workflow's instance is made, then come signals and updates, then the start,
answers and a cancellation, in the order given; after either group the code runs until all of it is blocked, and pending
conditions are looked at. The same calls serve a live run and
a rebuild from the journal (`journal.rebuild`), where each interrupt is compared with the entry that the journal holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from types import MethodType
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
    Turn,
    UpdateReceived,
    WaitCancelled,
)
from memflow.core.asking import Asking, TurnFailed
from memflow.core.chain import continuation_in
from memflow.core.definition import Definition, Handler, RunInfo
from memflow.core.ending import ending_by
from memflow.core.handlers import (
    CURRENT_UPDATE,
    STACK_QUERY,
    Handlers,
    Running,
    UpdateInfo,
    call,
    in_words,
    journaled,
    run_signal,
    warn_unfinished,
)
from memflow.core.hooks import Hooks
from memflow.core.interrupts import (
    AnswerUpdate,
    Closing,
    Complete,
    Interrupt,
)
from memflow.core.mismatch import Asked, Witness
from memflow.core.stacks import Waiting
from memflow.core.unwinding import Evicted, unwind
from memflow.failure import failure_of
from memflow.interceptors import ExecuteWorkflowInput, HandleUpdateInput, WorkflowInbound
from memflow.payload import Payload

log = logging.getLogger(__name__)

__all__ = ["CURRENT", "Replay", "TurnFailed"]

CURRENT: ContextVar[Replay | None] = ContextVar("memflow_replay", default=None)
"""The run whose code runs now. Set in every context of a run, and in no other."""


class Replay(Asking):
    """The engine of one run. `advance` it turn by turn, and `close` it when it leaves memory."""

    __slots__ = (
        "__weakref__", "_admitted", "_arguments", "_cancel", "_closed", "_held", "_hooks", "_left", "_main", "arrived",
        "finished", "handlers", "inbound", "instance", "querying", "single_batch", "unanswered",
    )

    def __init__(self, definition: Definition, info: RunInfo, codec: Codec) -> None:
        own: Callable[[RunInfo], Codec] | None = getattr(codec, "for_run", None)     # a codec may have one for each run
        codec = codec if own is None else own(info)
        super().__init__(definition, info, codec)
        self.finished = False
        self.unanswered: list[str] = []                      # updates that were accepted, and under way when the run ended
        self._left: list[SignalReceived] = []                # signals that no code had taken when the run ended
        self._context.run(CURRENT.set, self)
        if definition.dialect.sandbox is not None:
            self._loop.sandbox = definition.dialect.sandbox
        self._main: asyncio.Task[Any] | None = None
        self._cancel: CancelRequested | None = None
        self._closed = False
        self.handlers = Handlers(codec, definition.dialect)
        self.querying = False                                # a query runs
        self.inbound: WorkflowInbound | None = None          # what code is called through, where there are interceptors
        self._hooks: Hooks | None = None                     # made when there is one: most runs have none
        self.instance: object | None = None                  # of a class workflow, once the start has arrived
        self._arguments: Sequence[Any] = ()
        self.single_batch = False                            # whether all that a turn brings is applied before code runs
        self._held: list[UpdateReceived] | None = None       # updates for handlers that the code of this turn may still set
        self._admitted = 0                                   # updates accepted so far
        self.arrived: Sequence[Arrival] = ()                 # what the last turn brought

    # ------------------------------------------------------------------------------------------------- for the worker

    def advance(self, turn: Turn) -> list[Interrupt]:
        """Apply a turn's arrivals, run the code until it is blocked, and return what it asked, in order.

        Raises:
            TurnFailed: the code raised something that does not fail the run.
            NondeterminismError: in a rebuild, the code asked for something else than the journal holds.
        """
        self._check_usable()
        number, now = self.turn_number, self.now
        self.turn_number += 1
        self.length_before = self.length
        self.arrived = turn.arrivals
        if self._own_info.origins:
            self.info = self._own_info.at_turn(self.turn_number)
        self.now = max(self.now, turn.at) if self.turn_number > 1 else turn.at
        loop = self._loop
        if loop.began is None:
            loop.began = turn.at
        before = loop.enter()
        try:
            if not self._deliver(turn.arrivals):
                self.turn_number, self.now = number, now
            if self.finished:
                self._drop_the_rest()
            if self._witness is None:
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
        kept, said = journaled(turn.arrivals, asked)
        self.length += len(kept) + len(said)
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
    def cancellation_reason(self) -> str | None:
        """Why it was asked to, an empty text if nobody said; None if it was not asked."""
        return None if self._cancel is None else self._cancel.reason or ""

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

    def query(self, name: str, input: Payload, headers: Mapping[str, str] | None = None) -> Payload:
        """Answer a query by the handler of that name, between turns and after the end. Nothing of the run changes.

        Whatever the handler raises passes through.

        Raises:
            ConfigurationError: there is no such handler; the message lists those there are.
            PayloadError: the arguments do not fit, or the answer cannot be stored.
            ReadOnlyError: the handler asked for something durable, or waits.
        """
        if self._closed or self._error is not None:
            raise RuntimeError("this replay has ended; rebuild the run from its journal")
        if name == STACK_QUERY and self.handlers.get("query", name) is None:
            return self.codec.encode(stacks.in_words(self.waiting()))
        before = self._loop.enter()
        self.read_only = self.querying = True
        try:
            return self._context.copy().run(self.handlers.query, name, input, self.inbound, headers)
        finally:
            self.read_only = self.querying = False
            self._loop.leave(before)

    @property
    def hooks(self) -> Hooks:
        """The hooks of this run."""
        if self._hooks is None:
            self._hooks = Hooks(self)
        return self._hooks

    def set_handler(self, kind: str, name: str | None, handler: Handler | None) -> None:
        """Set a handler at run time, or take it away. Signals that came before go to it now.

        Raises:
            ReadOnlyError: in a query, validator or condition.
        """
        self.check_writable(f"a {kind} handler")
        self.handlers.put(kind, name, handler)
        if kind == "signal" and handler is not None and not self._loop.halted:
            for signal in self._signals.drain(name):
                self._run_signal(handler, signal)

    def handle_signal(self, signal: SignalReceived, *, dynamic: bool) -> bool:
        """Start the handler of a signal, the one of its name or the dynamic one. False: there is none."""
        handler = self.handlers.get("signal", None if dynamic else signal.name)
        if handler is None:
            return False
        self._run_signal(handler, signal)
        return True

    def waiting(self) -> list[Waiting]:
        """What each blocked coroutine waits for, and at which lines. Open ops first, in their order."""
        if self._closed:
            return []
        ops = self._answers.by_future() | self._signals.by_future()
        # asyncio.sleep waits for a future that its timer will resolve: the first argument of the callback.
        ops.update({id(timer.args[0]): op for op, timer in self._timers.items() if timer.args})
        return stacks.waiting_of(self._loop.tasks, ops, self._opened.words(), self._conditions.ids())

    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended, in the order in which they were made."""
        return [task for task in self._loop.tasks if not task.done()]

    def waiting_json(self) -> str:
        """`waiting()` as JSON text, at most 20 rows."""
        return stacks.to_json(self.waiting())

    def close(self) -> None:
        """Take the code out of memory: `finally` blocks run, verbs refuse, nothing is logged. Never raises."""
        if self._closed:
            return
        self._closed = self.silent = True
        if not self.finished or self._loop.tasks:            # else its end has left nothing to take out
            before = self._loop.enter()
            try:
                self._unwind(Evicted)
            finally:
                self._loop.leave(before)
        # Contexts of suspended tasks outlive us until the garbage collector comes. A run that has ended has none, and
        # without the cycles it needs no collector: at thousands of runs a second that counts.
        self._context.run(CURRENT.set, None)
        self._main = self.instance = self.inbound = None
        self._arguments = ()
        self.handlers.clear()
        del self._loop.host, self._answers, self._signals

    # ------------------------------------------------------------------------------------------------- one turn

    def _check_usable(self) -> None:
        if self._closed or self.finished or self._error is not None:
            raise RuntimeError("this replay has ended; rebuild the run from its journal")

    def _deliver(self, arrivals: Sequence[Arrival]) -> bool:
        """Apply a turn's arrivals. False: all of them were updates that were rejected, so that there was no turn."""
        messages: list[SignalReceived | WaitCancelled | UpdateReceived] = []
        others: list[Arrival] = []
        for arrival in arrivals:
            if isinstance(arrival, RunStarted):
                others.insert(0, arrival)
            elif isinstance(arrival, (SignalReceived, WaitCancelled, UpdateReceived)):  # a union would be made anew each time
                messages.append(arrival)
            else:
                others.append(arrival)
        if others and isinstance(others[0], RunStarted) and not self._make(others[0]):
            if self._ending is not None:
                self._finish(self._ending)
            return True
        counts = bool(others) or not messages
        if messages:
            counts = self._take(messages) or counts
        if counts:
            for arrival in others:
                self._apply(arrival)
            self._settle()
            if self._held:
                self._admit_held()
        self._held = None
        if self._ending is not None and not self.finished:
            self._finish(self._ending)
        if self._loop.failed:
            continued = None if self.finished else self._loop.left_by_failed()
            if continued is not None:
                self._fail(continued)
            self._loop.report_failed(all_of_them=self.finished)
        return counts

    def _take(self, messages: Sequence[SignalReceived | WaitCancelled | UpdateReceived]) -> bool:
        """Signals and updates, in the order they came. False: all were updates that were rejected.

        A rejected update is no entry of the journal, so nothing may happen here that a rebuild without it would not see:
        it makes no task, and conditions are not looked at for its sake.
        """
        if self._main is None:
            self._held = []
        admitted, signalled = self._admitted, False
        self._signals.reserved = [each.op for each in messages if not isinstance(each, UpdateReceived) and each.op is not None]
        for message in messages:
            if isinstance(message, SignalReceived):
                signalled = True
                self._signals.apply(message)
            elif isinstance(message, WaitCancelled):
                signalled = True
                self._signals.cancelled(message)
            else:
                self._loop.call_soon(self._admit, message, context=self._context.copy())
        if self.single_batch:
            return True
        self._loop.run_until_blocked()
        if signalled or self._admitted > admitted:
            self._settle()
            return True
        return False

    def _admit_held(self) -> None:
        held, self._held = self._held or (), None
        admitted = self._admitted
        for update in held:
            self._loop.call_soon(self._admit, update, context=self._context.copy())
        self._loop.run_until_blocked()
        if self._admitted > admitted:
            self._settle()

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
            case RunStarted():
                self._start()
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
            case HookDelivered() | HookNotDelivered() | HookCompleted() | HookFailed():
                if opened.hooks.pop(arrival.op, None) is not None:
                    self._answers.give(arrival.op, arrival)
            case MessageDelivered() | MessageNotDelivered():
                if opened.messages.pop(arrival.op, None) is not None:
                    self._answers.give(arrival.op, arrival)
            case HookReceived():
                self.hooks.receive(arrival)
            case CancelRequested():
                if self._cancel is None and self._main is not None:
                    self._cancel = arrival
                    # After what is due: a run that starts in this turn gets to its first await, and can clean up there.
                    self._loop.call_soon(self._main.cancel)
            case RunTerminated() | RunTimedOut():
                pass  # the run was ended over its code's head
            case SignalReceived() | WaitCancelled() | UpdateReceived():
                self._take([arrival])
            case _:
                assert_never(arrival)

    def _make(self, started: RunStarted) -> bool:
        """Make the instance of a class workflow, before anything is delivered to it. False: the run failed by that."""
        definition = self.definition
        if definition.intercept is not None:
            self.inbound = self._context.run(definition.intercept, self)
        try:
            arguments = self.codec.decode_arguments(started.input, definition.argument_types, definition.required_arguments)
            if definition.make is not None:
                self.instance = self._context.run(definition.make, *arguments)
                self.handlers.bind(definition.handlers, self.instance)
                arguments = [self.instance, *arguments]
        except Exception as error:
            self._fail(error)
            return False
        self._arguments = arguments
        return True

    def _start(self) -> None:
        if self._loop.halted or self._ending is not None:    # a handler that came first has ended the run
            return
        try:
            if self.inbound is None:
                coroutine = self._context.run(self.definition.run, *self._arguments)
            else:
                coroutine = self.inbound.execute_workflow(self._as_input())
        except Exception as error:
            self._fail(error)
            return
        self._main = self._loop.start(coroutine, self._context, self._main_ended)

    def _as_input(self) -> ExecuteWorkflowInput:
        definition, arguments = self.definition, self._arguments
        if definition.make is None:
            return ExecuteWorkflowInput(definition.name, definition.run, arguments, self.info.headers or {})
        bound = MethodType(definition.run, self.instance)
        return ExecuteWorkflowInput(definition.name, bound, arguments[1:], self.info.headers or {})

    # ------------------------------------------------------------------------------------------------- handlers

    def _run_signal(self, handler: Handler, signal: SignalReceived) -> None:
        coroutine = run_signal(handler, signal, lambda: self.handlers.signal_arguments(handler, signal), self.inbound)
        task = self._loop.start(coroutine, self._context.copy(), self._handler_ended, name=f"signal {signal.name}")
        self.handlers.running[task] = Running(handler, signal.name)

    def _admit(self, update: UpdateReceived) -> None:
        """Accept an update and start its handler, or reject it. In a rebuild its entry says that it was accepted."""
        CURRENT_UPDATE.set(UpdateInfo(update.update_id, update.name))    # in a context of its own, that of its validator
        handlers = self.handlers
        known = handlers.get("update", update.name) or handlers.get("update", None)
        if known is None and self._held is not None:
            self._held.append(update)
            return
        try:
            handler = handlers.find("update", update.name)
            arguments = handlers.arguments_of(handler, update.name, update.input)
            if handler.validator is not None and not self.replaying:
                self._validate(handler.validator, update, arguments)
                arguments = handlers.arguments_of(handler, update.name, update.input)  # it may have changed them
        except errors.ReadOnlyError as error:
            self.broke(error)
            return
        except Exception as error:
            self._reject(update, error)
            return
        self._admitted += 1
        self.ask(AnswerUpdate(update.update_id, "accepted"))
        coroutine = self._run_update(handler, update, arguments)
        task = self._loop.start(
            coroutine, self._context.copy(), self._handler_ended, name=f"update {update.name}", at_once=True
        )
        handlers.running[task] = Running(handler, update.name, update.update_id)

    def _validate(self, validator: Callable[..., object], update: UpdateReceived, arguments: Sequence[Any]) -> None:
        self.read_only = True
        try:
            if self.inbound is None:
                validator(*arguments)
            else:
                self.inbound.handle_update_validator(_handled(update, arguments, validator))
        finally:
            self.read_only = False

    def _reject(self, update: UpdateReceived, error: Exception) -> None:
        rejected = AnswerUpdate(update.update_id, "rejected", failure=failure_of(error, self.codec))
        if self.replaying:
            self.ask(rejected)               # its journal says otherwise: that is a mismatch
        else:
            self._asked.append(rejected)

    async def _run_update(self, handler: Handler, update: UpdateReceived, arguments: Sequence[Any]) -> None:
        CURRENT_UPDATE.set(UpdateInfo(update.update_id, update.name))
        try:
            if self.inbound is None:
                result = await call(handler.function, arguments)
            else:
                result = await self.inbound.handle_update_handler(_handled(update, arguments, handler.function))
        except asyncio.CancelledError:
            if self.refusing:
                raise
            cancelled = errors.CancelledError(f"cancelled while it answered update {update.name!r}")
            answer = AnswerUpdate(update.update_id, "failed", failure=failure_of(cancelled, self.codec))
        except Exception as error:
            ending = ending_by(error, self.definition, self.codec, cancelling=False)
            if ending is None:
                raise
            answer = AnswerUpdate(update.update_id, "failed", failure=ending.failure)
        else:
            answer = AnswerUpdate(update.update_id, "completed", self.codec.encode(result, handler.result_type))
        self.ask(answer)

    def _handler_ended(self, task: asyncio.Task[Any]) -> None:
        self._loop.tasks.pop(task, None)  # type: ignore[call-overload]  # the loop made it, so it is one of its tasks
        running = self.handlers.running.pop(task)
        error = errors.CancelledError(f"the handler of {running.name!r} was cancelled") if task.cancelled() else task.exception()
        if error is None or self.finished:
            return
        if running.update_id is not None and not task.cancelled():
            self.broke(error)
        else:
            self._fail(error)

    def start_task(
        self, coroutine: Coroutine[Any, Any, Any], ended: Callable[[asyncio.Task[Any]], None], name: str
    ) -> asyncio.Task[Any]:
        """A further task of the run, with the run's context. `ended` is called outside of that."""

        def gone(task: asyncio.Task[Any]) -> None:
            self._loop.tasks.pop(task, None)  # type: ignore[call-overload]  # the loop made it, so it is one of its tasks
            ended(task)

        return self._loop.start(coroutine, self._context.copy(), gone, name=name)

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

    def fail(self, error: BaseException) -> None:
        """Code of the run raised `error`: it ends the run as what `run` raises does, or the turn is not done."""
        self._fail(error)

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
        """The run ends: now, or when this turn does, if updates may still be answered in it. The first end counts."""
        if self._ending is not None or self.finished:
            return
        if self.handlers.updating or self.definition.dialect.ends_with_its_turn:
            self._ending = closing
        else:
            self._finish(closing)

    def _finish(self, closing: Closing) -> None:
        try:
            self.ask(closing)
        except Evicted:  # a mismatch; it is noted
            return
        self.finished = True
        self._loop.halt()

    def _drop_the_rest(self) -> None:
        """The run has ended; what its code left running ends with it."""
        running = self.handlers.running
        self.unanswered = [each.update_id for each in running.values() if each.update_id is not None] if running else []
        unfinished = self.handlers.unfinished() if running else []
        if unfinished and not self.silent:
            log.warning(
                "the workflow ended while handlers were running; await workflow.wait_condition(workflow.all_handlers_finished)"
                " before its end, or declare them with unfinished_policy",
                extra={
                    "workflow_id": self.info.workflow_id,
                    "run_id": self.info.run_id,
                    "handlers": [in_words(each) for each in unfinished],
                },
            )
            warn_unfinished(unfinished, self.info, self.definition.dialect)
        hooks = [] if self._hooks is None else self._hooks.unfinished()
        if hooks and not self.silent:
            log.warning(
                "the workflow ended while hooks were running; they end with it. Wait for a hook's result with exec_hook",
                extra={"workflow_id": self.info.workflow_id, "run_id": self.info.run_id, "hooks": hooks},
            )
        left = self._loop.tasks and [
            task.get_name()
            for task in self._loop.tasks
            if not (
                task.done()
                or task.outlived
                or task in self.handlers.running
                or (self._hooks is not None and task in self._hooks.running)
            )
        ]
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
        if loop.tasks:
            undead = unwind(loop, loop.tasks, first)
            if undead:
                log.warning(
                    self.definition.dialect.undead(self.info.run_id),
                    extra={"workflow_id": self.info.workflow_id, "run_id": self.info.run_id, "places": undead},
                )
            loop.tasks.clear()
        loop.failed.clear()
        self._answers.clear()
        self._left = self._signals.unread()
        self._signals.clear()
        self.handlers.running.clear()
        self._hooks = None
        self._conditions.clear()
        self._timers.clear()
        self._opened.clear()


def _handled(update: UpdateReceived, arguments: Sequence[Any], function: Callable[..., Any]) -> HandleUpdateInput:
    return HandleUpdateInput(update.update_id, update.name, arguments, update.headers, function)
