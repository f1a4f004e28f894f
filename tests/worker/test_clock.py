"""The worker's idea of the database's time, and timers that follow it when it leaps."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from memflow.worker.clock import DatabaseClock

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


async def test_a_leap_fires_what_it_makes_due_and_brings_the_rest_nearer() -> None:
    clock = DatabaseClock(NOW)
    fired: list[str] = []
    clock.call_later(3600, fired.append, "in an hour")
    clock.call_at(NOW + timedelta(days=2), fired.append, "in two days")
    await asyncio.sleep(0)
    assert fired == []
    clock.hear(NOW + timedelta(days=1))
    await asyncio.sleep(0.01)
    assert fired == ["in an hour"]
    assert timedelta(days=1) <= clock.now() - NOW < timedelta(days=1, minutes=1)
    clock.hear(NOW + timedelta(days=2, seconds=1))
    await asyncio.sleep(0.01)
    assert fired == ["in an hour", "in two days"]


async def test_a_cancelled_timer_stays_silent_through_a_leap() -> None:
    clock = DatabaseClock(NOW)
    fired: list[str] = []
    timer = clock.call_later(3600, fired.append, "never")
    timer.cancel()
    timer.cancel()
    clock.hear(NOW + timedelta(days=1))
    await asyncio.sleep(0.01)
    assert fired == []


async def test_a_clock_set_back_makes_timers_wait_longer() -> None:
    clock = DatabaseClock(NOW)
    fired: list[str] = []
    clock.call_later(0.05, fired.append, "late")
    clock.hear(NOW - timedelta(seconds=60))
    await asyncio.sleep(0.1)
    assert fired == []
    clock.hear(NOW + timedelta(seconds=1))
    await asyncio.sleep(0.01)
    assert fired == ["late"]


async def test_a_callback_may_set_the_next_timer() -> None:
    clock = DatabaseClock(NOW)
    fired: list[float] = []

    def again() -> None:
        fired.append(time.monotonic())
        if len(fired) < 3:
            clock.call_later(0.001, again)

    again()
    await asyncio.sleep(0.1)
    assert len(fired) == 3


async def test_small_differences_are_no_leaps() -> None:
    clock = DatabaseClock(NOW)
    clock.hear(NOW + timedelta(milliseconds=5))
    assert clock.now() >= NOW + timedelta(milliseconds=5)
    clock.hear(NOW + timedelta(milliseconds=1))          # an answer that was slower on its way: older than what we know
    assert clock.seconds_until(NOW) == 0
