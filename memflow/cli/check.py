"""`memflow run export` and `memflow run check`: take journals out, and hold today's code against them, as a gate in CI."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from memflow.cli.problems import Exit, Problem
from memflow.cli.worker import load
from memflow.client.client import Client
from memflow.client.histories import WorkflowHistory, read_histories
from memflow.codec import JsonCodec
from memflow.errors import MemflowError, NondeterminismError, WorkflowNotFoundError
from memflow.replaying import Replays
from memflow.workflow.define import is_workflow

OPEN = "status in (running, paused)"


def export(options: argparse.Namespace) -> int:
    """Print runs as JSON, one per line."""
    if bool(options.ids) == bool(options.where):
        raise Problem(
            "which runs?",
            why="ids and --where cannot go together" if options.ids else "neither an id nor --where was given",
            then="memflow run export ORDER-1 > order-1.jsonl, or memflow run export --where 'type = \"order\"'",
            code=Exit.USAGE,
        )
    if options.run_id and len(options.ids) != 1:
        raise Problem("--run-id goes with one id", why=f"{len(options.ids)} were given", then="give one id", code=Exit.USAGE)

    async def work() -> None:
        async with await _connect(options) as client:
            if options.where:
                async for history in _found(client, options.where):
                    print(history.to_json())
            for id in options.ids:
                print((await client.workflow.get_handle(id, options.run_id).history()).to_json())

    asyncio.run(work())
    return Exit.DONE


def check(options: argparse.Namespace) -> int:
    """Replay journals against today's code; exit 6 when one does not fit."""
    if not options.code:
        raise Problem(
            "which code?",
            why="--code was not given",
            then="memflow run check --code shop.orders, with the module that holds your workflows",
            code=Exit.USAGE,
        )
    if options.files and options.where:
        raise Problem("--where is for a database", why="files were given, too", then="leave one of them out", code=Exit.USAGE)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    modules = [load(name) for name in options.code]
    workflows = list({id(each): each for module in modules for each in vars(module).values() if is_workflow(each)}.values())
    if not workflows:
        raise Problem(
            f"no workflows in {', '.join(options.code)}",
            why="nothing there is decorated with @workflow.defn",
            then="name the module that holds your workflows",
            code=Exit.USAGE,
        )
    tally = _Tally(Replays(workflows, JsonCodec()))
    if options.files:
        for name in options.files:
            for history in _read(name):
                tally.check(history)
    else:
        asyncio.run(_check_database(options, tally))
    print(tally.summary())
    return Exit.MISMATCH if tally.wrong else Exit.DONE


class _Tally:
    """What became of the runs so far; says at once what does not fit."""

    def __init__(self, replays: Replays) -> None:
        self._replays = replays
        self.right = 0
        self.wrong = 0
        self.unknown: dict[str, int] = {}

    def check(self, history: WorkflowHistory) -> None:
        """Replay one run."""
        if not self._replays.knows(history):
            self.unknown[history.info.workflow] = self.unknown.get(history.info.workflow, 0) + 1
            return
        error = self._replays.check(history)
        if error is None:
            self.right += 1
            return
        self.wrong += 1
        if isinstance(error, NondeterminismError):
            print(f"{error}\n")
        else:
            print(f"{history.info.workflow} {history.workflow_id}: the code raised {type(error).__name__}: {error}\n")

    def summary(self) -> str:
        """One line."""
        said = f"{self.right + self.wrong} checked: {self.right} fit, {self.wrong} do not"
        if self.unknown:
            named = ", ".join(f"{name} ({count})" for name, count in sorted(self.unknown.items()))
            said += f"; not in this code, so not checked: {named}"
        return said


async def _check_database(options: argparse.Namespace, tally: _Tally) -> None:
    async with await _connect(options) as client:
        async for history in _found(client, options.where or OPEN):
            tally.check(history)


async def _found(client: Client, where: str) -> AsyncIterator[WorkflowHistory]:
    async for run in client.workflow.list(where):
        try:
            history = await client.workflow.get_handle(run.id, run.run_id).history()
        except WorkflowNotFoundError:
            continue                                     # it expired since it was listed
        yield history


async def _connect(options: argparse.Namespace) -> Client:
    return await Client.connect(options.dsn, schema=options.schema, namespace=options.namespace, migrate=False)


def _read(name: str) -> list[WorkflowHistory]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = list(read_histories(text))
    except (OSError, UnicodeDecodeError, MemflowError) as error:
        raise Problem(
            f"cannot read {name}",
            why=" ".join(str(error).split()),
            then="write it with: memflow run export ID > FILE",
            code=Exit.USAGE,
        ) from error
    if not found:
        raise Problem(f"no run in {name}", why="it is empty", then="write it with: memflow run export ID > FILE", code=Exit.USAGE)
    return found
