"""Cancelling a thread: `CancelledError` is raised in it, at its next step of Python code, unless it is shielded.

A thread that waits in C (a socket, a lock, `time.sleep`) meets the exception when it comes back from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from memflow.errors import CancelledError
from memflow.worker.striking import settle, strike


class ThreadCancel:
    """One call in one thread, and the one exception that may be raised in it from outside."""

    def __init__(self, error: type[BaseException] = CancelledError) -> None:
        self._error = error
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._shields = 0
        self._wanted = False
        self._raised = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function`; nothing is raised in this thread before or after it."""
        with self._lock:
            if self._wanted:
                raise self._error("cancelled before it began")
            thread = self._thread = threading.get_ident()
        try:
            return function(*arguments)
        finally:
            with self._lock:
                self._thread = None
                if self._raised:
                    settle(thread, self._error)          # on its way still, maybe: the pool's own code must not meet it

    def cancel(self) -> None:
        """Raise it, now or when the last shield is left. From any thread, once."""
        with self._lock:
            self._wanted = True
            self._raise()

    def _raise(self) -> None:
        if self._wanted and not self._raised and not self._shields and self._thread is not None:
            self._raised = True
            strike(self._thread, self._error)

    @contextmanager
    def shield(self) -> Generator[None, None, None]:
        """Not in here."""
        with self._lock:
            self._shields += 1
        try:
            yield
        finally:
            with self._lock:
                self._shields -= 1
                late = self._wanted and not self._raised and not self._shields
                self._raised = self._raised or late
        if late:
            raise self._error("cancelled")
