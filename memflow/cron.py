"""Cron lines: five fields, names, ranges, steps and @daily; and when one is due next, on a wall clock that may jump.

croniter reads the line and counts on a wall clock without zone. What a jump of the clock means is decided here, because
croniter fires twice at a time that the clock shows twice: a line with a fixed hour and minute is met once per day (a skipped
time at the first instant after the gap, a repeated one the first time), one whose minute or hour begins with `*` follows
elapsed time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memflow.errors import ConfigurationError
from memflow.zones import next_elapsed, next_fixed, zone_named

if TYPE_CHECKING:
    from croniter import croniter

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_HELP = (
    '5 fields are needed: minute hour day-of-month month day-of-week, as in "0 9 * * MON-FRI"; or one of '
    + " ".join(NICKNAMES)
)

_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
# croniter also knows H and R, which it fills in by chance: a schedule must say the same each time it is asked.
_FIELD = re.compile(rf"(?:\*|\?|[0-9,\-/#*]|\b(?:{_NAMES})\b|(?<![a-z])l(?![a-z]))+", re.IGNORECASE)

_START = datetime(2024, 1, 1)
"""Any date will do to see whether a line ever matches: croniter looks 50 years ahead, and calendars repeat after 28."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron line that was read. Made by `parse`."""

    text: str
    fields: str
    """The five fields, without nickname."""

    @property
    def elapsed(self) -> bool:
        """Whether it recurs within the hour or day, and so follows elapsed time when the clock jumps."""
        minute, hour, *_ = self.fields.split()
        return minute.startswith("*") or hour.startswith("*")

    def next_after(self, at: datetime, zone: str = "UTC") -> datetime | None:
        """The first instant after `at` (aware) that the line means in this zone, in UTC; None if there is none in 50 years.

        Raises:
            ConfigurationError: there is no such zone.
        """
        return _next_after(self, at.astimezone(UTC), zone)

    def next_wall(self, wall: datetime) -> datetime | None:
        """The next matching time after `wall` on a clock that never jumps."""
        times = _times(self.fields)
        if times is not None:
            return _next_of(times, wall)
        # Imported here and below: it takes 90 ms, and most programs that import a client have no cron line.
        from croniter import CroniterBadDateError

        try:
            # A copy, for it is moved to where it counts from; the line itself was read once.
            found: Any = copy(_read(self.fields)).get_next(datetime, start_time=wall)
        except (CroniterBadDateError, OverflowError, ValueError):
            return None
        return found if isinstance(found, datetime) else None

    def matches(self, wall: datetime) -> bool:
        """Whether the line means this very second."""
        from croniter import croniter

        return wall.second == 0 and wall.microsecond == 0 and bool(croniter.match(self.fields, wall))


@lru_cache(maxsize=1000)
def _read(fields: str) -> croniter:
    # Reading a line takes as long as finding its next instant.
    from croniter import croniter

    return croniter(fields, _START)


@lru_cache(maxsize=1000)
def _times(fields: str) -> Sequence[tuple[int, int]] | None:
    """The times (hour, minute) at which a line is due that is due every day, in order. None: not every day is alike."""
    if fields.split()[2:] != ["*", "*", "*"]:
        return None
    minutes, hours, *_ = _read(fields).expanded
    return [(hour, minute) for hour in _numbers(hours, 24) for minute in _numbers(minutes, 60)]


def _numbers(field: Sequence[int | str], count: int) -> Sequence[int]:
    return range(count) if field == ["*"] else sorted(int(each) for each in field)


def _next_of(times: Sequence[tuple[int, int]], wall: datetime) -> datetime | None:
    """As croniter finds it, in a thirtieth of the time: most lines there are say times, and no days."""
    n = bisect_right(times, (wall.hour, wall.minute))
    try:
        day = wall if n < len(times) else wall + _DAY
    except OverflowError:
        return None
    hour, minute = times[n % len(times)]
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0)


_DAY = timedelta(days=1)


@lru_cache(maxsize=10_000)
def _next_after(line: Cron, after: datetime, zone: str) -> datetime | None:
    # Whoever serves a schedule asks for the instant after the same one several times: when it was put, and when it is due.
    where = zone_named(zone)
    if line.elapsed:
        return next_elapsed(after, where, next_wall=line.next_wall, matches=line.matches)
    return next_fixed(after, where, next_wall=line.next_wall)


@lru_cache(maxsize=1000)
def parse(text: str) -> Cron:
    """Read a cron line.

    Raises:
        ConfigurationError: it cannot be read, or it never matches any date; the message says what is allowed.
    """
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    line = " ".join(text.split())
    shown = repr(line if len(line) <= 80 else line[:77] + "...")
    if line.startswith("@"):
        if line.lower() not in NICKNAMES:
            raise ConfigurationError(f"cron: {shown} is no nickname; {_HELP}")
        return Cron(line, NICKNAMES[line.lower()])
    fields = line.split()
    if len(fields) in (6, 7):
        raise ConfigurationError(
            f"cron: {shown} has {len(fields)} fields, and programs disagree about what a sixth means (seconds, at which end?"
            ' years?); give 5, and for seconds every="10 seconds" or a ScheduleCalendar'
        )
    if len(fields) != 5:
        raise ConfigurationError(f"cron: {shown} has {len(fields)} {'field' if len(fields) == 1 else 'fields'}; {_HELP}")
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise ConfigurationError(f"cron: {shown} cannot be read at {field!r}; {_HELP}")
    try:
        croniter(line, _START).get_next(datetime)
    except CroniterBadDateError:
        raise ConfigurationError(f"cron: {shown} never comes: no date matches it") from None
    except (CroniterBadCronError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ConfigurationError(f"cron: {shown} cannot be read ({error}); {_HELP}") from None
    return Cron(line, line)


def next_after(line: str, at: datetime, zone: str = "UTC") -> datetime | None:
    """When a cron line is due first after `at`. See `parse` and `Cron.next_after`."""
    return parse(line).next_after(at, zone)
