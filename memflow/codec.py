"""Values to bytes and back, driven by type hints. (Contract; the owner of this file writes `JsonCodec`.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from memflow.payload import Payload


class Codec(Protocol):
    """How values become payloads. `hint` is the declared type; without one only plain JSON values are taken."""

    def encode(self, value: Any, hint: Any = Any) -> Payload: ...
    def decode(self, payload: Payload, hint: Any = Any) -> Any: ...
    def encode_arguments(self, arguments: Sequence[Any], hints: Sequence[Any]) -> Payload: ...
    def decode_arguments(self, payload: Payload, hints: Sequence[Any], required: int) -> list[Any]: ...
