"""Cron lines become calendars and intervals, as Temporal's server shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memflow.errors import ConfigurationError
from memflow.temporal.client import (
    Client,
    RPCError,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from memflow.temporal.client.cron_lines import without_lines
from memflow.temporal.service import RPCStatusCode

R = ScheduleRange
EVERY_MINUTE, EVERY_HOUR = [R(0, 59)], [R(0, 23)]


def calendar(**fields: Any) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(**fields)


CALENDARS = [
    ("0 12 * * MON", calendar(hour=[R(12)], day_of_week=[R(1)])),
    (" 0  12 * * monday ", calendar(hour=[R(12)], day_of_week=[R(1)])),
    ("*/15 * * * *", calendar(minute=[R(0, 59, 15)], hour=EVERY_HOUR)),
    ("10/20 * * * *", calendar(minute=[R(10, 59, 20)], hour=EVERY_HOUR)),
    ("0 0 1,15 * *", calendar(day_of_month=[R(1), R(15)])),
    ("5-30/5 9-17 * JAN-MAR,DEC 1-5", calendar(
        minute=[R(5, 30, 5)], hour=[R(9, 17)], month=[R(1, 3), R(12)], day_of_week=[R(1, 5)])),
    ("0 0 13 * 5", calendar(day_of_month=[R(13)], day_of_week=[R(5)])),
    ("0 0 * * 7", calendar(day_of_week=[R(0)])),
    ("0 0 * * 5-7", calendar(day_of_week=[R(0), R(5, 6)])),
    ("0 0 * * 0-7", calendar(day_of_week=[R(0, 6)])),
    ("0 12 * * * 2030-2032", calendar(hour=[R(12)], year=[R(2030, 2032)])),
    ("30 0 12 * * * 2030", calendar(second=[R(30)], hour=[R(12)], year=[R(2030)])),
    ("@hourly", calendar(hour=EVERY_HOUR)),
    ("@weekly", calendar(day_of_week=[R(0)])),
    ("@yearly", calendar(day_of_month=[R(1)], month=[R(1)])),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), CALENDARS)
def test_lines_become_calendars(line: str, expected: ScheduleCalendarSpec) -> None:
    [made] = without_lines(ScheduleSpec(cron_expressions=[line])).calendars
    for name in ("second", "minute", "hour", "day_of_month", "month", "year", "day_of_week"):
        assert list(getattr(made, name)) == list(getattr(expected, name)), name


def test_comments_zones_and_intervals() -> None:
    made = without_lines(
        ScheduleSpec(cron_expressions=["CRON_TZ=Europe/Berlin 0 12 * * * # lunch", "@every 90m", "@every 1d2h/10m"])
    )
    assert made.cron_expressions == [] and made.time_zone_name == "Europe/Berlin"
    assert [each.comment for each in made.calendars] == ["lunch"]
    assert made.intervals == [
        ScheduleIntervalSpec(timedelta(minutes=90)),
        ScheduleIntervalSpec(timedelta(days=1, hours=2), timedelta(minutes=10)),
    ]


REFUSED = [
    ("bad", "CronString does not have 5-7 fields"),
    ("* * * * * * * *", "CronString does not have 5-7 fields"),
    ("@Daily", "CronString does not have 5-7 fields"),
    ("61 * * * *", r"Minute is not in range \[0-59\]"),
    ("0 0 L * *", r"DayOfMonth is not in range \[1-31\]"),
    ("0 0 * * * 1999", r"Year is not in range \[2000-2100\]"),
    ("* * * * FRI-MON", "DayOfWeek End is before Start"),
    ("-1 * * * *", r"Minute Start is not in range \[0-59\]"),
    ("1-2-3 * * * *", "Minute has too many dashes"),
    ("*/0 * * * *", "Minute has invalid Step"),
    ("@every 5x", 'unknown unit "x" in duration "5x"'),
    ("@every 1", 'missing unit in duration "1"'),
    ("@every 0s", "interval is too small"),
    ("@every", "CronString does not have interval after @every"),
]


@pytest.mark.parametrize(("line", "why"), REFUSED)
def test_what_cannot_be_read_is_refused_in_the_words_of_the_server(line: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Invalid schedule spec: .*{why}"):
        without_lines(ScheduleSpec(cron_expressions=[line]))


def test_two_zones_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="conflicting timezone names"):
        without_lines(ScheduleSpec(cron_expressions=["TZ=Europe/Berlin 0 9 * * *"], time_zone_name="UTC"))


async def test_a_schedule_shows_calendars_with_the_ranges_that_were_given(client: Client, queue: str) -> None:
    def daily(*lines: str) -> Schedule:
        action = ScheduleActionStartWorkflow("Any", id="any", task_queue=queue)
        return Schedule(action=action, spec=ScheduleSpec(cron_expressions=[*lines]), state=ScheduleState(paused=True))

    handle = await client.create_schedule("by-cron", daily("*/15 * * * *", "0 12 1,15 * * # twice a month", "@every 1h"))
    spec = (await handle.describe()).schedule.spec
    assert spec.cron_expressions == [] and spec.intervals == [ScheduleIntervalSpec(timedelta(hours=1))]
    assert [each.minute for each in spec.calendars] == [(R(0, 59, 15),), (R(0),)]
    assert [each.day_of_month for each in spec.calendars] == [(R(1, 31),), (R(1), R(15))]
    assert [each.comment for each in spec.calendars] == [None, "twice a month"]
    with pytest.raises(RPCError) as refused:
        await client.create_schedule("never", daily("whenever"))
    assert refused.value.status is RPCStatusCode.INVALID_ARGUMENT
    assert str(refused.value).startswith("Invalid schedule spec: CronString")
