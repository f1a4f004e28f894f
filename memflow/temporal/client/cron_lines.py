"""Cron lines as Temporal's server reads them: each becomes a calendar or an interval, and is shown as that ever after.

Five fields, six with a year at the end, seven with seconds at the front; all of them must match, the day of the month as well
as that of the week. `@daily` and the like, `@every 90m`, `@every 1h/10m`; a zone in front (`CRON_TZ=Europe/Berlin`), a comment
behind `#`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from memflow.errors import ConfigurationError
from memflow.temporal.client.schedules import ScheduleCalendarSpec, ScheduleIntervalSpec, ScheduleRange, ScheduleSpec

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every"
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-z]*)")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: Sequence[str] = ()
    """In words, from `low` on: the first two letters or more will do."""

    def value(self, text: str, *, said: str = "is ") -> int:
        word = text.lower()
        for number, name in enumerate(self.names, start=self.low):
            if len(word) >= 2 and name.startswith(word):
                return number
        if not word.isdecimal() or not self.low <= int(word) <= self.high:
            raise _invalid(f"{self.name} {said}not in range [{self.low}-{self.high}]")
        return int(word)

    def ranges(self, text: str) -> list[ScheduleRange]:
        return [each for part in text.split(",") for each in self._ranges(part)]

    def _ranges(self, part: str) -> list[ScheduleRange]:
        span, stepped, step_text = part.partition("/")
        step = 1
        if stepped:
            if not step_text.isdecimal() or int(step_text) < 1:
                raise _invalid(f"{self.name} has invalid Step")     # a number from 1 on
            step = int(step_text)
        if span == "*":
            start, end = self.low, 6 if self is _DAY_OF_WEEK else self.high
        elif "-" in span:
            first, _, last = span.partition("-")
            if "-" in last:
                raise _invalid(f"{self.name} has too many dashes")
            start, end = self.value(first, said="Start is "), self.value(last, said="End is before Start or ")
            if end < start:
                raise _invalid(f"{self.name} End is before Start or not in range [{self.low}-{self.high}]")
        else:
            start = self.value(span)
            end = self.high if stepped else start
        return [ScheduleRange(start, end, step)]


_SECOND, _MINUTE, _HOUR = _Field("Second", 0, 59), _Field("Minute", 0, 59), _Field("Hour", 0, 23)
_DAY_OF_MONTH, _MONTH = _Field("DayOfMonth", 1, 31), _Field("Month", 1, 12, _MONTHS)
_YEAR, _DAY_OF_WEEK = _Field("Year", 2000, 2100), _Field("DayOfWeek", 0, 7, _DAYS)


def without_lines(spec: ScheduleSpec) -> ScheduleSpec:
    """The same times, said without cron lines.

    Raises:
        ConfigurationError: a line cannot be read, or two of them name two zones.
    """
    if not spec.cron_expressions:
        return spec
    calendars, intervals, zone = [*spec.calendars], [*spec.intervals], spec.time_zone_name
    for given in spec.cron_expressions:
        line, _, comment = given.partition("#")
        line, named = _zone_of(line.strip())
        if named is not None:
            if zone and zone != named:
                raise _invalid("conflicting timezone names")
            zone = named
        if line.split(" ")[0] == _EVERY:
            intervals.append(_interval(line.removeprefix(_EVERY)))
        else:
            calendars.append(_calendar(line, comment.strip() or None))
    return replace(spec, cron_expressions=[], calendars=calendars, intervals=intervals, time_zone_name=zone)


def _zone_of(line: str) -> tuple[str, str | None]:
    for mark in ("CRON_TZ=", "TZ="):
        if line.startswith(mark):
            zone, _, rest = line.removeprefix(mark).partition(" ")
            return rest.strip(), zone
    return line, None


def _interval(text: str) -> ScheduleIntervalSpec:
    every, phased, phase = text.strip().partition("/")
    if not every:
        raise _invalid("CronString does not have interval after @every")
    if _duration(every) < timedelta(seconds=1):
        raise _invalid("interval is too small")
    return ScheduleIntervalSpec(every=_duration(every), offset=_duration(phase) if phased else None)


def _duration(text: str) -> timedelta:
    """A duration as Go writes it, such as `1h30m`, with days besides."""
    text, seconds, read = text.strip(), 0.0, 0
    for found in _DURATION.finditer(text):
        number, unit = found.groups()
        if found.start() != read:
            break
        if unit not in _UNITS:
            missing = f'unknown unit "{unit}"' if unit else "missing unit"
            raise _invalid(f'time: {missing} in duration "{text}"')
        seconds += float(number) * _UNITS[unit]
        read = found.end()
    if not text or read != len(text):
        raise _invalid(f'time: invalid duration "{text}"')
    return timedelta(seconds=seconds)


def _calendar(line: str, comment: str | None) -> ScheduleCalendarSpec:
    fields = _NICKNAMES.get(line, line).split()
    if not 5 <= len(fields) <= 7:
        raise _invalid("CronString does not have 5-7 fields")
    second = fields.pop(0) if len(fields) == 7 else "0"
    minute, hour, day_of_month, month, day_of_week, *year = fields
    return ScheduleCalendarSpec(
        second=_SECOND.ranges(second),
        minute=_MINUTE.ranges(minute),
        hour=_HOUR.ranges(hour),
        day_of_month=_DAY_OF_MONTH.ranges(day_of_month),
        month=_MONTH.ranges(month),
        year=[] if year in ([], ["*"]) else _YEAR.ranges(year[0]),
        day_of_week=_sundays(_DAY_OF_WEEK.ranges(day_of_week)),
        comment=comment,
    )


def _sundays(ranges: Sequence[ScheduleRange]) -> list[ScheduleRange]:
    """Sunday is 0, where it was said as 7."""
    made: list[ScheduleRange] = []
    for each in ranges:
        if each.end < 7:
            made.append(each)
            continue
        if each.start > 0 and (7 - each.start) % each.step == 0:
            made.append(ScheduleRange(0))
        if each.start < 7:
            made.append(ScheduleRange(each.start, 6, each.step))
    return made


def _invalid(why: str) -> ConfigurationError:
    return ConfigurationError(f"Invalid schedule spec: {why}")
