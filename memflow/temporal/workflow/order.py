"""`asyncio.wait` and `asyncio.as_completed` with an order that every replay repeats: lists instead of sets."""

from __future__ import annotations

import asyncio
from asyncio import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


async def wait(
    fs: Iterable[asyncio.Future[T]] | Iterable[asyncio.Task[T]],
    *,
    timeout: float | None = None,
    return_when: str = ALL_COMPLETED,
) -> tuple[list[Any], list[Any]]:
    """What is done and what is pending, each in the order given.

    Raises:
        TypeError: a coroutine, or one future instead of several.
        ValueError: nothing to wait for, or an unknown `return_when`.
    """
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"Expect an iterable of Tasks/Futures, not {type(fs).__name__}")
    listed = list(dict.fromkeys(fs))
    if not listed:
        raise ValueError("Set of Tasks/Futures is empty.")
    if return_when not in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
        raise ValueError(f"Invalid return_when value: {return_when}")
    if any(asyncio.iscoroutine(each) for each in listed):
        raise TypeError("Passing coroutines is forbidden, use tasks explicitly.")
    done, _ = await asyncio.wait(listed, timeout=timeout, return_when=return_when)
    return [each for each in listed if each in done], [each for each in listed if each not in done]


def as_completed(fs: Iterable[Awaitable[T]], *, timeout: float | None = None) -> Iterator[Awaitable[T]]:
    """Awaitables that give the results in the order in which they come.

    Raises:
        TypeError: one future instead of several.
    """
    if asyncio.isfuture(fs) or asyncio.iscoroutine(fs):
        raise TypeError(f"Expect an iterable of futures, not {type(fs).__name__}")
    # memflow's loop orders asyncio's own sets, so asyncio's version repeats too.
    each: Any = asyncio.as_completed
    found: Iterator[Any] = iter(each(list(fs), timeout=timeout))
    return found
