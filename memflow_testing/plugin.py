"""The pytest plugin: environments as fixtures, and what their runs did in the report of a test that failed.

pytest loads this in every project that has memflow installed, so it imports nothing here that pytest has not loaded
already, and does nothing until a fixture is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from memflow_testing.asked import MARK, STORES, settings_of

if TYPE_CHECKING:
    from memflow_testing.environment import WorkflowEnvironment

T = TypeVar("T")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("memflow")
    group.addoption("--memflow-dsn", help="Postgres for tests (else $MEMFLOW_TEST_DSN, else an embedded one)")
    group.addoption("--memflow-store", choices=STORES, help="which store memflow_env stands on (memory)")
    group.addoption("--memflow-keep", action="store_true", help="keep the runs of failed tests, and say how to look at them")
    group.addoption("--memflow-update", action="store_true", help="write the snapshots of memflow_journal anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    if config.pluginmanager.hasplugin("asyncio"):
        from memflow_testing import fixtures_async

        config.pluginmanager.register(fixtures_async, "memflow-environments")
    else:
        from memflow_testing import fixtures_sync

        config.pluginmanager.register(fixtures_sync, "memflow-environments")


# ------------------------------------------------------------------------------------------------- which store, which time


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`both` runs a test that uses memflow_env once on each store."""
    if "memflow_env" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("memflow")
    said = marker.kwargs.get("store") if marker is not None else None
    if (said or metafunc.config.getoption("--memflow-store")) == "both":
        if "memflow_store" not in metafunc.fixturenames:
            metafunc.fixturenames.append("memflow_store")
        metafunc.parametrize("memflow_store", ["memory", "postgres"])


# ------------------------------------------------------------------------------------------------- fixtures without a loop


@pytest.fixture(scope="session")
def memflow_dsn(request: pytest.FixtureRequest) -> str:
    """A Postgres for tests: --memflow-dsn, $MEMFLOW_TEST_DSN, or an embedded server that all processes of this run share."""
    from memflow_testing.postgres import find_dsn, make_ready

    named = request.config.getoption("--memflow-dsn")
    dsn = str(named) if named else find_dsn()
    in_thread(make_ready(dsn))
    return dsn


@pytest.fixture
def memflow_place(request: pytest.FixtureRequest) -> str | None:
    """The DSN for memflow_env; None on a store that needs no Postgres, which then is not started."""
    # Here, not in memflow_env: no event loop runs in this fixture, so that memflow_dsn may be overridden by one that starts some.
    return None if settings_of(request.node)["store"] == "memory" else request.getfixturevalue("memflow_dsn")


@pytest.fixture
def memflow_replay() -> Any:
    """Replays recorded journals against today's code: `memflow_replay.check("tests/journals/*.json", workflows=[...])`."""
    from memflow_testing.snapshots import ReplayGate

    return ReplayGate()


@pytest.fixture
def memflow_journal(request: pytest.FixtureRequest) -> Any:
    """What a journal is compared with: `assert await handle.history() == memflow_journal`.

    The snapshot lies in `journals/` beside the test; --memflow-update writes it. Ids and times are left out.
    """
    from memflow_testing.snapshots import JournalSnapshot

    path = request.path.parent / "journals" / f"{request.path.stem}.{request.node.name}.txt"
    return JournalSnapshot(path, update=bool(request.config.getoption("--memflow-update")))


# ------------------------------------------------------------------------------------------------- reports


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    environment = sys.modules.get("memflow_testing.environment")
    if environment is None or call.when != "call":
        return report
    told, environment.LEFT[:] = list(environment.LEFT), []
    if report.failed:
        for each in environment.OPEN:
            each.failed = True
        keep = bool(item.config.getoption("--memflow-keep"))
        try:
            told += in_thread(_told(list(environment.OPEN), keep=keep))
        except Exception as error:
            told.append(f"no report: {type(error).__name__}: {error}")
        if told:
            report.sections.append(("memflow", "\n\n".join(told)))
    return report


async def _told(environments: list[WorkflowEnvironment], *, keep: bool) -> list[str]:
    """Read from connections of our own: the test's event loop is not ours."""
    from memflow_testing.reports import report

    told: list[str] = []
    for environment in environments:
        ground = environment.ground
        if ground is None:
            continue
        twin = await ground.store.twin()
        try:
            text = await report(twin or ground.store, environment.problems.lines, place=ground.place)
        finally:
            if twin is not None:
                await twin.close()
        if keep and (how := await ground.keep()) is not None:
            text += f"\n\nkept; look with: {how}"
        told.append(text)
    return told


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own, wherever we are: loops of tests are not touched."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result(60)
