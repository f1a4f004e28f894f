"""Which stores an environment can stand on, by name.

Another one is added here: a name in `STORES`, and how to take a `clock.Ground` of it: its store, and its clockwork.
"""

from __future__ import annotations

from memflow.errors import ConfigurationError
from memflow_testing.clock import Ground

DEFAULT = "postgres"
"""Where nobody says anything."""

STORES = ("postgres",)
"""Stores there are. `memory` is to come."""


async def ground(store: str | None, dsn: str | None, *, skipping: bool) -> Ground:
    """A place for one environment. `store` None: the default; `dsn` is for Postgres.

    Raises:
        ConfigurationError: there is no such store.
        DatabaseError: Postgres cannot be reached.
    """
    check_store(store or DEFAULT)
    from memflow_testing.postgres import PostgresGround  # here: another store need not pay for its driver

    return await PostgresGround.take(dsn, skipping=skipping)


def check_store(store: str) -> None:
    """Refuse a store that is not there.

    Raises:
        ConfigurationError: the message says which there are.
    """
    if store == "memory":
        raise ConfigurationError("the in-memory store is not part of this version; use store='postgres', the default")
    if store not in STORES:
        raise ConfigurationError(f"store: {store!r} is not one of {', '.join(STORES)}")
