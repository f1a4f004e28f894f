"""Runs tests of the worker and the client over the store in memory: `pytest -p tests.on_memory tests/worker tests/client`.

Every store of one schema and namespace is the same one, as it is over Postgres. What looks at tables, kills processes, breaks
connections or joins transactions needs Postgres and fails here; everything else has to pass.
"""

from __future__ import annotations

from typing import Any

from memflow.store.postgres import PostgresStore
from memflow_testing.memory import MemoryStore

_STORES: dict[tuple[str, str], MemoryStore] = {}


class _Shared(MemoryStore):
    """Closed by one of those that have it, it is still there for the others."""

    async def close(self) -> None:
        return None


async def _connect(
    dsn: str | None = None, *, pool: Any = None, namespace: str = "default", schema: str = "memflow", listen_dsn: Any = None
) -> MemoryStore:
    return _STORES.setdefault((schema, namespace), _Shared(namespace=namespace))


PostgresStore.connect = _connect  # type: ignore[method-assign, assignment]
