"""A worker process for tests: `python -m tests.run_worker DSN SCHEMA QUEUE OPTIONS MODULE...`; prints READY once it works."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys

from memflow import Client, Worker


async def main(dsn: str, schema: str, queue: str, options: str, *names: str) -> None:
    modules = [importlib.import_module(name) for name in names]
    codec = next((found for module in modules if (found := getattr(module, "CODEC", None)) is not None), None)
    around = [each for module in modules for each in getattr(module, "INTERCEPTORS", ())]
    async with await Client.connect(dsn, schema=schema, codec=codec, interceptors=around) as client:
        worker = Worker(client, task_queue=queue, **_registered(modules), **json.loads(options))
        async with worker:
            print("READY", flush=True)
            await asyncio.Event().wait()


def _registered(modules: list[object]) -> dict[str, list[object]]:
    from memflow.activity import activity_definition_of
    from memflow.workflow.define import is_workflow

    values = [value for module in modules for value in vars(module).values()]
    return {
        "workflows": [value for value in values if is_workflow(value)],
        "activities": [value for value in values if activity_definition_of(value) is not None],
    }


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(process)d %(levelname)s %(name)s %(message)s")
    asyncio.run(main(*sys.argv[1:]))
