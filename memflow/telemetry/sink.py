"""Where `workflow.trace` goes: one span per call, named `memflow.trace`, with the run's ids and the attributes given.

Registered as an entry point of the group `memflow.trace_sinks`; another package may register its own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from opentelemetry import trace as _api
except ImportError:                                      # the extra is not installed: attributes stay in the journal
    _api = None  # type: ignore[assignment]

SPAN = "memflow.trace"

PLAIN = (str, bool, int, float)


def otel_sink(run: Mapping[str, str], attributes: Mapping[str, Any]) -> None:
    """Record one `workflow.trace` call, after its commit. Values that OpenTelemetry cannot hold become text."""
    if _api is None:
        return
    facts: dict[str, str | bool | int | float] = {f"memflow.{name}": value for name, value in run.items()}
    facts.update((name, value if isinstance(value, PLAIN) else repr(value)) for name, value in attributes.items())
    with _api.get_tracer("memflow").start_as_current_span(SPAN, attributes=facts):
        pass
