"""Schedules as Temporal's programs describe them: what to do, when, and how runs that overlap are treated."""

from __future__ import annotations

from abc import ABC
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.arguments import UNSET, arg_or_args
from memflow.temporal.common import (
    Priority,
    RetryPolicy,
    SearchAttributes,
    TypedSearchAttributes,
)
from memflow.temporal.converter import DataConverter
from memflow.temporal.workflow.define import name_and_result_type


class ScheduleOverlapPolicy(IntEnum):
    """What becomes of an action that is due while the one before is running."""

    SKIP = 1
    BUFFER_ONE = 2
    BUFFER_ALL = 3
    CANCEL_OTHER = 4
    TERMINATE_OTHER = 5
    ALLOW_ALL = 6


@dataclass(frozen=True)
class ScheduleRange:
    """The numbers from `start` to `end` (by default `start` alone), every `step`-th of them."""

    start: int
    end: int = 0
    step: int = 0

    def __post_init__(self) -> None:
        if self.end < self.start:
            object.__setattr__(self, "end", self.start)
        if self.step == 0:
            object.__setattr__(self, "step", 1)


@dataclass
class ScheduleCalendarSpec:
    """Times of a wall clock: those at which every field matches. Sunday is 0."""

    second: Sequence[ScheduleRange] = (ScheduleRange(0),)
    minute: Sequence[ScheduleRange] = (ScheduleRange(0),)
    hour: Sequence[ScheduleRange] = (ScheduleRange(0),)
    day_of_month: Sequence[ScheduleRange] = (ScheduleRange(1, 31),)
    month: Sequence[ScheduleRange] = (ScheduleRange(1, 12),)
    year: Sequence[ScheduleRange] = ()
    day_of_week: Sequence[ScheduleRange] = (ScheduleRange(0, 6),)
    comment: str | None = None


@dataclass
class ScheduleIntervalSpec:
    """Every so often, counted from 1970 on, moved by `offset`."""

    every: timedelta
    offset: timedelta | None = None


@dataclass
class ScheduleSpec:
    """When: at the times of any calendar, interval or cron line, but for those of `skip`."""

    calendars: Sequence[ScheduleCalendarSpec] = field(default_factory=list[ScheduleCalendarSpec])
    intervals: Sequence[ScheduleIntervalSpec] = field(default_factory=list[ScheduleIntervalSpec])
    cron_expressions: Sequence[str] = field(default_factory=list[str])
    skip: Sequence[ScheduleCalendarSpec] = field(default_factory=list[ScheduleCalendarSpec])
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter: timedelta | None = None
    time_zone_name: str | None = None


class ScheduleAction(ABC):  # noqa: B024 - as Temporal's
    """What a schedule does."""


@dataclass(init=False)
class ScheduleActionStartWorkflow(ScheduleAction):
    """Start a workflow. Its id is that of the schedule and the instant; `id` is kept and shown."""

    workflow: str
    args: Sequence[Any]
    id: str
    task_queue: str
    execution_timeout: timedelta | None
    run_timeout: timedelta | None
    task_timeout: timedelta | None
    retry_policy: RetryPolicy | None
    memo: Mapping[str, Any] | None
    typed_search_attributes: TypedSearchAttributes
    untyped_search_attributes: SearchAttributes
    static_summary: str | None
    static_details: str | None
    priority: Priority
    headers: Mapping[str, Payload] | None

    def __init__(
        self,
        workflow: str | Callable[..., Awaitable[Any]],
        arg: Any = UNSET,
        *,
        args: Sequence[Any] = [],
        id: str | None = None,
        task_queue: str | None = None,
        execution_timeout: timedelta | None = None,
        run_timeout: timedelta | None = None,
        task_timeout: timedelta | None = None,
        retry_policy: RetryPolicy | None = None,
        memo: Mapping[str, Any] | None = None,
        typed_search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty,
        untyped_search_attributes: SearchAttributes = {},  # noqa: B006
        static_summary: str | None = None,
        static_details: str | None = None,
        headers: Mapping[str, Payload] | None = None,
        raw_info: Any = None,
        priority: Priority = Priority.default,
    ) -> None:
        if id is None:
            raise ValueError("ID required")
        if task_queue is None:
            raise ValueError("Task queue required")
        self.workflow = name_and_result_type(workflow)[0]
        self.args = arg_or_args(arg, args)
        self.id = id
        self.task_queue = task_queue
        self.execution_timeout = execution_timeout
        self.run_timeout = run_timeout
        self.task_timeout = task_timeout
        self.retry_policy = retry_policy
        self.memo = memo
        self.typed_search_attributes = typed_search_attributes
        self.untyped_search_attributes = untyped_search_attributes
        self.static_summary = static_summary
        self.static_details = static_details
        self.headers = headers
        self.priority = priority


