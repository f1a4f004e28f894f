"""Payload codecs: bytes to bytes, such as encryption and compression."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from memflow.temporal.api.common.v1 import Payload, Payloads
from memflow.temporal.api.failure.v1 import Failure


class PayloadCodec(ABC):
    """Turns payloads into others and back. May do IO."""

    @abstractmethod
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as they are stored."""

    @abstractmethod
    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads that `encode` was given."""

    async def encode_wrapper(self, payloads: Payloads) -> None:
        """Encode in place."""
        payloads.payloads[:] = await self.encode(payloads.payloads)

    async def decode_wrapper(self, payloads: Payloads) -> None:
        """Decode in place."""
        payloads.payloads[:] = await self.decode(payloads.payloads)

    async def encode_failure(self, failure: Failure) -> None:
        """Encode the payloads of a failure and of its causes in place."""
        await self._each(failure, self.encode_wrapper)

    async def decode_failure(self, failure: Failure) -> None:
        """Decode the payloads of a failure and of its causes in place."""
        await self._each(failure, self.decode_wrapper)

    async def _each(self, failure: Failure, change: Callable[[Payloads], Awaitable[None]]) -> None:
        current: Failure | None = failure
        while current is not None:
            if current.HasField("encoded_attributes"):
                one = Payloads(payloads=[current.encoded_attributes])
                await change(one)
                current.encoded_attributes = one.payloads[0]
            for held in (
                current.application_failure_info.details,
                current.canceled_failure_info.details,
                current.timeout_failure_info.last_heartbeat_details,
            ):
                if held.payloads:
                    await change(held)
            current = current.cause_
