"""Plays a workflow with lists: turns in, interrupts out, always both live and rebuilt from the journal so far."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from memflow.codec import JsonCodec
from memflow.core.arrivals import Answer, Arrival, RunStarted, SignalReceived, Turn
from memflow.core.chain import ContinueAsNewError
from memflow.core.context import current
from memflow.core.definition import Definition, Hook, RunInfo
from memflow.core.entries import JournalEntry, from_row, to_row
from memflow.core.handlers import journaled
from memflow.core.interrupts import (
    CancelActivity,
    ContinueAsNew,
    Emit,
    Interrupt,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartHook,
    StopOther,
)
from memflow.core.journal import rebuild
from memflow.core.replay import Replay
from memflow.options import ActivityOptions, ChildOptions
from memflow.payload import NO_ARGUMENTS, NOTHING, Payload

T0 = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CODEC = JsonCodec()
OPTIONS = ActivityOptions()
OPEN: list[Replay] = []  # what conftest closes after each test

Code = Callable[..., Coroutine[Any, Any, Any]]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def define(run: Code, *, fails_on: tuple[type[BaseException], ...] = (Exception,)) -> Definition:
    return Definition(run.__name__, run, (), 0, Any, fails_on, hooks={"outside": Hook("outside", outside, (int,), 1, Any)})


def info_of(run: Code, run_id: str = "run-1") -> RunInfo:
    return RunInfo("default", "order-1", run_id, run.__name__, "orders", T0)


def json(text: str) -> Payload:
    return Payload(text.encode())


class Played:
    """A run and its journal. Every turn goes to the live replay and to one rebuilt from the journal before it."""

    def __init__(
        self,
        run: Code,
        *,
        run_id: str = "run-1",
        fails_on: tuple[type[BaseException], ...] = (Exception,),
        around: Callable[[Definition], Definition] = lambda definition: definition,
    ) -> None:
        self.definition = around(define(run, fails_on=fails_on))
        self.info = info_of(run, run_id)
        self.replay = Replay(self.definition, self.info, CODEC)
        OPEN.append(self.replay)
        self.journal: list[JournalEntry] = []
        self.at = T0

    def rebuilt(self, code: Code | None = None) -> Replay:
        """A replay rebuilt from the journal, as a worker reads it, perhaps with other code."""
        entries = [JournalEntry(each.seq, each.turn, each.at, from_row(to_row(each.entry))) for each in self.journal]
        definition = self.definition if code is None else define(code, fails_on=self.definition.fails_on)
        return rebuild(definition, self.info, CODEC, entries)

    def deploy(self, code: Code) -> None:
        """Go on with other code, as after a restart of the worker."""
        self.replay.close()
        self.replay = self.rebuilt(code)
        self.definition = self.replay.definition
        OPEN.append(self.replay)

    def turn(self, *arrivals: Arrival, after: float = 0) -> list[Interrupt]:
        """One turn, `after` seconds after the last one. The rebuilt replay must ask the same and stand the same."""
        self.at += seconds(after)
        turn = Turn(self.at, arrivals)
        other = self.rebuilt()
        asked = self.replay.advance(turn)
        again = other.advance(turn)
        assert again == asked
        assert standing(other) == standing(self.replay)
        other.close()
        kept, said = journaled(arrivals, asked)
        for entry in (*kept, *said):
            self.journal.append(JournalEntry(len(self.journal) + 1, self.replay.turn_number, self.at, entry))
        rebuilt = self.rebuilt()
        assert rebuilt.length == len(self.journal)
        rebuilt.close()
        return asked

    def start(self) -> list[Interrupt]:
        """The first turn."""
        return self.turn(RunStarted())


def standing(replay: Replay) -> object:
    """All that a worker sees of a replay between turns."""
    return (
        replay.finished,
        replay.turn_number,
        replay.length,
        replay.now,
        dict(replay.open_activities),
        dict(replay.open_timers),
        dict(replay.open_children),
        dict(replay.open_waits),
        dict(replay.open_hooks),
        dict(replay.open_messages),
        replay.waiting(),
        replay.record,
        replay.record_payload(),
    )


# ------------------------------------------------------------------------------------------------- verbs, as lean as can be


def ask_activity(name: str) -> int:
    replay = current()
    op = replay.next_op()
    replay.ask(ScheduleActivity(op, name, NO_ARGUMENTS, OPTIONS))
    return op


async def activity(name: str, *, wait: bool = False) -> Answer:
    op = ask_activity(name)
    return await current().answer(op, on_cancel=lambda: CancelActivity(op), wait=wait)


async def signal(signal_id: str) -> SignalReceived:
    received = await current().wait_signal(signal_id)
    assert received is not None
    return received


def ask_child(workflow_id: str, *, announce: bool = False) -> int:
    replay = current()
    op = replay.next_op()
    replay.ask(StartChild(op, "child", workflow_id, f"{workflow_id}-run", NO_ARGUMENTS, ChildOptions(), announce))
    return op


async def child(workflow_id: str) -> Answer:
    op = ask_child(workflow_id)

    def stop() -> Interrupt:
        return StopOther(current().next_op(), "cancel", workflow_id, child_op=op)

    return await current().answer(op, on_cancel=stop, wait=True)


async def outside(number: int) -> int:
    """What a hook from outside does: its steps show in which order it ran."""
    await activity(f"outside-{current().write_record('search.incr', ['outside', 1])}")
    if number == 0:
        raise LookupError("a hook failed")
    return number


def ask_hook(fn: Code, *, awaited: bool = False) -> asyncio.Task[Any] | None:
    replay = current()
    replay.ask(StartHook(replay.next_op(), "hooked", NO_ARGUMENTS))
    made = Hook("hooked", fn, (), 0, Any)
    if awaited:
        return replay.hooks.start_awaited(made, NO_ARGUMENTS)
    replay.hooks.start(made, NO_ARGUMENTS)
    return None


async def send_hook(workflow_id: str, *, answer: bool) -> Answer:
    replay = current()
    op = replay.next_op()
    replay.ask(SendHook(op, f"hook-{op}", "outside", NO_ARGUMENTS, workflow_id, answer=answer))
    return await replay.answer(op)


async def people(signal_id: str, expired: Callable[[], bool]) -> SignalReceived | None:
    return await current().wait_signal(signal_id, '{"priority":5}', expired)


def emit(topic: str) -> None:
    replay = current()
    replay.ask(Emit(replay.next_op(), {topic: NOTHING}))


def send(name: str) -> None:
    replay = current()
    replay.ask(SendSignal(replay.next_op(), name, NOTHING))


async def send_told(name: str, workflow_id: str, *, cancel: bool) -> Answer:
    """Send a signal or a cancellation to another run, and wait for what became of it."""
    replay = current()
    op = replay.next_op()
    if cancel:
        replay.ask(StopOther(op, "cancel", workflow_id, tell=True))
    else:
        replay.ask(SendSignal(op, name, NOTHING, workflow_id, tell=True))
    return await replay.answer(op)


def patched(patch_id: str, *, deprecated: bool = False) -> bool:
    return current().patch(MarkPatch(patch_id, deprecated))


def continue_as_new(text: str) -> NoReturn:
    raise ContinueAsNewError(ContinueAsNew(CODEC.encode_arguments([text], ())))


async def condition(fn: Callable[[], bool]) -> None:
    await current().condition(fn)


def schedule(op: int, name: str) -> ScheduleActivity:
    return ScheduleActivity(op, name, NO_ARGUMENTS, OPTIONS)


def kinds(asked: Sequence[object]) -> list[str]:
    return [type(each).__name__ for each in asked]
