"""The sandbox: what stands in a workflow's own module is stopped as Temporal's sandbox stops it; modules are not imported anew.

What is expected of each row was compared with that sandbox itself, for every public member of every module in the list.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from memflow.core.arrivals import RunStarted, Turn
from memflow.core.replay import Replay
from memflow.temporal import workflow
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.exceptions import ApplicationError
from memflow.temporal.worker import UnsandboxedWorkflowRunner, Worker
from memflow.temporal.worker.workflow_sandbox import (
    RestrictedWorkflowAccessError,
    SandboxedWorkflowRunner,
    SandboxMatcher,
    SandboxRestrictions,
    UnintentionalPassthroughError,
)
from memflow.temporal.worker.workflow_sandbox.open_imports import open_imports
from memflow.temporal.workflow import SandboxImportNotificationPolicy as Policy
from tests.core.playing import CODEC, T0, define, info_of
from tests.temporal import sandboxed

DEFAULT = SandboxRestrictions.default
MEMBERS = SandboxRestrictions.invalid_module_members_default


def in_a_turn(code: Callable[[], Any], restrictions: SandboxRestrictions = DEFAULT) -> Any:
    """What `code` returns, or raises, in a turn of a workflow of the module `sandboxed`."""
    caught: list[Any] = []

    async def story() -> None:
        try:
            caught.append(code())
            if hasattr(caught[0], "__await__"):
                caught[0] = await caught[0]
        except Exception as error:
            caught.append(error)

    dialect = SandboxedWorkflowRunner(restrictions).dialect(sandboxed.Evaluates)
    replay = Replay(dataclasses.replace(define(story), dialect=dialect), info_of(story), CODEC)
    replay.advance(Turn(T0, [RunStarted()]))
    replay.close()
    if isinstance(caught[-1], Exception):
        raise caught[-1]
    return caught[-1]


def value_of(expression: str, restrictions: SandboxRestrictions = DEFAULT) -> Any:
    return in_a_turn(lambda: sandboxed.evaluated(expression), restrictions)


# ------------------------------------------------------------------------------------------------- the list, by default

CALLED: list[str] = [
    *[
        "bz2.open",
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.wait",
        "dbm.open",
        "filecmp.cmp",
        "fileinput.input",
        "ftplib.FTP",
    ],
    *[
        "getopt.getopt",
        "getpass.getuser",
        "gettext.gettext",
        "glob.glob",
        "gzip.open",
        "http.client.HTTPConnection",
        "http.server.HTTPServer",
    ],
    *["imaplib.IMAP4", "locale.getlocale", "lzma.open", "marshal.dump", "marshal.load", "mmap.mmap", "multiprocessing.cpu_count"],
    *[
        "multiprocessing.Process",
        "os.getcwd",
        "os.getenv",
        "os.listdir",
        "os.getpid",
        "os.fspath",
        "os.urandom",
        "platform.system",
        "platform.node",
    ],
    *[
        "poplib.POP3",
        "random.random",
        "random.choice",
        "random.randint",
        "random.shuffle",
        "random.seed",
        "sched.scheduler",
        "secrets.choice",
    ],
    *[
        "secrets.randbelow",
        "secrets.randbits",
        "secrets.SystemRandom",
        "secrets.token_bytes",
        "secrets.token_hex",
        "secrets.token_urlsafe",
    ],
    *[
        "select.select",
        "selectors.DefaultSelector",
        "shelve.open",
        "shutil.which",
        "shutil.copy",
        "signal.getsignal",
        "smtplib.SMTP",
    ],
    *["socket.socket", "socket.gethostname", "socketserver.TCPServer", "subprocess.run", "subprocess.Popen", "tarfile.open"],
    *[
        "tempfile.gettempdir",
        "tempfile.NamedTemporaryFile",
        "threading.Thread",
        "threading.Lock",
        "threading.Event",
        "threading.local",
    ],
    *[
        "threading.current_thread",
        "threading.get_ident",
        "time.time",
        "time.time_ns",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
    ],
    *[
        "time.perf_counter_ns",
        "time.process_time",
        "time.process_time_ns",
        "time.thread_time",
        "time.thread_time_ns",
        "time.localtime",
    ],
    *[
        "time.sleep",
        "time.get_clock_info",
        "time.tzset",
        "time.pthread_getcpuclockid",
        "urllib.request.urlopen",
        "urllib.request.Request",
    ],
    *["uuid.uuid1", "uuid.uuid4", "webbrowser.open", "datetime.date.today", "datetime.datetime.now", "datetime.datetime.today"],
    *["datetime.datetime.utcnow"],
]
"""Restricted when they are called, free to be looked at."""

PATHS: list[str] = [
    *[
        "chmod",
        "cwd",
        "exists",
        "expanduser",
        "glob",
        "group",
        "hardlink_to",
        "home",
        "is_block_device",
        "is_char_device",
        "is_dir",
        "is_fifo",
        "is_file",
        "is_mount",
    ],
    *[
        "is_socket",
        "is_symlink",
        "iterdir",
        "lchmod",
        "lstat",
        "mkdir",
        "open",
        "owner",
        "read_bytes",
        "read_text",
        "rename",
        "replace",
        "resolve",
        "rglob",
        "rmdir",
    ],
    *["samefile", "stat", "symlink_to", "touch", "unlink", "write_bytes", "write_text"],
]
ELSEWHERE = ["zoneinfo.ZoneInfo.clear_cache", "zoneinfo.ZoneInfo.from_file", "tarfile.TarFile.extract", "zipfile.ZipFile.extract"]
METHODS = [*(f"pathlib.Path.{name}" for name in PATHS), *ELSEWHERE, "tarfile.TarFile.extractall", "zipfile.ZipFile.extractall"]


@pytest.mark.parametrize("name", CALLED)
def test_functions_of_the_list_may_be_looked_at_and_not_called(name: str) -> None:
    assert value_of(name) is not None
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        value_of(f"{name}()")
    assert refused.value.qualified_name == f"{name}.__call__"
    if not name.startswith("datetime."):  # whose classes are the real ones
        with pytest.raises(RestrictedWorkflowAccessError) as refused:
            value_of(f"{name}.anything")
        assert refused.value.qualified_name == f"{name}.anything"


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_the_list_are_stopped_when_they_are_called(name: str) -> None:
    assert callable(value_of(name))
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        value_of(f"{name}()")
    assert refused.value.qualified_name == f"{name}.__call__"


LOOKED_AT = [
    ("os.name", "os.name"),
    ("getattr(os, 'name')", "os.name"),
    ("os.environ['HOME']", "os.environ.HOME"),
    ("os.environ.get('HOME')", "os.environ.get"),
    ("environ.copy()", "os.environ.copy"),
    ("vars(os)['name']", "os.__dict__.name"),
    ("open('somewhere')", "__builtins__.open"),
    ("input()", "__builtins__.input"),
    ("breakpoint()", "__builtins__.breakpoint"),
    ("xmlrpc.client.ServerProxy", "xmlrpc.client.ServerProxy"),
    ("getcwd()", "os.getcwd.__call__"),
    ("choice([1])", "random.choice.__call__"),
    ("clock()", "time.time.__call__"),
    ("uuid4()", "uuid.uuid4.__call__"),
    ("date.today()", "datetime.date.today.__call__"),
    ("Lock()", "threading.Lock.__call__"),
    ("Thread(target=print)", "threading.Thread.__call__"),
    ("ThreadPoolExecutor()", "concurrent.futures.ThreadPoolExecutor.__call__"),
    ("Path('here').exists()", "pathlib.Path.exists.__call__"),
    ("__import__('glob').glob('*')", "glob.glob.__call__"),
    ("(lambda: os.getcwd())()", "os.getcwd.__call__"),
]
BEFORE_314 = [("os.path.join('a', 'b')", "os.path"), ("paths.abspath('a')", "os.path.abspath")]


@pytest.mark.parametrize(("expression", "name"), [*LOOKED_AT, *(BEFORE_314 if sys.version_info < (3, 14) else [])])
def test_however_it_is_written_it_is_stopped_by_its_name(expression: str, name: str) -> None:
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        value_of(expression)
    assert refused.value.qualified_name == name


EXECUTED = [
    "import os\nos.getcwd()",
    "from os import getcwd\ngetcwd()",
    "from os import name",
    "import os.path\nos.path.abspath('a')" if sys.version_info < (3, 14) else "import os\nos.abc",
    "import glob as g\ng.glob('a')",
    "import concurrent.futures\nconcurrent.futures.ThreadPoolExecutor()",
    "from concurrent.futures import ThreadPoolExecutor as Pool\nPool()",
    "import urllib.request\nurllib.request.urlopen('http://nowhere')",
    "import http.client\nhttp.client.HTTPConnection('nowhere')",
    "import datetime\ndatetime.datetime.now()",
    "from pathlib import Path\nPath('a').read_text()",
    "exec('import os; os.getcwd()', {})",
]


@pytest.mark.parametrize("statements", EXECUTED)
def test_what_is_imported_in_a_turn_is_restricted_too(statements: str) -> None:
    with pytest.raises(RestrictedWorkflowAccessError):
        in_a_turn(lambda: sandboxed.executed(statements))


FREE = [
    "os.getcwd",
    "os.sep",
    "os.O_RDONLY",
    "os.stat('.')",
    "len(os.environ)",
    "'HOME' in environ",
    "isinstance(os.environ, Mapping)",
    "isinstance(1, threading.Thread)",
    "isinstance(Path('a'), os.PathLike)",
    "issubclass(Path, os.PathLike)",
    "socket.AF_INET",
    "signal.SIGTERM",
    "isinstance(socket.timeout('late'), OSError)",
    "subprocess.PIPE",
    "issubclass(concurrent.futures.TimeoutError, Exception)",
    "datetime.datetime(2001, 1, 1)",
    "datetime.date(2001, 1, 1) - date(2000, 1, 1)",
    "Path('a') / 'b'",
    "Path('a').with_suffix('.b').name",
    "random.Random(1).random()",
    "uuid.uuid5(uuid.NAMESPACE_DNS, 'example.com')",
    "uuid.UUID(int=1)",
    "secrets.compare_digest('a', 'a')",
    "urllib.parse.quote('a b')",
    "http.HTTPStatus.OK",
    "zoneinfo.ZoneInfo('Europe/Berlin')",
    "time.strftime('%Y', time.gmtime(0))",
    "gzip.compress(b'a')",
    "marshal.dumps(1)",
    "asyncio.Queue().qsize()",
    "matches(date(2001, 1, 1)) + matches(Path('a')) + matches(1)",
    "hash(getcwd) == hash(os.getcwd) and getcwd == os.getcwd",
    "repr(os) + str(threading.Lock) + os.getcwd.__name__",
]


@pytest.mark.parametrize("expression", FREE)
def test_what_replays_alike_is_free(expression: str) -> None:
    assert value_of(expression) is not None


def test_outside_turns_the_module_is_as_it_was() -> None:
    in_a_turn(lambda: sandboxed.evaluated("os.getcwd"))
    assert sandboxed.os is os and sandboxed.getcwd is os.getcwd and sandboxed.environ is os.environ
    assert sandboxed.pathlib is pathlib and sandboxed.threading is threading
    assert sandboxed.evaluated("os.environ.get('HOME')") == os.environ.get("HOME")


def test_what_the_module_exchanges_for_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_turn(lambda: None)
    monkeypatch.setattr(sandboxed, "platform", types.SimpleNamespace(system=lambda: "none"))
    assert value_of("platform.system()") == "none"

    def exchange() -> str:
        sandboxed.locale = types.SimpleNamespace(getlocale=lambda: "none")  # type: ignore[assignment]
        return "exchanged"

    real = sandboxed.locale
    try:
        assert in_a_turn(exchange) == "exchanged"
        assert sandboxed.evaluated("locale.getlocale()") == "none"
    finally:
        sandboxed.locale = real


def test_a_name_that_comes_later_is_restricted_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_turn(lambda: None)
    monkeypatch.setattr(sandboxed, "later", os, raising=False)
    with pytest.raises(RestrictedWorkflowAccessError, match=r"os\.getcwd"):
        value_of("later.getcwd()")


def test_other_code_meets_the_things_themselves() -> None:
    """Libraries that workflow code calls, and what it hands them."""
    assert in_a_turn(lambda: os.name) == os.name  # this line stands in another module
    assert in_a_turn(lambda: sandboxed.os.getcwd()) == os.getcwd()
    assert in_a_turn(lambda: dict(sandboxed.environ)) == dict(os.environ)


class Telling(logging.Handler):
    """A handler that looks at what workflow code may not."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{sandboxed.evaluated('os.name')}: {record.getMessage()}")


