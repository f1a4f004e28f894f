"""Opening and closing a client."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from memflow.client.client import Client
from memflow.errors import ConfigurationError, DatabaseError, MemflowError, SchemaError


async def test_connect_is_awaited_or_entered(dsn: str, schema: str) -> None:
    client = await Client.connect(dsn, schema=schema)
    async with client:
        assert await client.workflow.count() == 0
    async with Client.connect(dsn, schema=schema) as client:
        assert await client.workflow.count() == 0
    async with await Client.connect(dsn, schema=schema) as client:
        assert (client.namespace, "@" in client.identity) == ("default", True)


async def test_a_client_used_before_it_is_connected_says_what_to_write(dsn: str) -> None:
    connecting = Client.connect(dsn)
    with pytest.raises(ConfigurationError, match=r"async with Client\.connect"):
        _ = connecting.workflow  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = connecting.frobnicate  # type: ignore[attr-defined]


async def test_a_client_made_by_hand_says_how_it_is_made(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"await Client\.connect"):
        Client(dsn)  # type: ignore[arg-type]


async def test_a_client_used_after_its_end_says_so(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start("buy")
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await client.workflow.start("buy")
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await client.signal("x")
    with pytest.raises(ConfigurationError, match="the client is closed"):
        await client.workflow.count()
    for call in (handle.status, handle.result, handle.cancel, handle.terminate):
        with pytest.raises(ConfigurationError, match="the client is closed"):
            await call()
    with pytest.raises(ConfigurationError, match="the client is closed"):
        client.events.subscribe("a")
    await client.close()


async def test_a_dsn_that_leads_nowhere_is_named_without_its_password(dsn: str) -> None:
    parts = urlsplit(dsn)
    host = f"{parts.hostname}:{parts.port}" if parts.hostname else ""
    wrong = [
        f"postgresql://someone:s3cr3t-{quote('pässwort')}@127.0.0.1:1/nowhere",
        f"postgresql://nobody-{parts.username}:s3cr3t@{host}{parts.path}?{parts.query}",
        "postgresql://u:s3cr3t@does-not-exist.invalid/x",
        "mysql://u:s3cr3t@h/x",
        "postgresql://u:s3cr3t@[::1",
    ]
    for dsn in wrong:
        with pytest.raises(MemflowError) as caught:
            await Client.connect(dsn)
        error: BaseException | None = caught.value
        assert isinstance(error, DatabaseError | ConfigurationError)
        assert "s3cr3t" not in str(error) and "\n" not in str(error)


async def test_a_dsn_and_a_pool_together_are_refused(dsn: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        with pytest.raises(ConfigurationError, match="not both"):
            await Client.connect(dsn, pool=pool)


async def test_a_pool_of_the_callers_stays_open(dsn: str, schema: str) -> None:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        async with Client.connect(pool=pool, schema=schema) as client:
            await client.workflow.start("buy")
        assert await pool.fetchval("select 1") == 1


async def test_the_environment_names_the_database(dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMFLOW_DSN", dsn)
    async with Client.connect(schema=schema) as client:
        assert await client.workflow.count() == 0


async def test_with_no_database_at_all_the_three_ways_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("MEMFLOW_DSN", raising=False)
    monkeypatch.setenv("MEMFLOW_PG_BIN", str(tmp_path_factory.mktemp("no_binaries")))
    monkeypatch.chdir(tmp_path_factory.mktemp("project"))
    with pytest.raises(ConfigurationError) as caught:
        await Client.connect()
    for way in ("Client.connect(", "MEMFLOW_DSN", "memflow[dev]"):
        assert way in str(caught.value)


async def test_without_leave_to_migrate_a_missing_schema_is_refused_with_the_command(dsn: str, schema: str) -> None:
    with pytest.raises(SchemaError, match="memflow db migrate"):
        await Client.connect(dsn, schema=schema, migrate=False)
    async with Client.connect(dsn, schema=schema):
        pass
    async with Client.connect(dsn, schema=schema, migrate=False) as client:
        assert await client.workflow.count() == 0


async def test_namespaces_do_not_see_each_other(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as mine, Client.connect(dsn, schema=schema, namespace="other") as other:
        await mine.workflow.start("buy", id="same")
        theirs = await other.workflow.start("buy", id="same")
        await theirs.cancel()
        assert (await mine.workflow.count(), await other.workflow.count()) == (1, 1)
        assert (await mine.get_handle("same").describe()).unread == 0


async def test_close_leaves_no_task_behind(dsn: str, schema: str) -> None:
    before = asyncio.all_tasks()
    async with Client.connect(dsn, schema=schema) as client:
        handle = await client.workflow.start("buy")
        with pytest.raises(TimeoutError):
            await handle.result(timeout="10ms")
        async with client.events.subscribe("**"):
            pass
    assert asyncio.all_tasks() == before
