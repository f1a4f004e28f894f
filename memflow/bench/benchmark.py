"""Runs the scenarios that were asked for, one after the other, each on a stage of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any

from memflow.bench import scenarios, waiting
from memflow.bench.progress import Progress
from memflow.bench.report import Report
from memflow.bench.settings import LARGEST, MOST_WORKERS, SCENARIOS, Settings
from memflow.bench.stage import Stage, stage
from memflow.errors import ConfigurationError

PLAYED_BY: Mapping[str, Callable[[Stage, int], AsyncGenerator[Report]]] = {
    "throughput": scenarios.throughput,
    "latency": scenarios.latency,
    "sequence": scenarios.sequence,
    "fan-out": scenarios.fan_out,
    "signals": waiting.signals,
    "sleepers": waiting.sleepers,
    "recovery": waiting.recovery,
    "replay": waiting.replay,
    "mixed": scenarios.mixed,
    "queues": scenarios.queues,
    "class": scenarios.as_class,
    "backlog": scenarios.backlog,
    "payload": scenarios.payload,
}


def check(names: Sequence[str], settings: Settings) -> list[str]:
    """The scenarios to run; all of them if none is named.

    Raises:
        ConfigurationError: there is no such scenario, or a number that cannot work.
    """
    for name in names:
        if name not in SCENARIOS:
            raise ConfigurationError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    limits = (
        ("--n", settings.n, 1, LARGEST),
        ("--workers", settings.workers, 1, MOST_WORKERS),
        ("--in-flight", settings.in_flight, 1, 10_000),
        ("--payload", settings.payload, 0, 1_000_000),
        ("--idle", settings.idle_seconds, 0, 3_600),
    )
    for option, value, least, most in limits:
        if value is not None and not least <= value <= most:
            raise ConfigurationError(f"{option} {value} cannot work; give {least:,} to {most:,}")
    if settings.n is not None and len(set(names)) != 1:
        raise ConfigurationError("--n counts another thing in each scenario; name one: `memflow bench throughput --n 1000`")
    return list(dict.fromkeys(names)) or list(SCENARIOS)


async def benchmark(
    dsn: str, names: Sequence[str], settings: Settings, *, tell: Callable[[Report], None], progress: Progress
) -> tuple[dict[str, Any], list[Report]]:
    """Run these scenarios and `tell` each finding. Gives the facts about the machine, and all findings.

    SIGTERM ends it as Ctrl-C does: worker processes and schemas go first.

    Raises:
        MemflowError: the database cannot be used, or a worker process died.
        TimeoutError: something did not happen in time.
    """
    machine: dict[str, Any] = {}
    reports: list[Report] = []
    task = asyncio.current_task()
    assert task is not None, "this is a coroutine at work"
    with suppress(NotImplementedError, RuntimeError):            # in a thread there are no signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    for name in names:
        progress.begin(name)
        async with (
            stage(dsn, settings, progress, machine) as here,
            aclosing(PLAYED_BY[name](here, settings.size(name))) as found,
        ):
            async for report in found:
                progress.clear()
                reports.append(report)
                tell(report)
    progress.clear()
    return {**machine, "at": datetime.now(UTC).isoformat(timespec="seconds")}, reports
