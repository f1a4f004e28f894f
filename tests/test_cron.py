"""Cron lines against an oracle that goes minute by minute, across the nights on which clocks jump; and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from memflow.cron import NICKNAMES, next_after, parse
from memflow.errors import ConfigurationError

MINUTE = timedelta(minutes=1)

JUMPS = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1)),
    ("America/New_York", datetime(2026, 3, 8, 7)),
    ("America/New_York", datetime(2026, 11, 1, 6)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3)),       # the gap begins at midnight
    ("Asia/Kolkata", datetime(2026, 5, 1)),
    ("UTC", datetime(2026, 5, 1)),
]

MINUTES = {"*": range(60), "*/5": range(0, 60, 5), "*/15": range(0, 60, 15), "0": [0], "30": [30], "17": [17], "0,30": [0, 30]}
HOURS = {
    "*": range(24), "*/2": range(0, 24, 2), "2": [2], "1-3": range(1, 4), "0": [0], "23": [23], "3": [3],
    "22-2": [22, 23, 0, 1, 2],
}  # fmt: skip
DAYS = {"*": range(1, 32), "1": [1], "15": [15], "1,29": [1, 29]}
WEEKDAYS = {"*": range(7), "1-5": range(1, 6), "SUN": [0], "7": [0], "SAT,SUN": [6, 0]}


def matches(fields: tuple[str, str, str, str], wall: datetime) -> bool:
    minute, hour, day, weekday = fields
    on_day, on_weekday = wall.day in DAYS[day], wall.isoweekday() % 7 in WEEKDAYS[weekday]
    both = on_day and on_weekday if "*" in (day, weekday) else on_day or on_weekday
    return wall.minute in MINUTES[minute] and wall.hour in HOURS[hour] and both


def brute(fields: tuple[str, str, str, str], after: datetime, hours: int, zone: ZoneInfo) -> list[datetime]:
    """All instants in the hours after `after`, found by asking of each minute what the clock on the wall shows."""
    first = after.replace(second=0) - 48 * 60 * MINUTE
    minutes = [first + n * MINUTE for n in range((48 + hours) * 60 + 1)]
    walls = [at.astimezone(zone).replace(tzinfo=None) for at in minutes]
    found: set[datetime] = set()
    if fields[0].startswith("*") or fields[1].startswith("*"):
        found = {at for at, wall in zip(minutes, walls, strict=True) if matches(fields, wall)}
    else:
        seen: set[datetime] = set()
        for n, (at, wall) in enumerate(zip(minutes, walls, strict=True)):
            shown = [wall]
            if n and wall > walls[n - 1] + MINUTE:       # what the clock skipped counts as shown now
                skipped = int((wall - walls[n - 1]) / MINUTE)
                shown += [walls[n - 1] + k * MINUTE for k in range(1, skipped)]
            if any(matches(fields, each) and each not in seen for each in shown):
                found.add(at)
            seen.update(shown)
    return sorted(at for at in found if after < at <= after + timedelta(hours=hours))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(JUMPS),
    st.tuples(*(st.sampled_from(sorted(values)) for values in (MINUTES, HOURS, DAYS, WEEKDAYS))),
    st.integers(-30 * 60, 20 * 60),
    st.integers(0, 59),
)
def test_every_instant_is_the_one_that_going_minute_by_minute_finds(
    jump: tuple[str, datetime], fields: tuple[str, str, str, str], minutes: int, seconds: int
) -> None:
    zone, change = jump
    minute, hour, day, weekday = fields
    line = f"{minute} {hour} {day} * {weekday}"
    at = change.replace(tzinfo=UTC) + minutes * MINUTE + timedelta(seconds=seconds)
    for expected in brute(fields, at, 30, ZoneInfo(zone))[:40]:
        found = next_after(line, at, zone)
        assert found == expected, (line, zone, at)
        at = expected


@pytest.mark.parametrize(
    ("line", "zone", "day", "expected"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-03-28", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),  # a gap
        ("30 2 * * *", "Europe/Berlin", "2026-10-24", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),  # twice
        ("30 1 * * *", "America/New_York", "2026-11-01", ["2026-11-01T05:30", "2026-11-02T06:30", "2026-11-03T06:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12", ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00"]),
        ("0 */12 * * *", "Europe/Berlin", "2026-10-24", ["2026-10-24T10:00", "2026-10-24T22:00", "2026-10-25T11:00"]),
        ("0 0 29 2 *", "UTC", "2026-01-01", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        ("0 0 13 * FRI", "UTC", "2026-02-01", ["2026-02-06T00:00", "2026-02-13T00:00", "2026-02-20T00:00"]),  # cron's "or"
        ("15 10 L * *", "UTC", "2026-01-01", ["2026-01-31T10:15", "2026-02-28T10:15", "2026-03-31T10:15"]),
        ("0 9 * * MON#1", "UTC", "2026-01-01", ["2026-01-05T09:00", "2026-02-02T09:00", "2026-03-02T09:00"]),
        ("@monthly", "Asia/Kolkata", "2026-01-02", ["2026-01-31T18:30", "2026-02-28T18:30", "2026-03-31T18:30"]),
    ],
)
def test_instants_as_a_person_would_have_them(line: str, zone: str, day: str, expected: list[str]) -> None:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC)
    found: list[str] = []
    for _ in expected:
        following = next_after(line, at, zone)
        assert following is not None and following > at
        at = following
        found.append(at.strftime("%Y-%m-%dT%H:%M"))
    assert found == expected


@pytest.mark.parametrize("nickname", sorted(NICKNAMES))
def test_nicknames_are_read(nickname: str) -> None:
    at = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    assert next_after(nickname.upper(), at) == next_after(NICKNAMES[nickname], at)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
        ("*/10 * * * * *", "has 6 fields.*sixth"),
        ("0 9 * *", "has 4 fields; 5 fields are needed"),
        ("", "has 0 fields"),
        ("9", "has 1 field;"),
        ("60 * * * *", "out of range"),
        ("* 24 * * *", "out of range"),
        ("0 9 * * XYZ", "cannot be read at 'XYZ'"),
        ("H * * * *", "cannot be read at 'H'"),          # croniter would take some minute by chance
        ("r * * * *", "cannot be read at 'r'"),
        ("*/0 * * * *", "cannot be read"),
        ("-1 * * * *", "cannot be read"),
        ("1,,2 * * * *", "cannot be read"),
        ("@fortnightly", "no nickname"),
        ("0 9 * * MON\0", "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(line: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse(line)


@given(st.text(alphabet="0123456789*/,-#LlWH?MON @", max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_and_what_is_read_comes(text: str) -> None:
    try:
        cron = parse(text)
    except ConfigurationError:
        return
    assert cron.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    ("zone", "near"),
    [("Europe/Berln", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("America/new york", "America/New_York"), ("", '"UTC"'),
     ("../etc/passwd", "Europe/Berlin"), ("Mars", "a name such as"), ("a\0b", "no time zone")],
)  # fmt: skip
def test_an_unknown_zone_is_refused_with_the_nearest(zone: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no time zone") as refused:
        next_after("@daily", datetime(2026, 1, 1, tzinfo=UTC), zone)
    assert near in str(refused.value)


SEVERAL = ["0 6 * * *", "*/7 * 29 2 *", "0 0 * * MON#2", "15 1-3 l * *"]


@given(st.lists(st.tuples(st.sampled_from(SEVERAL), st.integers(0, 10**9))))
@settings(max_examples=100, deadline=None)
def test_a_line_that_was_asked_before_says_the_same(asked: list[tuple[str, int]]) -> None:
    """A line is read once, and each question counts from where it says."""
    for line, seconds in asked:
        wall = datetime(2020, 1, 1) + timedelta(seconds=seconds)
        assert parse(line).next_wall(wall) == croniter(line, wall).get_next(datetime)
        assert next_after(line, wall.replace(tzinfo=UTC)) == parse(line).next_after(wall.replace(tzinfo=UTC))


@given(
    st.sampled_from(["*", "0", "*/7", "59/15", "3,41", "5-9"]),
    st.sampled_from(["*", "6", "*/5", "22-2", "0,23"]),
    st.integers(0, 10**15),
)
@settings(max_examples=300, deadline=None)
def test_a_line_of_times_alone_is_due_when_croniter_says(minute: str, hour: str, microseconds: int) -> None:
    """No days: counted by ourselves, without a search."""
    wall = datetime(2020, 1, 1) + timedelta(microseconds=microseconds)
    line = f"{minute} {hour} * * *"
    for _ in range(3):
        found = parse(line).next_wall(wall)
        assert found == croniter(line, wall).get_next(datetime)
        assert found is not None
        wall = found


def test_a_line_of_times_alone_never_comes_after_the_last_day() -> None:
    assert parse("0 6 * * *").next_wall(datetime(9999, 12, 31, 5)) == datetime(9999, 12, 31, 6)
    assert parse("0 6 * * *").next_wall(datetime(9999, 12, 31, 6)) is None