@dataclass
class SchedulePolicy:
    """How runs that overlap, and times that were missed, are treated."""

    overlap: ScheduleOverlapPolicy = field(default_factory=lambda: ScheduleOverlapPolicy.SKIP)
    catchup_window: timedelta | None = None
    pause_on_failure: bool = False


@dataclass
class ScheduleState:
    """Whether it is paused, and how many actions are left."""

    note: str | None = None
    paused: bool = False
    limited_actions: bool = False
    remaining_actions: int = 0


@dataclass
class Schedule:
    """What, when and how."""

    action: ScheduleAction
    spec: ScheduleSpec
    policy: SchedulePolicy = field(default_factory=SchedulePolicy)
    state: ScheduleState = field(default_factory=ScheduleState)


@dataclass
class ScheduleBackfill:
    """A time in the past to catch up on."""

    start_at: datetime
    end_at: datetime
    overlap: ScheduleOverlapPolicy | None = None


class ScheduleActionExecution(ABC):  # noqa: B024 - as Temporal's
    """Something that a schedule did."""


@dataclass
class ScheduleActionExecutionStartWorkflow(ScheduleActionExecution):
    """A workflow that it started."""

    workflow_id: str
    first_execution_run_id: str


@dataclass
class ScheduleActionResult:
    """What it did, for which instant and when."""

    scheduled_at: datetime
    started_at: datetime
    action: ScheduleActionExecution


@dataclass
class ScheduleInfo:
    """What it has done, and what comes next."""

    num_actions: int
    num_actions_missed_catchup_window: int
    num_actions_skipped_overlap: int
    running_actions: Sequence[ScheduleActionExecution]
    recent_actions: Sequence[ScheduleActionResult]
    next_action_times: Sequence[datetime]
    created_at: datetime
    last_updated_at: datetime | None


class _Remembers:
    """A memo."""

    own_memo: Mapping[str, Any]
    data_converter: DataConverter

    async def memo(self) -> Mapping[str, Any]:
        """The facts kept with the schedule."""
        return dict(self.own_memo)

    async def memo_value(self, key: str, default: Any = UNSET, *, type_hint: type | None = None) -> Any:
        """One of them, read as `type_hint`.

        Raises:
            KeyError: there is none, and no default was given.
        """
        if key not in self.own_memo:
            if default is UNSET:
                raise KeyError(f"Memo does not have a value for key {key}")
            return default
        converter = self.data_converter.payload_converter
        payloads = converter.to_payloads([self.own_memo[key]])
        return converter.from_payloads(payloads, None if type_hint is None else [type_hint])[0]


@dataclass
class ScheduleDescription(_Remembers):
    """A schedule as it stands."""

    id: str
    schedule: Schedule
    info: ScheduleInfo
    typed_search_attributes: TypedSearchAttributes
    search_attributes: SearchAttributes
    data_converter: DataConverter = field(repr=False)
    raw_description: Any = field(repr=False)
    own_memo: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass
class ScheduleUpdateInput:
    """What an updater looks at."""

    description: ScheduleDescription


@dataclass
class ScheduleUpdate:
    """What an updater wants."""

    schedule: Schedule
    search_attributes: TypedSearchAttributes | None = None


# ------------------------------------------------------------------------------------------------- lists


class ScheduleListAction(ABC):  # noqa: B024 - as Temporal's
    """What a schedule does, in a list."""


@dataclass
class ScheduleListActionStartWorkflow(ScheduleListAction):
    """Start a workflow."""

    workflow: str


@dataclass
class ScheduleListState:
    """Whether it is paused."""

    note: str | None
    paused: bool


@dataclass
class ScheduleListInfo:
    """What it did last, and what comes next."""

    recent_actions: Sequence[ScheduleActionResult]
    next_action_times: Sequence[datetime]


@dataclass
class ScheduleListSchedule:
    """What and when."""

    action: ScheduleListAction
    spec: ScheduleSpec
    state: ScheduleListState


@dataclass
class ScheduleListDescription(_Remembers):
    """A schedule, in a list."""

    id: str
    schedule: ScheduleListSchedule | None
    info: ScheduleListInfo | None
    typed_search_attributes: TypedSearchAttributes
    search_attributes: SearchAttributes
    data_converter: DataConverter = field(repr=False)
    raw_entry: Any = field(repr=False)
    own_memo: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
