"""A thread beside the worker's that notices a turn which does not end: first it says where, later it interrupts it.

All runs of a worker share one thread, so a turn that computes for long keeps every other run waiting, and one that never ends
would keep its runs for ever.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Self

from memflow.core.replay import TurnFailed
from memflow.worker.striking import settle, strike

log = logging.getLogger(__name__)

_DEBUGGERS = frozenset({"bdb", "pdb", "pydevd", "debugpy"})


class TurnTooLong(BaseException):
    """Raised into workflow code that computed for too long. A BaseException, so that `except Exception` does not hold it."""


class Watchdog:
    """Watches the turns of the thread that calls `start`. Costs each turn a few attribute writes.

    `report_after` is the seconds of computing after which a warning shows the line, `interrupt_after` those after which
    `TurnTooLong` is raised there. Time in which this whole process stood still (SIGSTOP, a sleeping laptop) does not count,
    nor does a turn that sits in a debugger. Code inside one long C call can be reported, but only interrupted after it.
    """

    def __init__(self, report_after: float = 2.0, interrupt_after: float = 10.0) -> None:
        self.report_after = report_after
        self.interrupt_after = interrupt_after
        self._label: str | None = None               # the turn that runs now
        self._limit = interrupt_after
        self._number = 0                             # how many turns began or ended
        self._interrupted = False
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0

    def start(self) -> None:
        """Watch the calling thread from now on."""
        if self._thread is not None:
            return
        self._watched = threading.get_ident()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="memflow watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watching thread, and wait for it."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def turn(self, label: str, limit: timedelta | None = None) -> Self:
        """`with watchdog.turn(workflow_id):` around one turn. `limit` stands in for `interrupt_after`, to half a second or so.

        Raises:
            TurnFailed: on leaving the block, if the turn was interrupted there.
        """
        self._limit = self.interrupt_after if limit is None else limit.total_seconds()
        self._label = label
        return self

    def __enter__(self) -> None:
        self._number += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._number += 1
            self._label = None
            if self._interrupted:
                self._settle()
        except TurnTooLong:                          # it struck here, after the turn had ended in time
            self._settle()
        if isinstance(error, TurnTooLong):
            raise TurnFailed(str(error)) from error

    # ------------------------------------------------------------------------------------------------ the watching thread

    def _watch(self) -> None:
        period = min(self.report_after, self.interrupt_after) / 4
        number, ticks, reported, interrupts = -1, 0, False, 0
        while not self._stopping.wait(period):       # ticks are counted, not clocks read: see the class
            label = self._label
            if label is None or number != self._number:
                number, ticks, reported, interrupts = self._number, 0, False, 0
                continue
            ticks += 1
            seconds = ticks * period
            if seconds >= self.report_after and not reported:
                reported = True
                self._report(label, seconds, number)
            if seconds >= self._limit * (interrupts + 1):       # again, if the code caught it and went on
                interrupts += 1
                self._interrupt(label, seconds, number)

    def _report(self, label: str, seconds: float, number: int) -> None:
        frame = _frame_of(self._watched)
        if frame is None or number != self._number:
            return
        log.warning(
            "a turn of a workflow has been computing for %.1f seconds and keeps every other run of this worker waiting; "
            "move the work into an activity. It is here:\n%s",
            seconds,
            "".join(traceback.format_stack(frame)[-12:]).rstrip(),
            extra={"workflow_id": label},
        )

    def _interrupt(self, label: str, seconds: float, number: int) -> None:
        if _in_debugger(_frame_of(self._watched)):
            return
        with self._lock:
            self._interrupted = True
            if number != self._number:               # it has just ended
                self._interrupted = False
                return
            strike(self._watched, TurnTooLong)
        log.error("interrupted a turn of a workflow that computed for %.1f seconds", seconds, extra={"workflow_id": label})

    def _settle(self) -> None:
        """Take back an exception that was sent but has not struck yet: what follows is not the workflow's code."""
        with self._lock:
            settle(self._watched, TurnTooLong)
            self._interrupted = False


def _frame_of(thread: int) -> FrameType | None:
    return sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]  # documented, and the only way


def _in_debugger(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DEBUGGERS:
            return True
        frame = frame.f_back
    return False
