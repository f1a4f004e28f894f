"""The watchdog names a turn that does not end, interrupts it, and never touches what follows."""

from __future__ import annotations

import logging
import threading
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from memflow.core.replay import TurnFailed
from memflow.worker.watchdog import TurnTooLong, Watchdog


@contextmanager
def watching(*, report: float, interrupt: float) -> Iterator[Watchdog]:
    watchdog = Watchdog(report_after=report, interrupt_after=interrupt)
    watchdog.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_long_turn_is_reported_once_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    with watching(report=0.05, interrupt=60) as watchdog, watchdog.turn("order-1"):
        spin(0.3)
    reports = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(reports) == 1
    assert "in spin" in reports[0].getMessage()
    assert reports[0].__dict__["workflow_id"] == "order-1"


def test_a_turn_that_never_ends_is_interrupted_and_fails() -> None:
    with watching(report=0.02, interrupt=0.05) as watchdog:
        with pytest.raises(TurnFailed) as failed, watchdog.turn("order-1"):
            spin(30)
        assert isinstance(failed.value.__cause__, TurnTooLong)


def test_a_turn_that_catches_the_interruption_is_interrupted_again() -> None:
    caught = 0
    with watching(report=0.02, interrupt=0.05) as watchdog:
        with pytest.raises(TurnFailed), watchdog.turn("order-1"):
            while caught < 2:
                try:
                    spin(30)
                except BaseException:
                    caught += 1
            spin(30)
    assert caught == 2


def test_short_turns_are_left_alone_however_many(caplog: pytest.LogCaptureFixture) -> None:
    with watching(report=0.01, interrupt=0.02) as watchdog:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            with watchdog.turn("order-1"):
                pass
    assert not caplog.records


def test_an_interruption_never_strikes_after_the_turn() -> None:
    """Turns that end just as the watchdog strikes: whatever it raises stays inside the block."""
    struck = 0
    with watching(report=0.004, interrupt=0.004) as watchdog:
        for number in range(150):
            try:
                with watchdog.turn("order-1"):
                    spin(0.003 + number % 10 * 0.0004)
            except TurnFailed:
                struck += 1
            spin(0.0005)
    assert struck < 150


def test_a_watched_thread_is_the_one_that_started_it() -> None:
    outcomes: list[BaseException] = []

    def work() -> None:
        with watching(report=0.02, interrupt=0.05) as watchdog:
            try:
                with watchdog.turn("order-1"):
                    spin(30)
            except TurnFailed as failed:
                outcomes.append(failed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert len(outcomes) == 1


def test_a_turn_costs_less_than_a_microsecond() -> None:
    watchdog = Watchdog()

    def turn() -> None:
        with watchdog.turn("order-1"):
            pass

    assert min(timeit.repeat(turn, number=2_000, repeat=20)) / 2_000 < 1e-6
