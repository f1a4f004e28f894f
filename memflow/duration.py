"""Durations as people write them: a timedelta, text ("5 seconds", "1h30m"), or a number of seconds."""

from __future__ import annotations

from datetime import timedelta

Duration = timedelta | str | int | float


def to_timedelta(value: Duration) -> timedelta:
    """Placeholder in the contract; the owner of this file writes it."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, (int, float)):
        return timedelta(seconds=value)
    raise ValueError(value)
