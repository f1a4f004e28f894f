"""Keeps workflow code repeatable: the wall clock and chance become the run's own, blocking IO is refused.

`install` changes a process once, when a worker starts in it. Outside workflow code everything works as before, at the price of
one look at a ContextVar. Two means: the clocks and sources of chance are wrapped where they live (and where modules have
imported them by name); everything that Python announces to audit hooks (files, sockets, processes, threads, sleep) is refused
there, because a hook also sees calls that no wrapper would.

Refused means `DeterminismError`, with the line and what to call instead. Infrastructure that code may call without meaning to
(logging, imports, telemetry, debuggers) is let through: nothing it reads comes back into the workflow.
"""

from __future__ import annotations

import ctypes
import datetime as datetimes
import functools
import gc
import logging
import os
import platform
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from memflow.core import chance
from memflow.core.dialect import DIALECT
from memflow.core.places import place_of
from memflow.core.replay import CURRENT, Replay
from memflow.duration import unix_seconds
from memflow.worker.callers import (
    INFRASTRUCTURE,
    UNGUARDED,
    WRAPPERS,
    below_infrastructure,
    callers,
    check,
    current_sandbox,
    own_caller,
)

log = logging.getLogger(__name__)

_NOW = "use workflow.now()"
_TIME = "use workflow.time()"
_CHANCE = "use workflow.random()"
_UUID = "use workflow.uuid4()"
_ACTIVITY = "do it in an activity"
_THREAD = ("starting a thread", f"{_ACTIVITY}, or use asyncio tasks")
_SLEEP = ("time.sleep", "use: await workflow.sleep_for(...)")
WATCHED: frozenset[tuple[type, str]] = frozenset(
    {(datetimes.date, "today"), (datetimes.datetime, "today"), (datetimes.datetime, "now"), (datetimes.datetime, "utcnow")}
)
"""Methods that the guard itself has changed, so that a sandbox need not."""


WRAPPERS.add(id(globals()))


def install() -> None:
    """Guard this process from now on. Asking again changes nothing."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)                      # cannot be removed, which is why it costs next to nothing outside workflows
        _rebind(_wrap_modules())
        _wrap_datetime()


_installed: list[bool] = []


# ------------------------------------------------------------------------------------------------------------- who calls


def _guarded(call: str | None = None) -> Replay | None:
    """The run whose code makes this call; None outside workflows and below infrastructure.

    `call` names what the run would answer: its dialect may have it refused.
    """
    replay = CURRENT.get()
    if replay is None or UNGUARDED.get():
        return None
    if call is not None:
        check(call)
    return None if below_infrastructure() else replay


def _refused_here(call: str) -> bool:
    """Whether workflow code makes this call, which no replay could repeat, and is to be kept from it."""
    replay = CURRENT.get()
    if replay is None or UNGUARDED.get() or not replay.definition.dialect.guarded:
        return False
    sandbox = replay.definition.dialect.sandbox
    if sandbox is not None and sandbox.frees(call):
        return False
    return not below_infrastructure()


def _refuse(call: str, instead: str) -> NoReturn:
    users = (frame for frame, module in callers() if module not in sys.stdlib_module_names and module != "memflow")
    frame = next(users, None)
    replay = CURRENT.get()
    dialect = DIALECT if replay is None else replay.definition.dialect
    raise dialect.refused(call, instead, (frame and place_of(frame)) or "an unknown line")


# ------------------------------------------------------------------------------------------- clocks and chance, by module


def _answering(real: Callable[..., Any], answer: Callable[[Replay], Any], call: str) -> Callable[..., Any]:
    """`real`, except that workflow code gets the run's own answer."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return real(*args, **kwargs)
        replay = _guarded(call)
        return real(*args, **kwargs) if replay is None else answer(replay)

    return guarded


def _refusing(real: Callable[..., Any], call: str, instead: str, *, frees: str = "") -> Callable[..., Any]:
    """`real`, except that workflow code is refused. `frees`: the name by which a sandbox may free it, if not `call`."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None and _refused_here(frees or call):
            _refuse(call, instead)
        return real(*args, **kwargs)

    return guarded


def _local(real: Callable[..., Any], call: str, *, given: int) -> Callable[..., Any]:
    """`real`, except that workflow code must say which time it means: without `given` arguments it means the clock's."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None and len(args) < given and _refused_here(call):
            _refuse(f"{call}()", _NOW)
        return real(*args, **kwargs)

    return guarded


