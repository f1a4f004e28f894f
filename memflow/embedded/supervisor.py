"""Postgres' parent: makes its data, starts it, reaps it, and stops it when nobody holds the lease any more.

A process of its own (`python -m memflow.embedded.supervisor ORDER`), which forks: the first half waits for the word of the
second and passes it on (`ready`, `refused` or `failed`, then a text), the second is the supervisor and stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from memflow.embedded.binaries import Account, account, as_account, check_account, major_of
from memflow.embedded.state import Order, State, try_lock, unlock, write_privately
from memflow.errors import ConfigurationError, DatabaseError

DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_permissions": "0700",               # the socket asks for no password
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",                                    # our statements are short: compiling them takes longer than running them
    "logging_collector": "off",
    "cluster_name": "memflow",
}
LONGEST_SOCKETS = 85                                 # bytes: sun_path holds 107, of which "/.s.PGSQL.65535.lock" takes 20
LOOK_SECONDS = 0.2                                   # between two looks at the lease
RECOVERY_SECONDS = 600.0                             # a server that does not answer for so long is given up
LOG_LIMIT = 1_000_000                                # bytes; a longer log is begun anew
_BUSY = (                                            # what Postgres says when the one before it has not quite gone
    'lock file "postmaster.pid" already exists',
    "pre-existing shared memory block",
    "could not create any TCP/IP sockets",
    "Address already in use",
)

Word = Callable[[str, str], None]


def supervise(place: Path, binaries: Path, *, idle: float, settings: Mapping[str, str], say: Word) -> None:
    """Run Postgres until nobody has used it for `idle` seconds, it ends, or a signal asks to stop."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    runner = account()
    (place / "state.json").unlink(missing_ok=True)
    _create(place, binaries, runner)
    server, state = _run(place, binaries, runner, settings={**DEFAULTS, **settings}, stopping=stopping)
    with (place / "lease").open("ab") as lease:
        try:
            state.save(place)
            say("ready", "")
            _while_used(lease, server, idle=idle, stopping=stopping)
        finally:                                     # whoever comes now waits for the lease, then starts it anew
            (place / "state.json").unlink(missing_ok=True)
            _stop(server)


def _while_used(lease: IO[bytes], server: subprocess.Popen[bytes], *, idle: float, stopping: list[int]) -> None:
    """Return when it is time to stop. If that is for want of users, the lease is ours then."""
    unused_since: float | None = None
    while not stopping and server.poll() is None:
        if try_lock(lease, exclusive=True):
            now = time.monotonic()
            unused_since = now if unused_since is None else unused_since
            if now - unused_since >= idle:
                return
            unlock(lease)
        else:
            unused_since = None
        time.sleep(LOOK_SECONDS)


# ---------------------------------------------------------------------------------------------------------------- create


