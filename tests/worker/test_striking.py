"""Exceptions raised in threads leave nothing behind in the interpreter."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

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


def test_one_that_is_on_its_way_is_called_back() -> None:
    own = threading.get_ident()
    for _ in range(200):
        try:
            strike(own, Struck)
        except Struck:
            continue
        settle(own, Struck)
    settle(own, Struck)                                  # none was sent: nothing happens
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        pass
