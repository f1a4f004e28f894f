"""Temporal's schedules as memflow's rows, and back. What memflow has no column for rides in a header of the action."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from memflow.calendars import ScheduleCalendar
from memflow.calendars import ScheduleRange as EngineRange
from memflow.client.schedule_handle import ScheduleDescription as EngineDescription
from memflow.client.schedule_handle import ScheduledRun
from memflow.duration import Duration
from memflow.firing import Overlap
from memflow.schedule_spec import ScheduleInterval
from memflow.schedule_spec import ScheduleSpec as EngineSpec
from memflow.store.schedule_values import ScheduleRow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.client.cron_lines import without_lines
from memflow.temporal.client.schedules import (
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionResult,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleInfo,
    ScheduleIntervalSpec,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleListInfo,
    ScheduleListSchedule,
    ScheduleListState,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from memflow.temporal.common import (
    Priority,
    RawValue,
    TypedSearchAttributes,
    completed_policy,
    engine_policy,
    engine_priority,
    policy_of,
)
from memflow.temporal.converter import DataConverter
from memflow.temporal.search_attributes import TYPES_FIELD, fields_of, typed_from, untyped_from
from memflow.temporal.startup import Startup
from memflow.temporal.stored import ConvertingCodec, loaded_arguments
from memflow.temporal.workflow.facts import filled, plain_fields

HEADER: Final = "temporal-schedule"

OVERLAPS: Final[Mapping[ScheduleOverlapPolicy, str]] = {each: each.name.lower() for each in ScheduleOverlapPolicy}
YEAR: Final = timedelta(days=365)

NEVER: Final = datetime(8000, 1, 1, tzinfo=UTC)
"""When a schedule without any time begins: memflow's schedules come some time."""
_NEVER: Final = ScheduleInterval(timedelta(days=10_000))


def in_utc(time: datetime) -> datetime:
    """With its zone. Temporal takes a time that names none, as `datetime.utcnow()` does, for one in UTC."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def engine_spec(spec: ScheduleSpec) -> EngineSpec:
    """When, in memflow's values. A spec without any time is for triggers and backfills alone.

    Raises:
        ConfigurationError: it never comes, or something in it cannot be read.
    """
    spec = without_lines(spec)
    if not (spec.intervals or spec.calendars):
        return EngineSpec(intervals=[_NEVER], start_at=NEVER)
    jitter: Duration = spec.jitter or timedelta()
    return EngineSpec(
        intervals=[ScheduleInterval(each.every, each.offset or timedelta()) for each in spec.intervals],
        calendars=[_calendar(each) for each in spec.calendars],
        skip=[_calendar(each) for each in spec.skip],
        zone=spec.time_zone_name or "UTC",
        start_at=None if spec.start_at is None else in_utc(spec.start_at),
        end_at=None if spec.end_at is None else in_utc(spec.end_at),
        jitter=jitter,
    )


def _calendar(spec: ScheduleCalendarSpec) -> ScheduleCalendar:
    return ScheduleCalendar(
        second=_ranges(spec.second),
        minute=_ranges(spec.minute),
        hour=_ranges(spec.hour),
        day_of_month=_ranges(spec.day_of_month),
        month=_ranges(spec.month),
        year=_ranges(spec.year) or "*",
        day_of_week=_ranges(spec.day_of_week),
        comment=spec.comment,
    )


def _ranges(ranges: Sequence[ScheduleRange]) -> list[int | str | EngineRange]:
    return [EngineRange(each.start, each.end, each.step) for each in ranges]


def options_of(schedule: Schedule, codec: ConvertingCodec, memo: Mapping[str, Any] | None, attributes: Any) -> dict[str, Any]:
    """A schedule as the options of `client.schedule.create`.

    Raises:
        TypeError: its action is none that there is.
        ConfigurationError: its spec never comes.
    """
    action, policy, state = _start(schedule), schedule.policy, schedule.state
    own: dict[str, Any] = {
        "id": action.id,
        "memo": plain_fields(memo, codec.payloads) if memo else {},
        "attributes": fields_of(attributes),
    }
    said = _as_said(without_lines(schedule.spec))
    if said is not None:
        own["calendars"] = said
    startup = Startup(
        execution_timeout=action.execution_timeout,
        run_timeout=action.run_timeout or action.execution_timeout,
        task_timeout=action.task_timeout,
        retry_policy=completed_policy(action.retry_policy),
        static_summary=_text(action.static_summary, codec),
        static_details=_text(action.static_details, codec),
        priority_key=action.priority.priority_key,
    )
    return {
        "spec": engine_spec(schedule.spec),
        "overlap": OVERLAPS[policy.overlap],
        "catchup": policy.catchup_window or YEAR,
        "pause_on_failure": policy.pause_on_failure,
        "limited_actions": state.remaining_actions if state.limited_actions else None,
        "note": state.note or None,
        "workflow_id": action.id,
        "task_queue": action.task_queue,
        "execution_timeout": action.execution_timeout,
        "run_timeout": action.run_timeout,
        "retry": engine_policy(action.retry_policy),
        "memo": _memo(action, codec),
        "search": _searched(action) or None,
        "headers": {**startup.headers(), HEADER: json.dumps(own, separators=(",", ":"))},
        "priority": engine_priority(action.priority),
    }


def _searched(action: ScheduleActionStartWorkflow) -> dict[str, Any]:
    """The action's search attributes: those with types and those without."""
    typed, untyped = fields_of(action.typed_search_attributes), fields_of(action.untyped_search_attributes)
    types = {**untyped.get(TYPES_FIELD, {}), **typed.get(TYPES_FIELD, {})}
    return {**untyped, **typed, **({TYPES_FIELD: types} if types else {})}


