"""`memflow worker MODULE`: a worker process for everything decorated there. SIGTERM drains it, a second one stops it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from memflow.activity import activity_definition_of
from memflow.cli.problems import Exit, Problem, names_database
from memflow.client.client import Client
from memflow.worker.worker import Worker
from memflow.workflow.define import is_workflow


def run(options: argparse.Namespace) -> int:
    """The command."""
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s  %(message)s",
    )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    modules = [load(name) for name in options.modules]
    workflows, activities = _decorated(modules)
    if not workflows and not activities:
        raise Problem(
            f"nothing to run in {', '.join(options.modules)}",
            why="no function or class there is decorated with @workflow.defn or @activity.defn",
            then="name the module that holds your workflows: memflow worker shop.orders",
            code=Exit.USAGE,
        )
    work = _work(options, workflows, activities)
    if options.uvloop:
        _runner()(work)
    else:
        asyncio.run(work)
    return Exit.DONE


async def _work(options: argparse.Namespace, workflows: Sequence[Any], activities: Sequence[Any]) -> None:
    queues = options.queue or ["default"]
    async with await Client.connect(options.dsn, schema=options.schema, namespace=options.namespace) as client:
        workers = [
            Worker(
                client,
                task_queue=queue,
                workflows=workflows,
                activities=activities,
                max_concurrent_activities=options.slots,
                lease=options.lease,
                identity=options.identity,
                version=options.code_version,
                default_versioning=options.default_versioning,
            )
            for queue in queues
        ]
        if not options.quiet:
            print(
                f"memflow worker {os.getpid()} on {names_database(options.dsn)}, queue {', '.join(queues)}\n"
                f"  workflows   {_names(workflows)}\n"
                f"  activities  {_names(activities)}",
                flush=True,
            )
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(worker.run())


def load(name: str) -> ModuleType:
    """Import a module by its dotted name, or from a file.

    Raises:
        Problem: there is none, or it cannot be imported.
    """
    try:
        if not name.endswith(".py"):
            return import_module(name)
        path = Path(name).resolve()
        spec = spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.exists():
            raise FileNotFoundError(f"no file {path}")
        sys.path.insert(0, str(path.parent))
        module = sys.modules[path.stem] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            then = f"run it in the directory that holds {name.partition('.')[0]}, or check the spelling"
        else:
            then = "mend that, or run again with -v for the traceback"
        raise Problem(f"cannot import {name}", why=_reason(error), then=then, code=Exit.USAGE) from error


def _reason(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in where if "importlib" not in frame.filename and frame.filename != __file__]
    line = f"{users[-1].filename}:{users[-1].lineno}: " if users else ""
    return f"{line}{type(error).__name__}: {error}"


def _decorated(modules: Sequence[ModuleType]) -> tuple[list[Any], list[Any]]:
    """What is decorated in the modules, each thing once however often it is imported."""
    found = {id(value): value for module in modules for value in vars(module).values()}
    workflows = [value for value in found.values() if is_workflow(value)]
    return workflows, [value for value in found.values() if activity_definition_of(value) is not None]


def _names(decorated: Sequence[Any]) -> str:
    return ", ".join(str(getattr(value, "__name__", None) or getattr(value, "name", value)) for value in decorated) or "none"


def _runner() -> Any:
    try:
        return import_module("uvloop").run
    except ImportError as error:
        raise Problem("no uvloop", why=str(error), then="pip install 'memflow[speed]'", code=Exit.USAGE) from error
