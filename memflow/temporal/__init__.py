"""Temporal's Python names over memflow: a program moves over by replacing `temporalio` with `memflow.temporal` in its imports.

    from memflow.temporal import activity, workflow
    from memflow.temporal.client import Client
    from memflow.temporal.worker import Worker

Everything here is a thin adapter: definitions become memflow definitions, calls become memflow calls, and the engine, its
journal and its guarantees are those of memflow. Nothing in memflow imports this package.

Where to read: `workflow/running.py` (one run as Temporal's verbs see it), `worker/turning.py` (how definitions become
memflow's), `stored.py` (how a `DataConverter` becomes a codec), `exceptions.py` (how failures become Temporal's errors).
"""

from __future__ import annotations

from memflow.temporal.missing import not_offered

__getattr__ = not_offered(
    __name__,
    {
        "nexus": "there is no Nexus; call the other side's client in an activity",
        "bridge": "there is no native core; the engine is memflow itself",
    },
)
