"""An error as data, for the journal. `failure_of` and `exception_of` turn one into the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from memflow.payload import Payload

FailureKind = Literal["application", "cancelled", "terminated", "timeout", "activity", "child"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One error of a cause chain.

    `type` is the application type that retry policies match on. `facts` hold what else the error class has
    (activity, activity_id, attempt, retry_state, workflow, workflow_id, run_id, timeout kind, reason), as text or numbers.
    """

    kind: FailureKind
    message: str
    type: str | None = None
    non_retryable: bool = False
    next_retry_delay: float | None = None
    details: Payload | None = None
    stack: str | None = None
    cause: Failure | None = None
    facts: Mapping[str, str | int | None] = field(default_factory=dict)


# Contract for the owner of this file:
#   failure_of(error, codec) -> Failure            with cause chain, stack as text; never raises
#   exception_of(failure, codec) -> FailureError   with __cause__ set, `stack_trace` set
#   encode_failure(failure) -> Payload             JSON bytes, encoding "failure"
#   decode_failure(payload) -> Failure
#   is_retryable(failure) -> bool
