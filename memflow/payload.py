"""An encoded value: bytes and the name of how to read them. Nothing here encodes; see `codec`."""

from __future__ import annotations

from dataclasses import dataclass

from memflow.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Payload:
    """A value as it is stored. `encoding` is None for JSON as `JsonCodec` writes it, else a tag a codec knows."""

    data: bytes
    encoding: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Unreadable(Payload):
    """A payload that could not be opened (an unknown key, bytes that were moved or changed), still as it is stored."""

    reason: str = ""


NOTHING = Payload(b"null")
"""The payload of None."""

NO_ARGUMENTS = Payload(b"[]")
"""The payload of an empty argument list."""
