"""Waiting for something that has no bell, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(true: Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    """Until `true()` is; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)
