"""When a failed attempt is tried again."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memflow.errors import ConfigurationError
from memflow.failure import Failure
from memflow.retry import DEFAULT_RETRY, RetryPolicy, jitter

FAILURE = Failure("application", "no luck", type="Unlucky")


def test_delays_double_up_to_a_hundred_times_the_first() -> None:
    delays = [DEFAULT_RETRY.delay(attempt, FAILURE) for attempt in range(1, 10)]
    assert delays == [timedelta(seconds=seconds) for seconds in (1, 2, 4, 8, 16, 32, 64, 100, 100)]


def test_the_last_attempt_has_no_delay_after_it() -> None:
    policy = RetryPolicy(maximum_attempts=3)
    assert [policy.delay(attempt, FAILURE) is None for attempt in (1, 2, 3, 4)] == [False, False, True, True]
    assert RetryPolicy(maximum_attempts=1).delay(1, FAILURE) is None


@pytest.mark.parametrize(
    "final",
    [
        Failure("application", "", type="Unlucky", non_retryable=True),
        Failure("cancelled", ""),
        Failure("terminated", ""),
        Failure("timeout", "", facts={"kind": "schedule_to_close"}),
        Failure("application", "", type="BadCard"),
        Failure("application", "", type="ValueError"),
    ],
)
def test_some_failures_are_final(final: Failure) -> None:
    assert RetryPolicy(non_retryable_error_types=["BadCard", ValueError]).delay(1, final) is None


@pytest.mark.parametrize("kind", ["start_to_close", "heartbeat"])
def test_an_attempt_that_took_too_long_is_tried_again(kind: str) -> None:
    assert DEFAULT_RETRY.delay(1, Failure("timeout", "", facts={"kind": kind})) == timedelta(seconds=1)


def test_a_failure_may_say_when_but_not_how_often() -> None:
    failure = Failure("application", "busy", type="Busy", next_retry_delay=7.5)
    assert RetryPolicy(maximum_attempts=2).delay(1, failure) == timedelta(seconds=7.5)
    assert RetryPolicy(maximum_attempts=2).delay(2, failure) is None


@given(
    attempt=st.integers(1, 10**12),
    coefficient=st.floats(1, 1e6),
    first=st.floats(1e-3, 1e6),
    longest=st.none() | st.floats(1e6, 1e9),
)
def test_no_attempt_number_overflows_and_delays_stay_in_bounds(
    attempt: int, coefficient: float, first: float, longest: float | None
) -> None:
    policy = RetryPolicy(initial_interval=first, backoff_coefficient=coefficient, maximum_interval=longest)
    delay = policy.delay(attempt, FAILURE)
    following = policy.delay(attempt + 1, FAILURE)
    assert delay is not None and following is not None
    assert (
        policy.initial_interval <= delay <= (policy.maximum_interval or policy.initial_interval * 100) + timedelta(microseconds=1)
    )
    assert delay <= following


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"initial_interval": 0}, "initial_interval"),
        ({"initial_interval": "soon"}, "initial_interval"),
        ({"backoff_coefficient": 0.5}, "backoff_coefficient"),
        ({"backoff_coefficient": float("nan")}, "backoff_coefficient"),
        ({"maximum_interval": 0.5}, "maximum_interval"),
        ({"maximum_attempts": -1}, "maximum_attempts"),
        ({"maximum_attempts": 1.5}, "maximum_attempts"),
        ({"non_retryable_error_types": "ValueError"}, "non_retryable_error_types"),
        ({"non_retryable_error_types": [3]}, "non_retryable_error_types"),
    ],
)
def test_a_policy_that_cannot_work_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RetryPolicy(**wrong)


def test_policies_are_values() -> None:
    assert RetryPolicy("1 second") == RetryPolicy(timedelta(seconds=1))
    assert hash(RetryPolicy()) == hash(DEFAULT_RETRY)
    assert RetryPolicy("2 seconds").initial_interval == timedelta(seconds=2)


def test_jitter_never_shortens_a_delay() -> None:
    chance = Random(1)
    delays = {jitter(timedelta(seconds=10), chance) for _ in range(200)}
    assert len(delays) > 100
    assert timedelta(seconds=10) <= min(delays) <= max(delays) <= timedelta(seconds=11)
