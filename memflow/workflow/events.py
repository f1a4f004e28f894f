"""What a workflow tells the world: events for subscribers and attributes for traces, once per run however often it replays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memflow.core import context
from memflow.core.interrupts import Emit, Trace
from memflow.core.replay import Replay
from memflow.interceptors import EmitInput
from memflow.names import check_name


async def emit(events: Mapping[str, Any]) -> None:
    """Publish events, topic to payload, when this turn commits. `client.events.subscribe` receives them.

    Raises:
        PayloadError: a payload is no plain JSON value.
    """
    replay = context.current("emit")
    if replay.outbound is None:
        publish(replay, events)
    else:
        await replay.outbound.emit(EmitInput(events))


def publish(replay: Replay, events: Mapping[str, Any]) -> None:
    """The same, behind interceptors."""
    payloads = {check_name(topic, what="topic"): replay.codec.encode(payload) for topic, payload in events.items()}
    if payloads:
        replay.ask(Emit(replay.next_op(), payloads))


async def trace(attributes: Mapping[str, Any]) -> None:
    """Send attributes to the tracing sink, when this turn commits.

    Raises:
        PayloadError: a value is no plain JSON value.
    """
    replay = context.current("trace")
    encoded = replay.codec.encode(dict(attributes))
    if attributes:
        replay.ask(Trace(replay.next_op(), encoded))