def test_a_log_handler_in_the_same_module_may_do_what_it_likes() -> None:
    handler = Telling()
    log = logging.getLogger("sandboxed")
    log.addHandler(handler)
    try:
        in_a_turn(lambda: log.warning("careful"))
    finally:
        log.removeHandler(handler)
    assert handler.told == [f"{os.name}: careful"]


def test_a_converter_in_the_same_module_may_do_what_it_likes() -> None:
    in_a_turn(lambda: sandboxed.Looks().to_payload(None))
    with pytest.raises(RestrictedWorkflowAccessError):
        value_of("where()")


def test_an_error_tells_the_line_and_what_to_do() -> None:
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        in_a_turn(sandboxed.where)
    assert refused.value.where.startswith("tests/temporal/sandboxed.py:") and refused.value.instead == "do it in an activity"
    assert str(refused.value) == RestrictedWorkflowAccessError.default_message("os.environ.get")
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        value_of("uuid4()")
    assert refused.value.instead == "use workflow.uuid4()"


def test_asyncios_own_ways_to_wait_are_warned_of() -> None:
    with pytest.warns(UserWarning) as told:
        in_a_turn(sandboxed.waited)
    texts = [str(each.message) for each in told]
    assert [text.partition(" ")[0] for text in texts] == ["asyncio.as_completed()", "asyncio.wait()"]
    assert "workflow.wait()" in texts[1]


