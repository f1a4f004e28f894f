"""Installing: by many at once, by ordinary roles, over older and newer ones; and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from memflow.errors import DatabaseError, SchemaError
from memflow.store.migrate import library_version
from memflow.store.postgres import PostgresStore
from memflow.store.sql import Statements, digest
from memflow_testing.conformance.making import a_run, a_worker, an_end, started_and_claimed

VERSIONS = [each.version for each in Statements("memflow").migrations()]


@pytest_asyncio.fixture
async def admin(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def test_ten_clients_may_install_at_once(dsn: str, schema: str, admin: Any) -> None:
    stores = await asyncio.gather(*(PostgresStore.connect(dsn, schema=schema) for _ in range(10)))
    try:
        await asyncio.gather(*(store.migrate() for store in stores))
        await asyncio.gather(*(store.check_schema() for store in stores))
        rows = await admin.fetch(f'select version, library, digest from "{schema}".migrations order by version')
        assert [row["version"] for row in rows] == VERSIONS
        assert (rows[-1]["library"], rows[-1]["digest"]) == (library_version(), digest())
        await stores[0].start_runs([a_run()])
        assert await stores[9].count_runs(None) == 1
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_two_schemas_of_one_database_live_side_by_side(dsn: str, schema: str, admin: Any) -> None:
    one, two = await PostgresStore.connect(dsn, schema=schema), await PostgresStore.connect(dsn, schema=schema + "_b")
    try:
        await asyncio.gather(one.migrate(), two.migrate())
        await one.start_runs([a_run("x")])
        worker = await a_worker(two)
        assert len(await started_and_claimed(two, worker, a_run("x"))) == 1
        assert (await one.count_runs(None), await two.count_runs(None)) == (1, 1)
    finally:
        await one.close()
        await two.close()
        await admin.execute(f'drop schema "{schema}_b" cascade')


async def test_what_is_missing_older_or_newer_is_told_apart(dsn: str, schema: str, admin: Any) -> None:
    store = await PostgresStore.connect(dsn, schema=schema)
    try:
        with pytest.raises(SchemaError, match="memflow db migrate"):
            await store.check_schema()
        with pytest.raises(SchemaError, match="missing"):
            await store.count_runs(None)
        await store.migrate()
        await store.check_schema()
        await admin.execute(f'delete from "{schema}".migrations where version <> {VERSIONS[-1]}')
        await admin.execute(f'update "{schema}".migrations set version = 0')
        with pytest.raises(SchemaError, match=rf"version 0.*needs {VERSIONS[-1]}"):
            await store.check_schema()
        await admin.execute(f'update "{schema}".migrations set version = 99')
        for refused in (store.check_schema, store.migrate):
            with pytest.raises(SchemaError, match=r"version 99.*upgrade memflow"):
                await refused()
    finally:
        await store.close()


@pytest.mark.parametrize(("library", "kept"), [("0.0.1", False), ("999.0.0", True)])
async def test_functions_of_an_older_library_are_replaced_and_of_a_newer_one_left(
    dsn: str, schema: str, admin: Any, library: str, kept: bool
) -> None:
    store = await PostgresStore.connect(dsn, schema=schema)
    try:
        await store.migrate()
        await admin.execute(f"update \"{schema}\".migrations set library = '{library}', digest = 'theirs'")
        await admin.execute(
            f"create or replace function \"{schema}\".number_of(value jsonb) returns numeric language sql as 'select 42'"
        )
        await store.migrate()
        assert (await admin.fetchval(f"select \"{schema}\".number_of('7')") == 42) is kept
        row = await admin.fetchrow(f'select library, digest from "{schema}".migrations order by version desc')
        assert tuple(row) == ((library, "theirs") if kept else (library_version(), digest()))
    finally:
        await store.close()


async def test_an_ordinary_role_can_install_and_work(dsn: str, schema: str, admin: Any) -> None:
    role = f"role_{schema}"
    await admin.execute(f"create role {role} login password 'x y@z'")
    database = await admin.fetchval("select current_database()")
    parts = urlsplit(dsn)
    netloc = f"{role}:x%20y%40z@{parts.netloc.rpartition('@')[2]}"
    mine = urlunsplit(parts._replace(netloc=netloc))
    try:
        store = await PostgresStore.connect(mine, schema=schema)
        try:
            with pytest.raises(SchemaError, match="may not install") as refused:
                await store.migrate()
            assert "memflow db migrate" in str(refused.value)
            await admin.execute(f'grant create on database "{database}" to {role}')
            await store.migrate()
            worker = await a_worker(store)
            [claim] = await started_and_claimed(store, worker, a_run())
            assert (await store.commit_turns(worker, [an_end(claim)]))[0].outcome == "won"
            await store.prune(limit=10)
        finally:
            await store.close()
    finally:
        await admin.execute(f"drop owned by {role} cascade; drop role {role}")


async def test_a_database_that_is_not_utf8_is_refused(dsn: str, admin: Any) -> None:
    name = "memflow_latin1"
    await admin.execute(f"drop database if exists {name} with (force)")
    await admin.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        store = await PostgresStore.connect(urlunsplit(urlsplit(dsn)._replace(path=f"/{name}")))
        try:
            with pytest.raises(DatabaseError, match="UTF8"):
                await store.migrate()
        finally:
            await store.close()
    finally:
        await admin.execute(f"drop database {name} with (force)")


async def test_a_role_with_another_default_isolation_works(dsn: str, schema: str, admin: Any) -> None:
    store = await PostgresStore.connect(dsn, schema=schema)
    await store.migrate()
    await admin.execute('alter role current_user set default_transaction_isolation = \'serializable\'')
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
            theirs = await PostgresStore.connect(pool=pool, schema=schema)
            worker = await a_worker(theirs)
            await store.start_runs([a_run(str(n)) for n in range(20)])
            await asyncio.gather(*(theirs.start_runs([a_run(str(n), on_conflict="use_existing")]) for n in range(30)))
            assert await theirs.count_runs(None) == 30
            assert len(await started_and_claimed(theirs, worker)) == 30
            await theirs.close()
    finally:
        await admin.execute("alter role current_user reset default_transaction_isolation")
        await store.close()
