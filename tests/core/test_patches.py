"""Patches: new runs take the new path, those under way stay on theirs; marks may go when they are deprecated."""

from __future__ import annotations

import pytest

from memflow.core.arrivals import ActivityCompleted
from memflow.core.interrupts import MarkPatch
from memflow.errors import NondeterminismError, ReadOnlyError
from memflow.payload import NOTHING
from tests.core.playing import Played, activity, condition, patched, schedule


async def old() -> None:
    for _ in range(3):
        await activity("charge")


async def new() -> None:
    for _ in range(3):
        await activity("charge in euro" if patched("euro") else "charge")


async def deprecated() -> None:
    for _ in range(3):
        patched("euro", deprecated=True)
        await activity("charge in euro")


async def newest() -> None:
    for _ in range(3):
        await activity("charge in euro")


def test_a_new_run_takes_the_patch_and_marks_it_once() -> None:
    played = Played(new)
    assert played.start() == [MarkPatch("euro"), schedule(1, "charge in euro")]
    assert played.turn(ActivityCompleted(1, NOTHING)) == [schedule(2, "charge in euro")]


def test_a_run_under_way_stays_on_the_old_path_also_where_the_code_comes_after_the_deployment() -> None:
    played = Played(old)
    played.start()
    played.deploy(new)
    assert played.turn(ActivityCompleted(1, NOTHING)) == [schedule(2, "charge")]
    assert played.turn(ActivityCompleted(2, NOTHING)) == [schedule(3, "charge")]


def test_a_patch_that_comes_late_in_a_new_run_is_taken() -> None:
    """HotMesh says no to a run that has asked for anything before its first patch."""

    async def late() -> None:
        await activity("reserve")
        await activity("charge in euro" if patched("euro") else "charge")

    played = Played(late)
    played.start()
    assert played.turn(ActivityCompleted(1, NOTHING)) == [MarkPatch("euro"), schedule(2, "charge in euro")]


def test_a_run_under_way_takes_a_patch_that_it_first_meets_after_the_deployment() -> None:
    async def before() -> None:
        await activity("reserve")
        await activity("charge")

    async def after() -> None:
        await activity("reserve")
        await activity("charge in euro" if patched("euro") else "charge")

    played = Played(before)
    played.start()
    played.deploy(after)
    assert played.turn(ActivityCompleted(1, NOTHING)) == [MarkPatch("euro"), schedule(2, "charge in euro")]


def test_a_marked_run_fits_the_deprecated_patch_and_a_deprecated_mark_fits_no_call_at_all() -> None:
    played = Played(new)
    played.start()
    played.deploy(deprecated)
    assert played.turn(ActivityCompleted(1, NOTHING)) == [schedule(2, "charge in euro")]

    played = Played(deprecated)
    assert played.start() == [MarkPatch("euro", deprecated=True), schedule(1, "charge in euro")]
    played.deploy(newest)
    assert played.turn(ActivityCompleted(1, NOTHING)) == [schedule(2, "charge in euro")]


def test_a_deprecated_mark_may_be_asked_for_elsewhere() -> None:
    async def moved() -> None:
        await activity("charge in euro")
        patched("euro", deprecated=True)
        await activity("charge in euro")

    played = Played(deprecated)
    played.start()
    played.turn(ActivityCompleted(1, NOTHING))
    assert played.rebuilt(moved).open_activities.keys() == {2}


def test_a_mark_that_is_not_deprecated_is_missed_with_advice() -> None:
    played = Played(new)
    played.start()
    with pytest.raises(NondeterminismError, match="was removed") as found:
        played.rebuilt(newest)
    assert found.value.seq == 2 and found.value.journal == MarkPatch("euro")
    assert "workflow.deprecate_patch('euro')" in str(found.value)


def test_skipped_marks_leave_the_report_exact() -> None:
    async def other() -> None:
        await activity("refund")

    played = Played(deprecated)
    played.start()
    with pytest.raises(NondeterminismError) as found:
        played.rebuilt(other)
    assert found.value.seq == 3 and found.value.journal == schedule(1, "charge in euro")


def test_a_condition_may_use_a_patch_that_is_decided_but_not_decide_one() -> None:
    async def decided() -> bool:
        taken = patched("euro")
        await condition(lambda: patched("euro"))
        return taken

    played = Played(decided)
    played.start()
    assert played.replay.finished

    async def undecided() -> None:
        with pytest.raises(ReadOnlyError):
            await condition(lambda: patched("euro"))

    played = Played(undecided)
    played.start()
    assert played.replay.finished
