"""Events as JSON, in the shape that Temporal's tools write, and back. What memflow replays rides along under `memflow`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from memflow.core.entries import JournalEntry, Row, from_row, to_row
from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.enums.v1 import EventType
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.api.history.v1 import ATTRIBUTES, HistoryEvent
from memflow.temporal.api.sdk.v1 import UserMetadata
from memflow.temporal.api.times import Timestamp
from memflow.temporal.arguments import is_list
from memflow.temporal.client.failure_json import failure_from_json, failure_to_json, payload_from_json, payload_to_json


def event_to_json(event: HistoryEvent) -> dict[str, Any]:
    """An event as JSON."""
    body: dict[str, Any] = {
        "eventId": str(event.event_id),
        "eventTime": _time(event.event_time),
        "eventType": event.event_type.name,
    }
    name = ATTRIBUTES.get(event.event_type)
    if name is not None:
        body[_camel(name)] = _plain(event.attributes)
    if event.HasField("user_metadata"):
        said = event.user_metadata
        body["userMetadata"] = {
            name: _plain(getattr(said, name)) for name in ("summary", "details") if said.HasField(name)
        }
    if event.entries:
        body["memflow"] = [_entry_to_json(entry) for entry in event.entries]
    return body


def event_from_json(body: Mapping[str, Any]) -> HistoryEvent:
    """The event of some JSON; names of types are taken in both of Temporal's spellings."""
    kind = _event_type(str(body["eventType"]))
    name = ATTRIBUTES.get(kind)
    attributes: dict[str, Any] = {} if name is None else _read(body.get(_camel(name)) or {})
    return HistoryEvent(
        int(body["eventId"]),
        kind,
        Timestamp.of(_read_time(str(body["eventTime"]))),
        attributes,
        tuple(_entry_from_json(entry) for entry in body.get("memflow", ())),
        UserMetadata(**_read(body.get("userMetadata") or {})),
    )


def _event_type(text: str) -> EventType:
    spelled = text
    if not text.startswith("EVENT_TYPE_"):
        words = "".join(f"_{character}" if character.isupper() else character.upper() for character in text)
        spelled = f"EVENT_TYPE{words}"
    if spelled not in EventType.__members__:
        raise ValueError(f"{text!r} is no type of history events that is known here")
    return EventType[spelled]


def _entry_to_json(entry: JournalEntry) -> dict[str, Any]:
    row = to_row(entry.entry)
    return {
        "seq": entry.seq,
        "turn": entry.turn,
        "at": entry.at.isoformat(),
        "kind": row.kind,
        "op": row.op,
        "attributes": row.attributes,
        "encoding": row.encoding,
        "data": None if row.data is None else b64encode(row.data).decode(),
    }


def _entry_from_json(body: Mapping[str, Any]) -> JournalEntry:
    data = body["data"]
    row = Row(body["kind"], body["op"], body["attributes"], body["encoding"], None if data is None else b64decode(data))
    return JournalEntry(body["seq"], body["turn"], datetime.fromisoformat(body["at"]), from_row(row))


# ------------------------------------------------------------------------------------------------- values


def _plain(value: Any) -> Any:
    match value:
        case Payloads():
            return {"payloads": [_plain(each) for each in value.payloads]}
        case Payload():
            return payload_to_json(value)
        case Failure():
            return failure_to_json(value)
        case timedelta():
            return f"{value.total_seconds():g}s"
        case datetime():
            return _time(value)
        case Mapping():
            named = cast("Mapping[str, Any]", value)
            return {_camel(name): _named(name, each) for name, each in named.items()}
        case list() | tuple():
            return [_plain(each) for each in cast("Sequence[Any]", value)]
        case int() if not isinstance(value, bool) and value > 2**31:
            return str(value)
        case _:
            return value


_BY_NAME = frozenset({"fields", "indexedFields", "details"})
"""Objects whose names are the program's own: memos, headers, search attributes, details of markers."""


def _named(name: str, value: Any) -> Any:
    if _camel(name) in _BY_NAME and isinstance(value, Mapping):
        return {key: _plain(each) for key, each in cast("Mapping[str, Any]", value).items()}
    return _plain(value)


def _read(value: Any, *, key: str = "") -> Any:
    match value:
        case {"payloads": list()} as body:
            return Payloads(payloads=[_read(each) for each in cast("list[Any]", body["payloads"])])
        case {"metadata": {}, **rest} if set(rest) <= {"data"}:
            return payload_from_json(cast("Mapping[str, Any]", value))
        case Mapping() if key == "failure":
            return failure_from_json(cast("Mapping[str, Any]", value))
        case Mapping() if key in _BY_NAME:
            named = cast("Mapping[str, Any]", value)
            return {str(name): _read(each) for name, each in named.items()}
        case Mapping():
            named = cast("Mapping[str, Any]", value)
            return {_snake(name): _read(each, key=name) for name, each in named.items()}
        case _ if is_list(value):
            return [_read(each) for each in value]
        case str() if key.endswith("EventId") and value.isdigit():
            return int(value)
        case _:
            return value


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_time(text: str) -> datetime:
    whole, dot, rest = text.partition(".")
    if not dot:
        return datetime.fromisoformat(text)
    digits = rest.rstrip("Z")
    return datetime.fromisoformat(f"{whole}.{digits[:6]:0<6}+00:00")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each[:1].upper() + each[1:] for each in others)


def _snake(name: str) -> str:
    return "".join(f"_{character.lower()}" if character.isupper() else character for character in name)
