"""Cron lines as Temporal's servers keep them: as calendars and intervals, all of whose fields have to match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from memflow.calendars import ScheduleCalendar
from memflow.cron import NICKNAMES
from memflow.errors import ConfigurationError
from memflow.schedule_spec import ScheduleInterval

_EVERY: Final = "@every "
_ZONE: Final = re.compile(r"(?:CRON_TZ|TZ)=(\S+)\s+")
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Line:
    """What a cron line means: a calendar or an interval, and the zone that it names."""

    meaning: ScheduleCalendar | ScheduleInterval
    zone: str | None = None


def line_of(text: str) -> Line | None:
    """Read a cron line of five fields, of six with a year at the end, or of seven with seconds in front as well.

    None: it says what no calendar can, such as the last day of a month.

    Raises:
        ConfigurationError: an interval cannot be read.
    """
    line, _, comment = text.partition("#")
    line = line.strip()
    zone = _ZONE.match(line)
    if zone is not None:
        line = line[zone.end() :].strip()
    if line.startswith(_EVERY):
        every, _, phase = line.removeprefix(_EVERY).partition("/")
        interval = ScheduleInterval(_span(every, text), _span(phase, text) if phase else timedelta())
        return Line(interval, None if zone is None else zone[1])
    fields = NICKNAMES.get(line.lower(), line).split()
    if len(fields) not in (5, 6, 7):
        return None
    second = fields.pop(0) if len(fields) == 7 else "0"
    minute, hour, day, month, weekday, *year = ["*" if each == "?" else each for each in fields]
    try:
        calendar = ScheduleCalendar(
            second=second,
            minute=minute,
            hour=hour,
            day_of_month=day,
            month=month,
            day_of_week=weekday,
            year=year[0] if year else "*",
            comment=comment.strip() or None,
        )
    except ConfigurationError:
        return None                              # memflow's own reader says what is wrong, or knows what it means
    return Line(calendar, None if zone is None else zone[1])


def _span(text: str, line: str) -> timedelta:
    parts = _SPAN.findall(text.strip())
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text.strip():
        raise ConfigurationError(f"cron: {line!r} cannot be read; after @every stands a time such as 1h30m")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
