"""Laws that hold for every workflow: thousands made by chance, each played live and rebuilt after every turn."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memflow.core.entries import to_row
from memflow.core.interrupts import Cancelled, Complete, ContinueAsNew, Fail, MarkPatch
from memflow.core.primitives import TABLE
from memflow.interceptors import ContextPropagator
from memflow.workflow.intercepting import intercepted
from tests.core.corpus import digest, play, play_over_a_deployment
from tests.core.playing import Played

# A program that is unwound may leave coroutines that it made and never awaited, as any asyncio program would.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

ROOT = Path(__file__).parents[2]
SEEDS = range(200)


@pytest.mark.parametrize("part", range(8))
def test_a_rebuilt_run_asks_what_the_live_one_asks(part: int) -> None:
    """`Played.turn` compares after every turn; here is the mass of programs."""
    for seed in range(part * 400, (part + 1) * 400):
        played = play(Random(seed))
        played.replay.close()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_a_rebuilt_run_asks_what_the_live_one_asks_where_hypothesis_looks(random: Random) -> None:
    played = play(random)
    played.replay.close()


def test_a_closing_interrupt_is_the_last_and_the_only_one() -> None:
    ends = 0
    for seed in range(300):
        played = play(Random(seed))
        closing = [each.seq for each in played.journal if isinstance(each.entry, Complete | Fail | Cancelled | ContinueAsNew)]
        assert closing == ([len(played.journal)] if played.replay.finished else [])
        ends += len(closing)
        played.replay.close()
    assert ends > 200


def test_interceptors_that_only_look_change_no_journal() -> None:
    """Nor what a rebuild asks: `Played.turn` compares. Runs may get or lose them while they are open."""
    interceptors = [ContextPropagator(), ContextPropagator()]
    for seed in range(400):
        without, within = play(Random(seed)), play(Random(seed), around=lambda each: intercepted(each, interceptors))
        assert shapes(within) == shapes(without)
        without.replay.close()
        within.replay.close()


def shapes(played: Played) -> list[object]:
    """A journal without the stacks of its failures, in which interceptors show."""
    rows = [(each.seq, each.turn, each.at, to_row(each.entry)) for each in played.journal]
    return [(*at, row if row.encoding != "failure" else replace(row, data=None)) for *at, row in rows]


def test_ops_are_dense_and_asked_in_order() -> None:
    asks = {row.interrupt for row in TABLE if not row.interrupt.__name__.startswith("Cancel")}
    for seed in range(300):
        played = play(Random(seed))
        ops = [op for each in played.journal if type(each.entry) in asks and (op := getattr(each.entry, "op", None)) is not None]
        assert ops == list(range(1, len(ops) + 1))
        played.replay.close()


def test_the_corpus_exercises_every_primitive() -> None:
    seen = {type(each.entry) for seed in range(400) for each in play(Random(seed)).journal}
    missing = {row.interrupt for row in TABLE} - seen
    assert {each.__name__ for each in missing} == {"WriteMemo", "Trace"}, "they take the road of WriteRecord and Emit"


@pytest.mark.parametrize(("before", "after"), [("none", "live"), ("none", "all"), ("live", "all"), ("all", "live")])
def test_runs_under_way_fit_code_whose_patches_came_or_whose_deprecated_ones_went(before: str, after: str) -> None:
    marked = 0
    for seed in range(1200):
        played = play_over_a_deployment(Random(seed), before, after)
        marked += any(isinstance(each.entry, MarkPatch) for each in played.journal)
        played.replay.close()
    assert marked > 5


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_another_process_with_another_hash_seed_makes_the_same_journals(hash_seed: str) -> None:
    code = f"""
import logging, sys
logging.disable(logging.CRITICAL)
ballast = [object() for _ in range({hash_seed})]  # another layout of memory, too
from tests.core.corpus import digest
print(digest({SEEDS!r}))
"""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONWARNINGS": "ignore"}
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == digest(SEEDS)
