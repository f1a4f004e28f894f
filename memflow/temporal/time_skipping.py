"""How time skips in the environments of `WorkflowEnvironment.start_time_skipping_v2`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class FastForwardConfig:
    """By how much time is to pass at once."""

    id: str
    duration: timedelta


@dataclass(frozen=True)
class TimeSkippingConfig:
    """Whether time skips by itself. It is one time for all workflows, so that there is nothing to propagate to children.

    Raises:
        ValueError: time is to pass at once, and not to skip.
    """

    enabled: bool = True
    fast_forward_config: FastForwardConfig | None = None
    """Accepted; call `fast_forward`."""
    disable_propagation: bool = False
    max_session_skip_count: int = 0

    def __post_init__(self) -> None:
        if not self.enabled and self.fast_forward_config is not None:
            raise ValueError("fast_forward_config cannot be set when enabled is False")
