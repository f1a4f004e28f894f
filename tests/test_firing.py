"""What a schedule decides, by lists: overlap, catching up, limits, pauses, backfills; and laws over schedules made by chance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from memflow.firing import (
    LONGEST_BUFFER,
    Action,
    Backfill,
    Counts,
    Overlap,
    Policy,
    ScheduleState,
    Wanted,
    decide,
    refreshed,
    resumed,
    started,
    state_from_json,
    state_to_json,
    workflow_id,
)
from memflow.runs import Status
from memflow.schedule_spec import ScheduleSpec

T0 = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = ScheduleSpec(every=MINUTE)


class Simulated:
    """A schedule and its runs, without a database: runs end when a test says."""

    def __init__(self, overlap: str = "skip", spec: ScheduleSpec = EVERY, *, most: int = 1000, **policy: object) -> None:
        self.spec = spec
        self.policy = replace(Policy(Overlap(overlap)), **policy)  # type: ignore[arg-type]
        self.state = ScheduleState(cursor=T0)
        self.most = most
        self.open: list[str] = []
        self.ids: list[str] = []                        # every run ever started
        self.ended: dict[str, Status | None] = {}
        self.cancelled: list[str] = []
        self.terminated: list[str] = []
        self.look_at: datetime | None = None

    def look(self, now: datetime) -> list[str]:
        """Look once; the ids of the runs that started, as their instants in minutes."""
        decision = decide("s", self.spec, self.policy, self.state, now=now, ended=self.ended, most=self.most)
        self.ended = {}
        for each in decision.terminate:
            self.terminated.append(_minute(each.at))
            self.open.remove(each.run_id)
        self.cancelled += [_minute(each.at) for each in decision.cancel]
        fresh: list[str] = []
        for wanted in decision.start:
            run = workflow_id("s", wanted.at)
            if run in self.ids:
                decision = started(decision, wanted, None)
                continue
            self.ids.append(run)
            self.open.append(run)
            fresh.append(_minute(wanted.at))
            decision = started(decision, wanted, Action(wanted.at, now, run, run))
        self.state, self.look_at = _through_json(decision.state), decision.look_at
        return fresh

    def end(self, *minutes: int, how: Status | None = Status.COMPLETED) -> None:
        for minute in minutes:
            run = workflow_id("s", T0 + minute * MINUTE)
            self.open.remove(run)
            self.ended[run] = how

    def at(self, minutes: float) -> list[str]:
        return self.look(T0 + minutes * MINUTE)


def _minute(at: datetime) -> str:
    return f"{(at - T0) / MINUTE:g}"


def _through_json(state: ScheduleState) -> ScheduleState:
    read = state_from_json(
        json.loads(json.dumps(state_to_json(state))), paused=state.paused, next_at=state.next_at, last_at=state.last_at
    )
    assert read == state
    return read


def test_each_instant_has_its_run_and_the_next_look_is_at_the_next_instant() -> None:
    one = Simulated()
    assert one.at(0.5) == [] and one.look_at == T0 + MINUTE
    assert one.at(1) == ["1"] and one.look_at == T0 + 2 * MINUTE
    one.end(1)
    assert one.at(2.2) == ["2"]
    assert one.state.counts == Counts(taken=2) and one.state.last_at == T0 + 2.2 * MINUTE
    assert [each.workflow_id for each in one.state.recent] == ["s-2026-01-01T00:01:00Z", "s-2026-01-01T00:02:00Z"]


@pytest.mark.parametrize(
    ("overlap", "at_three", "when_it_ends", "at_five", "skipped"),
    [
        ("skip", [], [], ["4"], 2),                     # 2 and 3 met an open run, 4 meets none, 5 meets that of 4
        ("buffer_one", [], ["2"], [], 1),               # 2 waited, 3 found it waiting; then 4 and 5 wait for 2
        ("buffer_all", [], ["2"], [], 0),
        ("cancel_other", [], ["3"], [], 1),             # 2 gave its place to 3
        ("terminate_other", ["3"], [], ["5"], 1),
        ("allow_all", ["2", "3"], [], ["4", "5"], 0),
    ],
)
def test_overlap_policies(overlap: str, at_three: list[str], when_it_ends: list[str], at_five: list[str], skipped: int) -> None:
    one = Simulated(overlap)
    assert one.at(1) == ["1"]
    assert one.at(3) == at_three
    assert one.state.counts.skipped == skipped
    assert one.cancelled == (["1"] if overlap == "cancel_other" else [])
    assert one.terminated == (["1"] if overlap == "terminate_other" else [])
    one.end(3 if overlap == "terminate_other" else 1)
    assert one.at(3.5) == when_it_ends
    assert one.at(5) == at_five


def test_a_run_is_asked_to_cancel_once_however_often_the_next_is_due() -> None:
    one = Simulated("cancel_other")
    one.at(1)
    for minute in (2, 3, 4):
        one.at(minute)
    assert one.cancelled == ["1"]
    one.end(1, how=Status.CANCELLED)
    assert one.at(4.5) == ["4"]
    assert one.state.counts.skipped == 2


def test_instants_within_the_window_are_made_up_for_and_older_ones_counted() -> None:
    one = Simulated("allow_all", catchup=10 * MINUTE)
    assert one.at(30) == [str(n) for n in range(20, 31)]
    assert one.state.counts == Counts(taken=11, missed=19)


def test_a_long_outage_is_dealt_with_in_portions_none_of_which_is_lost() -> None:
    one = Simulated("allow_all", most=7)
    taken: list[str] = []
    now = T0 + 100 * MINUTE
    taken += one.look(now)
    while one.look_at == now:
        taken += one.look(now)
    assert taken == [str(n) for n in range(1, 101)]


def test_a_limit_counts_runs_and_ends_the_schedule_but_not_its_triggers() -> None:
    one = Simulated("skip")
    one.state = replace(one.state, remaining=2)
    assert one.at(1) == ["1"]
    assert one.at(2) == []                              # skipped: not counted
    one.end(1)
    assert one.at(3) == ["3"]
    assert one.state.next_at is None and one.look_at is None and one.state.exhausted
    one.end(3)
    assert one.at(9) == []
    one.state = replace(one.state, wanted=(Wanted(T0 + 9.5 * MINUTE, None, manual=True),))
    assert one.at(10) == ["9.5"]
    assert one.state.remaining == 0


def test_a_limit_holds_where_many_start_at_once() -> None:
    one = Simulated("allow_all")
    one.state = replace(one.state, remaining=3)
    assert one.at(10) == ["1", "2", "3"] and one.state.exhausted


def test_a_pause_drops_what_is_due_meanwhile_and_lets_triggers_through() -> None:
    one = Simulated()
    one.state = replace(one.state, paused=True)
    assert one.at(5) == [] and one.look_at is None
    one.state = replace(one.state, wanted=(Wanted(T0 + 5.5 * MINUTE, None, manual=True),))
    assert one.at(5.5) == ["5.5"]
    one.open.clear()
    one.ended = {workflow_id("s", T0 + 5.5 * MINUTE): Status.COMPLETED}
    one.state = resumed(one.state, now=T0 + 10.5 * MINUTE, note="go on")
    assert refreshed("s", EVERY, one.state, T0 + 10.5 * MINUTE)[1] == T0 + 11 * MINUTE
    assert one.at(11) == ["11"]
    assert one.state.counts == Counts(taken=2) and one.state.note == "go on"


@pytest.mark.parametrize(
    ("how", "paused"),
    [(Status.FAILED, True), (Status.TIMED_OUT, True), (Status.COMPLETED, False), (Status.CANCELLED, False), (None, False)],
)
def test_a_failure_pauses_the_schedule_if_that_was_asked_for(how: Status | None, paused: bool) -> None:
    one = Simulated(pause_on_failure=True)
    one.at(1)
    one.end(1, how=how)
    assert one.at(2) == ([] if paused else ["2"])
    assert one.state.paused is paused
    assert not paused or "s-2026-01-01T00:01:00Z" in str(one.state.note)


def test_a_backfill_takes_each_instant_once_and_leaves_those_that_had_a_run() -> None:
    one = Simulated("allow_all", most=4)
    one.at(2)
    one.state = replace(one.state, backfills=(Backfill(T0 - 5 * MINUTE, T0 + 90 * MINUTE, Overlap.ALLOW_ALL),), paused=True)
    now = T0 + 3 * MINUTE
    taken = one.look(now)
    while one.look_at == now:
        taken += one.look(now)
    assert taken == ["-4", "-3", "-2", "-1", "0", "3"]
    assert one.state.counts.taken == 8 and not one.state.backfills


def test_a_backfill_that_waits_in_line_goes_on_past_an_instant_that_had_its_run() -> None:
    one = Simulated("skip")
    one.at(1)
    one.end(1)
    again, fresh = (Wanted(T0 + minute * MINUTE, Overlap.BUFFER_ALL, manual=True) for minute in (1, -1))
    one.state = replace(one.state, wanted=(again, fresh))
    assert one.at(1.5) == [] and one.look_at is not None and one.look_at <= T0 + 1.5 * MINUTE
    assert one.at(1.5) == ["-1"]


def test_a_buffer_has_an_end() -> None:
    one = Simulated("buffer_all", most=LONGEST_BUFFER * 2)
    one.at(1)
    one.at(LONGEST_BUFFER + 11)
    assert (len(one.state.wanted), one.state.counts.dropped) == (LONGEST_BUFFER, 10)


def test_a_clock_that_is_set_back_starts_nothing_twice() -> None:
    one = Simulated("allow_all")
    assert one.at(3) == ["1", "2", "3"]
    assert one.at(1) == []
    assert one.at(3.5) == []
    assert one.at(4) == ["4"]


def test_jitter_moves_the_start_and_not_the_id() -> None:
    spec = ScheduleSpec(every=MINUTE, jitter="50 seconds")
    one = Simulated(spec=spec)
    assert one.at(0) == []
    due = one.look_at
    assert due is not None and T0 + MINUTE < due < T0 + 2 * MINUTE
    assert one.look(due - timedelta(microseconds=1)) == []
    assert one.look(due) == ["1"]


def test_ids_tell_instants_apart_to_the_microsecond() -> None:
    assert workflow_id("s", T0) == "s-2026-01-01T00:00:00Z"
    assert workflow_id("s", T0 + timedelta(microseconds=5)) == "s-2026-01-01T00:00:00.000005Z"


@pytest.mark.parametrize("overlap", list(Overlap))
def test_whatever_happens_no_instant_is_taken_twice_or_forgotten(overlap: Overlap) -> None:
    """Runs end, fail, vanish; looks come late or twice; the sums add up after each look."""
    for seed in range(150):
        random = Random(seed)
        one = Simulated(overlap, most=random.choice([1, 3, 1000]), catchup=random.choice([2, 30, 10_000]) * MINUTE)
        now = T0
        for _ in range(40):
            now += MINUTE * random.choice([0, 0.1, 1, 1, 2, 15])
            for run in random.sample(one.open, random.randint(0, len(one.open))):
                one.open.remove(run)
                one.ended[run] = random.choice([Status.COMPLETED, Status.FAILED, Status.CANCELLED, None])
            one.look(now)
            if overlap is not Overlap.ALLOW_ALL:
                assert len(one.open) <= 1
            counts = one.state.counts
            passed = (one.state.cursor - T0) // MINUTE
            assert counts.taken + counts.missed + counts.skipped + counts.dropped + len(one.state.wanted) == passed
            assert len(set(one.ids)) == len(one.ids) == counts.taken
            if one.look_at != now:
                assert one.state.cursor + MINUTE > now
            if one.state.wanted and one.look_at != now:
                assert one.open, "somebody waits for nobody"


def _nothing_ended() -> Mapping[str, Status | None]:
    return {}


def test_a_decision_changes_nothing_by_itself() -> None:
    state = ScheduleState(cursor=T0)
    first = decide("s", EVERY, Policy(), state, now=T0 + MINUTE, ended=_nothing_ended(), most=10)
    assert decide("s", EVERY, Policy(), state, now=T0 + MINUTE, ended=_nothing_ended(), most=10) == first
    assert state == ScheduleState(cursor=T0)
