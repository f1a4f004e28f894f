"""The pytest plugin, from outside: small projects whose tests are run by pytest in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = "pytester"

UNSET = "ignore:The configuration option \"asyncio_default_fixture_loop_scope\""
INSTALLED = any(found.name == "memflow" for found in entry_points(group="pytest11"))

SHOP = """
from memflow import activity, workflow, RetryPolicy, ApplicationError

@activity.defn
async def reserve_item(item: str, quantity: int) -> str:
    return "real"

@workflow.defn
async def order_workflow(item: str, quantity: int) -> str:
    await workflow.sleep_for("30 days")
    return await reserve_item(item, quantity)

@workflow.defn
async def waits() -> None:
    await workflow.wait_for("approval")

@workflow.defn
async def breaks() -> None:
    raise ApplicationError("out of paper", type="Printer")
"""

ORDER = """
from shop import *

async def fake_reserve(item: str, quantity: int) -> str:
    return "r-1"

{mark}
async def test_order(memflow_env):
    async with memflow_env.worker(order_workflow, activities=[reserve_item], replace={{reserve_item: fake_reserve}}):
        handle = await memflow_env.client.workflow.start(order_workflow, "item-123", 5, task_queue=memflow_env.task_queue)
        assert await handle.result() == "r-1"
        handle.assert_called(reserve_item, "item-123", 5, times=1)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, dsn: str, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project with a module of workflows."""
    monkeypatch.setenv("MEMFLOW_TEST_DSN", dsn)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(shop=SHOP)
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    plugin = () if INSTALLED else ("-p", "memflow_testing.plugin")
    return project.runpytest_subprocess(*plugin, "-W", "error", "-W", UNSET, *options, timeout=100)


def test_the_example_runs_in_auto_mode(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=ORDER.format(mark=""))
    run(project, "-o", "asyncio_mode=auto").assert_outcomes(passed=1)


def test_the_example_runs_in_strict_mode(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="import pytest\n" + ORDER.format(mark="@pytest.mark.asyncio"))
    run(project, "-o", "asyncio_mode=strict").assert_outcomes(passed=1)


SYNC = """
from shop import *

def test_order(memflow_env):
    async def body():
        async with memflow_env.worker(order_workflow, activities=[reserve_item]):
            return await memflow_env.client.workflow.execute(order_workflow, "x", 1, task_queue=memflow_env.task_queue)
    assert memflow_env.run(body()) == "real"

def test_dsn(memflow_dsn):
    assert memflow_dsn.startswith("postgres")
"""


def test_plain_tests_need_no_pytest_asyncio(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=SYNC)
    run(project).assert_outcomes(passed=2)
    run(project, "-p", "no:asyncio").assert_outcomes(passed=2)


def test_workers_of_xdist_share_the_server_and_disturb_nobody(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="import pytest\n" + ORDER.format(mark='@pytest.mark.parametrize("n", range(12))').replace(
        "(memflow_env)", "(memflow_env, n)"
    ))
    run(project, "-o", "asyncio_mode=auto", "-n", "3").assert_outcomes(passed=12)


def test_the_other_fixtures_belong_to_the_same_environment(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from shop import *
        from datetime import timedelta

        async def test_parts(memflow_env, memflow_client, memflow_clock, memflow_pg_env):
            assert memflow_client is memflow_env.client
            before = await memflow_env.get_current_time()
            await memflow_clock.advance("1 day")
            assert await memflow_env.get_current_time() - before >= timedelta(days=1)
            assert await memflow_pg_env.get_current_time() - before < timedelta(hours=1)
        """
    )
    run(project, "-o", "asyncio_mode=auto").assert_outcomes(passed=1)


def test_a_failure_shows_timelines_what_runs_wait_for_and_what_workers_said(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from shop import *
        import logging

        async def test_it(memflow_env):
            async with memflow_env.worker(waits, breaks):
                client, queue = memflow_env.client, memflow_env.task_queue
                await client.workflow.start(breaks, id="printing", task_queue=queue)
                await client.workflow.start(waits, id="waiting-order", task_queue=queue)
                await memflow_env.sleep("1 hour")
                logging.getLogger("memflow.worker").warning("paper is low")
                assert False, "on purpose"
        """
    )
    result = run(project, "-o", "asyncio_mode=auto")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*- memflow -*",
            "breaks printing  failed",
            "*ended by Printer: out of paper",
            "waits waiting-order  running",
            "*waiting: signal 'approval' at *shop.py:* in waits",
            "*warning: paper is low",
        ]
    )


def test_an_environment_of_the_tests_own_is_reported_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from shop import *
        from memflow_testing import WorkflowEnvironment

        async def test_it():
            async with await WorkflowEnvironment.start_time_skipping() as env:
                async with env.worker(waits):
                    await env.client.workflow.start(waits, id="waiting-order", task_queue=env.task_queue)
                    await env.sleep("1 hour")
                    assert False, "on purpose"

        async def test_well(memflow_env):
            pass
        """
    )
    result = run(project, "-o", "asyncio_mode=auto")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines_random(["*- memflow -*", "waits waiting-order  running"])


