"""Durable time: a sleeping workflow holds no worker, survives restarts, and never wakes early."""

from __future__ import annotations

from datetime import UTC, datetime

from memflow.core import context
from memflow.core.replay import Replay
from memflow.duration import Duration, to_timedelta, unix_seconds
from memflow.errors import ConfigurationError
from memflow.interceptors import SleepInput


async def sleep_for(delay: Duration) -> float:
    """Suspend this workflow for `delay` (a timedelta, text such as "2 hours", or seconds), counted from `now()`.

    Gives the seconds slept, so that `while await sleep_for("1 week"):` loops. `asyncio.sleep` does the same in a workflow.

    Raises:
        ConfigurationError: `delay` is negative or cannot be read. It is a ValueError.
        asyncio.CancelledError: the run, or this task, was cancelled meanwhile.
    """
    replay = context.current("sleep_for")
    duration = to_timedelta(delay, what="sleep_for")
    await _sleep(replay, replay.now + duration)
    return duration.total_seconds()


async def sleep_until(instant: datetime) -> float:
    """Suspend this workflow until an aware `instant`; an instant that has passed ends at once. Gives the seconds slept.

    Raises:
        ConfigurationError: `instant` has no time zone.
        asyncio.CancelledError: the run, or this task, was cancelled meanwhile.
    """
    replay = context.current("sleep_until")
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise ConfigurationError(f"sleep_until: {instant!r} has no time zone; write datetime(..., tzinfo=UTC)")
    seconds = max(0.0, (instant - replay.now).total_seconds())
    await _sleep(replay, instant.astimezone(UTC))
    return seconds


async def _sleep(replay: Replay, until: datetime) -> None:
    if replay.outbound is None:
        await replay.sleep_until(until)
    else:
        await replay.outbound.sleep(SleepInput(until))


def now() -> datetime:
    """The time of this turn, aware, in UTC. It is the database's, and the same in every replay."""
    return context.current("now").now


def time() -> float:
    """`now()` as seconds since 1970."""
    return unix_seconds(context.current("time").now)
