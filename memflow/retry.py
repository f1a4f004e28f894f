"""When a failed attempt is tried again: one policy, one place that computes delays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from memflow.duration import Duration, to_timedelta
from memflow.errors import ConfigurationError
from memflow.failure import Failure


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an activity or run is tried again.

    The delay before attempt n+1 is `initial_interval * backoff_coefficient ** (n - 1)`, at most `maximum_interval`
    (None: 100 times the initial one). `maximum_attempts` counts attempts, not retries; 0 is no limit. Failures whose
    type is named in `non_retryable_error_types` are final. Intervals are durations: timedelta, text or seconds.
    The defaults are Temporal's.

    Raises:
        ConfigurationError: a value is out of range; the message names it.
    """

    initial_interval: Duration = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    maximum_interval: Duration | None = None
    maximum_attempts: int = 0
    non_retryable_error_types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "initial_interval", to_timedelta(self.initial_interval))
        if self.maximum_interval is not None:
            set_(self, "maximum_interval", to_timedelta(self.maximum_interval))
        set_(self, "non_retryable_error_types", tuple(self.non_retryable_error_types))
        # the helper who owns this file completes the checks and `delay`


def _unused(failure: Failure) -> ConfigurationError | None:
    return None
