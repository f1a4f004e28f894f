"""Which payloads a value holds, and what each is bound to, as values: every kind of entry there and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any, cast

import pytest

from memflow.codec import Encryption, Payload
from memflow.core.arrivals import (
    ActivityCompleted,
    ActivityFailed,
    Arrival,
    ChildCompleted,
    ChildFailed,
    HookCompleted,
    HookFailed,
    HookReceived,
    SignalReceived,
    UpdateReceived,
)
from memflow.core.entries import CLASSES, Entry, JournalEntry, Row, from_row, to_row
from memflow.core.interrupts import AnswerHook, CancelWait, ContinueAsNew, Emit, SendHook, StartHook, Trace, WriteMemo
from memflow.errors import PayloadError
from memflow.failure import Failure
from memflow.names import child_run_id
from memflow.payload_codecs import Place
from memflow.store import sealing
from memflow.store.sealing import Ids, Visit
from tests.core.corpus import play

CODEC = Encryption(keys={"k": bytes(range(32))}, active="k")
IDS = Ids("order", "run-2", "run-1")
AT = datetime(2026, 11, 21, tzinfo=UTC)
MARK = Payload(b'"the-marker"')
CAUSE = Failure("cancelled", "the-marker")
FAILED = Failure("application", "the-marker", details=Payload(b'["the-marker"]'), stack="the-marker", cause=CAUSE)


def seal(payload: Payload, *places: Place) -> Payload:
    return CODEC.seal([payload], [places[0]])[0]


def unseal(payload: Payload, *places: Place) -> Payload:
    return CODEC.open([payload], [places])[0]


def journaled(visit: Visit, found: JournalEntry, ids: Ids = IDS) -> JournalEntry:
    return sealing.journaled(visit, "default", ids, found)


def stored(found: JournalEntry) -> JournalEntry:
    return replace(found, entry=from_row(to_row(found.entry)))


ON_THE_RUN = ("RunStarted", "Complete", "Fail", "Cancelled")


def test_whatever_a_run_journals_comes_back_and_only_by_its_own_place() -> None:
    seen: set[str] = set()
    for seed in range(150):
        played = play(Random(seed))
        for each in played.journal:
            sealed = journaled(seal, each)
            assert journaled(unseal, stored(sealed)).entry == from_row(to_row(each.entry))
            if sealed is not each:
                seen.add(type(each.entry).__name__)
                assert re.match("aes256gcm:k|events|None", str(to_row(sealed.entry).encoding))
        played.replay.close()
    assert seen >= {"RunStarted", "ActivityCompleted", "ScheduleActivity", "SignalReceived", "StartChild", "Complete", "Emit"}


@pytest.mark.parametrize(
    "entry",
    [
        ActivityCompleted(3, MARK),
        ActivityFailed(3, FAILED),
        Emit(4, {"a": MARK, "b": MARK}),
        ContinueAsNew(MARK, memo=MARK),
        WriteMemo(5, MARK),
        Trace(6, MARK),
        StartHook(7, "remind", MARK),
        SendHook(8, "h", "remind", MARK, "other", search=MARK),
        AnswerHook("h", "other", "o-1", 3, result=MARK),
        AnswerHook("h", "other", "o-1", 3, failure=FAILED),
        CancelWait(9, "go", "resolved", MARK),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_nothing_of_an_entry_stays_in_clear_and_it_fits_no_other_place(entry: Entry) -> None:
    found = JournalEntry(7, 2, AT, entry)
    sealed = journaled(seal, found)
    row: Row = to_row(sealed.entry)
    assert "the-marker" not in f"{row.attributes}" and b"the-marker" not in (row.data or b"")
    there = stored(sealed)
    assert journaled(unseal, there).entry == entry
    for elsewhere, ids in (
        (replace(there, seq=8), IDS),
        (there, replace(IDS, run_id="run-3")),
    ):
        with pytest.raises(PayloadError, match="does not open"):
            journaled(unseal, elsewhere, ids)
    # A run that was made by copying this one reads what was copied.
    copied = Ids("copy", "run-9", "run-9", origins=(IDS,))
    assert journaled(unseal, there, copied).entry == entry


@pytest.mark.parametrize(
    "entry",
    [
        UpdateReceived("u", "add", MARK),
        SignalReceived("s", MARK),
        SignalReceived("s", MARK, 5),
        ChildCompleted(4, MARK),
        ChildFailed(4, FAILED),
        HookReceived("h", "remind", MARK, MARK),
        HookCompleted(4, MARK),
        HookFailed(4, FAILED),
    ],
    ids=lambda entry: type(entry).__name__,
)
def test_what_a_reset_puts_into_the_inbox_again_is_sealed_there_as_in_the_journal(entry: Arrival) -> None:
    there = stored(journaled(seal, JournalEntry(7, 2, AT, entry))).entry
    assert "the-marker" not in f"{to_row(there)}"
    reset = Ids("order", "run-9", "run-1", origins=(IDS,))
    assert arrived(unseal, cast("Arrival", there), reset) == entry
    if isinstance(entry, SignalReceived):                # its wait may not have been reached yet
        assert arrived(unseal, replace(cast("SignalReceived", there), op=None), reset) == replace(entry, op=None)
    with pytest.raises(PayloadError, match="does not open"):
        arrived(unseal, replace(cast("Any", there), **_elsewhere(entry)), reset)


def _elsewhere(entry: Arrival) -> dict[str, Any]:
    match entry:
        case UpdateReceived():
            return {"update_id": "v"}
        case SignalReceived():
            return {"name": "t"}
        case HookReceived():
            return {"hook_id": "i"}
        case _:
            return {"op": 9}


def test_every_kind_of_entry_that_holds_payloads_is_known() -> None:
    """Import would fail otherwise; this says which hold none."""
    without = {each.__name__ for each in CLASSES if not sealing._FIELDS[each]}
    assert without >= {"TimerFired", "StartTimer", "CancelRequested", "AwaitSignal", "StopOther"}
    assert not without & {"SendSignal", "AnswerUpdate", "ChildFailed", "WriteRecord", *ON_THE_RUN}


def arrived(visit: Visit, found: Arrival, ids: Ids) -> Arrival:
    return sealing.arrival(visit, "default", ids, found)


PARENT, CHILD = Ids("parent", "p-1", "p-1"), child_run_id("p-1", 4)

HANDED_ON: dict[str, tuple[Callable[[], Any], Callable[[Payload], Arrival], Ids]] = {
    "a child's result to its parent": (
        lambda: seal(MARK, ("default", "result", CHILD)), lambda payload: ChildCompleted(4, payload), PARENT,
    ),
    "a signal by id to whoever waits": (
        lambda: seal(MARK, ("default", "signal id", "go")), lambda payload: SignalReceived("go", payload, 5), PARENT,
    ),
    "a signal by id that the run before left behind": (
        lambda: seal(MARK, ("default", "signal id", "go")), lambda payload: SignalReceived("go", payload), PARENT,
    ),
    "a signal to the latest run of a workflow": (
        lambda: seal(MARK, ("default", "signal", "parent", "go")), lambda payload: SignalReceived("go", payload), PARENT,
    ),
}


@pytest.mark.parametrize("what", HANDED_ON)
def test_what_postgres_hands_on_opens_where_it_arrives_and_nowhere_else(what: str) -> None:
    sealed, as_arrival, ids = HANDED_ON[what]
    arrival = as_arrival(sealed())
    assert arrived(unseal, arrival, ids) == as_arrival(MARK)
    others: list[Arrival] = (
        [replace(arrival, name="other")] if isinstance(arrival, SignalReceived) else [replace(arrival, op=5)]  # type: ignore[call-arg]
    )
    for other in others:
        with pytest.raises(PayloadError, match="does not open"):
            arrived(unseal, other, ids)


def test_why_a_run_is_stuck_is_sealed_but_for_what_tells_that_it_cannot_be_read() -> None:
    text = "stuck: KeyError: 'the-marker'"
    sealed = sealing.detail(seal, "default", IDS, text)
    assert sealed is not None and sealed.startswith("stuck: [sealed] ") and "the-marker" not in sealed
    assert sealing.detail(unseal, "default", IDS, sealed) == text
    open_to_all = "stuck: PayloadError: unreadable payload: the key 'k9' is not known here"
    assert sealing.detail(seal, "default", IDS, open_to_all) == open_to_all
    odd = "stuck: [sealed] what somebody wrote"
    assert sealing.detail(unseal, "default", IDS, sealing.detail(seal, "default", IDS, odd)) == odd
    assert sealing.detail(seal, "default", IDS, None) is None
