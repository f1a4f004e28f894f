"""What clients, workers and workflows share: retry policies, id policies, search attributes, priorities, versions, metrics."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import IntEnum
from typing import Any, ClassVar, Final

from memflow.errors import ConfigurationError
from memflow.retry import RetryPolicy as EnginePolicy
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.metrics import (
    MetricAttributes,
    MetricCommon,
    MetricCounter,
    MetricGauge,
    MetricGaugeFloat,
    MetricHistogram,
    MetricHistogramFloat,
    MetricHistogramTimedelta,
    MetricMeter,
)
from memflow.temporal.missing import not_offered
from memflow.temporal.search_attributes import (
    SearchAttributeIndexedValueType,
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributes,
    SearchAttributeUpdate,
    SearchAttributeValue,
    SearchAttributeValues,
    TypedSearchAttributes,
)

__all__ = [
    "ActivityIDConflictPolicy",
    "ActivityIDReusePolicy",
    "AutoUpgradeVersioningOverride",
    "HeaderCodecBehavior",
    "MetricAttributes",
    "MetricCommon",
    "MetricCounter",
    "MetricGauge",
    "MetricGaugeFloat",
    "MetricHistogram",
    "MetricHistogramFloat",
    "MetricHistogramTimedelta",
    "MetricMeter",
    "PinnedVersioningOverride",
    "Priority",
    "QueryRejectCondition",
    "RawValue",
    "RetryPolicy",
    "SearchAttributeIndexedValueType",
    "SearchAttributeKey",
    "SearchAttributePair",
    "SearchAttributeUpdate",
    "SearchAttributeValue",
    "SearchAttributeValues",
    "SearchAttributes",
    "TypedSearchAttributes",
    "VersioningBehavior",
    "VersioningOverride",
    "WorkerDeploymentVersion",
    "WorkflowIDConflictPolicy",
    "WorkflowIDReusePolicy",
]

_NO_NEXUS = "there is no Nexus; call the other side's client in an activity"
__getattr__ = not_offered(
    __name__,
    {
        "NexusOperationCancellationState": _NO_NEXUS,
        "NexusOperationExecutionStatus": _NO_NEXUS,
        "NexusOperationIDConflictPolicy": _NO_NEXUS,
        "NexusOperationIDReusePolicy": _NO_NEXUS,
        "PendingNexusOperationExecutionState": _NO_NEXUS,
        "OneTimeVersioningOverride": "use PinnedVersioningOverride, or AutoUpgradeVersioningOverride",
    },
)


@dataclass
class RetryPolicy:
    """How an activity or workflow is tried again. The defaults: without limit, 1 s doubling to 100 s."""

    initial_interval: timedelta = timedelta(seconds=1)
    backoff_coefficient: float = 2.0
    maximum_interval: timedelta | None = None
    maximum_attempts: int = 0
    non_retryable_error_types: Sequence[str] | None = None

    def check(self) -> None:
        """Look at the values.

        Raises:
            ValueError: one of them cannot work.
        """
        if self.maximum_attempts == 1:           # never tried again: the intervals do not matter
            return
        if self.initial_interval.total_seconds() < 0:
            raise ValueError("Initial interval cannot be negative")
        if self.backoff_coefficient < 1:
            raise ValueError("Backoff coefficient cannot be less than 1")
        if self.maximum_interval:
            if self.maximum_interval.total_seconds() < 0:
                raise ValueError("Maximum interval cannot be negative")
            if self.maximum_interval < self.initial_interval:
                raise ValueError("Maximum interval cannot be less than initial interval")
        if self.maximum_attempts < 0:
            raise ValueError("Maximum attempts cannot be negative")

    def __post_init__(self) -> None:
        if self.maximum_interval is not None and not self.maximum_interval:
            self.maximum_interval = None


_MOST_KNOWN: Final = 256
_known_policies: dict[tuple[Any, ...], EnginePolicy] = {}


def completed_policy(policy: RetryPolicy | None) -> RetryPolicy | None:
    """The policy with what follows from the rest: the longest interval is 100 times the first where nothing is said of it."""
    if policy is None or policy.maximum_interval is not None:
        return policy
    return replace(policy, maximum_interval=100 * policy.initial_interval)


def engine_policy(policy: RetryPolicy | None) -> EnginePolicy | None:
    """The engine's form of a policy, checked once per set of values.

    Raises:
        ValueError: a value cannot work.
    """
    if policy is None:
        return None
    errors = policy.non_retryable_error_types
    key = (
        policy.initial_interval,
        policy.backoff_coefficient,
        policy.maximum_interval,
        policy.maximum_attempts,
        None if errors is None else tuple(errors),
    )
    known = _known_policies.get(key)
    if known is None:
        policy.check()
        # Temporal takes 0 for "the default"; here every pause has a length.
        initial = policy.initial_interval if policy.initial_interval > timedelta() else timedelta(milliseconds=1)
        try:
            known = EnginePolicy(
                initial, policy.backoff_coefficient, policy.maximum_interval or None, policy.maximum_attempts, errors or ()
            )
        except ConfigurationError:
            if policy.maximum_attempts != 1:
                raise
            known = EnginePolicy(maximum_attempts=1, non_retryable_error_types=errors or ())  # no pause is ever made
        if len(_known_policies) >= _MOST_KNOWN:
            _known_policies.clear()
        _known_policies[key] = known
    return known


def policy_of(engine: EnginePolicy | None) -> RetryPolicy | None:
    """A policy as Temporal's programs read it."""
    if engine is None:
        return None
    return RetryPolicy(
        engine.initial_interval,
        engine.backoff_coefficient,
        engine.maximum_interval,
        engine.maximum_attempts,
        list(engine.non_retryable_error_types) or None,
    )


