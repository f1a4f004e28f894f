"""`memflow db migrate` and `memflow db status`."""

from __future__ import annotations

import argparse
import asyncio

from memflow.cli.problems import Exit, names_database
from memflow.client.client import Client


def migrate(options: argparse.Namespace) -> int:
    """Install or upgrade the schema."""
    asyncio.run(_open(options, migrate=True))
    print(f"schema {options.schema!r} in {names_database(options.dsn)} is up to date")
    return Exit.DONE


def status(options: argparse.Namespace) -> int:
    """Say whether the schema fits; another exit code than 0 if it does not."""
    asyncio.run(_open(options, migrate=False))
    print(f"schema {options.schema!r} in {names_database(options.dsn)} fits this version of memflow")
    return Exit.DONE


async def _open(options: argparse.Namespace, *, migrate: bool) -> None:
    async with await Client.connect(options.dsn, schema=options.schema, namespace=options.namespace, migrate=migrate):
        pass
