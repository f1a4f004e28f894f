"""How far a long benchmark is, on stderr: one line that changes in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

SELDOM_SECONDS = 10.0
OFTEN_SECONDS = 0.1


class Progress:
    """Says what is going on. `scenario` names whose words these are."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._scenario = ""
        self._said = 0.0
        self._shown = 0

    def begin(self, scenario: str) -> None:
        """From now on it is about this scenario."""
        self.clear()
        self._scenario = scenario
        self._said = 0.0
        self.say("begins")

    def say(self, text: str) -> None:
        """Something new is going on."""
        now = time.monotonic()
        if self._terminal:
            line = f"{self._scenario}: {text}"[:100]
            self._stream.write(f"\r{line:<{self._shown}}")
            self._shown = len(line)
        elif now - self._said >= SELDOM_SECONDS:
            self._stream.write(f"{self._scenario}: {text}\n")
        else:
            return
        self._said = now
        self._stream.flush()

    def count(self, text: str, done: int, total: int) -> None:
        """The same thing goes on. Cheap: looks at the clock only now and then."""
        if done % 64 == 0 and time.monotonic() - self._said >= (OFTEN_SECONDS if self._terminal else SELDOM_SECONDS):
            self.say(f"{text} {done:,} of {total:,}")

    def clear(self) -> None:
        """Make room for the result."""
        if self._terminal and self._shown:
            self._stream.write(f"\r{'':<{self._shown}}\r")
            self._stream.flush()
            self._shown = 0
