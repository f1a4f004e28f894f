"""Chance that repeats: a replay draws the same numbers as the first run did."""

from __future__ import annotations

from random import Random
from uuid import UUID


def random_of(run_id: str) -> Random:
    """A run's own source of chance. Seeded with text, which Python hashes the same everywhere."""
    return Random(f"memflow:{run_id}")


def uuid4(random: Random) -> UUID:
    """A random UUID drawn from `random`."""
    return UUID(int=random.getrandbits(128), version=4)
