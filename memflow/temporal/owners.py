"""Whose payload it is, beside the payload itself: a codec that wants to know is told the same when it is read.

The owner stands in clear beside the sealed bytes; all of it is in columns and journals in clear as well.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

from memflow.failure import ENCODING as FAILURE
from memflow.payload import Payload as Stored
from memflow.temporal.converter import ActivitySerializationContext, SerializationContext, WorkflowSerializationContext

OWNER: Final = "temporal_owner"
"""The fact of a failure that names its owner: failures become payloads where nobody knows any more."""

_KINDS: Final[dict[str, type[Any]]] = {"workflow": WorkflowSerializationContext, "activity": ActivitySerializationContext}


NOBODY: Final = '{"kind":"workflow","namespace":"","workflow_id":""}'
"""The owner of what memflow itself says, such as why a run does not go on."""


@dataclass(frozen=True, slots=True)
class Owned(Stored):
    """A payload on its way to Postgres, with its owner as text."""

    owner: str = ""


def text_of(context: SerializationContext) -> str | None:
    """An owner as text; None for one that memflow does not know."""
    for name, kind in _KINDS.items():
        if type(context) is kind:
            fields: dict[str, Any] = asdict(cast("Any", context))
            return json.dumps({"kind": name, **fields}, separators=(",", ":"))
    return None


def owner_of(payload: Stored) -> str | None:
    """The owner of a payload, as text."""
    if isinstance(payload, Owned):
        return payload.owner
    if payload.encoding != FAILURE or OWNER.encode() not in payload.data:
        return None
    failure: Any = json.loads(payload.data)
    while isinstance(failure, dict):
        found: Any = failure.get("facts", {}).get(OWNER)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(found, str):
            return found
        failure = failure.get("cause")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return None


def context_of(owner: str) -> SerializationContext:
    """The owner that `text_of` wrote."""
    body: dict[str, Any] = json.loads(owner)
    made: SerializationContext = _KINDS[body.pop("kind")](**body)
    return made
