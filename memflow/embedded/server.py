"""What a user of the embedded Postgres does: start it or join it, hold the lease, let go."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from memflow.embedded.binaries import account, find_binaries, reachable, staged
from memflow.embedded.state import Order, State, is_held, load_state, try_lock
from memflow.errors import ConfigurationError, DatabaseError

TEST_SETTINGS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""For databases that tests throw away: faster, and worth nothing after a power cut."""

_SOURCE = Path(__file__).resolve().parent.parent.parent


class Embedded:
    """A running embedded Postgres, kept alive until `close()` or the end of this process, however that comes.

    `dsn` goes through a unix socket; `tcp_dsn` through 127.0.0.1, with a password, for programs that know no sockets.
    """

    def __init__(self, root: Path, state: State, lease: IO[bytes]) -> None:
        self.root = root
        self.port = state.port
        self.dsn = state.dsn
        self.tcp_dsn = state.tcp_dsn
        self._lease = lease

    def close(self) -> None:
        """Let go. The server stops when nobody has used it for the `idle` seconds that its first user gave."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Embedded({str(self.root)!r}, port={self.port})"


def start(
    root: str | os.PathLike[str] | None = None,
    *,
    idle: float = 2.0,
    settings: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Embedded:
    """Start the Postgres that lives in `root`, or join it. Blocks: 1 ms if it runs, 0.2 s if it ran before, else 1 to 3 s.

    `root` is a directory for it alone, by default `default_root()`. `idle` is how many seconds the server outlives its last
    user; `settings` are Postgres parameters such as `TEST_SETTINGS`. Of several users at once the first one's count.
    `timeout` is in seconds.

    Raises:
        ConfigurationError: no binaries, a directory that cannot be used, or data of another major version.
        DatabaseError: Postgres does not start; the message ends with the last lines of its log.
    """
    if sys.platform == "win32":
        raise ConfigurationError("the embedded Postgres needs Linux or macOS; on Windows give a DSN, or set MEMFLOW_DSN")
    place = default_root() if root is None else Path(root).absolute()
    deadline = time.monotonic() + timeout
    try:
        _prepare(place)
        lease = (place / "lease").open("ab")
    except OSError as error:
        raise ConfigurationError(f"{place} cannot hold an embedded Postgres: {error}") from error
    try:
        held = try_lock(lease, exclusive=False, seconds=timeout)      # waits while a supervisor without users is stopping
        while held and time.monotonic() < deadline:
            state = load_state(place)
            if state is not None:
                return Embedded(place, state, lease)
            if is_held(place / "supervisor"):
                time.sleep(0.02)                     # another process is starting it right now
            else:
                _launch(place, idle=idle, settings=settings or {}, seconds=deadline - time.monotonic())
        log = place / "postgres.log"
        raise DatabaseError(f"the embedded Postgres in {place} did not answer within {timeout:g} seconds; see {log}")
    except BaseException:
        lease.close()
        raise


def default_root() -> Path:
    """Where the embedded Postgres of the current project lives.

    `.memflow` in the nearest directory upwards that holds a `.memflow`, `pyproject.toml` or `.git`, else in the current
    one. For root, whose directories Postgres' account may not enter: `/var/lib/memflow/<hash of the project's path>`.
    """
    here = Path.cwd()
    marks = (".memflow", "pyproject.toml", ".git")
    project = next((place for place in (here, *here.parents) if any((place / mark).exists() for mark in marks)), here)
    if account() is None:
        return project / ".memflow"
    return Path("/var/lib/memflow") / hashlib.sha256(os.fsencode(project)).hexdigest()[:12]


def _prepare(place: Path) -> None:
    """Make the directory. One that exists is left as it is: its rights are its owner's business."""
    runner = account()
    if not place.exists():
        place.mkdir(parents=True, exist_ok=True)
        if ".memflow" in place.parts:
            (place / ".gitignore").write_text("*\n")
    if runner is not None and not reachable(place, runner):
        raise ConfigurationError(
            f"Postgres started by root runs as {runner.name!r}, which cannot enter {place}; "
            "choose a directory that everybody may pass through, as in /var/lib/memflow, or run as a plain user"
        )


def _launch(place: Path, *, idle: float, settings: Mapping[str, str], seconds: float) -> None:
    """Start a supervisor, which stays when the process that we wait for is gone, and pass on what it cannot do."""
    order: Order = {
        "root": str(place),
        "binaries": str(staged(find_binaries(), account())),
        "idle": idle,
        "settings": dict(settings),
    }
    path = os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH", "")]))
    try:
        launched = subprocess.run(
            [sys.executable, "-P", "-m", "memflow.embedded.supervisor", json.dumps(order)],
            env={**os.environ, "PYTHONPATH": path},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(1.0, seconds),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return                                       # whoever waits has a deadline of their own
    word, _, text = launched.stdout.partition("\n")
    if word == "refused":
        raise ConfigurationError(text)
    if word != "ready":
        raise DatabaseError(text or f"the embedded Postgres in {place} did not start: {launched.stderr.strip()[-2000:]}")