def test_forgotten_workers_and_runs_are_named(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from shop import *

        async def test_it(memflow_env):
            memflow_env.worker(waits)
            await memflow_env.client.workflow.start(waits, id="left-behind", task_queue=memflow_env.task_queue)
        """
    )
    plugin = () if INSTALLED else ("-p", "memflow_testing.plugin")
    result = project.runpytest_subprocess(*plugin, "-o", "asyncio_mode=auto", timeout=100)
    result.assert_outcomes(passed=1, warnings=2)
    result.stdout.fnmatch_lines_random(
        [
            "*ForgottenWarning: a worker for task queue * was made and never run*",
            "*'left-behind' was started and is still running*",
        ]
    )


def test_kept_runs_can_be_looked_at_after_a_failure(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        from shop import *

        async def test_it(memflow_env):
            async with memflow_env.worker(breaks):
                await memflow_env.client.workflow.start(breaks, id="printing", task_queue=memflow_env.task_queue)
                await memflow_env.sleep(1)
            assert False, "on purpose"
        """
    )
    result = run(project, "-o", "asyncio_mode=auto", "--memflow-store", "postgres", "--memflow-keep")
    result.assert_outcomes(failed=1)
    [line] = [line for line in result.outlines if line.startswith("kept; look with: ")]
    command = line.partition(": ")[2].replace("'", "").split()
    cli = "import sys; from memflow.cli.main import main; sys.exit(main())"
    shown = subprocess.run([sys.executable, "-c", cli, *command[1:]], capture_output=True, text=True)
    assert "printing" in shown.stdout, shown.stderr
    project.makepyfile(test_it="async def test_it(memflow_env):\n    print('IN', memflow_env.ground.schema)\n")
    again = run(project, "-o", "asyncio_mode=auto", "--memflow-store", "postgres", "-s")
    schema = command[command.index("--schema") + 1]
    assert not any(line.endswith(f"IN {schema}") for line in again.outlines)


def test_a_database_of_ones_own_and_real_time_by_marker(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.memflow(isolation="database", time="real")
        async def test_it(memflow_env):
            assert "/memflow_own_" in memflow_env.ground.dsn
            assert not memflow_env.supports_time_skipping
        """
    )
    run(project, "-o", "asyncio_mode=auto").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ('store="memory", isolation="database"', "*is for Postgres: leave out*"),
        ('time="fast"', "*time is one of skipped, real*"),
        ('clock="real"', "*isolation is one of schema, database*"),
    ],
)
def test_what_cannot_be_had_is_said(project: pytest.Pytester, mark: str, said: str) -> None:
    project.makepyfile(test_it=f"import pytest\n\n@pytest.mark.memflow({mark})\nasync def test_it(memflow_env):\n    pass\n")
    result = run(project, "-o", "asyncio_mode=auto")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


SNAPSHOT = """
from shop import *

async def test_it(memflow_env, memflow_journal):
    async with memflow_env.worker(order_workflow, activities=[reserve_item]):
        handle = await memflow_env.client.workflow.start(order_workflow, "{item}", 1, task_queue=memflow_env.task_queue)
        await handle.result()
        assert await handle.history() == memflow_journal
"""


def test_a_journal_is_held_against_its_snapshot(project: pytest.Pytester) -> None:
    auto = ("-o", "asyncio_mode=auto")
    project.makepyfile(test_it=SNAPSHOT.format(item="x"))
    missing = run(project, *auto)
    missing.stdout.fnmatch_lines(["*write it with: pytest --memflow-update*"])
    run(project, *auto, "--memflow-update").assert_outcomes(passed=1)
    run(project, *auto).assert_outcomes(passed=1)
    project.makepyfile(test_it=SNAPSHOT.format(item="y"))
    changed = run(project, *auto)
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(['*-*run_started*"x",1*', '*+*run_started*"y",1*'])


def test_exported_journals_are_replayed_as_a_gate(project: pytest.Pytester) -> None:
    test = """
    from pathlib import Path
    from shop import *

    async def test_record(memflow_env):
        async with memflow_env.worker(order_workflow, activities=[reserve_item]):
            handle = await memflow_env.client.workflow.start(order_workflow, "x", 1, task_queue=memflow_env.task_queue)
            await handle.result()
            Path("order.jsonl").write_text((await handle.history()).to_json())

    def test_gate(memflow_replay):
        assert memflow_replay.check("*.jsonl", workflows=[order_workflow]) == 1
    """
    project.makepyfile(test_it=test)
    run(project, "-o", "asyncio_mode=auto").assert_outcomes(passed=2)
    project.makepyfile(shop=SHOP.replace('await workflow.sleep_for("30 days")', "pass"))
    result = run(project, "-o", "asyncio_mode=auto", "-k", "gate")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*CodeMismatch: run *"])


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import pytest, sys, time; before = set(sys.modules); began = time.process_time();"
        "import memflow_testing.plugin; took = time.process_time() - began;"
        "print(took, *sorted(set(sys.modules) - before))"
    )
    took, *loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"memflow_testing", "memflow_testing.asked", "memflow_testing.plugin"}, loaded
    assert float(took) < 0.05                            # of CPU; it takes 1 ms
