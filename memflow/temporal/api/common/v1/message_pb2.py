"""The messages themselves: keyword constructors, fields that exist from the start, and protobuf's own wire format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from memflow.temporal.api.wire import Message, read_fields, written


class Payload(Message):
    """An encoded value: bytes, and metadata that says how to read them."""

    __slots__ = ("data", "external_payloads", "metadata")

    def __init__(self, *, metadata: Mapping[str, bytes] | None = None, data: bytes = b"") -> None:
        self.metadata: dict[str, bytes] = dict(metadata or {})
        self.data = bytes(data)
        self.external_payloads: list[Any] = []

    def SerializeToString(self) -> bytes:
        """The bytes that protobuf writes for this message."""
        entries = b"".join(
            written(1, written(1, name.encode()) + written(2, value)) for name, value in sorted(self.metadata.items())
        )
        return entries + (written(2, self.data) if self.data else b"")

    def ParseFromString(self, data: bytes) -> int:
        """Become what `SerializeToString` wrote."""
        self.metadata.clear()
        self.data = b""
        for number, body in read_fields(data):
            if number == 1:
                entry = dict(read_fields(body))
                self.metadata[entry.get(1, b"").decode()] = entry.get(2, b"")
            elif number == 2:
                self.data = body
        return len(data)


class Payloads(Message):
    """Several payloads."""

    __slots__ = ("payloads",)

    def __init__(self, *, payloads: Iterable[Payload] = ()) -> None:
        self.payloads: list[Payload] = list(payloads)

    def SerializeToString(self) -> bytes:
        """The bytes that protobuf writes for this message."""
        return b"".join(written(1, each.SerializeToString()) for each in self.payloads)

    def ParseFromString(self, data: bytes) -> int:
        """Become what `SerializeToString` wrote."""
        self.payloads[:] = [Payload.FromString(body) for number, body in read_fields(data) if number == 1]
        return len(data)


class Header(Message):
    """Headers by name."""

    __slots__ = ("fields",)

    def __init__(self, *, fields: Mapping[str, Payload] | None = None) -> None:
        self.fields: dict[str, Payload] = dict(fields or {})


class Memo(Header):
    """Memo fields by name."""

    __slots__ = ()


class WorkflowExecution(Message):
    """One run of one workflow."""

    __slots__ = ("run_id", "workflow_id")

    def __init__(self, *, workflow_id: str = "", run_id: str = "") -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id

    def SerializeToString(self) -> bytes:
        """The bytes that protobuf writes for this message."""
        texts = (self.workflow_id, self.run_id)
        return b"".join(written(number, text.encode()) for number, text in enumerate(texts, 1) if text)

    def ParseFromString(self, data: bytes) -> int:
        """Become what `SerializeToString` wrote."""
        found = dict(read_fields(data))
        self.workflow_id, self.run_id = found.get(1, b"").decode(), found.get(2, b"").decode()
        return len(data)


class _Named(Message):
    __slots__ = ("name",)

    def __init__(self, *, name: str = "") -> None:
        self.name = name

    @classmethod
    def of(cls, name: str) -> Self:
        """The message for a name."""
        return cls(name=name)


class WorkflowType(_Named):
    """A workflow's name."""

    __slots__ = ()


class ActivityType(_Named):
    """An activity's name."""

    __slots__ = ()
