"""The database's time, between two answers of the database.

Only Postgres' clock counts, but asking it for every turn would cost a statement. A reply that carries `memflow.now()` is
at least as old as its arrival here, so counting on from the arrival never runs ahead: no timer fires early.

What is to happen at an instant of that clock is asked of `call_at`, not of the event loop: when a reply shows that the clock
has leapt (a test skipped time, a machine slept, an operator set it), the loop's timers would be wrong by as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic  # by name: the guard wraps it in the module, and here nobody needs guarding

LEAP_SECONDS = 0.25
"""From this on a difference is a leap. Smaller ones are the way of a reply through a busy machine."""


class Timer:
    """One callback at an instant of the database's clock. `cancel` it when it is no longer wanted."""

    __slots__ = ("_arguments", "_callback", "_handle", "_timers", "due")

    def __init__(self, due: datetime, callback: Callable[..., object], arguments: tuple[object, ...], timers: set[Timer]) -> None:
        self.due = due
        self._callback = callback
        self._arguments = arguments
        self._timers = timers
        self._handle: asyncio.TimerHandle | None = None
        timers.add(self)

    def arm(self, seconds: float) -> None:
        """Wait for so many seconds from now, whatever was said before."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._fire)

    def cancel(self) -> None:
        """Do not call. Harmless when it was called already."""
        self._timers.discard(self)
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._timers.discard(self)
        self._handle = None                              # it holds us: work for the collector
        self._callback(*self._arguments)


class DatabaseClock:
    """`now()` is at most the database's time, and close to it while replies keep coming."""

    __slots__ = ("_at", "_heard", "_leapt", "_timers")

    def __init__(self, now: datetime) -> None:
        self._at = now
        self._heard = monotonic()
        self._timers: set[Timer] = set()
        self._leapt: list[Callable[[], None]] = []

    def on_leap(self, callback: Callable[[], None]) -> None:
        """Call back whenever the clock has leapt: much may be due that was not expected yet."""
        self._leapt.append(callback)

    def hear(self, now: datetime, *, moved: bool = False, quietly: bool = False) -> None:
        """A reply said that it is at least `now`. `moved`: the clock was moved there, however little that may be.

        `quietly`: whoever moved it tells those who have to look.
        """
        heard = monotonic()
        ahead = (now - self._at).total_seconds() - (heard - self._heard)
        if ahead > 0 or now < self._at:
            # Later than we thought: catch up. Earlier than what it once said: its clock was set back, so follow it.
            self._at, self._heard = now, heard
            if moved or abs(ahead) > LEAP_SECONDS:
                for timer in sorted(self._timers, key=lambda each: each.due):
                    timer.arm(self.seconds_until(timer.due))
                for callback in () if quietly else self._leapt:
                    callback()

    def now(self) -> datetime:
        """The database's time, never early."""
        return self._at + timedelta(seconds=monotonic() - self._heard)

    def seconds_until(self, instant: datetime) -> float:
        """Seconds from now to `instant`, 0 when it has passed."""
        return max(0.0, (instant - self.now()).total_seconds())

    def call_at(self, due: datetime, callback: Callable[..., object], *arguments: object) -> Timer:
        """Call back once it is `due`, at once if it is. Needs a running event loop."""
        timer = Timer(due, callback, arguments, self._timers)
        timer.arm(self.seconds_until(due))
        return timer

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: object) -> Timer:
        """Call back after so many seconds of the database's time."""
        timer = Timer(self.now() + timedelta(seconds=seconds), callback, arguments, self._timers)
        timer.arm(seconds)
        return timer
