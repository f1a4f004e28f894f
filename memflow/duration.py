"""Durations as people write them: a timedelta, text ("5 seconds", "1h30m"), or a number of seconds."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from memflow.errors import ConfigurationError

Duration = timedelta | str | int | float

LONGEST = timedelta(days=365_250)
"""1,000 years: whatever is longer is a mistake, and the sum with today must stay within what a datetime holds (year 9999)."""

_ALLOWED = 'a timedelta, a number of seconds, or text such as "5 seconds", "1h30m", "2 days 4 hours"'
_UNITS_ALLOWED = "ms, s, m (minutes), h, d, w, or their words"

# Months and years are missing on purpose: their length depends on the calendar.
_UNITS: dict[str, tuple[str, int]] = {
    word: (words[0], microseconds)
    for microseconds, words in {
        1: ("us", "µs", "μs", "microsecond", "microseconds"),
        1_000: ("ms", "msec", "msecs", "millisecond", "milliseconds"),
        1_000_000: ("s", "sec", "secs", "second", "seconds"),
        60_000_000: ("m", "min", "mins", "minute", "minutes"),
        3_600_000_000: ("h", "hr", "hrs", "hour", "hours"),
        86_400_000_000: ("d", "day", "days"),
        604_800_000_000: ("w", "wk", "wks", "week", "weeks"),
    }.items()
    for word in words
}

_PART = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?|\.[0-9]{1,18})\s*([a-zµμ]+)\s*(?:,|\band\b)?", re.IGNORECASE)


def to_timedelta(value: Duration, *, what: str = "duration") -> timedelta:
    """Read a duration. `what` names the option in the error. Resolution is a microsecond; what is shorter but not 0 becomes 1.

    Raises:
        ConfigurationError: negative, not finite, longer than 1,000 years, or unreadable; the message says what is allowed.
    """
    if isinstance(value, timedelta):
        delta = value
    elif isinstance(value, str):
        delta = _parse(value, what)
    elif isinstance(value, bool) or not isinstance(cast("object", value), int | float):
        raise ConfigurationError(f"{what}: {_short(value)} is no duration; give {_ALLOWED}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{what}: {value} is not finite; give {_ALLOWED}")
    elif abs(value) > LONGEST.total_seconds():
        delta = LONGEST + timedelta(1) if value > 0 else timedelta(-1)
    else:
        delta = timedelta(seconds=value)
        if value > 0 and not delta:
            delta = timedelta(microseconds=1)
    if delta < timedelta(0):
        raise ConfigurationError(f"{what}: {_short(value)} is negative; give {_ALLOWED}, 0 or more")
    if delta > LONGEST:
        raise ConfigurationError(f"{what}: {_short(value)} is longer than 1,000 years; give {_ALLOWED}")
    return delta


def to_text(value: timedelta) -> str:
    """The shortest words for a duration: `1 week 2 days 1.5 seconds`. `to_timedelta` reads it back to the same value."""
    if value < timedelta(0):
        return f"-{to_text(-value)}"
    rest = value // timedelta(microseconds=1)
    parts: list[str] = []
    for name, size in (("week", 604_800_000_000), ("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    if rest or not parts:
        seconds = f"{rest // 1_000_000}.{rest % 1_000_000:06d}".rstrip("0").rstrip(".")
        parts.append(f"{seconds} second{'' if seconds == '1' else 's'}")
    return " ".join(parts)


def _parse(text: str, what: str) -> timedelta:
    total = Decimal(0)
    seen: set[str] = set()
    at = 0
    body = text.strip()
    if body.startswith("-"):
        raise ConfigurationError(f"{what}: {_short(text)} is negative; give {_ALLOWED}, 0 or more")
    while at < len(body):
        part = _PART.match(body, at)
        if part is None:
            raise ConfigurationError(f"{what}: {_short(text)} cannot be read; give {_ALLOWED}")
        number, word = part.groups()
        # "1 hour and 30 minutes" without blanks would read "and" into the unit; the pattern asks for a word border.
        unit = _UNITS.get(word.lower())
        if unit is None:
            raise ConfigurationError(f"{what}: {_short(text)} has the unknown unit {_short(word)}; units are {_UNITS_ALLOWED}")
        name, microseconds = unit
        if name in seen:
            raise ConfigurationError(f"{what}: {_short(text)} names a unit twice; give {_ALLOWED}")
        seen.add(name)
        total += Decimal(number) * microseconds
        at = part.end()
    if not seen:
        raise ConfigurationError(f"{what}: the text is empty; give {_ALLOWED}")
    if total > LONGEST // timedelta(microseconds=1):
        return LONGEST + timedelta(1)
    return timedelta(microseconds=max(1, round(total))) if total else timedelta(0)


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:
        return f"an int of {value.bit_length()} bits"      # Python writes no more than 4,300 digits
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds_between(start: datetime, end: datetime) -> float:
    """Seconds from one instant to another, made of whole nanoseconds as `time.time()` makes them: the same to the last bit."""
    return (end - start) // _MICROSECOND * 1000 / 1e9


def unix_seconds(at: datetime) -> float:
    """Seconds since 1970, likewise."""
    return seconds_between(_EPOCH, at)
