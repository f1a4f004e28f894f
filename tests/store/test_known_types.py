"""What Postgres' own types are is asked once per process, not once per connection."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from memflow.store import known_types
from memflow.store.known_types import KnowingConnection

QUERY = "select $1::text[] as a, $2::timestamptz[] as b, $3::interval[] as c"


async def looks(connection: Any, run: Any) -> int:
    """How often the connection looks up types while `run()` runs."""
    seen: list[str] = []
    connection.add_query_logger(lambda record: seen.append(record.query))
    await run()
    return sum("typeinfo_tree" in query for query in seen)


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_types, "_known", {})


async def test_one_connection_asks_and_the_others_know(dsn: str, nothing_known: None) -> None:
    given = ["x", None], [], None
    found: list[Any] = []
    asked: list[int] = []
    for _ in range(3):
        connection = await asyncpg.connect(dsn, connection_class=KnowingConnection)
        try:

            async def run(connection: Any = connection) -> None:
                found.append(tuple(await connection.fetchrow(QUERY, *given)))

            asked.append(await looks(connection, run))
        finally:
            await connection.close()
    assert asked == [1, 0, 0]
    assert found == [given] * 3


async def test_types_of_a_database_are_asked_about_each_time(dsn: str, nothing_known: None) -> None:
    """Their numbers mean something else in the next database."""
    for _ in range(2):
        connection = await asyncpg.connect(dsn, connection_class=KnowingConnection)
        try:
            await connection.execute("create type pg_temp.mood as enum ('well', 'ill')")

            async def run(connection: Any = connection) -> None:
                assert await connection.fetchval("select array['ill', $1]::pg_temp.mood[]", "well") == ["ill", "well"]

            assert await looks(connection, run) >= 1
        finally:
            await connection.close()
