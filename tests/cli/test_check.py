"""`memflow run export` and `memflow run check`, as a gate in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memflow_testing import WorkflowEnvironment
from memflow_testing.postgres import PostgresGround
from tests.cli import shop

ROOT = Path(__file__).parent.parent.parent

CHANGED = '''
from memflow import activity, workflow

@activity.defn
async def weigh(item: str) -> int:
    return 1

@workflow.defn(name="ship")
async def ship(item: str) -> str:
    await weigh(item)
    return ""
'''


def memflow(*arguments: str, env: WorkflowEnvironment | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    place: list[str] = []
    if env is not None:
        assert isinstance(env.ground, PostgresGround)
        place = ["--dsn", env.ground.dsn, "--schema", env.ground.schema]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "memflow", "run", *arguments, *place],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )


def line_of(text: str, mark: str) -> str:
    return next(line for line in text.splitlines() if mark in line)


async def test_open_runs_are_held_against_the_code(memflow_pg_env: WorkflowEnvironment, tmp_path: Path) -> None:
    env = memflow_pg_env
    (tmp_path / "changed.py").write_text(CHANGED)
    async with env.worker(shop.ship, shop.other, activities=[shop.weigh]):
        ship = await env.client.workflow.start(shop.ship, "x", id="ship-1", task_queue=env.task_queue)
        other = await env.client.workflow.start(shop.other, id="other-1", task_queue=env.task_queue)
        await env.sleep("1 hour")
        right = memflow("check", "--code", "tests.cli.shop", env=env)
        assert (right.returncode, right.stdout) == (0, "2 checked: 2 fit, 0 do not\n"), right.stderr
        wrong = memflow("check", "--code", "changed", env=env, cwd=tmp_path)
        assert wrong.returncode == 6, wrong.stderr
        assert "run ship-1 (ship) cannot continue" in wrong.stdout
        assert "timer" in line_of(wrong.stdout, "journal:") and "weigh" in line_of(wrong.stdout, "code now:")
        assert wrong.stdout.endswith("1 checked: 0 fit, 1 do not; not in this code, so not checked: other (1)\n")
        none = memflow("check", "--code", "changed", "--where", 'type = "nothing"', env=env, cwd=tmp_path)
        assert (none.returncode, none.stdout) == (0, "0 checked: 0 fit, 0 do not\n")
        await ship.terminate()
        await other.terminate()


async def test_exported_runs_are_checked_without_a_database(memflow_pg_env: WorkflowEnvironment, tmp_path: Path) -> None:
    env = memflow_pg_env
    (tmp_path / "changed.py").write_text(CHANGED)
    async with env.worker(shop.ship, activities=[shop.weigh]):
        for id in ("a", "b"):
            handle = await env.client.workflow.start(shop.ship, id, id=id, task_queue=env.task_queue)
            await handle.result()
    one = memflow("export", "a", env=env)
    assert one.returncode == 0, one.stderr
    assert len(one.stdout.splitlines()) == 1
    both = memflow("export", "--where", 'type = "ship"', env=env)
    assert len(both.stdout.splitlines()) == 2
    (tmp_path / "runs.jsonl").write_text(both.stdout)
    assert memflow("check", "--code", "tests.cli.shop", str(tmp_path / "runs.jsonl")).returncode == 0
    wrong = memflow("check", "--code", "changed", "runs.jsonl", cwd=tmp_path)
    assert wrong.returncode == 6
    assert wrong.stdout.count("CodeMismatch") == 2
    missing = memflow("export", "nobody", env=env)
    assert missing.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "which code?"),
        (["check", "--code", "tests.cli.test_check"], "no workflows in tests.cli.test_check"),
        (["check", "--code", "tests.cli.shop", "missing.jsonl"], "cannot read missing.jsonl"),
        (["check", "--code", "tests.cli.shop", "pyproject.toml"], "cannot read pyproject.toml"),
        (["check", "--code", "tests.cli.shop", "--where", "x", "pyproject.toml"], "--where is for a database"),
        (["export"], "which runs?"),
        (["export", "a", "b", "--run-id", "c"], "--run-id goes with one id"),
    ],
)
def test_wrong_uses_say_what_to_do(arguments: list[str], said: str) -> None:
    done = memflow(*arguments)
    assert done.returncode == 2
    assert said in done.stderr and "next" in done.stderr
