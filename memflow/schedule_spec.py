"""When a schedule is due: cron lines, intervals and calendars together, less what is skipped, within bounds, with jitter.

Pure: `next_after(at)` is a function of the spec and the instant, so every worker finds the same instants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from memflow import cron
from memflow.calendars import ScheduleCalendar, calendar_from_json
from memflow.duration import Duration, to_text, to_timedelta
from memflow.errors import ConfigurationError
from memflow.zones import instant_of, next_elapsed, next_fixed, wall_clock, zone_named

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SHORTEST = timedelta(milliseconds=100)
"""The shortest interval. Each firing is a transaction and a run; what is to happen more often is a loop in one run."""

_MOST_SKIPPED = 50_000
"""Instants in a row that skip calendars may take away (a whole day counts as one), before it counts as never coming again."""


@dataclass(frozen=True, slots=True, init=False)
class ScheduleInterval:
    """Every so often, counted from 1970: the instants are those that divide by `every`, moved by `offset`.

    Raises:
        ConfigurationError: `every` is shorter than 0.1 s, or `offset` not shorter than `every`.
    """

    every: timedelta
    offset: timedelta

    def __init__(self, every: Duration, offset: Duration = 0) -> None:
        length, moved = to_timedelta(every, what="every"), to_timedelta(offset, what="offset")
        if length < SHORTEST:
            raise ConfigurationError(f"every: {every!r} is shorter than {to_text(SHORTEST)}; loop inside one workflow for that")
        if moved >= length:
            raise ConfigurationError(f"offset: {to_text(moved)} is not shorter than every ({to_text(length)})")
        object.__setattr__(self, "every", length)
        object.__setattr__(self, "offset", moved)

    def next_after(self, at: datetime) -> datetime:
        """The first instant after `at`."""
        start = EPOCH + self.offset
        return start + ((at - start) // self.every + 1) * self.every

    def to_text(self) -> str:
        """The interval in words."""
        return f"every {to_text(self.every)}" + (f" offset {to_text(self.offset)}" if self.offset else "")


@dataclass(frozen=True, slots=True, init=False)
class ScheduleSpec:
    """When a schedule is due: at every instant of any of `cron`, `every`, `intervals` and `calendars`, but for those of `skip`.

    `cron` is one line or several; `every` (with `offset`) a duration; `zone` names the clock that cron lines and calendars are
    read on. Nothing is due before `start_at` or after `end_at` (aware datetimes). With `jitter` each run begins up to that much
    later, but before the next is due: by an amount that is the same each time it is asked for.

    Raises:
        ConfigurationError: nothing is given, something cannot be read, or it never comes; the message says which.
    """

    cron: tuple[str, ...]
    intervals: tuple[ScheduleInterval, ...]
    calendars: tuple[ScheduleCalendar, ...]
    skip: tuple[ScheduleCalendar, ...]
    zone: str
    start_at: datetime | None
    end_at: datetime | None
    jitter: timedelta

    def __init__(
        self,
        cron: str | Sequence[str] = (),
        *,
        every: Duration | None = None,
        offset: Duration | None = None,
        intervals: Sequence[ScheduleInterval] = (),
        calendars: Sequence[ScheduleCalendar] = (),
        skip: Sequence[ScheduleCalendar] = (),
        zone: str = "UTC",
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        jitter: Duration = 0,
    ) -> None:
        if offset is not None and every is None:
            raise ConfigurationError("offset: there is no `every` that it could move")
        lines = (cron,) if isinstance(cron, str) else tuple(cron)
        all_intervals = (*_checked(intervals, ScheduleInterval, "intervals"),)
        if every is not None:
            all_intervals = (ScheduleInterval(every, 0 if offset is None else offset), *all_intervals)
        keep = object.__setattr__
        keep(self, "cron", lines)
        keep(self, "intervals", all_intervals)
        keep(self, "calendars", tuple(_checked(calendars, ScheduleCalendar, "calendars")))
        keep(self, "skip", tuple(_checked(skip, ScheduleCalendar, "skip")))
        keep(self, "zone", zone)
        keep(self, "start_at", _instant(start_at, "start_at"))
        keep(self, "end_at", _instant(end_at, "end_at"))
        keep(self, "jitter", to_timedelta(jitter, what="jitter"))
        self._check()

    def _check(self) -> None:
        zone_named(self.zone)
        for line in self.cron:
            _line(line)
        if not (self.cron or self.intervals or self.calendars):
            raise ConfigurationError(
                'nothing says when: give a cron line as spec="0 9 * * MON-FRI", every="10 minutes",'
                " or ScheduleSpec(calendars=[...])"
            )
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise ConfigurationError(f"end_at: {self.end_at.isoformat()} is before start_at ({self.start_at.isoformat()})")
        first = self.start_at or EPOCH
        for calendar in self.calendars:
            if self._of_calendar(calendar, first) is None:
                raise ConfigurationError(f"calendars: no date matches {calendar.to_text()}")
        if self.next_after(first - timedelta(microseconds=1)) is None:
            raise ConfigurationError(f"the schedule never comes: {self.to_text()} leaves no instant between its bounds and skips")

    # ------------------------------------------------------------------------------------------------- instants

    def next_after(self, at: datetime) -> datetime | None:
        """The first instant after `at` (aware), in UTC and without jitter; None when there is none any more."""
        if self.start_at is not None and at < self.start_at:
            at = self.start_at - timedelta(microseconds=1)
        for _ in range(_MOST_SKIPPED):
            found = self._soonest(at)
            if found is None or (self.end_at is not None and found > self.end_at):
                return None
            skipped_until = self._skipped_until(found)
            if skipped_until is None:
                return found
            at = max(found, skipped_until)
        return None

    def _soonest(self, at: datetime) -> datetime | None:
        found: list[datetime | None] = [each.next_after(at) for each in self.intervals]
        found += [_line(line).next_after(at, self.zone) for line in self.cron]
        found += [self._of_calendar(each, at) for each in self.calendars]
        return min((each for each in found if each is not None), default=None)

    def _of_calendar(self, calendar: ScheduleCalendar, at: datetime) -> datetime | None:
        zone = zone_named(self.zone)
        after = at.astimezone(UTC)
        if calendar.elapsed:
            return next_elapsed(after, zone, next_wall=calendar.next_wall, matches=calendar.matches)
        return next_fixed(after, zone, next_wall=calendar.next_wall)

    def _skipped_until(self, at: datetime) -> datetime | None:
        """None for an instant that is not skipped, else one up to which all are: itself, or the last of a whole skipped day."""
        if not self.skip:
            return None
        zone = zone_named(self.zone)
        wall = wall_clock(at, zone)
        if any(each.whole_days and each.matches_day(wall) for each in self.skip):
            return instant_of(datetime(wall.year, wall.month, wall.day) + timedelta(days=1), zone) - timedelta(microseconds=1)
        return at if any(each.matches(wall) for each in self.skip) else None

    def instants(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The instants in (after, until], in order."""
        at = self.next_after(after)
        while at is not None and at <= until:
            yield at
            at = self.next_after(at)

    def jittered(self, instant: datetime, id: str) -> datetime:
        """When the run of an instant begins. The same for each who asks; never as late as the next instant."""
        if not self.jitter:
            return instant
        following = self.next_after(instant)
        room = self.jitter if following is None else min(self.jitter, following - instant)
        digest = hashlib.sha256(f"{id}\0{instant.isoformat()}".encode()).digest()
        return instant + room * (int.from_bytes(digest[:6], "big") / 2**48)

    # ------------------------------------------------------------------------------------------------- for people, and JSON

    def to_text(self) -> str:
        """The spec in a line: `0 9 * * MON-FRI`, `every 10 minutes`."""
        parts = [*self.cron, *(each.to_text() for each in self.intervals), *(each.to_text() for each in self.calendars)]
        parts += [f"not {each.to_text()}" for each in self.skip]
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """As JSON, without what is as by default."""
        plain: dict[str, Any] = {
            "cron": list(self.cron),
            "intervals": [[_microseconds(each.every), _microseconds(each.offset)] for each in self.intervals],
            "calendars": [each.to_json() for each in self.calendars],
            "skip": [each.to_json() for each in self.skip],
            "zone": self.zone,
            "start_at": None if self.start_at is None else self.start_at.isoformat(),
            "end_at": None if self.end_at is None else self.end_at.isoformat(),
            "jitter": _microseconds(self.jitter),
        }
        return {name: value for name, value in plain.items() if value}


