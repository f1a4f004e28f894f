"""A client for one command."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from memflow.client.client import Client

T = TypeVar("T")


def with_client(options: argparse.Namespace, collect: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    """What `collect` gives, with a client for the database that the options name."""

    async def ask() -> T:
        async with await Client.connect(
            options.dsn, schema=options.schema, namespace=options.namespace, migrate=False
        ) as client:
            return await collect(client)

    return asyncio.run(ask())
