"""In workflow code the clock and chance repeat, blocking IO is refused with the line; everywhere else nothing changes."""

from __future__ import annotations

import asyncio
import datetime as datetimes
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import time as early_bound_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from memflow.core.arrivals import RunStarted, TimerFired, Turn
from memflow.core.context import current
from memflow.core.interrupts import Complete, Fail, StartTimer
from memflow.core.replay import Replay
from memflow.errors import DeterminismError
from memflow.worker import guard
from tests.core.playing import CODEC, T0, define, info_of

guard.install()
guard.install()
ZONE = ZoneInfo("Europe/Berlin")


def in_a_workflow(code: Callable[[], Any], *, run_id: str = "run-1") -> Any:
    """What `code` returns, or raises, inside a workflow."""
    caught: list[Any] = []

    async def story() -> None:
        try:
            caught.append(code())
        except DeterminismError as error:
            caught.append(error)

    replay = Replay(define(story), info_of(story, run_id), CODEC)
    (ending,) = replay.advance(Turn(T0, [RunStarted()]))
    assert isinstance(ending, Complete | Fail)
    assert caught, ending
    replay.close()
    if isinstance(caught[0], DeterminismError):
        raise caught[0]
    return caught[0]


ANSWERED: list[tuple[str, Callable[[], Any], Any]] = [
    ("time.time", lambda: time.time(), T0.timestamp()),
    ("time.time_ns", lambda: time.time_ns(), int(T0.timestamp()) * 10**9),
    ("time.monotonic", lambda: time.monotonic(), T0.timestamp()),
    ("time.perf_counter", lambda: time.perf_counter(), T0.timestamp()),
    ("imported by name", lambda: early_bound_time(), T0.timestamp()),
    ("datetime.now(UTC)", lambda: datetime.now(UTC), T0),
    ("datetime.now(tz=zone)", lambda: datetime.now(tz=ZONE), T0.astimezone(ZONE)),
    ("datetime.utcnow", lambda: datetime.utcnow(), T0.replace(tzinfo=None)),
    ("workflow.now", lambda: current().now, T0),
]


@pytest.mark.parametrize(("code", "answer"), [pytest.param(code, answer, id=name) for name, code, answer in ANSWERED])
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_clocks_tell_the_time_of_the_turn(code: Callable[[], Any], answer: Any) -> None:
    assert in_a_workflow(code) == answer


CHANCE: list[tuple[str, Callable[[], Any]]] = [
    ("random.random", lambda: random.random()),
    ("random.choice", lambda: [random.choice(range(1000)) for _ in range(5)]),
    ("random.shuffle", lambda: random.sample(range(100), 100)),
    ("random.Random()", lambda: random.Random().random()),
    ("uuid.uuid4", lambda: uuid.uuid4()),
]


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in CHANCE])
def test_chance_repeats_in_a_run_and_differs_between_runs(code: Callable[[], Any]) -> None:
    assert in_a_workflow(code) == in_a_workflow(code)
    assert in_a_workflow(code) != in_a_workflow(code, run_id="run-2")
    assert code() != code()


def open_for_writing() -> None:
    open("/tmp/never-written", "w").close()


REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("time.sleep", lambda: time.sleep(0), "workflow.sleep_for"),
    ("datetime.now() without", lambda: datetime.now(), "workflow.now"),
    ("datetime.today", lambda: datetime.today(), "workflow.now"),
    ("date.today", lambda: date.today(), "workflow.now"),
    ("time.localtime", lambda: time.localtime(), "workflow.now"),
    ("time.process_time", lambda: time.process_time(), "workflow.time"),
    ("uuid.uuid1", lambda: uuid.uuid1(), "workflow.uuid4"),
    ("os.urandom", lambda: os.urandom(8), "workflow.random"),
    ("secrets.token_hex", lambda: secrets.token_hex(), "activity"),
    ("random.SystemRandom", lambda: random.SystemRandom().random(), "workflow.random"),
    ("for writing", open_for_writing, "activity"),
    ("for writing", lambda: Path("/tmp/never-written").write_text("x"), "activity"),
    ("for writing", lambda: os.open("/tmp/never-written", os.O_WRONLY | os.O_CREAT), "activity"),
    ("os.mkdir", lambda: os.mkdir("/tmp/never-made"), "activity"),
    ("using a socket", lambda: socket.socket(), "activity"),
    ("socket.getaddrinfo", lambda: socket.getaddrinfo("localhost", 80), "activity"),
    ("starting a process", lambda: subprocess.run(["true"], check=False), "activity"),
    ("os.system", lambda: os.system("true"), "activity"),
    ("starting a thread", lambda: threading.Thread(target=print).start(), "asyncio"),
    ("input", lambda: input(), "wait_for"),
]


