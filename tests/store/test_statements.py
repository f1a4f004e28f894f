"""Every statement is prepared against the migrated schema, whatever the schema is called."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

import memflow.store
from memflow.errors import ConfigurationError
from memflow.store.postgres import PostgresStore
from memflow.store.sql import Statements, queries
from memflow_testing.conformance.making import a_run, a_worker, an_end, claim

NASTY = 'Ev"il $1 \'; drop\\ schéma.x'


async def test_every_statement_can_be_prepared(dsn: str, schema: str, store: PostgresStore) -> None:
    statements = Statements(schema)
    connection = await asyncpg.connect(dsn)
    try:
        for query in queries():
            prepared = await connection.prepare(statements[query.name])
            assert bool(prepared.get_attributes()) == (query.shape != "exec") or query.shape == "exec", query.name
    finally:
        await connection.close()


def test_names_are_unique_and_every_statement_is_used() -> None:
    names = [query.name for query in queries()]
    assert len(names) == len(set(names)) > 20
    folder = Path(memflow.store.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    assert [name for name in names if f'"{name}"' not in code] == []


async def test_any_schema_name_will_do(dsn: str) -> None:
    store = await PostgresStore.connect(dsn, schema=NASTY)
    connection = await asyncpg.connect(dsn)
    try:
        await store.migrate()
        statements = Statements(NASTY)
        for query in queries():
            await connection.prepare(statements[query.name])
        assert await store.count_runs(None) == 0
    finally:
        await connection.execute("drop schema if exists " + '"' + NASTY.replace('"', '""') + '"' + " cascade")
        await connection.close()
        await store.close()


@pytest.mark.parametrize("name", ["", "x" * 64, "pg_mine", "information_schema", "a\nb", "a\0b", "a$body$b", "a:schemab"])
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="schema"):
        Statements(name)


async def test_hot_statements_go_by_keys_even_when_planned_over_empty_tables(
    store: PostgresStore, schema: str, dsn: str
) -> None:
    """A plan made over an empty table lives on in the session; one that read all rows for each member cost 25 times as much."""
    worker = await a_worker(store)
    rounds, size = 6, 200
    for _ in range(rounds):
        await store.start_runs([a_run() for _ in range(size)])
        claims = await claim(store, worker)
        await store.commit_turns(worker, [an_end(each) for each in claims])
    await store.close()                          # a session that ends counts at once what it has read
    connection = await asyncpg.connect(dsn)
    try:
        read = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables where schemaname = $1"
        per_run = 0.0
        async with asyncio.timeout(10):
            while not per_run:
                per_run = float(await connection.fetchval(read, schema) or 0) / (rounds * size)
    finally:
        await connection.close()
    assert 1 < per_run < 30
