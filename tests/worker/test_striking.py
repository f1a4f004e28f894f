"""Exceptions raised in threads leave nothing behind in the interpreter."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from memflow.worker.striking import settle, strike

CANCELLED_THREADS = """
import sys, threading, time
from memflow.errors import CancelledError
from memflow.worker.injection import ThreadCancel

def work(begun):
    begun.set()
    while True:
        time.sleep(0.001)

def quick(begun):
    begun.set()

for function in (work, quick):
    cancel, begun = ThreadCancel(), threading.Event()
    def body():
        try:
            cancel.run(function, begun)
        except CancelledError:
            pass
    thread = threading.Thread(target=body)
    thread.start()
    begun.wait()
    cancel.cancel()
    thread.join()
"""

INTERRUPTED_TURNS = """
import sys, time
from memflow.core.replay import TurnFailed
from memflow.worker.watchdog import Watchdog

watchdog = Watchdog(report_after=0.01, interrupt_after=0.02)
watchdog.start()
try:
    with watchdog.turn("x"):
        while True:
            pass
except TurnFailed:
    pass
watchdog.stop()
"""

THEN_TRACED = """
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "call"
def leaf():
    return 1
sys.setprofile(count)
for _ in range(1000):
    leaf()
sys.setprofile(None)
print(calls)
"""


@pytest.mark.parametrize("before", [CANCELLED_THREADS, INTERRUPTED_TURNS], ids=["threads", "turns"])
def test_a_process_can_be_traced_after_threads_were_cancelled_and_turns_interrupted(before: str) -> None:
    """On Python 3.11 it hung for ever: the interpreter believed that an exception was still on its way."""
    run = subprocess.run(
        [sys.executable, "-c", before + THEN_TRACED], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(run.stdout) >= 1000


class Struck(BaseException):
    pass


def test_calling_back_what_was_never_sent_lets_nothing_strike() -> None:
    calm = 0
    for _ in range(50):
        settle(threading.get_ident(), Struck)
        calm += 1
    assert calm == 50


def test_one_that_was_sent_strikes_once() -> None:
    struck = 0
    for _ in range(50):
        try:
            strike(threading.get_ident(), Struck)
            for _ in range(1_000):
                pass
        except Struck:
            struck += 1
    settle(threading.get_ident(), Struck)
    assert struck == 50
