"""What Temporal's programs say at a start and memflow keeps nowhere else: it travels with the run, in one header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from memflow.temporal.common import RetryPolicy

HEADER: Final = "temporal-start"


@dataclass(frozen=True, slots=True)
class Startup:
    """The options that only Temporal's side knows. Inherited by every run of a chain."""

    cron_schedule: str = ""
    execution_timeout: timedelta | None = None
    run_timeout: timedelta | None = None
    task_timeout: timedelta | None = None
    retry_policy: RetryPolicy | None = None
    static_summary: str | None = None
    static_details: str | None = None
    priority_key: int | None = None
    root: tuple[str, str] | None = None
    """Run id and workflow id of the workflow at the top of the tree."""
    start_delay: timedelta | None = None

    def headers(self) -> dict[str, str]:
        """This as a header; none where nothing was said."""
        body: dict[str, Any] = {
            "cron": self.cron_schedule,
            "execution_timeout": _seconds(self.execution_timeout),
            "run_timeout": _seconds(self.run_timeout),
            "task_timeout": _seconds(self.task_timeout),
            "retry": None if self.retry_policy is None else _policy_json(self.retry_policy),
            "summary": self.static_summary,
            "details": self.static_details,
            "priority": self.priority_key,
            "root": self.root,
            "delay": _seconds(self.start_delay),
        }
        said = {name: value for name, value in body.items() if value not in (None, "")}
        return {HEADER: json.dumps(said, separators=(",", ":"))} if said else {}

    @staticmethod
    def of(headers: Mapping[str, str] | None) -> Startup:
        """What a run's headers say."""
        text = (headers or {}).get(HEADER)
        if text is None:
            return _NOTHING
        body: dict[str, Any] = json.loads(text)
        root = body.get("root")
        return Startup(
            body.get("cron", ""),
            _timedelta(body.get("execution_timeout")),
            _timedelta(body.get("run_timeout")),
            _timedelta(body.get("task_timeout")),
            _policy(body.get("retry")),
            body.get("summary"),
            body.get("details"),
            body.get("priority"),
            None if root is None else (root[0], root[1]),
            _timedelta(body.get("delay")),
        )


_NOTHING: Final = Startup()

_PRIORITY: Final = "temporal-priority"


def priority_headers(key: int | None) -> dict[str, str]:
    """What an activity is told of its priority."""
    return {} if key is None else {_PRIORITY: str(key)}


def priority_in(headers: Mapping[str, str]) -> int | None:
    """The priority that an activity was told."""
    found = headers.get(_PRIORITY)
    return None if found is None else int(found)


_SUMMARY: Final = "temporal-summary"


def summary_headers(text: str | None) -> dict[str, str]:
    """What people are told of an activity, kept with it."""
    return {} if text is None else {_SUMMARY: text}


def summary_in(headers: Mapping[str, str]) -> str | None:
    """What people are told of an activity."""
    return headers.get(_SUMMARY)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _timedelta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _policy_json(policy: RetryPolicy) -> dict[str, Any]:
    return {
        "initial": policy.initial_interval.total_seconds(),
        "coefficient": policy.backoff_coefficient,
        "maximum": _seconds(policy.maximum_interval),
        "attempts": policy.maximum_attempts,
        "errors": None if policy.non_retryable_error_types is None else list(policy.non_retryable_error_types),
    }


def _policy(body: dict[str, Any] | None) -> RetryPolicy | None:
    if body is None:
        return None
    return RetryPolicy(
        timedelta(seconds=body["initial"]), body["coefficient"], _timedelta(body["maximum"]), body["attempts"], body["errors"]
    )