def spec_from_json(found: dict[str, Any]) -> ScheduleSpec:
    """The spec that `ScheduleSpec.to_json` wrote."""
    return ScheduleSpec(
        found.get("cron", ()),
        intervals=[
            ScheduleInterval(timedelta(microseconds=every), timedelta(microseconds=offset))
            for every, offset in found.get("intervals", ())
        ],
        calendars=[calendar_from_json(each) for each in found.get("calendars", ())],
        skip=[calendar_from_json(each) for each in found.get("skip", ())],
        zone=found.get("zone", "UTC"),
        start_at=_read_instant(found.get("start_at")),
        end_at=_read_instant(found.get("end_at")),
        jitter=timedelta(microseconds=found.get("jitter", 0)),
    )


def _line(line: object) -> cron.Cron:
    if not isinstance(line, str):
        raise ConfigurationError(f"cron: {line!r} is no text; give a line such as \"0 9 * * MON-FRI\"")
    return cron.parse(line)


def _checked(values: object, kind: type[Any], what: str) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        raise ConfigurationError(f"{what}: a list of {kind.__name__} is needed, not {type(values).__name__}")
    given = cast("Sequence[object]", values)
    for value in given:
        if not isinstance(value, kind):
            raise ConfigurationError(f"{what}: {value!r} is no {kind.__name__}")
    return given


def _instant(value: object, what: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise ConfigurationError(f"{what}: {value!r} is no datetime")
    if value.tzinfo is None:
        raise ConfigurationError(f"{what}: {value.isoformat()} says no zone; write datetime(..., tzinfo=UTC)")
    return value.astimezone(UTC)


def _read_instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
