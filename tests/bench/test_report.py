"""What the figures are called, and which of them is blamed."""

from __future__ import annotations

import pytest

from memflow.bench.report import Cost, Report, document, headline, limiting, markdown, percentiles, plural

QUIET = Cost(
    seconds=1.0,
    commits=100,
    wal_bytes=300_000,
    rows_left=500,
    worker_statements={"commit_turns": 60, "claim_runs": 40},
    client_statements={"start_runs": 20},
    worker_cpu=0.2,
    client_cpu=0.1,
    postgres_cpu=0.1,
    machine_cpu=0.45,
    peak_memory_mb=50.0,
    workers=1,
)
MACHINE = {
    "cpus": 2,
    "system": "Linux x86_64",
    "python": "3.13.0",
    "workers": 1,
    "at": "2026-01-02T03:04:05+00:00",
    "postgres": {"server_version": "16.1", "fsync": "on", "synchronous_commit": "on", "flush_ms": 0.2},
}


def limit(**changed: float | None) -> str:
    from dataclasses import replace

    flush_ms = changed.pop("flush_ms", 0.1)
    assert flush_ms is not None
    return limiting(replace(QUIET, **changed), cpus=2, flush_ms=flush_ms)  # type: ignore[arg-type]  # figures by name


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([]) is None
    assert percentiles([0.001]) == {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert percentiles([n / 1000 for n in range(100, 0, -1)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "waiting for one another"),
        ({"worker_cpu": 0.95}, "the CPU of the worker, more --workers"),
        ({"client_cpu": 0.95, "worker_cpu": 0.1}, "the CPU of the client"),
        ({"worker_cpu": 0.95, "client_cpu": 0.4, "postgres_cpu": 0.5, "machine_cpu": 1.9}, "most of it for the worker"),
        ({"worker_cpu": 0.4, "client_cpu": 0.3, "postgres_cpu": 1.2, "machine_cpu": 1.9}, "most of it for Postgres"),
        ({"machine_cpu": 1.9}, "most of it for other programs"),
        ({"machine_cpu": 0.9}, "measure again when it is quiet"),
        ({"flush_ms": 8.0}, "flushing commits to disk, 8 ms each"),
        ({"postgres_cpu": None, "machine_cpu": None}, "cannot be seen from here"),
    ],
)
def test_the_busiest_is_blamed_with_its_figures(changed: dict[str, float | None], said: str) -> None:
    words = limit(**changed)
    assert said in words
    assert "each worker busy" in words and "flushes" in words


def test_unknown_is_said_and_not_zero() -> None:
    words = limit(postgres_cpu=None, machine_cpu=None)
    assert "Postgres unknown" in words
    report = Report("latency", "what", "workflow", 10, figures={"idle_postgres_cpu_percent": None})
    assert headline(report) == "idle postgres cpu percent unknown"


def test_costs_are_per_unit() -> None:
    assert QUIET.per(100) == {
        "commits": 1.0, "worker_statements": 1.0, "client_statements": 0.2, "wal_bytes": 3000.0, "rows_left": 5.0,
        "worker_cpu_us": 2000.0, "client_cpu_us": 1000.0, "postgres_cpu_us": 1000.0,
    }  # fmt: skip


def test_units_have_plurals() -> None:
    assert plural("workflow") == "workflows"
    assert plural("activity") == "activities"


def test_the_tables_of_the_page_hold_everything() -> None:
    report = Report(
        "latency", "one at a time", "workflow", 10, rate=12.5, latency_ms={"p50": 5.25, "p95": 7.0, "p99": 900.0},
        per_unit=QUIET.per(100), peak_memory_mb=50.0, limit="patience",
    )  # fmt: skip
    page = markdown(MACHINE, [report])
    assert "PostgreSQL 16.1 (fsync on, synchronous_commit on, a flush takes 0.2 ms)" in page
    assert "| latency | one at a time | 12.5 workflows/s, p50 5.2 ms p95 7 ms p99 900 ms |" in page
    assert "| latency | workflow | 1 | 1 | 0.2 | 3,000 | 5 | 2,000 | 1,000 | 1,000 | 50 |" in page
    assert page.endswith("* **latency** (one at a time) is limited by patience.")
    assert all(line.count("|") == page.splitlines()[2].count("|") for line in page.splitlines()[2:5])


def test_the_document_names_its_format() -> None:
    told = document(MACHINE, [Report("latency", "what", "workflow", 10)])
    assert told["memflow_bench"] == 1
    assert told["machine"]["cpus"] == 2
    assert set(told["reports"][0]) == {
        "scenario", "what", "unit", "count", "seconds", "rate", "latency_ms", "figures", "per_unit", "statements",
        "peak_memory_mb", "limit",
    }  # fmt: skip
