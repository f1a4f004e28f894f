"""Connections that do not ask Postgres again what its own types are.

asyncpg looks up the types of a statement's parameters on each new connection: three round trips and a recursive query that takes
Postgres some 3 to 6 ms to plan, for each statement with an array of a kind that this connection has not met. Types that Postgres
brings along have the same numbers everywhere, so one connection of the process asks, and the others know.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import asyncpg

_FIRST_OWN_OID = 16384                                   # Postgres' FirstNormalObjectId: below it are types of its own alone

_known: dict[tuple[int, frozenset[int]], Any] = {}
"""By major version, for the rows' columns may differ, and the types asked about: what Postgres said."""


class _NoStatement:
    """In place of the statement that asked: none was sent, so none has taken the place of another."""

    name = "known"


class KnowingConnection(asyncpg.Connection):
    """A connection of asyncpg's. Without the method below it would do the same, later."""

    __slots__ = ()

    async def _introspect_types(self, typeoids: Iterable[int], *more: Any, **options: Any) -> Any:
        asked = frozenset(typeoids)
        key = self.get_server_version().major, asked
        types = _known.get(key)
        if types is not None:
            return types, _NoStatement
        found = await cast("Any", super())._introspect_types(asked, *more, **options)  # not in the stubs
        if max(asked, default=_FIRST_OWN_OID) < _FIRST_OWN_OID:
            _known[key] = found[0]
        return found