def _drawing(real: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of the module `random`, except that workflow code draws from the run's own source."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is None:
            return real(*args, **kwargs)
        replay = _guarded(f"random.{name}.__call__")
        return (real if replay is None else getattr(replay.random, name))(*args, **kwargs)

    return guarded


def _seeding(real: Callable[..., None]) -> Callable[..., None]:
    """`Random.seed`: without a seed, workflow code gets one from the run's own source."""

    @functools.wraps(real)
    def guarded(self: random.Random, a: Any = None, version: int = 2) -> None:
        if a is None and CURRENT.get() is not None and type(self) is not random.SystemRandom:
            replay = _guarded()
            a = None if replay is None else replay.random.getrandbits(128)
        real(self, a, version)

    return guarded


def _wrap_modules() -> dict[int, Any]:
    """Put the wrappers where the functions live. Returns them by the identity of what they replace."""
    replaced: dict[int, Any] = {}

    def put(module: ModuleType | type, name: str, wrap: Callable[..., Any], *facts: Any, **options: Any) -> None:
        real = getattr(module, name, None)
        if real is not None:
            wrapper = wrap(real, *facts, **options)
            replaced[id(real)] = wrapper
            setattr(module, name, wrapper)
            _kept.append(real)                       # an identity means something only while its object lives

    for name in ("time", "monotonic", "perf_counter"):
        put(time, name, _answering, _seconds, f"time.{name}.__call__")
        put(time, f"{name}_ns", _answering, _nanoseconds, f"time.{name}_ns.__call__")
    for name in ("process_time", "process_time_ns", "thread_time", "thread_time_ns", "clock_gettime", "clock_gettime_ns"):
        put(time, name, _refusing, f"time.{name}", _TIME)
    for name, given in (("localtime", 1), ("gmtime", 1), ("ctime", 1), ("asctime", 1), ("strftime", 2)):
        put(time, name, _local, f"time.{name}", given=given)
    for name in _DRAWS:
        put(random, name, _drawing, name)
    random.Random.seed = _seeding(random.Random.seed)  # type: ignore[method-assign]  # that is the point
    put(uuid, "uuid4", _answering, _uuid4, "uuid.uuid4.__call__")
    for name in ("uuid1", "uuid6", "uuid7"):
        put(uuid, name, _refusing, f"uuid.{name}", _UUID)
    put(os, "urandom", _refusing, "os.urandom", f"{_CHANCE}, or {_ACTIVITY} if it is to be a secret")
    put(threading.Thread, "start", _refusing, *_THREAD, frees="threading.Thread")
    put(time, "sleep", _refusing, *_SLEEP)           # Python 3.11 announces neither this nor threads to audit hooks
    put(os, "getrandom", _refusing, "os.getrandom", f"{_CHANCE}, or {_ACTIVITY} if it is to be a secret")
    for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "randbits", "choice"):
        put(secrets, name, _refusing, f"secrets.{name}", "make secrets in an activity: a workflow's chance can be foretold")
    for name in ("random", "getrandbits"):
        put(random.SystemRandom, name, _refusing, f"random.SystemRandom.{name}", _CHANCE)
    return replaced


_kept: list[Any] = []
_DRAWS = (
    *("random", "uniform", "triangular", "randint", "randrange", "choice", "choices", "sample", "shuffle", "getrandbits"),
    *("randbytes", "gauss", "normalvariate", "lognormvariate", "expovariate", "betavariate", "gammavariate", "paretovariate"),
    *("vonmisesvariate", "weibullvariate", "binomialvariate", "seed", "getstate", "setstate"),
)


def _seconds(replay: Replay) -> float:
    return unix_seconds(replay.now)


def _uuid4(replay: Replay) -> uuid.UUID:
    return chance.uuid4(replay.random)


def _nanoseconds(replay: Replay) -> int:
    return int((replay.now - _EPOCH) / datetimes.timedelta(microseconds=1)) * 1000


_EPOCH = datetimes.datetime(1970, 1, 1, tzinfo=datetimes.UTC)


