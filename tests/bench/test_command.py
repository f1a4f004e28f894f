"""`memflow bench`: what it refuses, what it prints, and how it ends when it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from memflow.bench.meter import PREFIX
from memflow.cli.main import main
from memflow.cli.problems import Exit
from tests.polling import until

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "memflow", "bench"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["thruput"], "no scenario 'thruput'; there are throughput, latency"),
        (["--n", "5"], "name one"),
        (["latency", "signals", "--n", "5"], "name one"),
        (["latency", "--n", "0"], "--n 0 cannot work; give 1 to 1,000,000"),
        (["--workers", "0"], "--workers 0 cannot work; give 1 to 64"),
        (["--in-flight", "0"], "--in-flight 0 cannot work"),
        (["--payload", "-1"], "--payload -1 cannot work"),
        (["--idle", "-1"], "--idle -1.0 cannot work"),
    ],
)
def test_bad_arguments_are_told_what_is_allowed(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments, "--dsn", "postgresql://127.0.0.1:1/none"]) == Exit.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("dsn", ["postgresql://user:secret@127.0.0.1:1/none", "secret"])
def test_a_database_that_cannot_be_used_is_named_without_its_password(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "latency", "--dsn", dsn]) in (Exit.ERROR, Exit.USAGE)
    shown = capsys.readouterr()
    assert "memflow: " in shown.err
    assert "secret" not in shown.err + shown.out


def test_the_scenarios_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--list"]) == Exit.DONE
    assert "fan-out" in capsys.readouterr().out


def test_json_is_the_only_thing_on_stdout(dsn: str) -> None:
    ended = subprocess.run(
        [*COMMAND, "latency", "--n", "3", "--json"],
        cwd=ROOT, env={**os.environ, "MEMFLOW_DSN": dsn}, capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    told = json.loads(ended.stdout)
    assert told["memflow_bench"] == 1
    assert told["reports"][0]["count"] == 3
    assert told["machine"]["postgres"]["on_this_machine"] in (True, False)


def test_the_table_ends_with_what_limits(dsn: str) -> None:
    ended = subprocess.run(
        [*COMMAND, "latency", "--n", "3", "--dsn", dsn], cwd=ROOT, capture_output=True, text=True, timeout=90, check=True
    )
    assert ended.stdout.startswith("latency     start to result of 3 workflows")
    assert ended.stdout.splitlines()[-1].startswith("latency     limited by ")


def heeds_interrupts() -> None:
    """A shell without job control lets what it runs in the background ignore Ctrl-C, and so would these tests' processes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_worker_processes_and_schema_go_when_it_is_stopped(how: signal.Signals, dsn: str) -> None:
    conn = await asyncpg.connect(dsn)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "sleepers", "--n", "5", "--idle", "60", "--dsn", dsn, cwd=ROOT, stderr=subprocess.DEVNULL,
        preexec_fn=heeds_interrupts,
    )  # fmt: skip

    async def sleepers() -> int:
        found = await conn.fetchval("select nspname from pg_namespace where nspname like $1", f"{PREFIX}{process.pid}%")
        if found is None or await conn.fetchval("select to_regclass($1)", f"{found}.v_timers") is None:
            return 0
        return int(await conn.fetchval(f"select count(*) from {found}.v_timers"))

    async def asleep() -> bool:
        return await sleepers() == 5

    async def nobody_left() -> bool:
        left = await conn.fetchval("select count(*) from pg_stat_activity where application_name like 'memflow%'"
                                   " and datname = current_database()")  # fmt: skip
        return left == 0

    try:
        await until(asleep, seconds=60)
        process.send_signal(how)
        code = await asyncio.wait_for(process.wait(), 40)
        await until(nobody_left, seconds=40)
        left = await conn.fetch("select nspname from pg_namespace where nspname like $1", f"{PREFIX}{process.pid}%")
        if how == signal.SIGKILL:
            assert [row[0] for row in left] != [], "a schema cannot be dropped by the dead; the next benchmark does it"
            await conn.execute(f"drop schema {left[0][0]} cascade")
        else:
            assert left == []
            assert code == Exit.INTERRUPTED
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await conn.close()
