"""The code asks for something other than its journal holds: who noticed, and what to tell people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from memflow.core.definition import RunInfo
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelWait,
    Closing,
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
    WriteRecord,
)
from memflow.core.wording import what, with_input
from memflow.errors import NondeterminismError

Identity = tuple[object, ...]


def identity(interrupt: Interrupt) -> Identity:
    """What an interrupt is, apart from its op: kind and name. Inputs, options and times may change with the code.

    Not so whether an activity is local: what is under way lies where its kind is looked for, and nowhere else.
    """
    match interrupt:
        case ScheduleActivity(name=name, options=options):
            return ScheduleActivity, name, options.is_local
        case AwaitSignal(signal_id=signal_id) | CancelWait(signal_id=signal_id):
            return type(interrupt), signal_id
        case SendSignal(name=name, workflow_id=workflow_id):
            return SendSignal, name, workflow_id
        case StartChild(workflow=workflow, workflow_id=workflow_id):
            return StartChild, workflow, workflow_id
        case StartHook(name=name):
            return StartHook, name
        case SendHook(name=name, workflow_id=workflow_id):
            return SendHook, name, workflow_id
        case AnswerHook(hook_id=hook_id, failure=failure):
            return AnswerHook, hook_id, failure is None
        case StopOther(how=how, workflow_id=workflow_id):
            return StopOther, how, workflow_id
        case MarkPatch(patch_id=patch_id):
            return MarkPatch, patch_id
        case WriteRecord(verb=verb):
            return WriteRecord, verb
        case AnswerUpdate(update_id=update_id, outcome=outcome):
            return AnswerUpdate, update_id, outcome
        case _:
            return (type(interrupt),)


def same_as(journal: Interrupt, code: Interrupt) -> bool:
    """Whether the code asks for what the journal holds: the same kind, op and name."""
    if type(journal) is not type(code) or _op(journal) != _op(code):
        return False
    if isinstance(journal, ScheduleActivity) and isinstance(code, ScheduleActivity):  # nearly always
        return journal.name == code.name and journal.options.is_local == code.options.is_local
    return identity(journal) == identity(code)


def _op(interrupt: Interrupt | None) -> int | None:
    return getattr(interrupt, "op", None)


class Asked(NamedTuple):
    """An interrupt at its place in the journal."""

    seq: int
    at: datetime
    interrupt: Interrupt


class Witness:
    """Holds the journal beside a rebuild: each interrupt is compared while the line that asks is still on the stack."""

    def __init__(self, info: RunInfo, asked: Sequence[Asked]) -> None:
        """`asked` are the interrupts of the whole journal: what comes later helps to tell what changed."""
        self._info = info
        self._whole = asked
        self._turn: Sequence[Asked] = ()
        self._next = 0
        self._agreed = 0
        self._agreed_on: Asked | None = None
        marks = [each.interrupt for each in asked if isinstance(each.interrupt, MarkPatch)]
        self.patches = frozenset(mark.patch_id for mark in marks)
        """Every patch that the journal marks."""
        self._deprecated = frozenset(mark.patch_id for mark in marks if mark.deprecated)

    def begin(self, arrived: int, turn: Sequence[Asked]) -> None:
        """A turn begins whose last arrival is entry `arrived`; `turn` are its interrupts."""
        self._turn = turn
        self._next = 0
        self._agreed = max(self._agreed, arrived)

    def agree(self, code: Interrupt) -> Interrupt | None:
        """The journal's own interrupt when the code asks for the same, else None."""
        while self._next < len(self._turn):
            entry = self._turn[self._next]
            if same_as(entry.interrupt, code):
                self._next += 1
                self._agreed = entry.seq
                self._agreed_on = entry
                return entry.interrupt
            if not _may_be_missed(entry):
                break
            self._next += 1
        if isinstance(code, MarkPatch) and code.patch_id in self._deprecated:
            return code  # a call that may go away may also stand elsewhere
        return None

    def object(self, code: Interrupt, where: str | None) -> NondeterminismError:
        """The report on something else than expected, asked at `where`."""
        return self._report(self._turn[self._next] if self._next < len(self._turn) else None, code, where)

    def missing(self) -> bool:
        """Whether the journal holds more of this turn than the code has asked."""
        while self._next < len(self._turn) and _may_be_missed(self._turn[self._next]):
            self._next += 1
        return self._next < len(self._turn)

    def miss(self, where: str | None) -> NondeterminismError:
        """The report on a turn that ended too early, with the code waiting at `where`."""
        return self._report(self._turn[self._next], None, where)

    def _report(self, entry: Asked | None, code: Interrupt | None, where: str | None) -> NondeterminismError:
        journal = None if entry is None else entry.interrupt
        seq = self._agreed + 1 if entry is None else entry.seq
        op = _op(journal) if journal is not None else _op(code)
        held = "nothing more in this turn"
        if entry is not None:
            held = f"{with_input(entry.interrupt)}    recorded {entry.at:%Y-%m-%d %H:%M} UTC"
        asks = "nothing more" if code is None else with_input(code)
        if code is not None and journal is not None and _op(code) not in (None, _op(journal)):
            asks += f" as op {_op(code)}"
        good = self._agreed_on
        likely, fix = self._likely(entry, code)
        lines = [
            f"CodeMismatch: run {self._info.workflow_id} ({self._info.workflow}) cannot continue: "
            "the code asks for something else than the journal holds.",
            f"  {f'op {op}' if op is not None else f'entry {seq}':<9} journal:  {held}",
            f"            code now: {asks}" + (f"    {where}" if where else ""),
            "  good until " + ("the start" if good is None else _placed(good)),
            f"  likely    {likely}",
            f"  to fix    {fix}",
            "  or        run the version that recorded it again",
            f"The run is not failed: it is parked, and goes on with code that fits (run id {self._info.run_id}, entry {seq}).",
        ]
        return NondeterminismError(
            "\n".join(lines), seq=seq, journal=journal, code=code, where=where, agreed=self._agreed, likely=likely
        )

    def _likely(self, entry: Asked | None, code: Interrupt | None) -> tuple[str, str]:
        if entry is None:
            return "a step was added before what the run waited for", GUARD
        journal = entry.interrupt
        if isinstance(journal, MarkPatch):
            return _patch_gone(journal, code)
        if code is None:
            return "a step was removed, or the code now waits for something else first", GUARD
        if isinstance(code, Fail) and not isinstance(journal, Fail):
            return "the code now fails where it went on before", "mend the code so that it goes on as it did"
        if isinstance(code, Closing) and not isinstance(journal, Closing):
            return "the last steps were removed, or the code now returns early", GUARD
        if isinstance(journal, Closing):
            return "a step was added before the end, or the code now goes on where it returned or raised", GUARD
        if any(later.seq > entry.seq and identity(later.interrupt) == identity(code) for later in self._whole):
            return "a step was removed or steps changed places: the journal holds what the code asks for further on", GUARD
        if type(journal) is type(code) and identity(journal) != identity(code):
            return f"{_NOUNS.get(type(journal), 'a step')} was renamed or replaced while runs were open", GUARD
        if isinstance(code, StartTimer) or isinstance(journal, StartTimer):
            return "a sleep or a timeout was added or removed while runs were open", GUARD
        return "a step was added, or steps changed places, while runs were open", GUARD


