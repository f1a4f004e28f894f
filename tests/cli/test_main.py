"""The command line answers quickly, and says what went wrong in three lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memflow import errors
from memflow.cli.main import main
from memflow.cli.problems import Exit, Problem, masked, problem_of


def memflow(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memflow", *arguments],
        cwd=cwd or Path(__file__).parent.parent.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_loads_neither_the_database_nor_the_engine() -> None:
    code = "import sys; from memflow.cli.main import parser; parser().format_help(); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncpg", "pydantic", "asyncio", "memflow.core.replay", "memflow.client.client"} & set(shown)


COMMANDS = (["activity", "fail", "--help"], ["worker", "--help"], ["run", "list", "--help"], ["db", "status", "--help"])


@pytest.mark.parametrize("arguments", [[], ["worker"], *COMMANDS])
def test_every_command_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    assert "usage: memflow" in shown.out + shown.err
    assert ended.value.code == (Exit.DONE if "--help" in arguments else Exit.USAGE)


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    import memflow as package

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"memflow {package.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.WorkflowNotFoundError("order-1"), Exit.NOT_FOUND),
        (errors.SchemaError("the schema is older"), Exit.ERROR),
        (errors.DatabaseError("refused"), Exit.ERROR),
        (errors.ConfigurationError("no"), Exit.USAGE),
        (TimeoutError("late"), Exit.TIMED_OUT),
        (ExceptionGroup("workers", [errors.WorkflowNotFoundError("order-1")]), Exit.NOT_FOUND),
        (ZeroDivisionError("division by zero"), Exit.ERROR),
    ],
)
def test_every_error_is_three_lines_and_an_exit_code(error: Exception, code: Exit) -> None:
    problem = problem_of(error)
    lines = str(problem).splitlines()
    assert [line.split()[0] for line in lines] == ["memflow:", "why", "next"]
    assert problem.code == code


def test_a_dsn_is_shown_without_its_password() -> None:
    assert masked("postgresql://app:s3cret@db:5432/shop?password=s3cret") == "postgresql://app:•••@db:5432/shop"
    assert "s3cret" not in masked("host=db password=s3cret")


def test_a_problem_is_printed_as_it_is() -> None:
    problem = Problem("cannot", why="because", then="do")
    assert problem_of(problem) is problem
    assert str(problem) == "memflow: cannot\n  why   because\n  next  do"


def test_an_unreachable_database_is_three_lines_without_a_traceback_or_password() -> None:
    shown = memflow("run", "list", "--dsn", "postgresql://app:s3cret@127.0.0.1:1/shop")
    assert shown.returncode == Exit.ERROR
    assert len(shown.stderr.splitlines()) == 3
    assert "s3cret" not in shown.stderr
    assert "127.0.0.1" in shown.stderr


def test_an_unknown_module_says_where_to_stand(tmp_path: Path) -> None:
    shown = memflow("worker", "shop.orders", cwd=tmp_path)
    assert shown.returncode == Exit.USAGE
    assert "cannot import shop.orders" in shown.stderr
    assert "directory that holds shop" in shown.stderr


def test_a_module_that_fails_to_import_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import os\nimport nonsense_that_is_not_there\n")
    shown = memflow("worker", "broken", cwd=tmp_path)
    assert "broken.py:2: ModuleNotFoundError" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert "Traceback" in memflow("worker", "-v", "broken", cwd=tmp_path).stderr


def test_a_module_with_nothing_decorated_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("async def not_a_workflow(): ...\n")
    for name in ("plain", "plain.py"):
        shown = memflow("worker", name, cwd=tmp_path)
        assert shown.returncode == Exit.USAGE
        assert "@workflow.defn" in shown.stderr


async def test_runs_are_listed_shown_and_described(dsn: str, schema: str) -> None:
    from memflow import Client

    common = ("--dsn", dsn, "--schema", schema)
    missing = memflow("run", "list", *common)
    assert missing.returncode == Exit.ERROR
    assert "memflow db migrate" in missing.stderr
    assert memflow("db", "status", *common).returncode == Exit.ERROR
    assert memflow("db", "migrate", *common).returncode == Exit.DONE
    assert memflow("db", "status", *common).returncode == Exit.DONE
    assert memflow("run", "list", *common).stdout == "no runs\n"
    async with await Client.connect(dsn, schema=schema) as client:
        await client.workflow.start("order_workflow", args=["item-123", 5], id="order-1", task_queue="orders")
    assert "order-1" in memflow("run", "list", *common, "--where", "status = running").stdout
    (run,) = json.loads(memflow("run", "list", *common, "-o", "json").stdout)
    assert (run["id"], run["type"], run["status"]) == ("order-1", "order_workflow", "running")
    assert "item-123" in memflow("run", "describe", "order-1", *common).stdout
    assert json.loads(memflow("run", "show", "order-1", *common, "-o", "json").stdout) == []
    assert memflow("run", "show", "order-1", *common).returncode == Exit.DONE
    absent = memflow("run", "describe", "order-2", *common)
    assert absent.returncode == Exit.NOT_FOUND
    assert "order-2" in absent.stderr
