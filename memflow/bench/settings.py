"""How large each scenario is, in its full and its short form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 1_000_000
MOST_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario is called, what it shows, and its size: `counts` says what `n` counts."""

    name: str
    shows: str
    counts: str
    full: int
    short: int


SCENARIOS: Mapping[str, Scenario] = {
    each.name: each
    for each in (
        Scenario("throughput", "workflows of one activity, many at once", "workflows", 20_000, 4_000),
        Scenario("latency", "from start to result, one workflow at a time", "workflows", 500, 100),
        Scenario("sequence", "activities in a row in one workflow: does a long past slow it down?", "activities", 5_000, 1_000),
        Scenario("fan-out", "activities at once in one workflow", "activities", 1_000, 1_000),
        Scenario("signals", "waiting workflows are all signalled", "workflows", 500, 500),
        Scenario("sleepers", "sleeping workflows: what they cost, and how late they wake", "workflows", 5_000, 1_000),
        Scenario("recovery", "kill -9 of the worker with workflows of 10 activities under way", "workflows", 200, 200),
        Scenario("replay", "a workflow with a long past goes on in a fresh process", "activities", 2_000, 1_000),
        Scenario("mixed", "activities, sequences, signals, timers and children together", "workflows", 2_000, 500),
        Scenario("queues", "activities on the queue of another worker process", "activities", 5_000, 2_000),
        Scenario("class", "workflows written as classes, many at once", "workflows", 10_000, 2_000),
        Scenario("backlog", "the time of a claim with few and with many runs due", "due runs", 100_000, 10_000),
        Scenario("payload", "workflows of one activity, by the size of what they pass on", "workflows", 2_000, 500),
    )
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a benchmark was asked for."""

    short: bool = False
    n: int | None = None               # instead of the scenario's own size
    workers: int = 1                   # processes that run workflows
    in_flight: int = 200               # calls of the client at a time
    payload: int = 100                 # bytes of an argument and of a result
    idle_seconds: float | None = None  # how long sleepers are watched while nothing happens

    def size(self, scenario: str) -> int:
        """How large this scenario is."""
        known = SCENARIOS[scenario]
        return self.n if self.n is not None else known.short if self.short else known.full

    @property
    def watch_seconds(self) -> float:
        """How long sleepers are watched: the CPU clock ticks in 10 ms, so 1 % of a core shows from a few seconds on."""
        return self.idle_seconds if self.idle_seconds is not None else 5.0 if self.short else 10.0
