"""Exceptions raised in a thread from outside, and how one is called back.

Python has a call for the first. Called with no exception it also calls back, but then it leaves the interpreter's mark that
something is pending, for good: from then on every function call and every turn of a loop takes the slow way, and on Python 3.11
a thread that is traced (a debugger, coverage, a profiler) never gets past the first one. So whatever was sent is let strike.
"""

from __future__ import annotations

import ctypes


class _Settled(BaseException):
    """What a thread sends itself, to be struck by it."""


def strike(thread: int, error: type[BaseException]) -> None:
    """Raise `error` in a thread, at its next step of Python code. One that is on its way there already is replaced."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def settle(thread: int, error: type[BaseException]) -> None:
    """Call back an `error` that was sent to `thread`, which is the caller's own, whether it has struck yet or not."""
    while True:
        try:
            strike(thread, _Settled)
            while True:                                  # struck here, at the latest when the loop turns
                pass
        except _Settled:
            return
        except error:                                    # it struck first
            continue
