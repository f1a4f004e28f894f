"""Chance that is the same in every replay of a run, and another in every run."""

from __future__ import annotations

from random import Random
from uuid import UUID

from memflow.core import chance, context


def random() -> Random:
    """This run's source of chance: `random().randint(1, 6)`, `random().random()`. Seeded by the run's id."""
    return context.current("random").random


def uuid4() -> UUID:
    """A random UUID, the same in every replay."""
    return chance.uuid4(context.current("uuid4").random)
