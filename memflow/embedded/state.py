"""What the users of an embedded Postgres and its supervisor both know: where it listens, whether it answers, who holds a lock."""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TypedDict
from urllib.parse import quote

_PROTOCOL = 196608                                   # 3.0, as the startup message spells it
_HELLO = b"user\0memflow\0database\0postgres\0\0"


class Order(TypedDict):
    """What a user tells the supervisor to do, as JSON."""

    root: str
    binaries: str
    idle: float
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """What a user needs to connect."""

    port: int
    sockets: str
    password: str

    @property
    def dsn(self) -> str:
        """Through the unix socket, which lies in a directory of our own and asks for no password."""
        return f"postgresql://memflow@/postgres?host={quote(self.sockets, safe='/')}&port={self.port}"

    @property
    def tcp_dsn(self) -> str:
        """Through 127.0.0.1, with the password."""
        return f"postgresql://memflow:{self.password}@127.0.0.1:{self.port}/postgres"

    def answers(self) -> bool:
        """Whether a session can be opened. A pid would prove nothing: it may be a zombie's, or somebody else's by now."""
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(2)
                sock.connect(f"{self.sockets}/.s.PGSQL.{self.port}")
                sock.sendall(struct.pack("!II", 8 + len(_HELLO), _PROTOCOL) + _HELLO)
                ready = _becomes_ready(sock)
                sock.sendall(b"X\0\0\0\x04")         # goodbye
                return ready
        except OSError:
            return False

    def save(self, place: Path) -> None:
        """Publish it: the server can be used now."""
        write_privately(place / "state.json", json.dumps(asdict(self)))


def load_state(place: Path) -> State | None:
    """How to connect to the server of this directory, if a supervisor says that it runs and it answers."""
    try:
        state = State(**json.loads((place / "state.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return state if is_held(place / "supervisor") and state.answers() else None


def _becomes_ready(sock: socket.socket) -> bool:
    """Read a session's first messages, up to ReadyForQuery (yes), an error, or the end (no)."""
    received = b""
    while True:
        while len(received) >= 5:
            kind, length = struct.unpack_from("!cI", received)
            if kind in (b"Z", b"E"):
                return bool(kind == b"Z")
            if len(received) < 1 + length:
                break
            received = received[1 + length :]
        more = sock.recv(4096)
        if not more:
            return False
        received += more


def write_privately(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all."""
    making = path.with_name(f"{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    making.rename(path)


# ---------------------------------------------------------------------------------------------------------------- flocks


def try_lock(file: IO[bytes], *, exclusive: bool, seconds: float = 0) -> bool:
    """Take a flock, trying for so long; False if others kept it. It goes with the file, or with the process."""
    import fcntl

    kind = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, kind)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def unlock(file: IO[bytes]) -> None:
    """Give a flock back."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_UN)


def is_held(path: Path) -> bool:
    """Whether anybody holds a lock on this file. Looking holds it for an instant, so whoever wants it must try twice."""
    with path.open("ab") as file:
        return not try_lock(file, exclusive=True)
