"""Specs: intervals, calendars and skips together, bounds, jitter; through JSON and back; and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memflow.calendars import ScheduleCalendar, ScheduleRange
from memflow.errors import ConfigurationError
from memflow.schedule_spec import ScheduleInterval, ScheduleSpec, spec_from_json
from memflow.zones import wall_clock, zone_named

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def first(spec: ScheduleSpec, count: int, after: datetime = JANUARY) -> list[str]:
    found: list[str] = []
    for instant in spec.instants(after, after + 4000 * DAY):
        found.append(instant.strftime("%m-%dT%H:%M:%S"))
        if len(found) == count:
            break
    return found


def test_an_interval_counts_from_1970_and_an_offset_moves_it() -> None:
    assert first(ScheduleSpec(every="10 minutes", offset=180), 2) == ["01-01T00:03:00", "01-01T00:13:00"]
    assert ScheduleSpec(every=1.5).next_after(JANUARY) == JANUARY + timedelta(seconds=1.5)


def test_several_ways_of_saying_when_are_joined_and_an_instant_of_two_comes_once() -> None:
    spec = ScheduleSpec(["0 9 * * *", "0 12 * * *"], every="12 hours", calendars=[ScheduleCalendar(hour=9, minute=30)])
    assert first(spec, 4) == ["01-01T09:00:00", "01-01T09:30:00", "01-01T12:00:00", "01-02T00:00:00"]


def test_skips_take_away_instants_and_whole_days() -> None:
    sundays = ScheduleCalendar(second="*", minute="*", hour="*", day_of_week="SUN")
    lunch = ScheduleCalendar(hour=12, minute="*", second="*")
    spec = ScheduleSpec("0 0-23/6 * * *", skip=[sundays, lunch], start_at=datetime(2026, 1, 3, tzinfo=UTC))
    assert first(spec, 5) == ["01-03T00:00:00", "01-03T06:00:00", "01-03T18:00:00", "01-05T00:00:00", "01-05T06:00:00"]


def test_bounds_are_included() -> None:
    spec = ScheduleSpec(every=HOUR, start_at=JANUARY + HOUR, end_at=JANUARY + 3 * HOUR)
    assert first(spec, 9, JANUARY - DAY) == ["01-01T01:00:00", "01-01T02:00:00", "01-01T03:00:00"]
    assert spec.next_after(JANUARY + 3 * HOUR) is None


def test_a_calendar_needs_all_of_its_fields_where_cron_takes_either_day() -> None:
    assert first(ScheduleSpec(calendars=[ScheduleCalendar(day_of_month=13, day_of_week="FRI")]), 2) == [
        "02-13T00:00:00", "03-13T00:00:00",
    ]  # fmt: skip
    years = ScheduleSpec(calendars=[ScheduleCalendar(year=[2027, 2030], month="FEB", day_of_month=ScheduleRange(27, 28))])
    assert [each.date().isoformat() for each in years.instants(JANUARY, JANUARY + 4000 * DAY)] == [
        "2027-02-27", "2027-02-28", "2030-02-27", "2030-02-28",
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    second=st.sampled_from([0, "0,30"]),
    minute=st.sampled_from([0, "*/20", "5-7", ScheduleRange(10, 50, 20)]),
    hour=st.sampled_from([0, 2, "*", "22-23", [1, 3]]),
    weekday=st.sampled_from(["*", "SUN", "MON-FRI", 7]),
    start=st.integers(0, 400 * 86_400),
)
def test_a_calendar_finds_what_trying_one_time_after_another_finds(
    second: Any, minute: Any, hour: Any, weekday: Any, start: int
) -> None:
    calendar = ScheduleCalendar(second=second, minute=minute, hour=hour, day_of_week=weekday)
    wall = datetime(2026, 1, 1) + timedelta(seconds=start)
    found = calendar.next_wall(wall)
    assert found is not None and found > wall and calendar.matches(found)
    step = wall.replace(second=wall.second // 30 * 30) + timedelta(seconds=30)
    while not calendar.matches(step):
        step += timedelta(seconds=30)
    assert found == step


@pytest.mark.parametrize(
    ("calendar", "day", "expected"),
    [
        (ScheduleCalendar(hour=2, minute=30), "2026-03-28", ["03-28T01:30:00", "03-29T01:00:00", "03-30T00:30:00"]),
        (ScheduleCalendar(hour=2, minute=30), "2026-10-24", ["10-24T00:30:00", "10-25T00:30:00", "10-26T01:30:00"]),
        (ScheduleCalendar(hour="*"), "2026-10-24T23:30", ["10-25T00:00:00", "10-25T01:00:00", "10-25T02:00:00"]),
    ],
)
def test_calendars_live_through_the_nights_on_which_clocks_jump(
    calendar: ScheduleCalendar, day: str, expected: list[str]
) -> None:
    spec = ScheduleSpec(calendars=[calendar], zone="Europe/Berlin")
    assert first(spec, 3, datetime.fromisoformat(day).replace(tzinfo=UTC)) == expected


def test_jitter_is_the_same_each_time_and_never_reaches_the_next_instant() -> None:
    spec = ScheduleSpec(every="1 minute", jitter="1 hour")
    instants = list(spec.instants(JANUARY, JANUARY + HOUR))
    moved = [spec.jittered(each, "s") for each in instants]
    assert moved == [spec.jittered(each, "s") for each in instants] == sorted(moved)
    assert all(each <= at < each + timedelta(minutes=1) for each, at in zip(instants, moved, strict=True))
    assert moved != [spec.jittered(each, "other") for each in instants]
    assert len({at - each for each, at in zip(instants, moved, strict=True)}) > 50


SPECS = [
    ScheduleSpec("@daily"),
    ScheduleSpec(["0 9 * * MON-FRI", "30 2 * * *"], zone="Europe/Berlin", jitter="90 seconds"),
    ScheduleSpec(every="1h30m", offset="10 minutes", start_at=JANUARY, end_at=JANUARY + 30 * DAY),
    ScheduleSpec(
        calendars=[ScheduleCalendar(hour="*/2", month="JAN,MAR", comment="now and then")],
        skip=[ScheduleCalendar(hour="*", minute="*", second="*", day_of_week=[0, 6])],
    ),
]


@pytest.mark.parametrize("spec", SPECS, ids=ScheduleSpec.to_text)
def test_a_spec_survives_json(spec: ScheduleSpec) -> None:
    assert spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_a_spec_says_itself_for_people() -> None:
    assert [spec.to_text() for spec in SPECS] == [
        "@daily",
        "0 9 * * MON-FRI; 30 2 * * *",
        "every 1 hour 30 minutes offset 10 minutes",
        "now and then; not calendar second=* minute=* hour=* day_of_week=0,6",
    ]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ScheduleSpec(), "nothing says when"),
        (lambda: ScheduleSpec([5]), "5 is no text"),  # type: ignore[list-item]
        (lambda: ScheduleSpec("* * * * *", zone="Nowhere"), "no time zone"),
        (lambda: ScheduleSpec(every=0.01), "shorter than 0.1 seconds"),
        (lambda: ScheduleSpec(every="soon"), "every: 'soon' cannot be read"),
        (lambda: ScheduleSpec(every=60, offset=60), "not shorter than every"),
        (lambda: ScheduleSpec("@daily", offset=60), "no `every`"),
        (lambda: ScheduleSpec("@daily", start_at=datetime(2026, 1, 1)), "start_at: .* says no zone"),
        (lambda: ScheduleSpec("@daily", start_at=JANUARY, end_at=JANUARY - DAY), "before start_at"),
        (lambda: ScheduleSpec("@yearly", start_at=JANUARY + HOUR, end_at=JANUARY + DAY), "never comes"),
        (lambda: ScheduleSpec("@hourly", skip=[ScheduleCalendar(hour="*")]), "never comes"),
        (lambda: ScheduleSpec(calendars=[ScheduleCalendar(month=2, day_of_month=30)]), "no date matches"),
        (lambda: ScheduleSpec(calendars=["0 9"]), "'0 9' is no ScheduleCalendar"),  # type: ignore[list-item]
        (lambda: ScheduleSpec(intervals=ScheduleInterval(5)), "a list of ScheduleInterval"),  # type: ignore[arg-type]
        (lambda: ScheduleCalendar(hour=24), "hour: 24 is out of range; numbers go from 0 to 23"),
        (lambda: ScheduleCalendar(month="JANUAR"), "names JAN FEB"),
        (lambda: ScheduleCalendar(minute="5-1"), "ends before it begins"),
        (lambda: ScheduleCalendar(minute="*/0"), "step below 1"),
        (lambda: ScheduleCalendar(minute=[]), "nothing is given"),
        (lambda: ScheduleCalendar(second=1.5), "1.5 is no number"),  # type: ignore[arg-type]
        (lambda: ScheduleCalendar(second=True), "True is no number"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(make: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_a_schedule_that_skips_a_weekend_of_seconds_finds_monday_at_once() -> None:
    weekend = ScheduleCalendar(second="*", minute="*", hour="*", day_of_week="SAT,SUN")
    spec = ScheduleSpec(every=1, skip=[weekend], zone="Australia/Lord_Howe")
    monday = spec.next_after(datetime(2026, 4, 3, 12, 59, 59, tzinfo=UTC))
    assert monday is not None and wall_clock(monday, zone_named(spec.zone)) == datetime(2026, 4, 6)
