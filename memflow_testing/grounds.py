"""Which stores an environment can stand on, by name.

Another one is added here: a name in `STORES`, and how to take a `clock.Ground` of it: its store, and its clockwork.
"""

from __future__ import annotations

from memflow.errors import ConfigurationError
from memflow_testing.clock import Ground

DEFAULT = "memory"
"""Where nobody says anything, not even which Postgres."""

STORES = ("memory", "postgres")
"""Stores there are."""


async def ground(store: str | None, dsn: str | None, *, skipping: bool) -> Ground:
    """A place for one environment. `store` None: where `dsn` leads, else the default.

    Raises:
        ConfigurationError: there is no such store, or it has no use for a DSN.
        DatabaseError: Postgres cannot be reached.
    """
    chosen = store or (DEFAULT if dsn is None else "postgres")
    check_store(chosen)
    if chosen == "memory":
        if dsn is not None:
            raise ConfigurationError("a DSN is of no use to store='memory'; leave it out, or say store='postgres'")
        from memflow_testing.memory.skipping import MemoryGround

        return MemoryGround(skipping=skipping)
    from memflow_testing.postgres import PostgresGround  # here: another store need not pay for its driver

    return await PostgresGround.take(dsn, skipping=skipping)


def check_store(store: str) -> None:
    """Refuse a store that is not there.

    Raises:
        ConfigurationError: the message says which there are.
    """
    if store not in STORES:
        raise ConfigurationError(f"store: {store!r} is not one of {', '.join(STORES)}")