# ------------------------------------------------------------------------------------------------- other restrictions


def with_members(members: SandboxMatcher) -> SandboxRestrictions:
    return dataclasses.replace(DEFAULT, invalid_module_members=members)


def test_a_restriction_can_be_lifted() -> None:
    lifted = MEMBERS.with_child_unrestricted("datetime", "date", "today").with_child_unrestricted("os")
    assert value_of("date.today()", with_members(lifted)) == date.today()
    assert value_of("os.environ.get('HOME')", with_members(lifted)) == os.environ.get("HOME")
    assert value_of("time.sleep(0)", with_members(SandboxMatcher.none)) is None
    with pytest.raises(RestrictedWorkflowAccessError):
        value_of("datetime.datetime.now()", with_members(lifted))


def test_restrictions_can_be_added() -> None:
    added = MEMBERS | SandboxMatcher(
        children={
            "datetime": SandboxMatcher(use={"date"}),
            "json": SandboxMatcher(use={"dumps"}),
            "__builtins__": SandboxMatcher(use={"hash"}, only_runtime=True),
        }
    )
    for expression, name in [
        ("datetime.date(2001, 1, 1)", "datetime.date.__call__"),
        ("date(2001, 1, 1)", "datetime.date.__call__"),
        ("hash('a')", "__builtins__.hash"),
        ("__import__('json').dumps(1)", "json.dumps.__call__"),
    ]:
        with pytest.raises(RestrictedWorkflowAccessError) as refused:
            value_of(expression, with_members(added))
        assert refused.value.qualified_name == name
        if "json" not in expression:
            assert value_of(expression)  # by default it is free


