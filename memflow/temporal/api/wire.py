"""What messages share: comparison, copying, and protobuf's wire format for fields of bytes (wire type 2)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Self


class Message:
    """A message: fields with defaults, compared by value."""

    __slots__ = ()

    def _fields(self) -> list[str]:
        return [name for cls in type(self).__mro__ for name in getattr(cls, "__slots__", ())]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in self._fields())

    __hash__ = None  # type: ignore[assignment]  # messages change

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name in sorted(self._fields()) if (value := getattr(self, name)))
        return f"{type(self).__name__}({shown})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        for name in self._fields():
            setattr(made, name, copy.deepcopy(getattr(self, name), memo))
        return made

    def CopyFrom(self, other: Self) -> None:
        """Become a copy of `other`."""
        for name in self._fields():
            setattr(self, name, copy.deepcopy(getattr(other, name)))

    def MergeFrom(self, other: Self) -> None:
        """Take over what `other` has set."""
        for name in self._fields():
            value = getattr(other, name)
            if value:
                setattr(self, name, copy.deepcopy(value))

    def HasField(self, name: str) -> bool:
        """Whether the field is set.

        Raises:
            ValueError: there is no such field.
        """
        if name not in self._fields():
            raise ValueError(f"{type(self).__name__} has no field {name!r}; it has {', '.join(sorted(self._fields()))}")
        return getattr(self, name) not in (None, "", b"", 0)

    def SerializeToString(self) -> bytes:
        """The bytes that protobuf writes for this message."""
        raise NotImplementedError(f"not offered by memflow.temporal: the wire format of {type(self).__name__}; keep a Payload")

    def ParseFromString(self, data: bytes) -> int:
        """Become what `SerializeToString` wrote."""
        raise NotImplementedError(f"not offered by memflow.temporal: the wire format of {type(self).__name__}; keep a Payload")

    @classmethod
    def FromString(cls, data: bytes) -> Self:
        """The message that these bytes hold.

        Raises:
            ValueError: they hold none.
        """
        made = cls()
        made.ParseFromString(data)
        return made


def written(number: int, body: bytes) -> bytes:
    """A field of bytes: its tag, its length, itself."""
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def read_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of bytes in a message; other kinds are stepped over.

    Raises:
        ValueError: this is no message.
    """
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 2:
                size, at = _read_varint(data, at)
                if at + size > len(data):
                    raise ValueError("the message is cut short")
                yield tag >> 3, data[at : at + size]
                at += size
            case 0:
                _, at = _read_varint(data, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case kind:
                raise ValueError(f"wire type {kind} is none of a message")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("the message is cut short")