GUARD = 'keep the old path for runs under way:  if workflow.patched("..."): new path   else: old path'


def _patch_gone(journal: MarkPatch, code: Interrupt | None) -> tuple[str, str]:
    if isinstance(code, MarkPatch):
        return "patches changed places, or one was renamed", "ask for patches in the order in which they came into the code"
    keep = f"call workflow.deprecate_patch({journal.patch_id!r}) there until the runs that took it have ended"
    return f"the call of patched({journal.patch_id!r}) was removed, or stands elsewhere now", keep


def _may_be_missed(entry: Asked) -> bool:
    return isinstance(entry.interrupt, MarkPatch) and entry.interrupt.deprecated


_NOUNS: dict[type[Interrupt], str] = {
    ScheduleActivity: "an activity",
    AwaitSignal: "a signal id",
    SendSignal: "a signal's name or target",
    AnswerUpdate: "an update's handler",
    StartHook: "a hook",
    SendHook: "a hook, or the run it goes to,",
    StartChild: "a child workflow, or its id,",
    StopOther: "the run to stop",
}


def _placed(entry: Asked) -> str:
    op = _op(entry.interrupt)
    name = what(entry.interrupt)
    return f"entry {entry.seq} ({name})" if op is None else f"op {op} ({name}), entry {entry.seq}"