def test_restrictions_reach_into_what_modules_keep() -> None:
    path = [*sandboxed.__name__.split("."), "settings", "mail"]
    mail = with_members(SandboxMatcher.nested_child(path, SandboxMatcher(access={"host"})))
    statements = f"from {sandboxed.__name__} import settings\nassert settings['mail']['port'] == 25\n"
    in_a_turn(lambda: sandboxed.executed(statements), mail)
    with pytest.raises(RestrictedWorkflowAccessError) as refused:
        in_a_turn(lambda: sandboxed.executed(statements + "settings['mail']['host']"), mail)
    assert refused.value.qualified_name == ".".join([*path, "host"])


def test_a_message_of_ones_own() -> None:
    leaf = SandboxMatcher(match_self=True, leaf_message="Ask the configuration instead")
    own = SandboxMatcher.nested_child(["os", "environ"], leaf)
    with pytest.raises(RestrictedWorkflowAccessError, match="Ask the configuration instead"):
        value_of("os.environ", with_members(own))


def test_a_module_that_is_passed_through_is_restricted_in_builtins_and_imports_only() -> None:
    passed = DEFAULT.with_passthrough_modules("tests.temporal.sandboxed")
    for restrictions in (passed, DEFAULT.with_passthrough_all_modules(), DEFAULT.with_passthrough_modules("tests")):
        assert restrictions.passes("tests.temporal.sandboxed")
        assert value_of("os.name", restrictions) == os.name
        assert value_of("Path('nowhere').exists()", restrictions) is False
        assert value_of("clock()", restrictions) == T0.timestamp()
        with pytest.raises(RestrictedWorkflowAccessError, match=r"__builtins__\.open"):
            value_of("open('nowhere')", restrictions)
        with pytest.raises(RestrictedWorkflowAccessError, match=r"os\.getcwd"):
            in_a_turn(lambda: sandboxed.executed("import os\nos.getcwd()"), restrictions)
    assert not DEFAULT.passes("tests.temporal.sandboxed") and DEFAULT.passes("os.path") and not DEFAULT.passes("sys")


