"""Histories whose payloads a payload codec has encoded, as they were before: what a Replayer's converter can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.api.history.v1 import HistoryEvent
from memflow.temporal.arguments import is_list
from memflow.temporal.client.failure_json import failure_from_json, failure_to_json
from memflow.temporal.converter import PayloadCodec

_CLEAR: Final = frozenset({"header", "search_attributes", "details"})
"""What codecs leave alone: headers, search attributes, and the details of markers but for results of local activities."""


async def decoded(events: Sequence[HistoryEvent], codec: PayloadCodec) -> list[HistoryEvent]:
    """The events with their payloads decoded.

    Raises:
        Exception: whatever the codec raises.
    """
    return [replace(event, attributes=await _attributes(event.attributes, codec)) for event in events]


async def _attributes(attributes: Mapping[str, Any], codec: PayloadCodec) -> dict[str, Any]:
    found = {name: value if name in _CLEAR else await _value(value, codec) for name, value in attributes.items()}
    details = attributes.get("details")
    if isinstance(details, Payloads):                # of an activity that was cancelled, or of a termination
        found["details"] = await _value(details, codec)
    elif details and "result" in details:
        found["details"] = {**details, "result": await _value(details["result"], codec)}
    return found


async def _value(value: Any, codec: PayloadCodec) -> Any:
    match value:
        case Payloads():
            return Payloads(payloads=await codec.decode(value.payloads))
        case Payload():
            return (await codec.decode([value]))[0]
        case Failure():
            copied = failure_from_json(failure_to_json(value))       # codecs decode failures in place
            await codec.decode_failure(copied)
            return copied
        case Mapping():
            return await _attributes(cast("Mapping[str, Any]", value), codec)
        case _ if is_list(value):
            return [await _value(each, codec) for each in value]
        case _:
            return value
