"""Through PgBouncer in transaction mode: no prepared statement, no session, no notice survives there, and everything works."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from memflow.core.arrivals import RunStarted
from memflow.core.interrupts import Emit
from memflow.errors import ConfigurationError
from memflow.payload import Payload
from memflow.runs import Status
from memflow.store.postgres import PostgresStore
from memflow_testing.conformance.making import a_run, a_signal, a_turn, a_worker, an_activity, an_end, claim, started_and_claimed
from tests.polling import until

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@pytest.fixture
def pooled(tcp_dsn: str, tmp_path: Path) -> Iterator[str]:
    """A DSN through a PgBouncer of this test."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    parts = urlsplit(tcp_dsn)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = f" password='{unquote(parts.password)}'" if parts.password else ""
    settings = tmp_path / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port or 5432} user={parts.username}{secret}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 3\nlogfile = /dev/null\n"
    )
    tmp_path.chmod(0o755)
    settings.chmod(0o644)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and "pytest" in folder.name:
            folder.chmod(0o755)                  # it will not run as root, so another user must get there
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([PGBOUNCER, "-q", *user, str(settings)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def reachable(pooled: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await (await asyncpg.connect(pooled, statement_cache_size=0)).close()
                return
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)


async def a_day(store: PostgresStore, other: PostgresStore) -> None:
    """A bit of everything, much of it at once."""
    worker = await a_worker(store)
    await asyncio.gather(*(store.start_runs([a_run(f"r{n}") for n in range(part, 100, 10)]) for part in range(10)))
    claims = sorted(await claim(store, worker), key=lambda each: int(each.workflow_id[1:]))
    assert len(claims) == 100
    await asyncio.gather(*((store if n % 2 else other).send([a_signal(f"r{n}")]) for n in range(50)))
    assert len(await store.owned_with_mail(worker)) == 50
    emit = Emit(1, {"t": Payload(b"1")})
    turns = [
        a_turn(each, RunStarted(), emit, effects=[emit], activities=[an_activity(2)], consumed=0, release=False)
        for each in claims[:50]
    ]
    answers = await asyncio.gather(
        store.commit_turns(worker, turns), store.commit_turns(worker, [an_end(each) for each in claims[50:]])
    )
    assert {each.outcome for some in answers for each in some} == {"won"}
    assert len((await store.claim_activities(worker, task_queues=["q"], limit=100)).claims) == 50
    assert len((await store.events_after(0, limit=100))[0]) == 50
    async with store.transaction() as connection:
        [started] = await store.start_runs([a_run("mine")], connection=connection)
    run = await other.find_run("mine")
    assert run is not None and run.run == started.run
    assert len([each for each in await store.list_runs(None, limit=200) if each.status is Status.COMPLETED]) == 50


@pytest.mark.parametrize("hint", ["", "?pgbouncer=1"])
async def test_all_works_and_notices_come_by_a_direct_connection(
    pooled: str, dsn: str, schema: str, sql: Any, hint: str
) -> None:
    await reachable(pooled)
    store = await PostgresStore.connect(pooled + hint, schema=schema, listen_dsn=dsn)
    other = await PostgresStore.connect(pooled + hint, schema=schema)
    try:
        await store.check_schema()
        rung = asyncio.Event()
        await store.listen("queue:q", rung.set)
        assert store.notifies
        await a_day(store, other)
        assert rung.is_set()
        await other.listen("queue:q", rung.set)
        assert not other.notifies, "through the pooler none arrives, and that is found out"
        stranger = await a_worker(other)
        assert await sql.fetchval("select locked_at from workers where id = $1", stranger) is None
        more, mine = await started_and_claimed(other, stranger, a_run("more"))
        assert (more.workflow_id, mine.workflow_id) == ("more", "mine")
    finally:
        await store.close()
        await other.close()
    held = (
        "select count(*) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )

    async def free() -> bool:
        return int(await sql.fetchval(held)) == 0

    await until(free)


async def test_the_schema_installs_through_it(pooled: str, schema: str) -> None:
    await reachable(pooled)
    stores = [await PostgresStore.connect(pooled, schema=schema) for _ in range(4)]
    try:
        await asyncio.gather(*(store.migrate() for store in stores))
        for store in stores:
            await store.check_schema()
        await a_day(stores[0], stores[1])
    finally:
        await asyncio.gather(*(store.close() for store in stores))


async def test_a_pool_of_the_callers_through_it(pooled: str, schema: str, store: PostgresStore) -> None:
    await reachable(pooled)
    async with asyncpg.create_pool(pooled, min_size=1, max_size=4, statement_cache_size=0) as pool:
        theirs = await PostgresStore.connect(pool=pool, schema=schema)
        try:
            await a_day(theirs, store)
            assert await theirs.count_runs(None) == await store.count_runs(None) == 101
        finally:
            await theirs.close()


async def test_a_pool_that_prepares_statements_through_it_is_refused(pooled: str, schema: str) -> None:
    await reachable(pooled)
    async with asyncpg.create_pool(pooled, min_size=1, max_size=4) as pool:
        with pytest.raises(ConfigurationError, match="statement_cache_size=0"):
            await PostgresStore.connect(pool=pool, schema=schema)