@pytest.mark.parametrize(("call", "code", "instead"), [pytest.param(*row, id=f"{row[0]} {n}") for n, row in enumerate(REFUSED)])
def test_what_cannot_repeat_is_refused_with_its_line_and_what_to_do(call: str, code: Callable[[], Any], instead: str) -> None:
    with pytest.raises(DeterminismError) as refused:
        in_a_workflow(code)
    assert call in refused.value.call
    assert instead in refused.value.instead
    assert refused.value.where.startswith("tests/worker/test_guard.py:")
    assert not Path("/tmp/never-written").exists()
    assert not Path("/tmp/never-made").exists()


def test_outside_workflows_everything_works(tmp_path: Path) -> None:
    before = time.time()
    assert abs(datetime.now(UTC).timestamp() - before) < 5
    assert abs(datetime.now().timestamp() - before) < 5
    assert datetime.today().date() == date.today()
    time.sleep(0)
    (tmp_path / "file").write_text(secrets.token_hex())
    with socket.socket():
        pass
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
    assert random.Random(1).random() == random.Random(1).random()
    assert random.Random().random() != random.Random().random()


def test_subclasses_keep_their_class_and_pickles_their_names() -> None:
    import pickle

    class Moment(datetime):
        pass

    assert type(Moment.now(UTC)) is Moment
    assert type(in_a_workflow(lambda: Moment.now(UTC))) is Moment
    assert in_a_workflow(lambda: Moment.now(UTC)) == T0
    moment = datetime.now(UTC)
    assert pickle.loads(pickle.dumps(moment)) == moment
    assert datetimes.datetime is datetime


def test_logging_works_in_a_workflow_and_tells_the_real_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.FileHandler(tmp_path / "run.log", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("tests.guard")
    logger.addHandler(handler)
    before = time.time()
    try:
        in_a_workflow(lambda: logger.warning("from a workflow"))
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert "from a workflow" in (tmp_path / "run.log").read_text()
    assert abs(caplog.records[-1].created - before) < 5


def test_a_module_can_be_imported_in_a_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fresh_module_for_guard.py").write_text("import time\nLOADED = time.time()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def load() -> float:
        import fresh_module_for_guard  # type: ignore[import-not-found]  # made by this test

        return float(fresh_module_for_guard.LOADED)

    assert in_a_workflow(load) != T0.timestamp()
    assert list(tmp_path.rglob("*.pyc"))


def test_reading_a_file_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "rates.txt").write_text("7")
    assert in_a_workflow(lambda: (tmp_path / "rates.txt").read_text()) == "7"


async def test_asyncio_around_and_inside_a_turn_keeps_working() -> None:
    async def naps() -> float:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    replay = Replay(define(naps), info_of(naps), CODEC)
    replay.advance(Turn(T0, [RunStarted()]))
    replay.close()
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: 7) == 7


def test_time_moves_with_the_turns() -> None:
    async def two_looks() -> list[float]:
        first = time.time()
        await asyncio.sleep(3600)
        return [first, time.time()]

    replay = Replay(define(two_looks), info_of(two_looks), CODEC)
    (timer,) = replay.advance(Turn(T0, [RunStarted()]))
    assert isinstance(timer, StartTimer)
    later = T0 + timedelta(hours=1)
    (ending,) = replay.advance(Turn(later, [TimerFired(timer.op)]))
    assert isinstance(ending, Complete)
    assert CODEC.decode(ending.result) == [T0.timestamp(), later.timestamp()]
