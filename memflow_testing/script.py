"""`Script`: drives one workflow by hand, arrivals in, interrupts out. No database, no worker, no time but the one it is told.

Every turn is played twice, live and by a replay rebuilt from the journal so far; they must ask the same, so a script also
proves that the workflow can be taken up by another worker at each of its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from memflow.client.histories import WorkflowHistory
from memflow.codec import Codec, JsonCodec
from memflow.core.arrivals import Arrival, RunStarted, TimerFired, Turn
from memflow.core.definition import Definition, RunInfo
from memflow.core.entries import JournalEntry, from_row, to_row
from memflow.core.handlers import journaled
from memflow.core.interrupts import Cancelled, Complete, ContinueAsNew, Fail, Interrupt
from memflow.core.journal import rebuild
from memflow.core.replay import Replay
from memflow.core.stacks import Waiting
from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.payload import Payload
from memflow.runs import Status
from memflow.worker import guard
from memflow.workflow.define import definition_of

START = datetime(2026, 1, 1, tzinfo=UTC)

_ENDS: tuple[tuple[type[Interrupt], Status], ...] = (
    (Complete, Status.COMPLETED),
    (Fail, Status.FAILED),
    (Cancelled, Status.CANCELLED),
    (ContinueAsNew, Status.CONTINUED_AS_NEW),
)


class Script:
    """One run of a workflow, played by hand.

        with Script(order_workflow, "item-1", 5) as script:
            [asked] = script.start()                                 # ScheduleActivity(op=1, name="check_inventory", ...)
            [asked] = script.send(ActivityCompleted(1, script.payload(7)))
            ...
            assert script.result == "r-1"

    The same script always asks the same: ids, chance and time come from `run_id` and `at`.
    """

    def __init__(
        self,
        workflow: Any,
        *arguments: Any,
        workflow_id: str = "script",
        run_id: str = "script-run",
        at: datetime = START,
        codec: Codec | None = None,
    ) -> None:
        """Raises ConfigurationError: this is no workflow. PayloadError: an argument cannot be stored."""
        guard.install()
        self._definition = definition_of(workflow)
        self._codec = codec or JsonCodec()
        self._info = RunInfo(
            "default", workflow_id, run_id, self._definition.name, "script", at, first_run_id=run_id, headers={}
        )
        self._input = self._codec.encode_arguments(arguments, self._definition.argument_types)
        self._replay = Replay(self._definition, self._info, self._codec)
        self._ending: Interrupt | None = None
        self.journal: list[JournalEntry] = []
        self.now = at

    def start(self, *messages: Arrival) -> list[Interrupt]:
        """The first turn; `messages` (signals, updates) came with the start."""
        return self.send(RunStarted(self._input), *messages)

    def send(self, *arrivals: Arrival, after: Duration = 0) -> list[Interrupt]:
        """One turn: these arrivals together, so long `after` the last one. What the code asks, in order.

        Raises:
            AssertionError: a rebuilt replay asks for something else than the live one.
            TurnFailed: the code raised what does not fail the run; its cause is that.
            ConfigurationError: the run has ended, or has not started.
        """
        if self._ending is not None:
            raise ConfigurationError(f"this run has ended ({type(self._ending).__name__}); make another Script")
        if not self.journal and not any(isinstance(each, RunStarted) for each in arrivals):
            raise ConfigurationError("begin with start()")
        self.now += to_timedelta(after, what="after")
        turn = Turn(self.now, arrivals)
        other = self.rebuilt()
        try:
            asked = self._replay.advance(turn)
            again = other.advance(turn)
            assert again == asked, f"rebuilt from its journal, the code asks for something else:\n  {again}\nlive:\n  {asked}"
        finally:
            other.close()
        kept, said = journaled(arrivals, asked)
        for entry in (*kept, *said):
            self.journal.append(JournalEntry(len(self.journal) + 1, self._replay.turn_number, self.now, entry))
        self._ending = next((each for each in asked if isinstance(each, tuple(kind for kind, _ in _ENDS))), None)
        return asked

    def sleep(self, duration: Duration) -> list[Interrupt]:
        """Let time pass: each open timer fires at its time, one turn each. All that the code asked meanwhile.

        Raises:
            as `send`.
        """
        until = self.now + to_timedelta(duration, what="sleep")
        asked: list[Interrupt] = []
        while self._ending is None:
            due = min(((at, op) for op, at in self._replay.open_timers.items()), default=None)
            if due is None or due[0] > until:
                break
            asked += self.send(TimerFired(due[1]), after=max(timedelta(), due[0] - self.now))
        self.now = max(self.now, until)
        return asked

    def rebuilt(self, workflow: Any = None) -> Replay:
        """A replay rebuilt from the journal so far, perhaps with other code; the caller closes it.

        Raises:
            NondeterminismError: that code asks for something else than the journal holds.
        """
        entries = [JournalEntry(each.seq, each.turn, each.at, from_row(to_row(each.entry))) for each in self.journal]
        definition = self._definition if workflow is None else definition_of(workflow)
        return rebuild(definition, self._info, self._codec, entries)

    def expects(self, arrival: Arrival) -> bool:
        """Whether the code can still notice this: an answer to what it gave up is none."""
        return self._replay.expects(arrival)

    @property
    def definition(self) -> Definition:
        """The workflow."""
        return self._definition

    @property
    def workflow_id(self) -> str:
        """What the run is told to be."""
        return self._info.workflow_id

    @property
    def run_id(self) -> str:
        """What the run is told to be."""
        return self._info.run_id

    def payload(self, value: Any) -> Payload:
        """A value as arrivals carry it."""
        return self._codec.encode(value)

    @property
    def waiting(self) -> Sequence[Waiting]:
        """What the code waits for, and where."""
        return self._replay.waiting()

    @property
    def ended(self) -> Interrupt | None:
        """How the run ended: Complete, Fail, Cancelled, ContinueAsNew; None while it is open."""
        return self._ending

    @property
    def result(self) -> Any:
        """What the workflow returned.

        Raises:
            ConfigurationError: it has not completed.
        """
        if not isinstance(self._ending, Complete):
            raise ConfigurationError(f"the run has not completed: {self._ending or 'it is open'}")
        return self._codec.decode(self._ending.result, self._definition.result_type)

    @property
    def history(self) -> WorkflowHistory:
        """The journal as `handle.history()` gives it, for `Replayer` and for files."""
        status = next((status for kind, status in _ENDS if isinstance(self._ending, kind)), Status.RUNNING)
        return WorkflowHistory(self.journal, self._info, status, self._codec)

    def close(self) -> None:
        """Take the code out of memory."""
        self._replay.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