def _rebind(replaced: dict[int, Any]) -> None:
    """`from time import time` keeps the function itself: exchange it in the modules loaded so far, except Python's and ours."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if (top in sys.stdlib_module_names and top != "__main__") or top in INFRASTRUCTURE or top == "memflow":
            continue
        try:
            names = vars(module)
        except TypeError:                            # not every entry of sys.modules is a module
            continue
        for key, value in list(names.items()):
            wrapper = replaced.get(id(value))
            if wrapper is not None:
                names[key] = wrapper


# ------------------------------------------------------------------------------------------------------------- datetime


def _wrap_datetime() -> None:
    """Change `datetime.now`, `utcnow`, `today` and `date.today` in the types themselves.

    A class in their place would miss every `from datetime import datetime` and break `isinstance` and pickles. The dict of a
    type in C is reached through the collector; `PyType_Modified` drops the caches above it. Where that does not work (another
    Python than CPython), these calls are not guarded, and a warning says so.
    """
    zone_free = "the local time of whichever machine replays it; use workflow.now()"
    wraps: tuple[tuple[type, str, Callable[..., Any]], ...] = (
        (datetimes.datetime, "now", _now),
        (datetimes.datetime, "utcnow", _utcnow),
        (datetimes.date, "today", _today),
    )
    if platform.python_implementation() == "CPython":
        for kind, name, make in wraps:
            real = kind.__dict__[name]
            namespace: dict[str, Any]
            (namespace,) = gc.get_referents(kind.__dict__)
            namespace[name] = classmethod(make(real, zone_free))
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    if datetimes.datetime.__dict__["now"].__class__ is not classmethod:
        log.warning("this Python does not let datetime.now be guarded: workflow code must call workflow.now() by itself")


def _now(real: Any, zone_free: str) -> Callable[..., Any]:
    def now(cls: type[datetimes.datetime], tz: datetimes.tzinfo | None = None) -> datetimes.datetime:
        """The current time; in a workflow, the time of its turn."""
        if CURRENT.get() is not None and (replay := _guarded("datetime.datetime.now.__call__")) is not None:
            if tz is None and _refused_here("datetime.datetime.now"):
                _refuse("datetime.now() without a zone", f"that is {zone_free}")
            if tz is None:
                return real(cls, tz)  # type: ignore[no-any-return]  # it is the method that we replaced
            return cls.fromtimestamp(0, tz) + (replay.now - _EPOCH)
        return real(cls, tz)  # type: ignore[no-any-return]  # it is the method that we replaced

    return now


def _utcnow(real: Any, zone_free: str) -> Callable[..., Any]:
    def utcnow(cls: type[datetimes.datetime]) -> datetimes.datetime:
        """The current time in UTC, without a zone; in a workflow, the time of its turn."""
        if CURRENT.get() is not None and (replay := _guarded("datetime.datetime.utcnow.__call__")) is not None:
            return cls(1970, 1, 1) + (replay.now - _EPOCH)
        return real(cls)  # type: ignore[no-any-return]  # it is the method that we replaced

    return utcnow


def _today(real: Any, zone_free: str) -> Callable[..., Any]:
    def today(cls: type[datetimes.date]) -> datetimes.date:
        """The current local date or time; refused in a workflow."""
        if CURRENT.get() is not None:
            name = f"datetime.{'datetime' if issubclass(cls, datetimes.datetime) else 'date'}.today"
            if _guarded(f"{name}.__call__") is not None and _refused_here(name):
                _refuse(f"{cls.__name__}.today()", f"that is {zone_free}")
            token = UNGUARDED.set(True)              # written in C, it asks time.time
            try:
                return real(cls)  # type: ignore[no-any-return]  # it is the method that we replaced
            finally:
                UNGUARDED.reset(token)
        return real(cls)  # type: ignore[no-any-return]  # it is the method that we replaced

    return today


# -------------------------------------------------------------------------------------------------- IO, by audit events

_REFUSED: dict[str, tuple[str, str]] = {
    "time.sleep": _SLEEP,
    "builtins.input": ("input()", "wait for a signal: await workflow.wait_for(...)"),
    "_thread.start_new_thread": _THREAD,
    "_thread.start_joinable_thread": _THREAD,
    "subprocess.Popen": ("starting a process", _ACTIVITY),
    **{f"os.{name}": (f"os.{name}", _ACTIVITY) for name in ("system", "exec", "posix_spawn", "spawn", "fork", "forkpty")},
    **{f"os.{name}": (f"os.{name}", _ACTIVITY) for name in ("kill", "killpg", "remove", "rename", "mkdir", "rmdir", "truncate")},
    **{f"os.{name}": (f"os.{name}", _ACTIVITY) for name in ("link", "symlink", "chmod", "chown", "utime", "putenv", "unsetenv")},
    **{f"shutil.{name}": (f"shutil.{name}", _ACTIVITY) for name in ("copyfile", "copytree", "move", "rmtree", "make_archive")},
    **{f"socket.{name}": ("using a socket", _ACTIVITY) for name in ("__new__", "connect", "bind", "sendto", "sendmsg")},
    **{f"socket.{name}": (f"socket.{name}", _ACTIVITY) for name in ("getaddrinfo", "gethostbyname", "getnameinfo")},
    "sqlite3.connect": ("sqlite3.connect", _ACTIVITY),
    "webbrowser.open": ("webbrowser.open", _ACTIVITY),
    "pty.spawn": ("pty.spawn", _ACTIVITY),
}
_NAMES = {
    "builtins.input": "__builtins__.input",
    "_thread.start_new_thread": "threading.Thread",
    "_thread.start_joinable_thread": "threading.Thread",
}
"""How a sandbox names what these events tell of."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        if CURRENT.get() is None:
            return
        path, _, flags = args
        sandbox = current_sandbox()
        if sandbox is not None and (frame := own_caller(sandbox)) is not None and "open" in frame.f_code.co_names:
            sandbox.check("__builtins__.open", frame.f_globals)  # and not what is written in C, such as zoneinfo
        if flags & _WRITING and _refused_here("__builtins__.open"):
            _refuse(f"opening {path!r} for writing", _ACTIVITY)
    elif event in _REFUSED and CURRENT.get() is not None:
        if event == "builtins.input":
            check("__builtins__.input")
        if _refused_here(_NAMES.get(event, event)):
            _refuse(*_REFUSED[event])
    elif event == "builtins.breakpoint" and CURRENT.get() is not None:
        check("__builtins__.breakpoint")
