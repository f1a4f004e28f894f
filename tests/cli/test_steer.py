"""Acting on runs from the command line: what is printed, and the exit codes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from memflow import Client, Worker, workflow
from memflow.cli.main import main
from memflow.cli.problems import Exit
from memflow.cli.steer import values


@workflow.defn(name="Tally")
class Tally:
    def __init__(self) -> None:
        self.total = 0
        self.over = False

    @workflow.run
    async def run(self, first: int, name: str = "") -> str:
        self.total += first
        await workflow.wait_condition(lambda: self.over)
        return f"{name}{self.total}"

    @workflow.signal
    async def add(self, number: int) -> None:
        self.total += number

    @workflow.query
    def now(self) -> int:
        return self.total

    @workflow.update
    async def end(self, extra: int) -> int:
        self.total += extra
        self.over = True
        return self.total


@workflow.defn(name="Broken")
async def broken() -> None:
    raise ValueError("broken")


@pytest.fixture
def served(tcp_dsn: str, dsn: str, schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Calls `memflow run ...` while a worker lives in another thread."""
    import threading

    ready, stop = threading.Event(), threading.Event()

    async def live() -> None:
        async with await Client.connect(dsn, schema=schema) as client, Worker(client, workflows=[Tally, broken]):
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        assert ready.wait(20)
        monkeypatch.setenv("MEMFLOW_DSN", dsn)
        yield lambda *arguments: main(["run", *arguments, "--schema", schema])
    finally:
        stop.set()
        thread.join(20)


def test_a_run_is_started_talked_to_and_waited_for(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str, code: int = Exit.DONE) -> str:
        assert served(*arguments) == code
        return capsys.readouterr().out

    assert "started t-1" in said("start", "Tally", "5", "sum ", "--id", "t-1")
    assert "sent add" in said("signal", "t-1", "add", "2")
    assert said("query", "t-1", "now") == "7\n"
    assert "wait_condition" in said("stack", "t-1") or "condition" in said("stack", "t-1")
    assert "paused t-1" in said("pause", "t-1", "--reason", "lunch")
    assert json.loads(said("list", "-o", "json"))[0]["detail"] == "paused: lunch"
    assert "resumed" in said("resume", "t-1")
    assert json.loads(said("update", "t-1", "end", "3")) == 10
    assert json.loads(said("result", "t-1", "--timeout", "20s")) == "sum 10"
    forked = json.loads(said("fork", "t-1", "--from", "first", "--new-id", "t-2", "-o", "json"))
    assert forked["id"] == "t-2"
    assert "begun t-1" in said("reset", "t-1", "--to", "first", "--drop-signals")
    assert "moved" in said("move", "t-1", "--newest")
    assert "reset of t-1" in said("describe", "t-1")
    assert "asked to cancel" in said("cancel", "t-2")
    assert json.loads(said("terminate", "t-1", "--reason", "enough", "-o", "json")) == {"id": "t-1", "done": True}
    assert said("start", "Tally", "1", "--id", "t-3", "--wait", "--timeout", "0.1s", code=Exit.TIMED_OUT) == ""


def test_exit_codes_are_a_promise(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("result", "stack", "cancel", "terminate", "pause", "resume"):
        assert served(verb, "nobody") == Exit.NOT_FOUND
    assert served("signal", "nobody", "x") == served("query", "nobody", "x") == served("update", "nobody", "x") == Exit.NOT_FOUND
    assert served("start", "Broken", "--wait", "--id", "b") == Exit.RUN_FAILED
    assert served("result", "b") == Exit.RUN_FAILED
    assert served("cancel", "b") == Exit.ERROR, "it has ended"
    assert served("reset", "b", "--to", "0") == Exit.USAGE
    assert served("start", "Tally", "1", "--id", "t") == Exit.DONE
    assert served("start", "Tally", "1", "--id", "t") == Exit.ERROR, "the id is taken"
    assert served("query", "t", "nothing") == Exit.ERROR
    assert served("result", "t", "--timeout", "0.1s") == Exit.TIMED_OUT
    assert served("start", "Tally", "--id", "") == Exit.USAGE
    shown = capsys.readouterr().err
    assert "known queries: [now]" in shown and "Traceback" not in shown
    with pytest.raises(SystemExit) as ended:
        served("reset", "t")
    assert ended.value.code == Exit.USAGE


def test_values_are_json_or_text() -> None:
    assert values(["5", '"5"', "hello", '{"a": [1]}', "null", ""]) == [5, "5", "hello", {"a": [1]}, None, ""]
