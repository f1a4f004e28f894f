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
import inspect
import logging
import os
import platform
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FrameType, ModuleType
from typing import Any, NoReturn

from memflow.core import chance
from memflow.core.dialect import DIALECT
from memflow.core.places import place_of
from memflow.core.replay import CURRENT, Replay

log = logging.getLogger(__name__)

INFRASTRUCTURE = frozenset(
    {"logging", "warnings", "linecache", "traceback", "loguru", "structlog", "opentelemetry", "sentry_sdk"}
    | {"importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport"}
    | {"bdb", "pdb", "pydevd", "debugpy", "coverage", "_pytest"}
)
"""Top-level modules that may use clocks, files and sockets below workflow code: what they learn does not return to it."""

_NOW = "use workflow.now()"
_TIME = "use workflow.time()"
_CHANCE = "use workflow.random()"
_UUID = "use workflow.uuid4()"
_ACTIVITY = "do it in an activity"
_THREAD = ("starting a thread", f"{_ACTIVITY}, or use asyncio tasks")
_SLEEP = ("time.sleep", "use: await workflow.sleep_for(...)")
UNGUARDED: ContextVar[bool] = ContextVar("memflow_unguarded", default=False)
"""Set where workflow code takes it upon itself that what it calls changes nothing: it meets the real world there."""

_LOOP_FRAME = "run_until_blocked"                    # below it lies the worker, not the workflow


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
    if call is not None and _restricted(replay):
        _refuse(call, "it differs from one replay to the next")
    return None if _below_infrastructure() else replay


def _refused_here() -> bool:
    """Whether workflow code makes this call, which no replay could repeat, and is to be kept from it."""
    replay = CURRENT.get()
    if replay is None or UNGUARDED.get() or not replay.definition.dialect.guarded:
        return False
    return not _below_infrastructure()


def _restricted(replay: Replay) -> bool:
    """Whether the very line that calls lies in a module in which such calls are refused."""
    module = replay.definition.dialect.restricted_module
    if module is None:
        return False
    caller = next(_callers(), None)
    return caller is not None and caller[0].f_globals.get("__name__") == module


def _below_infrastructure() -> bool:
    """Whether logging, an import or the like is among the callers, or this library is the first that is not Python's own."""
    undecided = True
    for _, module in _callers():
        if module in INFRASTRUCTURE:
            return True
        if undecided and module not in sys.stdlib_module_names:
            if module == "memflow":
                return True
            undecided = False
    return False


def _callers() -> Iterator[tuple[FrameType, str]]:
    """The frames of the workflow without those of this file, from the innermost outwards, each with its top-level module."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != _LOOP_FRAME:
        if frame.f_globals is not globals():             # a wrapper of this file may also lie between two of Python's own
            yield frame, str(frame.f_globals.get("__name__", "")).partition(".")[0]
        frame = frame.f_back


def _refuse(call: str, instead: str) -> NoReturn:
    users = (frame for frame, module in _callers() if module not in sys.stdlib_module_names and module != "memflow")
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


def _refusing(real: Callable[..., Any], call: str, instead: str) -> Callable[..., Any]:
    """`real`, except that workflow code is refused."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None and _refused_here():
            _refuse(call, instead)
        return real(*args, **kwargs)

    return guarded


def _restricting(real: Callable[..., Any], call: str) -> Callable[..., Any]:
    """`real`, except in a module of workflows in which the run's dialect restricts it."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None:
            _guarded(call)
        return real(*args, **kwargs)

    return guarded


def _local(real: Callable[..., Any], call: str, *, given: int) -> Callable[..., Any]:
    """`real`, except that workflow code must say which time it means: without `given` arguments it means the clock's."""

    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if CURRENT.get() is not None and len(args) < given and _refused_here():
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
    put(threading.Thread, "start", _refusing, *_THREAD)         # this and sleep are not announced to audit hooks by Python 3.11
    put(time, "sleep", _refusing, *_SLEEP)
    put(os, "getrandom", _refusing, "os.getrandom", f"{_CHANCE}, or {_ACTIVITY} if it is to be a secret")
    for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "randbits", "choice"):
        put(secrets, name, _refusing, f"secrets.{name}", "make secrets in an activity: a workflow's chance can be foretold")
    for name in ("random", "getrandbits"):
        put(random.SystemRandom, name, _refusing, f"random.SystemRandom.{name}", _CHANCE)
    for path in _RESTRICTED:
        found, _, name = path.rpartition(".")
        module = sys.modules.get(found)              # a module that nobody has imported is called by nobody
        if module is None:
            continue
        kind = getattr(module, name, None)
        if isinstance(kind, type):
            kind.__init__ = _restricting(kind.__init__, f"{path}.__call__")  # type: ignore[misc]  # in place, for `isinstance`
        else:
            put(module, name, _restricting, f"{path}.__call__")
    return replaced


_RESTRICTED = (
    *("os.getcwd", "os.listdir", "os.scandir", "os.getenv", "os.getpid", "os.cpu_count", "glob.glob", "glob.iglob"),
    *("os.path.abspath", "os.path.exists", "os.path.isfile", "os.path.isdir", "os.path.getsize", "os.path.realpath"),
    *("subprocess.run", "urllib.request.urlopen", "http.client.HTTPConnection", "tempfile.mkdtemp", "tempfile.mkstemp"),
    *("threading.current_thread", "threading.Thread", "threading.Event", "concurrent.futures.ThreadPoolExecutor"),
)
"""What a dialect with a restricted module refuses besides clocks and chance. Elsewhere it does as it always did."""

_kept: list[Any] = []
_DRAWS = (
    *("random", "uniform", "triangular", "randint", "randrange", "choice", "choices", "sample", "shuffle", "getrandbits"),
    *("randbytes", "gauss", "normalvariate", "lognormvariate", "expovariate", "betavariate", "gammavariate", "paretovariate"),
    *("vonmisesvariate", "weibullvariate", "binomialvariate", "seed", "getstate", "setstate"),
)


def _seconds(replay: Replay) -> float:
    return replay.now.timestamp()


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
            if tz is None and replay.definition.dialect.guarded:
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
        if CURRENT.get() is not None and _guarded(f"datetime.{cls.__name__}.today.__call__") is not None and _refused_here():
            _refuse(f"{cls.__name__}.today()", f"that is {zone_free}")
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
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = args
        replay = CURRENT.get()
        if replay is None or UNGUARDED.get():
            return
        if _restricted(replay):
            _refuse("__builtins__.open", _ACTIVITY)
        if flags & _WRITING and _refused_here():
            _refuse(f"opening {path!r} for writing", _ACTIVITY)
    elif event in _REFUSED and CURRENT.get() is not None and _refused_here():
        _refuse(*_REFUSED[event])
