"""What a benchmark found out: the figures, and their look as a table, as JSON and as markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
"""Version of the JSON document. A new figure leaves it, a figure that means something else raises it."""


AT_LIMIT = 0.85
"""Who is busy for this share of the time is what limits. The rest goes by between two pieces of work."""

FLUSHING = 0.6
"""The same for flushes, which happen while others work."""

NOISE = 0.15
"""The share of this machine that others may take before a measurement is called disturbed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stretch of work cost, in all. CPU in seconds; None is unknown."""

    seconds: float
    commits: int
    wal_bytes: int
    rows_left: int
    worker_statements: Mapping[str, int]
    client_statements: Mapping[str, int]
    worker_cpu: float
    client_cpu: float
    postgres_cpu: float | None
    machine_cpu: float | None                                # of everything that ran on this machine
    peak_memory_mb: float
    workers: int

    @property
    def own_cpu(self) -> float:
        """CPU time of worker, client and Postgres, as far as it is known."""
        return self.worker_cpu + self.client_cpu + (self.postgres_cpu or 0.0)

    def per(self, count: int) -> dict[str, float | None]:
        """The same per unit of work; CPU in microseconds."""
        return {
            "commits": round(self.commits / count, 4),
            "worker_statements": round(sum(self.worker_statements.values()) / count, 4),
            "client_statements": round(sum(self.client_statements.values()) / count, 4),
            "wal_bytes": round(self.wal_bytes / count, 1),
            "rows_left": round(self.rows_left / count, 3),
            "worker_cpu_us": round(self.worker_cpu / count * 1e6, 1),
            "client_cpu_us": round(self.client_cpu / count * 1e6, 1),
            "postgres_cpu_us": None if self.postgres_cpu is None else round(self.postgres_cpu / count * 1e6, 1),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement: `count` units of work, with what it cost per unit, and what limited it."""

    scenario: str
    what: str
    unit: str
    count: int
    seconds: float | None = None
    rate: float | None = None                                # units per second
    latency_ms: Mapping[str, float] | None = None            # p50, p95, p99
    figures: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    per_unit: Mapping[str, float | None] | None = None
    statements: Mapping[str, Mapping[str, int]] | None = None
    peak_memory_mb: float | None = None
    limit: str | None = None


def percentiles(seconds: Sequence[float]) -> dict[str, float] | None:
    """p50, p95 and p99 in milliseconds: the smallest value that so many do not exceed."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {
        f"p{share}": round(ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)] * 1000, 3) for share in (50, 95, 99)
    }


def limiting(cost: Cost, *, cpus: int, flush_ms: float) -> str:
    """What held this work back, in words, with the figures behind it."""
    worker = cost.worker_cpu / cost.seconds / max(1, cost.workers)
    client = cost.client_cpu / cost.seconds
    postgres = None if cost.postgres_cpu is None else cost.postgres_cpu / cost.seconds
    flushes = min(1.0, cost.commits * flush_ms / 1000 / cost.seconds)
    told = (
        f"each worker busy {worker:.0%} of a core, client {client:.0%}, Postgres"
        f" {'unknown' if postgres is None else f'{postgres:.0%}'}, flushes {flushes:.0%} of the time"
    )
    ours = cost.own_cpu / cost.seconds / cpus
    others = 0.0 if cost.machine_cpu is None else max(0.0, cost.machine_cpu - cost.own_cpu) / cost.seconds / cpus
    if others >= NOISE:
        told += f"; other programs took {others:.0%} of this machine, so measure again when it is quiet"
    if ours + others >= AT_LIMIT:
        whose = {
            "the worker": cost.worker_cpu,
            "the client": cost.client_cpu,
            "Postgres": cost.postgres_cpu or 0.0,
            "other programs": others * cost.seconds * cpus,
        }
        most = max(whose, key=lambda who: whose[who])
        return f"the CPU of this machine, all {cpus} cores are busy, most of it for {most}: {told}"
    if worker >= AT_LIMIT:
        return f"the CPU of the worker, more --workers would help: {told}"
    if client >= AT_LIMIT:
        return f"the CPU of the client, several clients would do more: {told}"
    if flushes >= FLUSHING:
        return f"flushing commits to disk, {flush_ms:g} ms each: {told}"
    if postgres is None:
        return f"Postgres or the way to it, which cannot be seen from here: {told}"
    return f"waiting for one another, nobody is at their limit: {told}"


# ----------------------------------------------------------------------------------------------------- how it looks


def document(machine: Mapping[str, Any], reports: Sequence[Report]) -> dict[str, Any]:
    """All of it for `--json`."""
    return {"memflow_bench": FORMAT, "machine": dict(machine), "reports": [asdict(report) for report in reports]}


def headline(report: Report) -> str:
    """One measurement on a line: rate, percentiles, its own figures."""
    parts: list[str] = []
    if report.rate is not None:
        parts.append(f"{_number(report.rate)} {plural(report.unit)}/s")
    if report.latency_ms is not None:
        parts.append(" ".join(f"{name} {_number(value)} ms" for name, value in report.latency_ms.items()))
    parts.extend(f"{name.replace('_', ' ')} {_known(value)}" for name, value in report.figures.items())
    return ", ".join(parts)


_COLUMNS = (
    ("commits", "commits"),
    ("worker_statements", "worker stmts"),
    ("client_statements", "client stmts"),
    ("wal_bytes", "WAL bytes"),
    ("rows_left", "rows left"),
    ("worker_cpu_us", "worker µs"),
    ("client_cpu_us", "client µs"),
    ("postgres_cpu_us", "Postgres µs"),
)


def costs(reports: Sequence[Report]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the costs per unit of work."""
    heads = ["scenario", "per", *(head for _, head in _COLUMNS), "peak MB"]
    rows = [
        [
            report.scenario,
            report.unit,
            *(_known(report.per_unit.get(key)) for key, _ in _COLUMNS),
            _known(report.peak_memory_mb),
        ]
        for report in reports
        if report.per_unit is not None
    ]
    return heads, rows


def markdown(machine: Mapping[str, Any], reports: Sequence[Report]) -> str:
    """The tables of the page on performance."""
    postgres = machine["postgres"]
    lines = [
        f"{machine['cpus']} CPUs ({machine['system']}), Python {machine['python']}, PostgreSQL {postgres['server_version']}"
        f" (fsync {postgres['fsync']}, synchronous_commit {postgres['synchronous_commit']},"
        f" a flush takes {postgres['flush_ms']} ms), {machine['workers']} worker process(es); {machine['at'][:10]}.",
        "",
        *_rows(["scenario", "what", "found"], [[report.scenario, report.what, headline(report)] for report in reports]),
        "",
        *_rows(*costs(reports)),
        "",
        *(f"* **{report.scenario}** ({report.what}) is limited by {report.limit}." for report in reports if report.limit),
    ]
    return "\n".join(lines)


def plural(unit: str) -> str:
    """`activity` as `activities`."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows]]


def _known(value: float | None) -> str:
    return "unknown" if value is None else _number(value)


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
