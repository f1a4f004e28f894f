"""A program's payload codec at the edge to Postgres: what it encrypts or compresses is all that Postgres sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from memflow.errors import PayloadError
from memflow.payload import Payload as Stored
from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.wire import read_fields, written
from memflow.temporal.converter import PayloadCodec, WithSerializationContext
from memflow.temporal.owners import NOBODY, Owned, context_of, owner_of

SEALED: Final = "temporal/sealed"
"""Encoding of what a payload codec made."""

_OWNER_FIELD: Final = 1000
"""Number of the field that holds the owner, beside those of Temporal's message, whose readers step over it."""

_INNER: Final = "memflow-encoding"
"""In a payload's metadata: the encoding under which memflow keeps it, where it is not plain JSON."""


class Sealing:
    """memflow's `PayloadCodec` over Temporal's. Each stored payload is one payload to it: arguments go together.

    What was stored before the codec was in use is read as it is. A result and a failure are encoded too, whatever the failure
    converter says about common attributes: Postgres sees neither messages nor stacks.
    """

    def __init__(self, codec: PayloadCodec) -> None:
        self._codec = codec
        self._cares = isinstance(codec, WithSerializationContext)

    async def encode(self, payloads: Sequence[Stored], /) -> list[Stored]:
        """Payloads as they are stored."""
        return [await self._sealed(each) for each in payloads]

    async def decode(self, payloads: Sequence[Stored], /) -> list[Stored]:
        """Stored payloads as they were.

        Raises:
            PayloadError: the codec answers with none or several for one.
        """
        return [await self._opened(each) if each.encoding == SEALED else each for each in payloads]

    def _told(self, owner: str | None) -> PayloadCodec:
        codec = self._codec
        if owner is None or not isinstance(codec, WithSerializationContext):
            return codec
        return cast("PayloadCodec", codec.with_context(context_of(owner)))

    async def _sealed(self, payload: Stored) -> Stored:
        owner = (owner_of(payload) or NOBODY) if self._cares else None
        made = await self._told(owner).encode([_shown(payload)])
        beside = b"" if owner is None else written(_OWNER_FIELD, owner.encode())
        return Stored(Payloads(payloads=made).SerializeToString() + beside, SEALED)

    async def _opened(self, sealed: Stored) -> Stored:
        owners = (body.decode() for number, body in read_fields(sealed.data) if number == _OWNER_FIELD)
        owner = next(owners, None) if self._cares else None
        found = await self._told(owner).decode(Payloads.FromString(sealed.data).payloads)
        if len(found) != 1:
            raise PayloadError(f"the payload codec gives {len(found)} payloads for one that it was given")
        inner = found[0].metadata.get(_INNER)
        encoding = None if inner is None else inner.decode()
        # What has arrived is sealed once more with the turn that takes it, for the same owner.
        return Stored(found[0].data, encoding) if owner is None else Owned(found[0].data, encoding, owner)


def _shown(payload: Stored) -> Payload:
    """A stored payload as a codec sees it."""
    if payload.encoding is None:
        return Payload(metadata={"encoding": b"json/plain"}, data=payload.data)
    return Payload(metadata={"encoding": b"binary/plain", _INNER: payload.encoding.encode()}, data=payload.data)
