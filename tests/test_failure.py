"""Errors become data and come back, however hostile they are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from memflow import errors
from memflow.codec import JsonCodec
from memflow.failure import (
    DEEPEST_CHAIN,
    LONGEST_TEXT,
    Failure,
    decode_failure,
    encode_failure,
    exception_of,
    failure_of,
    is_retryable,
)
from memflow.payload import Payload

CODEC = JsonCodec()


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def stored(error: BaseException) -> errors.FailureError:
    """Through the journal and back."""
    return exception_of(decode_failure(encode_failure(failure_of(error, CODEC))), CODEC)


@pytest.mark.parametrize(
    "error",
    [
        errors.ApplicationError("no", 1, {"a": [None]}, type="Declined", non_retryable=True, next_retry_delay="5 seconds"),
        errors.ApplicationError(),
        errors.CancelledError("stop", "why"),
        errors.TerminatedError("ended", reason="cleanup"),
        errors.TimeoutError("late", kind="heartbeat", heartbeat_details=(1, "x")),
        errors.ActivityError("failed", activity="charge", activity_id="3", attempt=4, retry_state="non_retryable_failure"),
        errors.ChildWorkflowError("failed", workflow="wf", workflow_id="w-1", run_id="r-1"),
        errors.ChildWorkflowError("failed", workflow="wf", workflow_id="w-1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_our_errors_come_back_with_all_they_had(error: errors.FailureError) -> None:
    back = stored(error)
    assert type(back) is type(error)
    expected = dict(vars(error))
    if isinstance(error, errors.ApplicationError) and error.next_retry_delay is not None:
        expected["next_retry_delay"] = timedelta(seconds=5)
    assert vars(back) == expected
    assert str(back) == str(error)


class CardDeclined(errors.ApplicationError):
    def __init__(self, card: str) -> None:
        super().__init__(f"card {card} declined", card)


class Odd(Exception):
    def __init__(self, *, only: int, keywords: int) -> None:
        super().__init__()


def test_errors_of_users_come_back_as_application_errors_of_their_name() -> None:
    for error, name, text in (
        (CardDeclined("4711"), "CardDeclined", "card 4711 declined"),
        (Odd(only=1, keywords=2), "Odd", ""),
        (KeyError("x"), "KeyError", "'x'"),
        (TimeoutError("slow"), "TimeoutError", "slow"),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", ""),
    ):
        back = stored(raised(error))
        assert isinstance(back, errors.ApplicationError)
        assert (back.type, str(back)) == (name, text)
        assert back.stack_trace is not None and "in raised" in back.stack_trace


def test_cancellation_of_asyncio_is_a_cancellation() -> None:
    assert isinstance(stored(asyncio.CancelledError()), errors.CancelledError)


def test_causes_survive() -> None:
    try:
        try:
            {}["x"]
        except KeyError as missing:
            raise errors.ApplicationError("bad order", type="BadOrder") from missing
    except errors.ApplicationError as error:
        outer = errors.ActivityError("failed", activity="a", activity_id="1", attempt=1)
        outer.__cause__ = error
    back = stored(outer)
    assert isinstance(back, errors.ActivityError)
    assert isinstance(back.cause, errors.ApplicationError) and back.cause.type == "BadOrder"
    assert isinstance(back.cause.cause, errors.ApplicationError) and back.cause.cause.type == "KeyError"
    assert back.cause.cause.cause is None


def test_the_stack_of_the_first_raise_survives_a_second_journey() -> None:
    once = stored(raised(ValueError("deep")))
    twice = stored(raised(once))
    assert once.stack_trace is not None and twice.stack_trace == once.stack_trace


def test_causes_in_a_ring_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    back = stored(one)
    assert [str(back), str(back.cause)] == ["one", "other"]
    assert back.cause is not None and back.cause.__cause__ is None


def test_an_endless_chain_is_cut_with_a_note() -> None:
    error: BaseException = ValueError("first")
    for number in range(500):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    chain: list[BaseException] = []
    here: BaseException | None = stored(error)
    while here is not None:
        chain.append(here)
        here = here.__cause__
    assert len(chain) == DEEPEST_CHAIN + 1
    assert "dropped" in str(chain[-1])


def test_the_members_of_a_group_stay_readable() -> None:
    group = ExceptionGroup("two went wrong", [raised(ValueError("left")), ExceptionGroup("inner", [KeyError("right")])])
    back = stored(raised(group))
    assert isinstance(back, errors.ApplicationError) and back.type == "ExceptionGroup"
    for word in ("two went wrong", "ValueError: left", "KeyError: 'right'"):
        assert word in str(back)
    assert isinstance(back.cause, errors.ApplicationError) and back.cause.type == "ValueError"
    assert back.stack_trace is not None and "left" in back.stack_trace


def test_one_final_member_makes_a_group_final() -> None:
    final = errors.ApplicationError("stop", non_retryable=True)
    assert not is_retryable(failure_of(ExceptionGroup("", [ValueError(), ExceptionGroup("", [final])]), CODEC))
    assert is_retryable(failure_of(ExceptionGroup("", [ValueError()]), CODEC))


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class NotAText(Exception):
    def __str__(self) -> Any:
        return 5


@pytest.mark.parametrize("error", [Mute(), NotAText()], ids=["raises", "no text"])
def test_an_error_that_cannot_be_shown_is_still_a_failure(error: Exception) -> None:
    back = stored(error)
    assert isinstance(back, errors.ApplicationError)
    assert "could not be read" in str(back) and back.type == type(error).__name__


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "日本\n🐘"])
def test_any_text_survives(text: str) -> None:
    assert str(stored(ValueError(text))) == text


def test_a_message_of_megabytes_is_cut_with_a_note() -> None:
    back = stored(ValueError("x" * 10_000_000))
    assert len(str(back)) < LONGEST_TEXT + 200
    assert "of 10000000 characters left out" in str(back)


def test_endless_recursion_has_a_bounded_stack() -> None:
    def fall() -> None:
        fall()

    with pytest.raises(RecursionError) as caught:
        fall()
    stack = failure_of(caught.value, CODEC).stack
    assert stack is not None and "in fall" in stack and len(stack) < LONGEST_TEXT + 200


@dataclass
class Receipt:
    cents: int


class Stubborn:
    def __repr__(self) -> str:
        raise RuntimeError


def test_details_that_cannot_be_stored_become_readable() -> None:
    error = errors.ApplicationError("no", 1, Receipt(5), {1, 2}, object(), Stubborn())
    back = stored(error)
    assert isinstance(back, errors.ApplicationError)
    one, receipt, numbers, thing, stubborn = back.details
    assert (one, receipt, sorted(numbers)) == (1, {"cents": 5}, [1, 2])
    assert thing.startswith("<object") and "Stubborn" in stubborn


def test_attributes_that_make_no_sense_do_no_harm() -> None:
    error = errors.ApplicationError("no", next_retry_delay="whenever")
    error.details = 5  # type: ignore[assignment]
    error.type = Receipt(1)  # type: ignore[assignment]
    back = stored(error)
    assert isinstance(back, errors.ApplicationError)
    assert (back.next_retry_delay, list(back.details), back.type) == (None, [5], "Receipt(cents=1)")


def test_bytes_that_are_no_failure_become_one_that_says_so() -> None:
    for data in (b"", b"[]", b'{"kind":"new kind","message":""}', b'{"kind":"application"}', b"\xff"):
        assert decode_failure(Payload(data, "failure")).type == "UnreadableFailure"


def test_failures_of_newer_versions_are_read() -> None:
    data = b'{"kind":"application","message":"m","type":"T","later":{"x":1}}'
    assert decode_failure(Payload(data, "failure")) == Failure("application", "m", type="T")


def test_encrypted_details_survive_as_bytes() -> None:
    failure = Failure("application", "m", details=Payload(bytes(range(256)), "aes"))
    assert decode_failure(encode_failure(failure)) == failure
    assert "cannot be decoded" in str(exception_of(failure, CODEC).details)  # type: ignore[attr-defined]
