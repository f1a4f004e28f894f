"""What a sandbox restricts, and what it restricts by default: the members of the standard library that no replay could repeat."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import ClassVar

from memflow.temporal.worker.workflow_sandbox.matching import SandboxMatcher
from memflow.temporal.workflow.words import SandboxImportNotificationPolicy


@dataclass(frozen=True)
class SandboxRestrictions:
    """What a sandbox keeps workflow code from."""

    passthrough_modules: AbstractSet[str]
    """Modules, with what lies below them, that are taken as they are. Their own code is not restricted."""
    invalid_modules: SandboxMatcher
    """Modules that workflow code may not import."""
    invalid_module_members: SandboxMatcher
    """Members of modules that workflow code may not look at, or not use."""
    import_notification_policy: SandboxImportNotificationPolicy = SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
    """What is said of imports in a running workflow."""
    passthrough_all_modules: bool = False
    """Take all modules as they are."""
    disable_lazy_sys_module_passthrough: bool = False
    """Accepted: `sys.modules` is that of the process."""
    passthrough_modules_minimum: ClassVar[AbstractSet[str]]
    passthrough_modules_with_temporal: ClassVar[AbstractSet[str]]
    passthrough_modules_maximum: ClassVar[AbstractSet[str]]
    passthrough_modules_default: ClassVar[AbstractSet[str]]
    invalid_module_members_default: ClassVar[SandboxMatcher]
    default: ClassVar[SandboxRestrictions]

    def with_passthrough_modules(self, *modules: str) -> SandboxRestrictions:
        """The same with these modules passed through."""
        return replace(self, passthrough_modules={*self.passthrough_modules, *modules})

    def with_passthrough_all_modules(self) -> SandboxRestrictions:
        """The same with all modules passed through."""
        return replace(self, passthrough_all_modules=True)

    def with_import_notification_policy(self, policy: SandboxImportNotificationPolicy) -> SandboxRestrictions:
        """The same with another policy."""
        return replace(self, import_notification_policy=policy)

    def passes(self, module: str) -> bool:
        """Whether a module is passed through: it, or one above it, is named."""
        if self.passthrough_all_modules:
            return True
        parts = module.split(".")
        return any(".".join(parts[:end]) in self.passthrough_modules for end in range(len(parts), 0, -1))


_MINIMUM = frozenset(
    {"grpc", "pathlib", "importlib", "importlib_metadata", "platform", "zipfile", "typing", "typing_extensions"}
    | {"google.protobuf", "memflow.temporal.api"}
)
_WITH_TEMPORAL = _MINIMUM | {
    *("asyncio", "abc", "nexusrpc", "memflow", "pkg_resources", "pydantic", "pydantic_core", "annotated_types"),
}
_MAXIMUM = _WITH_TEMPORAL | (sys.stdlib_module_names - {"sys"})


# ------------------------------------------------------------------------------------------------- by default

_USES = (
    *("curses", "dbm", "filecmp", "fileinput", "ftplib", "getopt", "getpass", "gettext", "glob", "http.client", "http.server"),
    *("imaplib", "locale", "poplib", "readline", "sched", "shelve", "shutil", "smtplib", "socketserver", "subprocess"),
    *("tempfile", "urllib.request", "webbrowser", "xmlrpc"),
)
"""Nothing of these is to be used."""

_USES_AT_RUNTIME = (
    *("concurrent.futures", "mmap", "multiprocessing", "platform", "select", "selectors", "signal", "socket", "threading"),
)
"""Nothing of these is to be used while a workflow runs; modules may do so while they are imported."""

_PATHS = frozenset(
    {"chmod", "cwd", "exists", "expanduser", "glob", "group", "hardlink_to", "home", "is_block_device", "is_char_device"}
    | {"is_dir", "is_fifo", "is_file", "is_mount", "is_socket", "is_symlink", "iterdir", "lchmod", "link_to", "lstat", "mkdir"}
    | {"open", "owner", "read_bytes", "read_link", "read_text", "rename", "replace", "resolve", "rglob", "rmdir", "samefile"}
    | {"stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text"}
)
"""What of a path asks the file system; the rest is arithmetic."""

_CLOCKS = frozenset(
    {"pthread_getcpuclockid", "get_clock_info", "localtime", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
    | {"process_time", "process_time_ns", "sleep", "time", "time_ns", "thread_time", "thread_time_ns", "tzset"}
)
_SECRETS = frozenset({"choice", "randbelow", "randbits", "SystemRandom", "token_bytes", "token_hex", "token_urlsafe"})
_DRAWS = frozenset(
    name
    for name, member in inspect.getmembers(random)
    if not name.startswith("_") and callable(member) and not inspect.isclass(member)
)


def _os() -> SandboxMatcher:
    """All of it while a workflow runs. Python 3.14 looks at paths when it shows errors, and every Python at `os.stat`."""
    shows_paths = sys.version_info >= (3, 14)
    return SandboxMatcher(
        access={"name"},
        use={"*"},
        children={"path": SandboxMatcher.none if shows_paths else SandboxMatcher.all},
        exclude={"stat", "path"} if shows_paths else {"stat"},
        only_runtime=True,
    )


def _warned(name: str) -> SandboxMatcher:
    said = f"asyncio.{name}() is non-deterministic, use workflow.{name}() instead"
    return SandboxMatcher(children={"__call__": SandboxMatcher(match_self=True, leaf_warning=UserWarning, leaf_message=said)})


def _class(name: str, *uses: str) -> Mapping[str, SandboxMatcher]:
    return {name: SandboxMatcher(use={*uses})}


_BREAKPOINT = SandboxMatcher(
    match_self=True,
    only_runtime=True,
    leaf_message=(
        "breakpoint() inside workflow code requires debug_mode=True on the Worker (or the TEMPORAL_DEBUG environment variable)."
        " Without it, a debugger would hold the turn until its worker loses the run."
    ),
)

_BY_MODULE: Mapping[str, SandboxMatcher] = {
    "__builtins__": SandboxMatcher(children={"breakpoint": _BREAKPOINT}, use={"input", "open"}, only_runtime=True),
    "asyncio": SandboxMatcher(children={name: _warned(name) for name in ("as_completed", "wait")}),
    "bz2": SandboxMatcher(use={"open"}),
    "datetime": SandboxMatcher(children={**_class("date", "today"), **_class("datetime", "now", "today", "utcnow")}),
    "gzip": SandboxMatcher(use={"open"}),
    "lzma": SandboxMatcher(use={"open"}),
    "marshal": SandboxMatcher(use={"dump", "load"}),
    "os": _os(),
    "pathlib": SandboxMatcher(children=_class("Path", *_PATHS)),
    "random": SandboxMatcher(use=_DRAWS),
    "secrets": SandboxMatcher(use=_SECRETS),
    "tarfile": SandboxMatcher(use={"open"}, children=_class("TarFile", "extract", "extractall")),
    "time": SandboxMatcher(use=_CLOCKS, only_runtime=True),
    "uuid": SandboxMatcher(use={"uuid1", "uuid4", "uuid7"}, only_runtime=True),
    "zipfile": SandboxMatcher(children=_class("ZipFile", "extract", "extractall")),
    "zoneinfo": SandboxMatcher(children=_class("ZoneInfo", "clear_cache", "from_file", "reset_tzpath")),
}


def _default_members() -> SandboxMatcher:
    made = SandboxMatcher(children=_BY_MODULE)
    for names, matcher in ((_USES, SandboxMatcher.all_uses), (_USES_AT_RUNTIME, SandboxMatcher.all_uses_runtime)):
        for name in names:
            made |= SandboxMatcher.nested_child(name.split("."), matcher)
    return made


SandboxRestrictions.passthrough_modules_minimum = set(_MINIMUM)
SandboxRestrictions.passthrough_modules_with_temporal = set(_WITH_TEMPORAL)
SandboxRestrictions.passthrough_modules_maximum = set(_MAXIMUM)
SandboxRestrictions.passthrough_modules_default = SandboxRestrictions.passthrough_modules_maximum
SandboxRestrictions.invalid_module_members_default = _default_members()
SandboxRestrictions.default = SandboxRestrictions(
    passthrough_modules=SandboxRestrictions.passthrough_modules_default,
    invalid_modules=SandboxMatcher.none,
    invalid_module_members=SandboxRestrictions.invalid_module_members_default,
)
