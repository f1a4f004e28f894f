"""Calendars: times of a wall clock as seven sets of numbers, all of which have to match (a cron line joins its two days by "or").

`ScheduleCalendar(hour=9, day_of_week="MON-FRI")` is nine o'clock on workdays. Each field is a number, text such as "1-5", "*/15",
"MON,WED", a `ScheduleRange`, or a list of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from memflow.errors import ConfigurationError

FIRST_YEAR, LAST_YEAR = 1970, 2199

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

_FIELDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "second": (0, 59, ()),
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day_of_month": (1, 31, ()),
    "month": (1, 12, ("", *_MONTHS)),
    "year": (FIRST_YEAR, LAST_YEAR, ()),
    "day_of_week": (0, 7, (*_DAYS, "SUN")),
}
"""Least and greatest number of each field, and its names by number. Sunday is 0, and 7 too."""

_LONGEST_SEARCH_YEARS = 60
"""Calendars repeat after 28 years (40 across 2100), so what has not come by then never will, but for a year named."""


@dataclass(frozen=True, slots=True)
class ScheduleRange:
    """The numbers from `start` to `end` (None: `start` alone), every `step`-th of them."""

    start: int
    end: int | None = None
    step: int = 1


Field = int | str | ScheduleRange | Sequence["int | str | ScheduleRange"]
"""What a field of a calendar may be given as."""


@dataclass(frozen=True, slots=True, init=False)
class ScheduleCalendar:
    """Times of a wall clock: those at which every field matches. Without any field: midnight of each day.

    `day_of_week` counts from Sunday, 0, and takes names; `month` too. `comment` is for people.

    Raises:
        ConfigurationError: a field cannot be read or is out of range; the message names it.
    """

    second: tuple[int, ...]
    minute: tuple[int, ...]
    hour: tuple[int, ...]
    day_of_month: tuple[int, ...]
    month: tuple[int, ...]
    year: tuple[int, ...]
    day_of_week: tuple[int, ...]
    comment: str | None

    def __init__(
        self,
        *,
        second: Field = 0,
        minute: Field = 0,
        hour: Field = 0,
        day_of_month: Field = "*",
        month: Field = "*",
        year: Field = "*",
        day_of_week: Field = "*",
        comment: str | None = None,
    ) -> None:
        given = {
            "second": second, "minute": minute, "hour": hour, "day_of_month": day_of_month, "month": month, "year": year,
            "day_of_week": day_of_week,
        }  # fmt: skip
        for name, value in given.items():
            object.__setattr__(self, name, _numbers(name, value))
        if comment is not None and not isinstance(cast("object", comment), str):
            raise ConfigurationError(f"comment: {comment!r} is no text")
        object.__setattr__(self, "comment", comment)

    @property
    def elapsed(self) -> bool:
        """Whether it recurs within the hour or day, and so follows elapsed time when the clock jumps."""
        return len(self.minute) == 60 or len(self.hour) == 24

    @property
    def whole_days(self) -> bool:
        """Whether it matches every second of the days it matches."""
        return (len(self.hour), len(self.minute), len(self.second)) == (24, 60, 60)

    def matches(self, wall: datetime) -> bool:
        """Whether every field matches this second."""
        return (
            self.matches_day(wall)
            and wall.hour in self.hour
            and wall.minute in self.minute
            and wall.second in self.second
            and not wall.microsecond
        )

    def matches_day(self, wall: datetime) -> bool:
        """Whether the fields of the date match."""
        return (
            wall.month in self.month
            and wall.day in self.day_of_month
            and wall.isoweekday() % 7 in self.day_of_week
            and wall.year in self.year
        )

    def next_wall(self, wall: datetime) -> datetime | None:
        """The next matching time after `wall` on a clock that never jumps."""
        wall = wall.replace(microsecond=0) + timedelta(seconds=1)
        last = wall.year + _LONGEST_SEARCH_YEARS
        while wall.year <= last:
            years = [year for year in self.year if year >= wall.year]
            if not years:
                return None
            if years[0] > wall.year:
                wall, last = datetime(years[0], 1, 1), years[0] + _LONGEST_SEARCH_YEARS
            if wall.month not in self.month:
                later = [month for month in self.month if month > wall.month]
                wall = datetime(wall.year, later[0], 1) if later else datetime(wall.year + 1, 1, 1)
                continue
            if self.matches_day(wall) and (found := self._within_day(wall)) is not None:
                return found
            wall = datetime(wall.year, wall.month, wall.day) + timedelta(days=1)
        return None

    def _within_day(self, wall: datetime) -> datetime | None:
        for hour in self.hour:
            if hour < wall.hour:
                continue
            for minute in self.minute:
                if (hour, minute) < (wall.hour, wall.minute):
                    continue
                for second in self.second:
                    if (hour, minute, second) >= (wall.hour, wall.minute, wall.second):
                        return wall.replace(hour=hour, minute=minute, second=second)
        return None

    def to_text(self) -> str:
        """The calendar in a line, for people."""
        if self.comment:
            return self.comment
        parts = [f"{name}={_shown(name, getattr(self, name))}" for name in _FIELDS if name in self.to_json()]
        return f"calendar {' '.join(parts)}" if parts else "calendar 00:00:00"

    def to_json(self) -> dict[str, Any]:
        """As JSON: the fields that are not as by default."""
        plain: dict[str, Any] = {}
        for name in _FIELDS:
            numbers: tuple[int, ...] = getattr(self, name)
            if numbers != getattr(_MIDNIGHTS, name):
                plain[name] = list(numbers)
        return plain if self.comment is None else {**plain, "comment": self.comment}


def calendar_from_json(found: dict[str, Any]) -> ScheduleCalendar:
    """The calendar that `ScheduleCalendar.to_json` wrote."""
    return ScheduleCalendar(**found)


def _numbers(name: str, value: object) -> tuple[int, ...]:
    least, most, names = _FIELDS[name]
    found: set[int] = set()
    many = cast("Iterable[object]", value) if isinstance(value, list | tuple | set | frozenset | range) else [value]
    for one in many:
        found.update(_range(name, one, least, most, names))
    if name == "day_of_week":
        found = {number % 7 for number in found}
    if not found:
        raise ConfigurationError(f"{name}: nothing is given; leave it out for its default, or say \"*\" for all")
    return tuple(sorted(found))


def _shown(name: str, numbers: tuple[int, ...]) -> str:
    """Numbers as they would be written: `*`, `1-5`, `0,30`."""
    least, most, _ = _FIELDS[name]
    if numbers == tuple(range(least, (6 if name == "day_of_week" else most) + 1)):
        return "*"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))


def _range(name: str, value: object, least: int, most: int, names: tuple[str, ...]) -> Iterable[int]:
    if isinstance(value, str):
        for part in value.split(","):
            yield from _text(name, part.strip(), least, most, names)
        return
    if isinstance(value, ScheduleRange):
        start, end, step = value.start, value.start if value.end is None else value.end, value.step
    elif isinstance(value, int) and not isinstance(value, bool):
        start, end, step = value, value, 1
    else:
        raise ConfigurationError(f'{name}: {value!r} is no number; give a number, text such as "1-5" or "*/15", or a list')
    yield from _checked(name, repr(value), start, end, step, least, most)


def _text(name: str, text: str, least: int, most: int, names: tuple[str, ...]) -> Iterable[int]:
    body, slash, steps = text.partition("/")
    first, dash, last = body.partition("-")
    try:
        step = int(steps) if slash else 1
        if body in ("*", "?"):
            start, end = least, most if name != "day_of_week" else 6
        else:
            start = _number(first, names)
            end = _number(last, names) if dash else most if slash else start
    except ValueError:
        words = f", and the names {' '.join(each for each in dict.fromkeys(names) if each)}" if names else ""
        raise ConfigurationError(
            f'{name}: {text!r} cannot be read; give numbers from {least} to {most}{words}, as in "1-5", "*/2", "1,3"'
        ) from None
    yield from _checked(name, repr(text), start, end, step, least, most)


def _number(text: str, names: tuple[str, ...]) -> int:
    word = text.strip().upper()
    return names.index(word) if word and word in names else int(word)


def _checked(name: str, shown: str, start: int, end: int, step: int, least: int, most: int) -> range:
    if not (least <= start <= most and least <= end <= most):
        raise ConfigurationError(f"{name}: {shown} is out of range; numbers go from {least} to {most}")
    if end < start:
        raise ConfigurationError(f"{name}: {shown} ends before it begins")
    if step < 1:
        raise ConfigurationError(f"{name}: {shown} has a step below 1")
    return range(start, end + 1, step)


_MIDNIGHTS = ScheduleCalendar()
