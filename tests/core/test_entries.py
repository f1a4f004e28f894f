"""Entries as rows: all of them and back, and rows of older and newer versions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memflow.core import entries
from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    HookReceived,
    MessageDelivered,
    MessageNotDelivered,
    RunStarted,
    RunTerminated,
    RunTimedOut,
    SignalReceived,
    TimerFired,
    UpdateReceived,
    WaitCancelled,
)
from memflow.core.entries import CLASSES, Entry, Row, from_row, kind_of, to_row
from memflow.core.interrupts import (
    AnswerHook,
    AnswerUpdate,
    AwaitSignal,
    CancelActivity,
    Cancelled,
    CancelTimer,
    CancelWait,
    Complete,
    ContinueAsNew,
    Emit,
    Fail,
    MarkPatch,
    ScheduleActivity,
    SendHook,
    SendSignal,
    StartChild,
    StartHook,
    StartTimer,
    StopOther,
    Trace,
    WriteMemo,
    WriteRecord,
)
from memflow.errors import SchemaError
from memflow.failure import Failure
from memflow.options import ActivityOptions, CancellationType, ChildOptions, ParentClosePolicy
from memflow.payload import NOTHING, Payload
from memflow.retry import RetryPolicy
from tests.core.playing import OPTIONS, T0, json, seconds

BYTES = Payload(b"\x00\xff\x80", "bytes")
FAILURE = Failure(
    "activity",
    "no",
    details=json("[1]"),
    stack="line 1",
    cause=Failure("application", "why", type="Refused", non_retryable=True, next_retry_delay=2.5),
    facts={"activity": "charge", "attempt": 3},
)
ALL_OPTIONS = ActivityOptions(
    task_queue="elsewhere",
    activity_id="the-charge",
    local_retry_threshold=timedelta(seconds=7),
    start_to_close_timeout=timedelta(seconds=1),
    schedule_to_close_timeout=timedelta(days=400, microseconds=1),
    schedule_to_start_timeout=timedelta(milliseconds=1),
    heartbeat_timeout=timedelta(hours=1),
    retry=RetryPolicy(maximum_attempts=5, initial_interval=0.25, maximum_interval=9, non_retryable_error_types=("A", "B")),
    cancellation_type=CancellationType.ABANDON,
)

SAMPLES: list[Entry] = [
    RunStarted(json("[1]")),
    ActivityCompleted(1, BYTES),
    ActivityFailed(1, FAILURE),
    ActivityTimedOut(1, FAILURE),
    ActivityCancelled(1, FAILURE),
    TimerFired(2),
    SignalReceived("approved ✓", json("1")),
    SignalReceived("s", BYTES, 7, {"trace": "1"}),
    UpdateReceived("u-1", "add item", json("[1]"), {"trace": "1"}),
    AnswerUpdate("u-1", "accepted"),
    AnswerUpdate("u-1", "completed", json("2")),
    AnswerUpdate("u-2", "failed", failure=FAILURE),
    WaitCancelled(4, "s"),
    HookReceived("h-1", "note", json("[1]")),
    HookReceived("h-1", "note", BYTES, json('{"a":"\\u0000"}'), "order-2", "run-9", 7),
    MessageDelivered(5),
    MessageNotDelivered(5, "order-2"),
    MessageNotDelivered(5, "order-2", "completed"),
    HookDelivered(5),
    HookNotDelivered(5, "order-2"),
    HookNotDelivered(5, "order-2", "completed"),
    HookCompleted(5, BYTES),
    HookFailed(5, FAILURE),
    ChildStarted(3),
    ChildNotStarted(3, "child-1", None),
    ChildNotStarted(3, "child-1", "run-2"),
    ChildCompleted(3, json("1")),
    ChildFailed(3, FAILURE),
    ChildCancelled(3, FAILURE),
    CancelRequested(),
    CancelRequested("enough"),
    RunTerminated("gone"),
    RunTimedOut("execution"),
    ScheduleActivity(1, "charge", json("[1]"), OPTIONS),
    ScheduleActivity(1, "charge", json("[1]"), ALL_OPTIONS),
    ScheduleActivity(1, "charge", json("[1]"), ALL_OPTIONS, {"a": "b"}),
    CancelActivity(1),
    StartTimer(2, T0 + seconds(0.000001)),
    CancelTimer(2),
    AwaitSignal(4, 'odd "id"\n'),
    AwaitSignal(4, "s", '{"metadata":{"a":[1]},"priority":5}'),
    CancelWait(4, "s"),
    CancelWait(4, "s", "expired"),
    CancelWait(4, "s", "resolved", BYTES),
    StartHook(5, "note", json("[1]")),
    SendHook(5, "h-1", "note", json("[1]"), "order-2"),
    SendHook(5, "h-1", "note", BYTES, "order-2", "run-9", json('{"a":1}'), True),
    AnswerHook("h-1", "order-2", "run-9", 5, BYTES),
    AnswerHook("h-1", "order-2", "run-9", 5, failure=FAILURE),
    SendSignal(5, "s", json("1")),
    SendSignal(5, "s", BYTES, "order-2", "run-9"),
    SendSignal(5, "s", BYTES, "order-2", tell=True),
    StartChild(6, "ship", "child-1", "run-2", json("[1]"), ChildOptions()),
    StartChild(6, "ship", "child-1", "run-2", json("[1]"), ChildOptions(), memo=BYTES, search=json('{"n":1}')),
    StartChild(
        6,
        "ship",
        "child-1",
        "run-2",
        BYTES,
        ChildOptions("q", ParentClosePolicy.ABANDON, CancellationType.TRY_CANCEL),
        True,
        {"a": "b"},
    ),
    StopOther(7, "cancel", "child-1"),
    StopOther(7, "cancel", "order-2", tell=True),
    StopOther(7, "terminate", "child-1", "run-2", "enough", 6),
    WriteRecord(8, "search.set", json('[{"a":1}]')),
    WriteMemo(11, json('{"a":1}')),
    Emit(9, {"my.dog": json("1"), "my.cat": BYTES, "my.cow": NOTHING}),
    Emit(9, {}),
    Trace(10, json('{"a":1}')),
    MarkPatch("charge in euro"),
    MarkPatch("charge in euro", deprecated=True),
    Complete(json("1")),
    Fail(FAILURE),
    Cancelled(FAILURE),
    ContinueAsNew(json("[1]")),
    ContinueAsNew(BYTES, "another", "elsewhere", timedelta(minutes=1.5), ALL_OPTIONS.retry, BYTES),
]


@pytest.mark.parametrize("entry", SAMPLES, ids=lambda entry: type(entry).__name__)
def test_every_entry_comes_back_from_its_row(entry: Entry) -> None:
    row = to_row(entry)
    assert from_row(row) == entry
    assert row.kind == kind_of(entry)
    assert row.op == getattr(entry, "op", None)


def test_the_samples_hold_every_class() -> None:
    assert {type(each) for each in SAMPLES} == set(CLASSES)


@pytest.mark.parametrize("entry", SAMPLES, ids=lambda entry: type(entry).__name__)
def test_what_newer_versions_add_is_left_aside(entry: Entry) -> None:
    row = to_row(entry)
    text = (row.attributes or "{}")[:-1] + (',' if row.attributes else "") + '"from_the_future":{"a":[1]}}'
    assert from_row(Row(row.kind, row.op, text, row.encoding, row.data)) == entry


def test_an_unknown_kind_says_that_a_newer_version_wrote_it() -> None:
    with pytest.raises(SchemaError, match="newer version"):
        from_row(Row("dance", 1, None, None, None))


def test_an_entry_without_its_op_is_damage() -> None:
    with pytest.raises(SchemaError, match="damaged"):
        from_row(Row("timer_fired", None, None, None, None))


def test_data_that_lies_on_the_runs_row_may_be_absent() -> None:
    assert from_row(Row("run_started", None, None, None, None)) == RunStarted()
    assert from_row(Row("complete", None, None, None, None)) == Complete(NOTHING)
    assert isinstance(from_row(Row("fail", None, None, None, None)), Fail)


@pytest.mark.parametrize(
    ("row", "entry"),
    [
        (Row("schedule_activity", 1, '{"name":"charge"}', None, b"[]"), ScheduleActivity(1, "charge", Payload(b"[]"), OPTIONS)),
        (Row("start_timer", 2, '{"due":"2026-11-20T09:00:00+00:00"}', None, None), StartTimer(2, T0)),
        (Row("signal_received", None, '{"name":"s"}', None, b"1"), SignalReceived("s", json("1"))),
        (Row("emit", 9, None, "events", b'{"a":{"text":"1"}}'), Emit(9, {"a": json("1")})),
        (
            Row("start_child", 6, '{"workflow":"w","workflow_id":"c","run_id":"r"}', None, b"[]"),
            StartChild(6, "w", "c", "r", Payload(b"[]"), ChildOptions()),
        ),
    ],
)
def test_rows_of_this_version_read_for_ever(row: Row, entry: Entry) -> None:
    """These texts are in databases: a change that breaks this test breaks open runs."""
    assert from_row(row) == entry
    assert to_row(entry) == row


def test_made_up_options_do_not_fill_memory() -> None:
    for number in range(entries._MEMORY * 2):
        entry = ScheduleActivity(1, f"a{number}", NOTHING, OPTIONS)
        assert from_row(to_row(entry)) == entry
    assert len(entries._activity_texts) <= entries._MEMORY
    assert len(entries._activity_facts) <= entries._MEMORY
