"""Group commit on the client's side: who travels together, and whom a failure reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from memflow.client.batcher import Batcher
from memflow.errors import ConfigurationError, DatabaseError, OutcomeUnknownError
from tests.polling import until


class ValueRefused(Exception):
    """As asyncpg's data errors: it carries an SQLSTATE of class 22."""

    sqlstate = "22021"


class Wire:
    """Keeps what left together, holds batches back until told, and fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.unknown = 0

    async def __call__(self, members: Sequence[str]) -> list[str]:
        self.batches.append(list(members))
        await self.gate.wait()
        if self.unknown:
            self.unknown -= 1
            raise OutcomeUnknownError("the connection broke")
        if any("gone" in member for member in members):
            raise DatabaseError("cannot be reached")
        if any("bad" in member for member in members):
            raise DatabaseError("invalid byte sequence") from ValueRefused()
        return [member.upper() for member in members]


def batcher(wire: Wire, *, largest: int = 500) -> Batcher[str, str]:
    return Batcher(wire, repeatable=lambda member: not member.startswith("once"), largest=largest)


async def until_sent(wire: Wire, batches: int) -> None:
    async def sent() -> bool:
        return len(wire.batches) >= batches

    await until(sent)


async def test_calls_of_one_moment_leave_together_and_each_gets_its_own_answer() -> None:
    wire = Wire()
    assert await asyncio.gather(*map(batcher(wire).submit, "abc")) == ["A", "B", "C"]
    assert wire.batches == [["a", "b", "c"]]


async def test_what_comes_while_a_batch_is_on_its_way_leaves_in_the_next_in_order() -> None:
    wire = Wire()
    wire.gate.clear()
    calls = batcher(wire)
    first = asyncio.create_task(calls.submit("a"))
    await until_sent(wire, 1)
    later = [asyncio.create_task(calls.submit(letter)) for letter in "bcd"]
    await asyncio.sleep(0)
    wire.gate.set()
    assert await asyncio.gather(first, *later) == ["A", "B", "C", "D"]
    assert wire.batches == [["a"], ["b", "c", "d"]]


async def test_a_batch_is_bounded() -> None:
    wire = Wire()
    await asyncio.gather(*map(batcher(wire, largest=2).submit, "abcde"))
    assert wire.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_a_member_whose_value_is_refused_fails_alone() -> None:
    wire = Wire()
    calls = batcher(wire)
    answers = await asyncio.gather(*map(calls.submit, ["a", "b", "bad", "d", "e"]), return_exceptions=True)
    assert [a for a in answers if isinstance(a, str)] == ["A", "B", "D", "E"]
    assert isinstance(answers[2], DatabaseError)


async def test_an_unreachable_database_is_asked_once_not_once_per_member() -> None:
    wire = Wire()
    answers = await asyncio.gather(*map(batcher(wire).submit, ["a", "gone", "c"]), return_exceptions=True)
    assert all(isinstance(a, DatabaseError) for a in answers)
    assert len(wire.batches) == 1


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    wire = Wire()
    wire.gate.clear()
    calls = batcher(wire)
    tasks = [asyncio.create_task(calls.submit(letter)) for letter in "abc"]
    await until_sent(wire, 1)
    tasks[0].cancel()
    wire.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == ["B", "C"]


async def test_a_caller_cancelled_before_its_batch_leaves_is_not_sent() -> None:
    wire = Wire()
    wire.gate.clear()
    calls = batcher(wire)
    first = asyncio.create_task(calls.submit("a"))
    await until_sent(wire, 1)
    second, third = asyncio.create_task(calls.submit("b")), asyncio.create_task(calls.submit("c"))
    await asyncio.sleep(0)
    second.cancel()
    wire.gate.set()
    assert await first == "A" and await third == "C"
    assert wire.batches == [["a"], ["c"]]


async def test_an_unknown_outcome_is_settled_by_a_repeat_where_that_is_safe_and_told_where_not() -> None:
    wire = Wire()
    wire.unknown = 1
    calls = batcher(wire)
    answers = await asyncio.gather(*map(calls.submit, ["a", "once", "c"]), return_exceptions=True)
    assert (answers[0], answers[2]) == ("A", "C")
    assert isinstance(answers[1], OutcomeUnknownError)
    assert wire.batches == [["a", "once", "c"], ["a", "c"]]


async def test_repeats_end_and_then_the_unknown_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memflow.client.batcher.REPEATS_AFTER_SECONDS", (0.0, 0.0))
    wire = Wire()
    wire.unknown = 100
    with pytest.raises(OutcomeUnknownError):
        await batcher(wire).submit("a")
    assert len(wire.batches) == 3


async def test_close_sees_off_what_is_on_its_way_and_takes_nothing_more() -> None:
    wire = Wire()
    wire.gate.clear()
    calls = batcher(wire)
    tasks = [asyncio.create_task(calls.submit("a"))]
    await until_sent(wire, 1)
    tasks.append(asyncio.create_task(calls.submit("b")))
    await asyncio.sleep(0)
    closing = asyncio.create_task(calls.close())
    await asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="closed"):
        await calls.submit("c")
    wire.gate.set()
    await closing
    assert await asyncio.gather(*tasks) == ["A", "B"]
