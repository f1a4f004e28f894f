"""What the operating system tells, and what is said where it tells nothing."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from memflow.bench import machine

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@linux
def test_cpu_time_of_this_process_grows() -> None:
    before = machine.cpu_seconds_of_tree(os.getpid())
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = machine.cpu_seconds_of_tree(os.getpid())
    assert before is not None and after is not None and after > before


def test_a_process_that_is_gone_has_no_cpu_time() -> None:
    assert machine.cpu_seconds_of_tree(2**22 + 1) is None


def test_without_proc_everything_else_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    assert machine.cpu_seconds_of_tree(os.getpid()) is None
    assert machine.postgres_of_backend(os.getpid(), database="x") is None
    assert machine.busy_seconds() is None
    assert machine.peak_memory_mb() > 5, "the resource module knows that much"


@linux
async def test_a_postgres_on_this_machine_is_recognised_by_the_title_of_its_backend(dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        pid, database = await conn.fetchval("select pg_backend_pid()"), await conn.fetchval("select current_database()")
        found = machine.postgres_of_backend(pid, database=database)
        assert found is not None and found != pid
        assert machine.postgres_of_backend(pid, database="another") is None
        assert machine.postgres_of_backend(os.getpid(), database=database) is None, "this is no Postgres"
    finally:
        await conn.close()


def test_facts_name_the_libraries() -> None:
    told = machine.facts()
    assert told["cpus"] >= 1
    assert told["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert "asyncpg" in told["libraries"]
