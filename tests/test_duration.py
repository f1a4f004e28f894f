"""Durations as people write them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memflow.duration import LONGEST, to_text, to_timedelta
from memflow.errors import ConfigurationError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5 seconds", timedelta(seconds=5)),
        ("1 week", timedelta(weeks=1)),
        ("1h30m", timedelta(minutes=90)),
        ("2 days 4 hours", timedelta(days=2, hours=4)),
        ("2 days, 4 hours and 1 min", timedelta(days=2, hours=4, minutes=1)),
        ("  1.5 H ", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("10 µs", timedelta(microseconds=10)),
        (".5s", timedelta(milliseconds=500)),
        ("0 seconds", timedelta(0)),
        (90, timedelta(seconds=90)),
        (0.25, timedelta(milliseconds=250)),
        (timedelta(hours=3), timedelta(hours=3)),
    ],
)
def test_is_read(written: Any, meant: timedelta) -> None:
    assert to_timedelta(written) == meant


@pytest.mark.parametrize(
    "wrong", ["", "soon", "5", "5 parsecs", "1 month", "5 s 3 s", "1h-30m", "\u0665 seconds", "5 seconds!", [5], None, True]
)
def test_what_cannot_be_read_is_refused_and_told_what_can(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"timeout: .*(give a timedelta|units are ms)"):
        to_timedelta(wrong, what="timeout")


@pytest.mark.parametrize("wrong", [-1, -0.5, "-5 seconds", timedelta(seconds=-1), -math.inf])
def test_negative_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"negative|not finite"):
        to_timedelta(wrong)


def str_of(value: object) -> str:
    return f"{type(value).__name__}-{str(value)[:12] if not isinstance(value, int) else value.bit_length()}"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e300, 10**400, 10**5000, "9" * 18 + " weeks", timedelta.max], ids=str_of)
def test_endless_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"not finite|longer than 1,000 years"):
        to_timedelta(wrong)


def test_is_a_value_error_for_those_who_expect_one() -> None:
    with pytest.raises(ValueError, match="negative"):
        to_timedelta(-1)


def test_a_tiny_duration_does_not_become_none_at_all() -> None:
    assert to_timedelta(1e-9) == timedelta(microseconds=1)
    assert to_timedelta("0.0001 ms") == timedelta(microseconds=1)


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_text_reads_back_to_the_same(delta: timedelta) -> None:
    assert to_timedelta(to_text(delta)) == delta


@given(st.text(max_size=300))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        assert to_timedelta(text) >= timedelta(0)
    except ConfigurationError:
        pass


def test_text_is_what_a_person_would_write() -> None:
    assert to_text(timedelta(days=9, hours=1, seconds=1.5)) == "1 week 2 days 1 hour 1.5 seconds"
    assert to_text(timedelta(0)) == "0 seconds"
