"""Drive a workflow by hand: arrivals in, interrupts out; always live and rebuilt from its journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from memflow.codec import JsonCodec
from memflow.core.arrivals import Arrival, RunStarted, SignalReceived, Turn
from memflow.core.definition import RunInfo
from memflow.core.entries import JournalEntry
from memflow.core.interrupts import Cancelled, Complete, Fail, Interrupt
from memflow.core.journal import rebuild
from memflow.core.replay import Replay
from memflow.errors import FailureError
from memflow.failure import exception_of
from memflow.payload import Payload
from memflow.workflow.define import definition_of

T0 = datetime(2026, 1, 1, tzinfo=UTC)
CODEC = JsonCodec()


def encoded(value: Any, hint: Any = Any) -> Payload:
    return CODEC.encode(value, hint)


class Driven:
    """A run that is rebuilt after each turn, and must then have asked the same."""

    def __init__(self, workflow: Any, *arguments: Any, run_id: str = "run-1", workflow_id: str = "order-1") -> None:
        self._definition = definition_of(workflow)
        self._info = RunInfo("default", workflow_id, run_id, self._definition.name, "orders", T0)
        self._input = CODEC.encode_arguments(arguments, self._definition.argument_types)
        self._replay = Replay(self._definition, self._info, CODEC)
        self._journal: list[JournalEntry] = []
        self._turn = 0
        self._now = T0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._replay.close()

    def start(self, *more: Arrival) -> list[Interrupt]:
        return self.turn(RunStarted(self._input), *more)

    def turn(self, *arrivals: Arrival, after: timedelta = timedelta(0)) -> list[Interrupt]:
        """One turn, `after` the last one; gives what the code asked."""
        self._turn += 1
        self._now += after
        ordered = sorted(arrivals, key=lambda arrival: not isinstance(arrival, SignalReceived))
        asked = self._replay.advance(Turn(self._now, ordered))
        for entry in (*ordered, *asked):
            self._journal.append(JournalEntry(len(self._journal) + 1, self._turn, self._now, entry))
        rebuild(self._definition, self._info, CODEC, self._journal).close()  # raises where it asks for something else
        return asked

    def result(self) -> Any:
        """What the run returned; raises what it failed with."""
        match self._journal[-1].entry:
            case Complete(result=result):
                return CODEC.decode(result, self._definition.result_type)
            case Fail(failure=failure) | Cancelled(failure=failure):
                raise exception_of(failure, CODEC)
            case last:
                raise AssertionError(f"still open: {last}")

    def failure(self) -> FailureError:
        try:
            raise AssertionError(f"did not fail but gave {self.result()!r}")
        except FailureError as error:
            return error

    @property
    def journal(self) -> Sequence[JournalEntry]:
        return self._journal
