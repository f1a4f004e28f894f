"""The table of primitives is complete: a class of arrival or interrupt that it misses fails here."""

from __future__ import annotations

from typing import get_args

from memflow.core.arrivals import Answer, Arrival, SignalReceived, WaitCancelled
from memflow.core.entries import CLASSES, KINDS
from memflow.core.interrupts import AwaitSignal, Closing, Interrupt
from memflow.core.primitives import TABLE, UNASKED


def test_every_interrupt_has_one_row() -> None:
    assert sorted(row.interrupt.__name__ for row in TABLE) == sorted(each.__name__ for each in get_args(Interrupt))


def test_every_arrival_answers_something_or_is_listed_as_unasked() -> None:
    answering = {each for row in TABLE for each in row.answers}
    assert answering | set(UNASKED) == set(get_args(Arrival))
    assert answering & set(UNASKED) == {SignalReceived}, "a signal may come both ways"
    assert answering - {SignalReceived} == set(get_args(Answer))


def test_what_answers_an_interrupt_carries_its_op() -> None:
    for row in TABLE:
        for answer in row.answers:
            assert "op" in answer.__dataclass_fields__ and "op" in row.interrupt.__dataclass_fields__


def test_only_an_answered_interrupt_waits_and_a_closing_one_answers_nothing() -> None:
    closing = set(get_args(Closing))
    for row in TABLE:
        assert not (row.interrupt in closing and row.answers)
    assert next(row for row in TABLE if row.interrupt is AwaitSignal).answers == (SignalReceived, WaitCancelled)


def test_kinds_are_unique() -> None:
    assert len(set(KINDS.values())) == len(CLASSES) == len(get_args(Arrival)) + len(get_args(Interrupt))
