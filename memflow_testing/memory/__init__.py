"""A Store in memory: the same promises as Postgres, for tests of one process. See `store.py`, and `conformance.py` beside it."""

from memflow_testing.memory.store import MemoryStore

__all__ = ["MemoryStore"]