def _create(place: Path, binaries: Path, runner: Account | None) -> None:
    """Make the data directory if there is none; check that these binaries can read the one there is."""
    data = place / "data"
    version = data / "PG_VERSION"
    ours = major_of(binaries)
    if version.exists():
        theirs = version.read_text().strip()
        if theirs != ours:
            raise ConfigurationError(
                f"{data} was made by Postgres {theirs}, but {binaries} holds Postgres {ours}; set MEMFLOW_PG_BIN to the "
                f"binaries of Postgres {theirs}, or move the data with pg_upgrade, or delete {place} to begin anew"
            )
        return
    if data.exists():                                # not made by us, who put it there whole or not at all
        raise ConfigurationError(f"{data} exists and is no Postgres data directory; choose another directory than {place}")
    check_account()
    making = place / "data.new"
    shutil.rmtree(making, ignore_errors=True)        # left by one who was killed
    making.mkdir(mode=0o700)
    password = secrets.token_urlsafe(18)
    told = place / "password.new"
    write_privately(told, password)
    if runner is not None:
        os.chown(making, runner.uid, runner.gid)
        os.chown(told, runner.uid, runner.gid)
    made = subprocess.run(
        [
            *(binaries / "initdb", "-D", making, "-U", "memflow", "-E", "UTF8", "--locale=C", f"--pwfile={told}"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-instructions"),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        check=False,
        **as_account(runner),
    )
    told.unlink()
    if made.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        raise DatabaseError(f"initdb could not make {data}: {made.stderr.strip()[-1500:]}")
    write_privately(place / "password", password)
    making.rename(data)


def _environment() -> dict[str, str]:
    """Ours without what would steer Postgres (PGDATA, PGPORT, ...), in English, because we read its log."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PG")}, "LC_ALL": "C"}


# ------------------------------------------------------------------------------------------------------------------- run


def _run(
    place: Path, binaries: Path, runner: Account | None, *, settings: Mapping[str, str], stopping: list[int]
) -> tuple[subprocess.Popen[bytes], State]:
    """Start Postgres and wait until it answers; try again while the one before it is still going."""
    data = place / "data"
    sockets = _sockets(place, runner)
    password = (place / "password").read_text()
    deadline = time.monotonic() + RECOVERY_SECONDS
    log_path = place / "postgres.log"
    if log_path.exists() and log_path.stat().st_size > LOG_LIMIT:
        log_path.unlink()
    while True:
        state = State(_port(place), str(sockets), password)
        _disown(data, state)
        options = {**settings, "port": str(state.port), "unix_socket_directories": str(sockets)}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with log_path.open("ab") as log:
            begun = log.tell()
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                preexec_fn=die_with_parent(os.getpid()),
                process_group=0,
                **as_account(runner),
            )
        while server.poll() is None and not stopping and time.monotonic() < deadline:
            if state.answers():
                return server, state
            time.sleep(0.01)
        with log_path.open("rb") as log:
            log.seek(begun)
            said = log.read().decode(errors="replace").strip()
        if server.poll() is None or stopping or not any(reason in said for reason in _BUSY) or time.monotonic() > deadline:
            _stop(server)
            raise DatabaseError(f"the embedded Postgres in {place} did not start: {said[-1500:]}")
        time.sleep(0.1)


def _sockets(place: Path, runner: Account | None) -> Path:
    """Where the unix socket lies: with the data, which is closed to others, unless that path is too long for a socket."""
    data = place / "data"
    if len(os.fsencode(data)) <= LONGEST_SOCKETS:
        return data
    short = Path(f"/tmp/memflow-{hashlib.sha256(os.fsencode(place)).hexdigest()[:12]}")
    uid = os.geteuid() if runner is None else runner.uid
    try:
        short.mkdir(mode=0o700)
        if runner is not None:
            os.chown(short, runner.uid, runner.gid)
    except FileExistsError:
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise ConfigurationError(f"{short}, meant for the socket of {place}, belongs to somebody else; remove it") from None
    return short


def _port(place: Path) -> int:
    """The port of last time, so that a DSN noted down stays true; another one if that is taken."""
    remembered = place / "port"
    wanted = [0]
    with contextlib.suppress(FileNotFoundError, ValueError):
        wanted.insert(0, int(remembered.read_text()))
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found = int(probe.getsockname()[1])
        remembered.write_text(f"{found}\n")
        return found
    raise DatabaseError("no free port on 127.0.0.1")


def _disown(data: Path, state: State) -> None:
    """Deal with a server whose supervisor was killed, and with what it left.

    One that still answers is told to stop (where the kernel does not tell it, as on macOS). A `postmaster.pid` whose pid is
    a zombie's, or another program's by now, would keep Postgres from starting for ever: it gets our pid, which Postgres, our
    child, takes for stale. The rest of the file stays, so that it still checks for backends that were left behind.
    """
    try:
        lines = (data / "postmaster.pid").read_text().splitlines(keepends=True)
        pid = int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    if state.answers():
        os.kill(pid, signal.SIGINT)
    elif "postgres" not in _command(pid):
        (data / "postmaster.pid").write_text("".join([f"{os.getpid()}\n", *lines[1:]]))


def _command(pid: int) -> str:
    """The command line of a process; empty for a zombie or none."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return shown.stdout


def die_with_parent(parent: int) -> Callable[[], None] | None:
    """A `preexec_fn` that makes the kernel send SIGINT (to Postgres: fast shutdown) when this process dies. Linux only.

    `subprocess` runs it in the child after the change of user, which would undo it.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_death_signal = 1                             # PR_SET_PDEATHSIG

    def in_child() -> None:
        prctl(set_death_signal, signal.SIGINT, 0, 0, 0)
        if os.getppid() != parent:                   # it died before we asked
            os._exit(1)

    return in_child


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End Postgres: fast, else immediate, else by force; and reap it."""
    for number, seconds in ((signal.SIGINT, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        if server.poll() is not None:
            return
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)


# --------------------------------------------------------------------------------------------------------------- process


def main(order: str) -> NoReturn:
    """Fork the supervisor, wait for its word, pass it on."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        os.setsid()                                  # a Ctrl-C at the terminal is not meant for it
        _live(json.loads(order), writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        sys.stdout.buffer.write(pipe.read())
    sys.stdout.flush()
    sys.exit(0)


def _live(order: Order, writer: int) -> NoReturn:
    place = Path(order["root"])
    log = os.open(place / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    word = os.fdopen(writer, "wb")

    def say(kind: str, text: str) -> None:
        if not word.closed:
            with contextlib.suppress(OSError), word:         # whoever asked may be gone
                word.write(f"{kind}\n{text}".encode(errors="replace"))

    try:
        with (place / "supervisor").open("ab") as own:
            if try_lock(own, exclusive=True, seconds=0.2):
                os.ftruncate(log, 0)
                supervise(place, Path(order["binaries"]), idle=order["idle"], settings=order["settings"], say=say)
            else:
                say("ready", "")                     # another process was quicker: its supervisor serves us too
    except ConfigurationError as error:
        say("refused", str(error))
    except DatabaseError as error:
        say("failed", str(error))
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        say("failed", f"the supervisor of {place} failed: {error!r}")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
