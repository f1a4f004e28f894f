"""Lists and counts of runs: filters, pages, orders."""

from __future__ import annotations

import json

import pytest

from memflow.filters import parse
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.base import Store
from memflow.store.values import RunRow
from memflow_testing.conformance.making import a_run, a_turn, a_worker, an_end, started_and_claimed


async def some_runs(store: Store) -> None:
    """Six runs, a to f, with a number each; a and b have completed, c has failed."""
    worker = await a_worker(store)
    fields = [{"n": n, "deep": {"list": ["x", "y"]}, "vip": n % 2 == 1} for n in range(6)]
    runs = [a_run(name, search=Payload(json.dumps(each).encode())) for name, each in zip("abcdef", fields, strict=True)]
    claims = await started_and_claimed(store, worker, *runs)
    failure = Payload(b'{"kind":"application","message":"card declined"}', "failure")
    await store.commit_turns(worker, [an_end(claims[0]), an_end(claims[1])])
    await store.commit_turns(worker, [a_turn(claims[2], status=Status.FAILED, result=failure)])


class Lists:
    """Lists and counts of runs: filters, pages, orders."""

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ('status = "completed"', "ba"),
            ('status != "completed"', "fedc"),
            ('status in ("failed", "completed")', "cba"),
            ('error ~ "DECLINED"', "c"),
            ("closed is null", "fed"),
            ('id >= "b" and id < "d"', "cb"),
            ("record.n >= 4", "fe"),
            ("record.vip = true", "fdb"),
            ('record.deep.list.1 = "y" and not record.n < 5', "f"),
            ("record.nothing = 1", ""),
            ("record.nothing != 1", ""),
            ("not record.nothing = 1", "fedcba"),
            ("record.nothing is null", "fedcba"),
            ('record.n = "4"', ""),
            ('record.deep.list = "y"', "fedcba"),
            ('record.deep.list in ("z", "x") and record.n < 1', "a"),
            ('record.deep.list = "X"', ""),
            ("length > 1", "ba"),
        ],
    )
    async def test_a_filter_finds_what_it_says_and_what_is_missing_is_unknown(self, store: Store, where: str, found: str) -> None:
        await some_runs(store)
        tree = parse(where, now=await store.now())
        assert "".join(run.workflow_id for run in await store.list_runs(tree, limit=10)) == found
        assert await store.count_runs(tree) == len(found)

    @pytest.mark.parametrize(
        ("order", "all"),
        [
            (None, "fedcba"),
            (("status", False), "abcdef"),
            (("status", True), "fedcba"),
            (("queue", True), "fedcba"),
            (("id", False), "abcdef"),
            (("id", True), "fedcba"),
            (("started", False), "abcdef"),
            (("closed", False), "abcdef"),
            (("closed", True), "fedcba"),
            (("type", False), "abcdef"),
        ],
    )
    async def test_pages_follow_one_another_in_any_order(
        self, store: Store, order: tuple[str, bool] | None, all: str
    ) -> None:
        await some_runs(store)
        seen, last = "", None
        while page := await store.list_runs(None, limit=2, after=last, order=order):
            seen += "".join(run.workflow_id for run in page)
            last = page[-1]
        assert seen == all

    async def test_a_row_tells_how_a_run_stands(self, store: Store) -> None:
        await some_runs(store)
        ended, open = await store.find_run("a"), await store.find_run("f")
        assert isinstance(ended, RunRow) and isinstance(open, RunRow)
        assert (ended.status, ended.result) == (Status.COMPLETED, Payload(b'"done"'))
        assert not ended.due and ended.closed_at is not None
        assert (open.status, open.owner is None, open.record["n"], open.due) == (Status.RUNNING, False, 5, False)
        assert await store.find_run("nobody") is None
        facts = await store.facts_of(open.run)
        assert facts is not None and facts.record is not None and b'"n": 5' in facts.record.data