def _start(schedule: Schedule) -> ScheduleActionStartWorkflow:
    action = schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        raise TypeError(f"a schedule starts workflows; {action!r} is no ScheduleActionStartWorkflow")
    return action


def input_of(schedule: Schedule, codec: ConvertingCodec) -> tuple[str, Any]:
    """The workflow and its arguments."""
    action = _start(schedule)
    args = [RawValue(each) if isinstance(each, Payload) else each for each in action.args]
    return action.workflow, codec.write_arguments(args, action.headers)


def _memo(action: ScheduleActionStartWorkflow, codec: ConvertingCodec) -> dict[str, Any] | None:
    if not action.memo:
        return None
    values = {name: RawValue(each) if isinstance(each, Payload) else each for name, each in action.memo.items()}
    return plain_fields(values, codec.payloads)


def _text(value: str | Payload | None, codec: ConvertingCodec) -> str | None:
    """A summary, which is a payload where it comes from a description."""
    return str(codec.read(value, str)) if isinstance(value, Payload) else value


def _payload(text: str | None, codec: ConvertingCodec) -> Any:
    return None if text is None else codec.payloads.to_payloads([text])[0]


def _payloads(fields: Mapping[str, Any], codec: ConvertingCodec) -> dict[str, Payload]:
    return {name: codec.payloads.to_payloads([value])[0] for name, value in fields.items()}


def without_state(options: Mapping[str, Any], before: ScheduleState, after: ScheduleState) -> dict[str, Any]:
    """The options of an update: those of a first state apart, and the note only where it was changed."""
    changed = dict(options)
    if before.note == after.note:
        changed.pop("note")
    return changed


# ------------------------------------------------------------------------------------------------- rows -> schedules


def schedule_of(row: ScheduleRow, codec: ConvertingCodec) -> Schedule:
    """A row as a schedule. Arguments, the memo and summaries are payloads, as the types of none are known here."""
    action, state = row.action, row.state
    startup = Startup.of(action.headers)
    own = _own(row)
    record: Mapping[str, Any] = {} if action.search is None else codec.decode(action.search)
    return Schedule(
        ScheduleActionStartWorkflow(
            action.workflow,
            args=list(loaded_arguments(action.input).payloads),
            id=own.get("id") or row.id,
            task_queue=action.task_queue,
            execution_timeout=action.execution_timeout,
            run_timeout=action.run_timeout,
            task_timeout=startup.task_timeout,
            retry_policy=filled(policy_of(action.retry)),
            memo=None if action.memo is None else _payloads(codec.decode(action.memo), codec),
            typed_search_attributes=typed_from(record),
            static_summary=_payload(startup.static_summary, codec),
            static_details=_payload(startup.static_details, codec),
            priority=Priority(startup.priority_key),
        ),
        spec_of(row.spec, own),
        SchedulePolicy(
            ScheduleOverlapPolicy[Overlap(row.policy.overlap).value.upper()],
            row.policy.catchup,
            row.policy.pause_on_failure,
        ),
        ScheduleState(state.note, state.paused, state.remaining is not None, state.remaining or 0),
    )


