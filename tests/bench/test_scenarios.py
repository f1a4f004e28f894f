"""Each scenario runs, small, and says what it should; nothing here holds a time, for times are the machine's."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from memflow.bench.benchmark import PLAYED_BY, benchmark
from memflow.bench.meter import PREFIX
from memflow.bench.progress import Progress
from memflow.bench.report import Report
from memflow.bench.settings import SCENARIOS, Settings

TINY = Settings(short=True, n=6, in_flight=3, idle_seconds=1.0)


async def played(dsn: str, *names: str, settings: Settings = TINY) -> tuple[dict[str, Any], list[Report]]:
    return await benchmark(dsn, names, settings, tell=lambda report: None, progress=Progress(io.StringIO()))


async def left_in(dsn: str) -> list[str]:
    conn = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await conn.fetch("select nspname from pg_namespace where nspname like $1", f"{PREFIX}%")]
    finally:
        await conn.close()


def test_every_scenario_is_played() -> None:
    assert list(PLAYED_BY) == list(SCENARIOS)


@pytest.mark.parametrize("name", ["throughput", "class", "latency", "sequence", "fan-out", "queues", "mixed", "signals"])
async def test_a_scenario_of_work_tells_rate_and_cost(name: str, dsn: str) -> None:
    _, [report] = await played(dsn, name)
    assert report.scenario == name
    assert report.count == TINY.n
    assert report.rate is not None and report.rate > 0
    assert report.per_unit is not None and report.statements is not None
    assert 0 < (report.per_unit["commits"] or 0) < 20
    assert (report.per_unit["wal_bytes"] or 0) > 100
    assert (report.per_unit["rows_left"] or 0) >= 1
    assert {"commit_turns", "commit_steps", "commit_end", "commit_ends"} & set(report.statements["worker"])
    assert report.peak_memory_mb is not None and report.peak_memory_mb > 5
    assert report.limit


@pytest.mark.parametrize("name", ["latency", "mixed", "signals"])
async def test_percentiles_stand_in_order(name: str, dsn: str) -> None:
    _, [report] = await played(dsn, name)
    assert report.latency_ms is not None
    assert 0 < report.latency_ms["p50"] <= report.latency_ms["p95"] <= report.latency_ms["p99"]


async def test_one_workflow_at_a_time_costs_a_start_a_claim_and_a_commit(dsn: str) -> None:
    _, [report] = await played(dsn, "latency", settings=replace(TINY, n=20))
    assert report.per_unit is not None and report.statements is not None
    assert report.statements["client"]["start_runs"] == 20
    assert report.statements["worker"]["commit_end"] == 20
    assert (report.per_unit["rows_left"] or 0) <= 5


async def test_sleepers_sleep_and_wake(dsn: str) -> None:
    _, [report] = await played(dsn, "sleepers")
    assert set(report.figures) == {
        "idle_worker_cpu_percent", "idle_postgres_cpu_percent", "rows_per_sleeper", "worker_memory_grew_mb", "earliest_ms",
    }  # fmt: skip
    assert (report.figures["rows_per_sleeper"] or 0) >= 2
    assert report.latency_ms is not None


async def test_all_runs_survive_the_kill_of_their_worker(dsn: str) -> None:
    _, [report] = await played(dsn, "recovery")
    assert report.figures["activities_in_all"] == 60
    assert 0 < (report.figures["activities_done_before"] or 0) <= 60
    assert (report.figures["all_done_seconds_after_the_kill"] or 0) > 0


async def test_a_long_past_is_replayed_in_a_fresh_process(dsn: str) -> None:
    _, [report] = await played(dsn, "replay", settings=replace(TINY, n=50))
    assert (report.figures["resumed_after_ms"] or 0) > 0
    assert "replay_ms" in report.figures


async def test_claims_are_timed_with_few_and_with_many_due(dsn: str) -> None:
    _, reports = await played(dsn, "backlog", settings=replace(TINY, n=1_100, in_flight=500))
    assert [report.what for report in reports] == [f"a claim of 10 runs while {due} are due" for due in ("1,000", "1,100")]
    assert all(report.latency_ms is not None and report.unit == "claim" for report in reports)


async def test_larger_payloads_write_more(dsn: str) -> None:
    _, reports = await played(dsn, "payload")
    written = [report.per_unit["wal_bytes"] or 0 for report in reports if report.per_unit is not None]
    assert len(written) == 4
    assert written[-1] > 100_000, "nothing of it was compressed away"  # the others may hold what parallel tests wrote


async def test_two_scenarios_share_the_facts_and_leave_nothing(dsn: str) -> None:
    machine, reports = await played(dsn, "latency", "fan-out", settings=replace(TINY, n=2, workers=2))
    assert [report.scenario for report in reports] == ["latency", "fan-out"]
    assert machine["workers"] == 2
    assert machine["postgres"]["fsync"] in ("on", "off")
    assert machine["postgres"]["flush_ms"] >= 0
    assert await left_in(dsn) == []


async def test_nothing_is_left_when_it_is_cancelled(dsn: str) -> None:
    started = asyncio.Event()

    class Watching(Progress):
        def say(self, text: str) -> None:
            if "waiting until all sleep" in text:
                started.set()

    task = asyncio.create_task(
        benchmark(dsn, ["sleepers"], TINY, tell=lambda report: None, progress=Watching(io.StringIO()))
    )
    await asyncio.wait_for(started.wait(), 60)
    assert len(await left_in(dsn)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left_in(dsn) == []


async def test_what_a_killed_benchmark_left_is_dropped_by_the_next(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(f"create schema {PREFIX}1_abc")
        await conn.execute(f"create table {PREFIX}1_abc.t (n int)")
    finally:
        await conn.close()
    await played(dsn, "latency", settings=replace(TINY, n=1))
    assert await left_in(dsn) == []