def test_modules_that_may_not_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden = dataclasses.replace(DEFAULT, invalid_modules=SandboxMatcher(access={"colorsys", "smtplib"}))
    with monkeypatch.context() as patch:
        patch.delattr(sandboxed, "smtplib")
        with pytest.raises(RestrictedWorkflowAccessError) as refused:
            in_a_turn(lambda: sandboxed.executed("import colorsys"), forbidden)
        assert refused.value.qualified_name == "colorsys"
        allowed = "from memflow.temporal import workflow\nwith workflow.unsafe.sandbox_unrestricted():\n import colorsys"
        in_a_turn(lambda: sandboxed.executed(allowed), forbidden)
    with pytest.raises(RestrictedWorkflowAccessError, match="smtplib"):
        SandboxedWorkflowRunner(forbidden).dialect(sandboxed.Evaluates)


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of the program that nobody has imported yet, and that does what it should not when it is."""
    import tests.temporal

    name = "tests.temporal.draws_when_imported"
    (tmp_path / "draws_when_imported.py").write_text("import random\nDRAWN = random.choice([1, 2])\n")
    monkeypatch.setattr(tests.temporal, "__path__", [*tests.temporal.__path__, str(tmp_path)])
    yield name
    sys.modules.pop(name, None)


def test_a_module_of_the_program_is_the_workflows_own_while_a_turn_imports_it(own_module: str) -> None:
    with pytest.warns(UserWarning, match=f"Module {own_module} was imported after initial workflow load"):
        with pytest.raises(RestrictedWorkflowAccessError, match=r"random\.choice"):
            in_a_turn(lambda: sandboxed.executed(f"import {own_module}"))
    passed = "from memflow.temporal import workflow\nwith workflow.unsafe.imports_passed_through():\n import "
    in_a_turn(lambda: sandboxed.executed(passed + own_module))
    assert sys.modules[own_module].DRAWN in (1, 2)


def test_what_is_said_of_imports_in_a_turn(own_module: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = DEFAULT.with_import_notification_policy(Policy.SILENT)
        with pytest.raises(RestrictedWorkflowAccessError):
            in_a_turn(lambda: sandboxed.executed(f"import {own_module}"), quiet)
    strict = DEFAULT.with_import_notification_policy(Policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH)
    with pytest.raises(UnintentionalPassthroughError, match=own_module):
        in_a_turn(lambda: sandboxed.executed(f"import {own_module}"), strict)
    in_a_turn(lambda: sandboxed.executed("import json"), strict)

    def override() -> None:
        with workflow.unsafe.sandbox_import_notification_policy(Policy.SILENT):
            sandboxed.executed(f"import {own_module}")

    with pytest.raises(RestrictedWorkflowAccessError):
        in_a_turn(override, strict)


SOURCE = """
import os, helpers.one
from typing import TYPE_CHECKING
from . import sibling
if TYPE_CHECKING:
    import only_for_types
