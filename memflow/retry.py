"""When a failed attempt is tried again: one policy, one place that computes delays."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from memflow.duration import LONGEST, Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.failure import Failure, is_retryable


@dataclass(frozen=True, slots=True, init=False)
class RetryPolicy:
    """How an activity or run is tried again.

    The delay before attempt n+1 is `initial_interval * backoff_coefficient ** (n - 1)`, at most `maximum_interval`
    (None: 100 times the initial one). `maximum_attempts` counts attempts, not retries; 0 is no limit. Failures whose
    type is named in `non_retryable_error_types` (names or exception classes, compared by exact name) are final.
    Intervals are durations: timedelta, text or seconds. The defaults are Temporal's.

    Raises:
        ConfigurationError: a value is out of range; the message names it.
    """

    initial_interval: timedelta
    backoff_coefficient: float
    maximum_interval: timedelta | None
    maximum_attempts: int
    non_retryable_error_types: tuple[str, ...]

    def __init__(
        self,
        initial_interval: Duration = 1,
        backoff_coefficient: float = 2.0,
        maximum_interval: Duration | None = None,
        maximum_attempts: int = 0,
        non_retryable_error_types: Iterable[str | type[BaseException]] = (),
    ) -> None:
        initial = to_timedelta(initial_interval, what="initial_interval")
        if not initial:
            raise ConfigurationError("initial_interval: 0 would retry without a pause; give at least a millisecond or so")
        longest = None if maximum_interval is None else to_timedelta(maximum_interval, what="maximum_interval")
        if longest is not None and longest < initial:
            raise ConfigurationError(f"maximum_interval: {longest} is shorter than initial_interval ({initial})")
        keep = object.__setattr__
        keep(self, "initial_interval", initial)
        keep(self, "backoff_coefficient", _coefficient(backoff_coefficient))
        keep(self, "maximum_interval", longest)
        keep(self, "maximum_attempts", _attempts(maximum_attempts))
        keep(self, "non_retryable_error_types", _names(non_retryable_error_types))

    def delay(self, attempt: int, failure: Failure) -> timedelta | None:
        """How long to wait after failed attempt number `attempt` (from 1); None when it was the last one.

        A failure's own `next_retry_delay` replaces the computed delay, not the limit of attempts.
        """
        if not is_retryable(failure) or failure.type in self.non_retryable_error_types:
            return None
        if self.maximum_attempts and attempt >= self.maximum_attempts:
            return None
        if failure.next_retry_delay is not None:
            return timedelta(seconds=failure.next_retry_delay)
        return self._computed(attempt)

    def _computed(self, attempt: int) -> timedelta:
        first = self.initial_interval.total_seconds()
        longest = first * 100 if self.maximum_interval is None else self.maximum_interval.total_seconds()
        longest = min(longest, LONGEST.total_seconds())
        # Compare logarithms: the power itself overflows a float after some thousand attempts.
        if math.log(first) + max(0, attempt - 1) * math.log(self.backoff_coefficient) >= math.log(longest):
            return timedelta(seconds=longest)
        return timedelta(seconds=min(longest, first * self.backoff_coefficient ** max(0, attempt - 1)))


def retry_policy(given: object) -> RetryPolicy | None:
    """What was given as `retry=`.

    Raises:
        ConfigurationError: something else than a policy or None.
    """
    if given is None or isinstance(given, RetryPolicy):
        return given
    raise ConfigurationError(f"retry: {given!r} is no RetryPolicy; write retry=RetryPolicy(maximum_attempts=5)")


def jitter(delay: timedelta, random: Random) -> timedelta:
    """`delay` and up to a tenth more, so that what failed together does not come back together. Never shorter."""
    return delay * (1 + random.random() / 10)


def _coefficient(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 1:
        raise ConfigurationError(f"backoff_coefficient: {value!r} is not a finite number of at least 1")
    return float(value)


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"maximum_attempts: {value!r} is not a whole number of at least 0 (0 is no limit)")
    return value


def _names(values: Iterable[object]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"non_retryable_error_types: {values!r} is one text; give a list of names, as [{values!r}]")
    names: list[str] = []
    for value in values:
        if isinstance(value, str):
            names.append(value)
        elif isinstance(value, type) and issubclass(value, BaseException):
            names.append(value.__name__)
        else:
            raise ConfigurationError(f"non_retryable_error_types: {value!r} is neither a name nor an exception class")
    return tuple(names)


DEFAULT_RETRY = RetryPolicy()
"""Without limit, 1 s doubling to 100 s."""