def spec_of(spec: EngineSpec, own: Mapping[str, Any]) -> ScheduleSpec:
    """When, in Temporal's values; with the ranges that were given, as far as they still hold."""
    if spec.start_at == NEVER:
        return ScheduleSpec()
    calendars = [_calendar_of(each) for each in spec.calendars]
    for n, said in enumerate(own.get("calendars", [])[: len(calendars)]):
        fields = {name: tuple(ScheduleRange(*numbers) for numbers in ranges) for name, ranges in zip(_FIELDS, said, strict=True)}
        given = ScheduleCalendarSpec(**fields, comment=calendars[n].comment)
        if _calendar(given) == spec.calendars[n]:
            calendars[n] = given
    return ScheduleSpec(
        calendars=calendars,
        intervals=[ScheduleIntervalSpec(each.every, each.offset or None) for each in spec.intervals],
        cron_expressions=list(spec.cron),
        skip=[_calendar_of(each) for each in spec.skip],
        start_at=spec.start_at,
        end_at=spec.end_at,
        jitter=spec.jitter or None,
        time_zone_name=None if spec.zone == "UTC" else spec.zone,
    )


_FIELDS: Final = ("second", "minute", "hour", "day_of_month", "month", "year", "day_of_week")


def _as_said(spec: ScheduleSpec) -> list[list[list[list[int]]]] | None:
    """The ranges of its calendars as they were given; None where the numbers alone tell as much."""
    said = [
        [[[each.start, each.end, each.step] for each in getattr(calendar, name)] for name in _FIELDS]
        for calendar in spec.calendars
    ]
    told = [_calendar_of(_calendar(calendar)) for calendar in spec.calendars]
    same = all(
        tuple(getattr(a, name)) == tuple(getattr(b, name))
        for a, b in zip(told, spec.calendars, strict=True)
        for name in _FIELDS
    )
    return None if same else said


def _calendar_of(calendar: ScheduleCalendar) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(
        second=_ranges_of(calendar.second),
        minute=_ranges_of(calendar.minute),
        hour=_ranges_of(calendar.hour),
        day_of_month=_ranges_of(calendar.day_of_month),
        month=_ranges_of(calendar.month),
        year=() if len(calendar.year) > 200 else _ranges_of(calendar.year),
        day_of_week=_ranges_of(calendar.day_of_week),
        comment=calendar.comment,
    )


def _ranges_of(numbers: Sequence[int]) -> Sequence[ScheduleRange]:
    """Numbers as few ranges: those at the same distance together."""
    ranges: list[ScheduleRange] = []
    for number in numbers:
        last = ranges[-1] if ranges else None
        if last is not None and last.start == last.end:
            ranges[-1] = ScheduleRange(last.start, number, number - last.start)
        elif last is not None and last.end + last.step == number:
            ranges[-1] = replace(last, end=number)
        else:
            ranges.append(ScheduleRange(number, number))
    return tuple(ranges)


def _own(row: ScheduleRow) -> dict[str, Any]:
    text = row.action.headers.get(HEADER)
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found


def description_of(
    row: ScheduleRow, found: EngineDescription, codec: ConvertingCodec, converter: DataConverter
) -> ScheduleDescription:
    """A schedule as it stands."""
    own = _own(row)
    record: Mapping[str, Any] = own.get("attributes", {})
    return ScheduleDescription(
        row.id,
        schedule_of(row, codec),
        ScheduleInfo(
            found.actions,
            found.missed,
            found.overlap_skipped,
            [_execution(each) for each in found.running],
            [_result(each) for each in found.recent],
            [at for at in found.next_times if at < NEVER],
            found.created_at,
            None if found.updated_at == found.created_at else found.updated_at,
        ),
        typed_from(record),
        untyped_from(record),
        converter,
        found,
        own.get("memo", {}),
    )


def listed(found: EngineDescription, row: ScheduleRow | None, converter: DataConverter) -> ScheduleListDescription:
    """A schedule in a list."""
    own = {} if row is None else _own(row)
    record: Mapping[str, Any] = own.get("attributes", {})
    return ScheduleListDescription(
        found.id,
        ScheduleListSchedule(
            ScheduleListActionStartWorkflow(found.workflow),
            spec_of(found.spec, own),
            ScheduleListState(found.note, found.paused),
        ),
        ScheduleListInfo([_result(each) for each in found.recent], [at for at in found.next_times if at < NEVER]),
        typed_from(record) if record else TypedSearchAttributes.empty,
        untyped_from(record),
        converter,
        found,
        own.get("memo", {}),
    )


def _execution(run: ScheduledRun) -> ScheduleActionExecutionStartWorkflow:
    return ScheduleActionExecutionStartWorkflow(run.workflow_id, run.run_id)


def _result(run: ScheduledRun) -> ScheduleActionResult:
    return ScheduleActionResult(run.scheduled_at, run.started_at, _execution(run))