else:
    import helpers.two
with workflow.unsafe.imports_passed_through():
    import passed
try:
    from helpers.three import something
except ImportError:
    import helpers.four
def later():
    import helpers.five
class Kept:
    import helpers.six
"""


def test_what_a_module_imports_openly_is_read_from_its_source(tmp_path: Path) -> None:
    (tmp_path / "of_workflows.py").write_text(SOURCE)
    module = types.ModuleType("package.of_workflows")
    module.__file__, module.__package__ = str(tmp_path / "of_workflows.py"), "package"
    helpers = [f"helpers.{each}" for each in ("two", "three", "four", "six")]
    assert open_imports(module) == ["os", "helpers.one", "typing", "package", *helpers]
    assert open_imports(types.ModuleType("made_up")) == []


async def test_what_a_module_imports_openly_is_told_of(client: Client, queue: str, own_module: str) -> None:
    """Of libraries of the process, too, but for Python's and this one."""
    source = Path(sandboxed.__file__).read_text()
    from_elsewhere = source.replace("import asyncio\n", "import asyncio\nimport pytest\n", 1)
    imported = types.ModuleType("tests.temporal.sandboxed_elsewhere")
    path = Path(sys.modules["tests.temporal"].__path__[-1]) / "sandboxed_elsewhere.py"
    path.write_text(from_elsewhere)
    imported.__file__ = str(path)
    sys.modules[imported.__name__] = imported
    try:
        exec(compile(from_elsewhere, path, "exec"), vars(imported))
        for policy in (Policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH, Policy.WARN_ON_UNINTENTIONAL_PASSTHROUGH):
            runner = SandboxedWorkflowRunner(DEFAULT.with_import_notification_policy(policy))
            if policy is Policy.WARN_ON_UNINTENTIONAL_PASSTHROUGH:
                with pytest.warns(UserWarning, match="Module pytest was not intentionally passed through"):
                    runner.dialect(imported.Evaluates)
            else:
                with pytest.raises(RuntimeError, match="Failed validating workflow Evaluates") as refused:
                    Worker(client, task_queue=queue, workflows=[imported.Evaluates], workflow_runner=runner)
                assert isinstance(refused.value.__cause__, UnintentionalPassthroughError)
    finally:
        del sys.modules[imported.__name__]


def test_matchers_say_what_they_may_not_be() -> None:
    with pytest.raises(ValueError, match="leaf_message without match_self"):
        SandboxMatcher(leaf_message="no")
    with pytest.raises(ValueError, match="leaf_warning without match_self"):
        SandboxMatcher(leaf_warning=UserWarning)
    with pytest.raises(ValueError, match="only-runtime"):
        assert SandboxMatcher.all_uses | SandboxMatcher.all_uses_runtime
    assert (SandboxMatcher(access={"a"}) | SandboxMatcher(use={"b"})) == SandboxMatcher(access={"a"}, use={"b"})
    assert SandboxMatcher.all | SandboxMatcher(use={"b"}) == SandboxMatcher.all


