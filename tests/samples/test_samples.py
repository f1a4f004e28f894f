"""Every sample runs as it stands, and ends well."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("*.py"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.stem))
def test_sample(sample: Path, server_dsn: str) -> None:
    name = f"memflow_sample_{os.getpid()}"
    asyncio.run(_execute(server_dsn, f"drop database if exists {name} with (force)", f"create database {name}"))
    try:
        dsn = urlunsplit(urlsplit(server_dsn)._replace(path=f"/{name}"))
        done = subprocess.run(
            [sys.executable, str(sample)],
            env={**os.environ, "MEMFLOW_DSN": dsn, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert "Traceback" not in done.stderr
    finally:
        asyncio.run(_execute(server_dsn, f"drop database if exists {name} with (force)"))


async def _execute(dsn: str, *statements: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()
