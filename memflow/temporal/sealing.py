"""A program's payload codec at the edge to Postgres: what it encrypts or compresses is all that Postgres sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from memflow.errors import PayloadError
from memflow.payload import Payload as Stored
from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.converter import PayloadCodec

SEALED: Final = "temporal/sealed"
"""Encoding of what a payload codec made."""

_INNER: Final = "memflow-encoding"
"""In a payload's metadata: the encoding under which memflow keeps it, where it is not plain JSON."""


class Sealing:
    """memflow's `PayloadCodec` over Temporal's. Each stored payload is one payload to it: arguments go together.

    What was stored before the codec was in use is read as it is. A result and a failure are encoded too, whatever the failure
    converter says about common attributes: Postgres sees neither messages nor stacks.
    """

    def __init__(self, codec: PayloadCodec) -> None:
        self._codec = codec

    async def encode(self, payloads: Sequence[Stored], /) -> list[Stored]:
        """Payloads as they are stored."""
        return [await self._sealed(each) for each in payloads]

    async def decode(self, payloads: Sequence[Stored], /) -> list[Stored]:
        """Stored payloads as they were.

        Raises:
            PayloadError: the codec answers with none or several for one.
        """
        return [await self._opened(each) if each.encoding == SEALED else each for each in payloads]

    async def _sealed(self, payload: Stored) -> Stored:
        made = await self._codec.encode([_shown(payload)])
        return Stored(Payloads(payloads=made).SerializeToString(), SEALED)

    async def _opened(self, sealed: Stored) -> Stored:
        found = await self._codec.decode(Payloads.FromString(sealed.data).payloads)
        if len(found) != 1:
            raise PayloadError(f"the payload codec gives {len(found)} payloads for one that it was given")
        inner = found[0].metadata.get(_INNER)
        return Stored(found[0].data, None if inner is None else inner.decode())


def _shown(payload: Stored) -> Payload:
    """A stored payload as a codec sees it."""
    if payload.encoding is None:
        return Payload(metadata={"encoding": b"json/plain"}, data=payload.data)
    return Payload(metadata={"encoding": b"binary/plain", _INNER: payload.encoding.encode()}, data=payload.data)