# ------------------------------------------------------------------------------------------------- with a worker


async def test_workers_run_their_workflows_in_their_sandbox(client: Client, queue: str) -> None:
    def worker(**options: Any) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=[sandboxed.Evaluates, sandboxed.EvaluatesOutside, sandboxed.WhileAnActivityLooks],
            activities=[sandboxed.looks_around],
            workflow_failure_exception_types=[RestrictedWorkflowAccessError],
            **options,
        )

    async def evaluate(expression: str, cls: Any = sandboxed.Evaluates) -> str:
        number = next(numbers)
        result: str = await client.execute_workflow(cls.run, expression, id=f"{queue}-{number}", task_queue=queue)
        return result

    numbers = iter(range(100))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        async with worker(activity_executor=threads):
            with pytest.raises(WorkflowFailureError) as failed:
                await evaluate("os.environ['HOME']")
            cause = failed.value.cause
            assert isinstance(cause, ApplicationError) and cause.type == "RestrictedWorkflowAccessError"
            assert "os.environ.HOME" in cause.message
            assert await evaluate("os.name", sandboxed.EvaluatesOutside) == repr(os.name)
            assert await client.execute_workflow(sandboxed.WhileAnActivityLooks.run, id=f"{queue}-looks", task_queue=queue)
    async with worker(interceptors=[sandboxed.InterceptsAll()], activity_executor=ThreadPoolExecutor(1)):
        assert (await evaluate("1 < 2")).startswith("True at ")
        with pytest.raises(WorkflowFailureError):
            await evaluate("where()")
    async with worker(workflow_runner=UnsandboxedWorkflowRunner(), activity_executor=ThreadPoolExecutor(1)):
        assert await evaluate("os.name") == repr(os.name)


async def test_breakpoints_need_debug_mode(client: Client, queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: held.append("held"))
    for debug_mode in (False, True):
        async with Worker(
            client,
            task_queue=queue,
            workflows=[sandboxed.Evaluates],
            workflow_failure_exception_types=[RestrictedWorkflowAccessError],
            debug_mode=debug_mode,
        ):
            running = client.execute_workflow(
                sandboxed.Evaluates.run,
                "breakpoint()",
                id=f"breaks-{debug_mode}",
                task_queue=queue,
                execution_timeout=timedelta(minutes=1),
            )
            if debug_mode:
                assert await running == "None" and held == ["held"]
            else:
                with pytest.raises(WorkflowFailureError) as failed:
                    await running
                assert "debug_mode=True" in str(failed.value.cause) and held == []


async def test_a_worker_refuses_workflows_that_import_what_they_may_not(client: Client, queue: str) -> None:
    forbidden = dataclasses.replace(DEFAULT, invalid_modules=SandboxMatcher(access={"smtplib"}))
    with pytest.raises(RuntimeError, match="Failed validating workflow Evaluates") as refused:
        Worker(client, task_queue=queue, workflows=[sandboxed.Evaluates], workflow_runner=SandboxedWorkflowRunner(forbidden))
    assert isinstance(refused.value.__cause__, RestrictedWorkflowAccessError)


def test_turns_in_threads_keep_their_own_restrictions() -> None:
    """Workers with other restrictions, or none, may turn runs of the same module at the same time."""
    free = with_members(SandboxMatcher.none)
    wrong: list[str] = []
    over = threading.Event()

    def turn(restrictions: SandboxRestrictions, refuses: bool) -> None:
        while not over.is_set():
            try:
                value_of("os.name", restrictions)
                refused = False
            except RestrictedWorkflowAccessError:
                refused = True
            if refused is not refuses:
                wrong.append("refused" if refused else "let through")

    threads = [threading.Thread(target=turn, args=(each, each is DEFAULT)) for each in (DEFAULT, free, DEFAULT, free)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        if sandboxed.evaluated("os.name") != os.name:
            wrong.append("refused outside")
        threading.Event().wait(0.002)
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sandboxed.os is os
