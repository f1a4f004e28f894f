"""Every value that the store takes or gives: what of it is sealed, what is not, and nothing that nobody has thought of."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from memflow.payload import Payload
from memflow.payload_codecs import Place
from memflow.store import escalations, schedule_values, sealing, sealing_rows, turns, values
from memflow.store.escalations import EscalationRow
from memflow.store.schedule_values import ScheduleAction, ScheduleRow
from memflow.store.sealing import Ids, Visit
from memflow.store.turns import ActivityRow, NextRun, TurnCommit
from memflow.store.values import Branch, NewRun, RunRow

HOLDS = re.compile(r"\b(Payload|Failure|Arrival|SignalReceived|JournalEntry|Effect)\b")
"""Annotations of fields that hold payloads, by themselves or in what they hold."""

SEALED = {
    "ActivityClaim": {"heartbeat", "input", "last_failure"},
    "ActivityRow": {"heartbeat", "input", "last_failure"},
    "Answer": {"payload"},
    "Beat": {"details"},
    "Branch": {"memo"},
    "BranchBase": {"memo"},
    "Claim": {"handed_on", "input", "memo"},
    "EscalationRow": {"payload"},
    "Event": {"payload"},
    "Mail": {"arrival"},
    "NewRun": {"input", "memo", "signal"},
    "NextRun": {"input", "memo", "signals"},
    "Outcome": {"result"},
    "Question": {"handed_on", "input", "memo"},
    "Reply": {"payload"},
    "Retry": {"last_failure"},
    "RunFacts": {"memo"},
    "RunRow": {"input", "memo", "result"},
    "ScheduleAction": {"input", "memo"},
    "Settle": {"arrival"},
    "ToRun": {"arrival"},
    "ToSignalId": {"payload"},
    "TurnCommit": {"effects", "entries", "mail", "memo", "result"},
}
"""Sealed on its way in or opened on its way out, by `SealedStore`: see its scenarios in tests/worker/test_sealed*.py."""

IN_CLEAR = {
    "Branch": {"record"},
    "BranchBase": {"record"},
    "Claim": {"record"},
    "NewRun": {"search"},
    "NextRun": {"record"},
    "Question": {"record"},
    "RunFacts": {"record"},
    "ScheduleAction": {"search"},
    "TurnCommit": {"record"},
}
"""The searchable record: Postgres looks into it."""

HANDED_THROUGH = {"ScheduleRow": {"failure", "result"}}
"""As it lies on a run's row. Workers alone hand it on, from row to row."""


def classes() -> Iterator[type[Any]]:
    for module in (values, turns, escalations, schedule_values):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if dataclasses.is_dataclass(found) and found.__module__ == module.__name__:
                yield found


def held(kind: type[Any]) -> set[str]:
    return {each.name for each in dataclasses.fields(kind) if HOLDS.search(str(each.type))}


def test_each_payload_of_a_value_of_the_store_is_sealed_or_known_to_be_in_clear() -> None:
    """A new field fails here: seal it (sealing.py, sealed.py), have a scenario write it, then list it."""
    known = {
        name: SEALED.get(name, set()) | IN_CLEAR.get(name, set()) | HANDED_THROUGH.get(name, set())
        for name in {*SEALED, *IN_CLEAR, *HANDED_THROUGH}
    }
    assert {kind.__name__: held(kind) for kind in classes() if held(kind)} == known


IDS = Ids("w", "r", "c")
VISITED: dict[type[Any], Callable[[Visit, Any], Any]] = {
    ActivityRow: lambda visit, found: sealing.activity(visit, "n", IDS, found),
    Branch: lambda visit, found: sealing_rows.branch(visit, "n", found),
    EscalationRow: lambda visit, found: sealing_rows.escalation(visit, "n", found),
    NewRun: lambda visit, found: sealing_rows.new_run(visit, found),
    RunRow: lambda visit, found: sealing_rows.run_row(visit, "n", IDS, found),
    ScheduleAction: lambda visit, found: sealing_rows.schedule(visit, "n", _row(found)).action,
    TurnCommit: lambda visit, found: sealing.turn(visit, "n", IDS, found),
    NextRun: lambda visit, found: sealing.turn(visit, "n", IDS, _turn(found)).next,
}


def _row(action: ScheduleAction) -> ScheduleRow:
    values: dict[str, Any] = {**_filled(ScheduleRow), "action": action}
    return ScheduleRow(**values)


def _turn(following: NextRun) -> TurnCommit:
    values: dict[str, Any] = {**_filled(TurnCommit), "next": following}
    return TurnCommit(**values)


def _filled(kind: type[Any]) -> dict[str, Any]:
    """Its fields, those that are payloads filled with one of their own name."""
    values: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        annotation = str(each.type)
        if annotation in ("Payload", "Payload | None"):
            values[each.name] = Payload(each.name.encode())
        elif annotation.startswith("Sequence"):
            values[each.name] = []
        elif annotation.startswith("Mapping"):
            values[each.name] = {}
        elif each.name in ("next", "detail", "signal"):
            values[each.name] = None
        else:
            values[each.name] = datetime(2026, 1, 1, tzinfo=UTC)
    return values


@pytest.mark.parametrize("kind", VISITED, ids=lambda kind: kind.__name__)
def test_what_is_said_to_be_sealed_is_visited_and_nothing_else(kind: type[Any]) -> None:
    seen: set[str] = set()

    def visit(payload: Payload, *places: Place) -> Payload:
        assert places and all(place[0] for place in places), "bound to something"
        seen.add(payload.data.decode())
        return Payload(b"sealed " + payload.data)

    before = kind(**_filled(kind))
    after = VISITED[kind](visit, before)
    plain = {each.name for each in dataclasses.fields(kind) if str(each.type) in ("Payload", "Payload | None")}
    assert SEALED[kind.__name__] & plain <= seen
    for name in plain:
        sealed = name in SEALED[kind.__name__]
        assert getattr(after, name).data == (b"sealed " if sealed else b"") + name.encode()