class WorkflowIDReusePolicy(IntEnum):
    """Whether the id of a workflow that has ended may be used again."""

    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3
    TERMINATE_IF_RUNNING = 4


class WorkflowIDConflictPolicy(IntEnum):
    """What a start does when a workflow with that id is open."""

    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2
    TERMINATE_EXISTING = 3


class ActivityIDReusePolicy(IntEnum):
    """Whether the id of a standalone activity that has ended may be used again."""

    UNSPECIFIED = 0
    ALLOW_DUPLICATE = 1
    ALLOW_DUPLICATE_FAILED_ONLY = 2
    REJECT_DUPLICATE = 3


class ActivityIDConflictPolicy(IntEnum):
    """What a start does when a standalone activity with that id is open."""

    UNSPECIFIED = 0
    FAIL = 1
    USE_EXISTING = 2


class QueryRejectCondition(IntEnum):
    """Which workflows do not answer queries."""

    NONE = 1
    NOT_OPEN = 2
    NOT_COMPLETED_CLEANLY = 3


class HeaderCodecBehavior(IntEnum):
    """Whether payload codecs see headers. Accepted; memflow seals headers with everything else that a codec is given for."""

    NO_CODEC = 1
    CODEC = 2
    WORKFLOW_ONLY_CODEC = 3


@dataclass(frozen=True)
class RawValue:
    """A payload that no converter touches: what dynamic handlers get, and what may be given where a value is."""

    payload: Payload

    def __getstate__(self) -> object:
        return self.payload.SerializeToString()

    def __setstate__(self, state: object) -> None:
        assert isinstance(state, bytes)
        object.__setattr__(self, "payload", Payload.FromString(state))


@dataclass(frozen=True)
class Priority:
    """Who goes first: 1 is the most urgent key, 3 the usual one. Fairness keys are accepted and have no effect."""

    priority_key: int | None = None
    fairness_key: str | None = None
    fairness_weight: float | None = None

    default: ClassVar[Priority]

    def __post_init__(self) -> None:
        if self.priority_key is not None:
            if not isinstance(self.priority_key, int):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError("priority_key must be an integer")
            if self.priority_key < 1:
                raise ValueError("priority_key must be a positive integer")


Priority.default = Priority()

USUAL_PRIORITY: Final = 3
"""The key of what has none."""


def engine_priority(priority: Priority | None) -> int:
    """The engine takes higher numbers first, Temporal lower ones."""
    key = None if priority is None else priority.priority_key
    return 0 if key is None else USUAL_PRIORITY - key


class VersioningBehavior(IntEnum):
    """Whether a workflow stays with the worker version that began it."""

    UNSPECIFIED = 0
    PINNED = 1
    AUTO_UPGRADE = 2


@dataclass(frozen=True)
class WorkerDeploymentVersion:
    """A version of a deployment of workers."""

    deployment_name: str
    build_id: str

    def to_canonical_string(self) -> str:
        """`name.build`."""
        return f"{self.deployment_name}.{self.build_id}"

    @staticmethod
    def from_canonical_string(canonical: str) -> WorkerDeploymentVersion:
        """Read `name.build`.

        Raises:
            ValueError: there is no dot.
        """
        name, dot, build = canonical.partition(".")
        if not dot:
            raise ValueError(f"Cannot parse version string: {canonical}, must be in format <deployment_name>.<build_id>")
        return WorkerDeploymentVersion(name, build)


class VersioningOverride(ABC):  # noqa: B024 - as Temporal's
    """Says which version runs a workflow, whatever its workers say."""


@dataclass(frozen=True)
class PinnedVersioningOverride(VersioningOverride):
    """One version only."""

    version: WorkerDeploymentVersion


@dataclass(frozen=True)
class AutoUpgradeVersioningOverride(VersioningOverride):
    """Always the current version."""

    label: str = field(default="auto_upgrade", init=False, repr=False)
