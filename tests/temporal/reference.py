"""Writes docs/reference/temporal.md: every public name of Temporal's Python SDK, offered or not, and why.

    python -m tests.temporal.reference > docs/reference/temporal.md

`surface.txt` holds the names of release 1.35, a line for each module.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

SURFACE = Path(__file__).parent / "surface.txt"

HEAD = """# Temporal's names

`memflow.temporal` offers the module and class names of Temporal's Python SDK (release 1.35) over memflow. This page is
generated: it lists every public name of that SDK, and for each that is left out what to use instead. How to move a program
over tells [Moving from Temporal](../how-to/move-from-temporal.md).

A name that is left out answers `AttributeError: not offered by memflow.temporal: ...`.
"""

ACCEPTED = """
## Accepted, without effect

These exist so that programs run unedited: `TLSConfig`, `RetryConfig`, `KeepAliveConfig`, `HttpConnectProxyConfig`,
`DnsLoadBalancingConfig`, `GrpcCompression`, `PayloadLimitsConfig`, `api_key` and `rpc_metadata` (a Postgres URL says how to
connect); `SandboxRestrictions.disable_lazy_sys_module_passthrough`, `SandboxedWorkflowRunner.runner_class` (no module is
imported anew); poller behaviours, `CustomSlotSupplier`, eager start and eager activities (one statement claims
for all); `versioning_intent`, `event_groups` (for Temporal's own display);
`PrometheusConfig.bind_address` (serve an endpoint of your own from a `MetricBuffer`).
"""


def surface() -> dict[str, list[str]]:
    """Module -> names."""
    lines = [line.partition(":") for line in SURFACE.read_text().splitlines() if line]
    return {module: names.split() for module, _, names in lines}


def why_not(module: ModuleType, name: str) -> str | None:
    """What to use instead of a name that is left out; None if it is offered."""
    if hasattr(module, name):
        return None
    left_out: dict[str, str] = getattr(vars(module).get("__getattr__"), "left_out", {})
    return left_out[name]


def page() -> str:
    """The page."""
    parts = [HEAD]
    for short, names in surface().items():
        module: Any = importlib.import_module(f"memflow.temporal.{short}")
        reasons = {name: why_not(module, name) for name in names}
        offered = [name for name, reason in reasons.items() if reason is None]
        parts.append(f"\n## {short}\n\n{', '.join(f'`{name}`' for name in offered)}\n")
        missing = [(name, reason) for name, reason in reasons.items() if reason is not None]
        if missing:
            parts.append("\n| not offered | use |\n| --- | --- |\n")
            parts.extend(f"| `{name}` | {reason} |\n" for name, reason in missing)
    parts.append(ACCEPTED)
    return "".join(parts)


if __name__ == "__main__":
    print(page(), end="")
