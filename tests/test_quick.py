"""Quick dataclasses are made as frozen ones are, only faster."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import pytest

from memflow.core.arrivals import SignalReceived
from memflow.core.interrupts import ScheduleActivity
from memflow.payload import Payload
from memflow.quick import quick


def numbers() -> list[int]:
    return [1]


@dataclass(frozen=True, slots=True)
class Slow:
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=numbers, compare=False)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=numbers, compare=False)


def test_it_takes_what_the_slow_one_takes_and_is_equal_and_hashed_alike() -> None:
    for arguments, named in (((1,), {}), ((1, "x"), {}), ((1,), {"c": [2]}), ((), {"a": 3, "b": "y"})):
        slow, made = Slow(*arguments, **named), Quick(*arguments, **named)  # type: ignore[arg-type]
        assert (made.a, made.b, made.c) == (slow.a, slow.b, slow.c)
        assert hash(made) == hash(slow)
        assert repr(made) == repr(slow).replace("Slow", "Quick")
    assert Quick(1) == Quick(1) != Quick(2)
    assert Quick(1).c is not Quick(1).c
    assert replace(Quick(1), b="z") == Quick(1, "z")
    assert [each.name for each in fields(Quick)] == ["a", "b", "c"]
    assert not hasattr(Quick(1), "__dict__")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'd'"):
        Quick(1, d=2)  # type: ignore[call-arg]


def test_what_it_cannot_make_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"Odd\.a: only plain fields"):

        @quick
        @dataclass(frozen=True, slots=True)
        class Odd:
            a: int = field(kw_only=True)

        Odd(a=1)


def test_the_values_of_the_engine_are_quick_and_still_values() -> None:
    made = SignalReceived("go", Payload(b"1"))
    assert made == SignalReceived("go", Payload(b"1"), op=None, headers={}) and made.headers == {}
    assert type(made).__setattr__ is object.__setattr__
    assert type(made) in {SignalReceived} and ScheduleActivity.__hash__ is not None
