"""What people are told of a step."""

from __future__ import annotations

from memflow.temporal.api.common.v1.message_pb2 import Payload
from memflow.temporal.api.wire import Message


class UserMetadata(Message):
    """A line, and more at length, each as a payload; absent where nothing was said."""

    __slots__ = ("details", "summary")

    def __init__(self, *, summary: Payload | None = None, details: Payload | None = None) -> None:
        self.summary = Payload() if summary is None else summary
        self.details = Payload() if details is None else details

    def HasField(self, name: str) -> bool:
        return super().HasField(name) and bool(getattr(self, name).metadata)
