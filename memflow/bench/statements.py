"""Counting the statements that this process sends, by name, where they leave for Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from memflow.store.database import Database


@contextmanager
def counting() -> Generator[Counter[str]]:
    """Count while the block runs, for all stores of this process. Costs a dictionary update per statement."""
    counts: Counter[str] = Counter()
    real = Database.fetch

    async def fetch(self: Database, name: str, *arguments: Any, **options: Any) -> Any:
        counts[name] += 1
        return await real(self, name, *arguments, **options)

    Database.fetch = fetch  # type: ignore[method-assign]  # for the length of a benchmark: the library itself need not count
    try:
        yield counts
    finally:
        Database.fetch = real  # type: ignore[method-assign]  # as above
