"""Classes that travel as values of another class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")
TransferT = TypeVar("TransferT")

_CONVERTER = "__temporal_transfer_type_converter"


class TransferTypeConverter(ABC, Generic[ValueT, TransferT]):
    """Says what a class's values travel as. `transfer_type` is the hint with which they are read; None means no hint."""

    transfer_type: type[TransferT] | None = None

    @abstractmethod
    def to_transfer_type(self, value: ValueT) -> TransferT:
        """What travels."""

    @abstractmethod
    def from_transfer_type(self, value: TransferT, type_hint: type[ValueT]) -> ValueT:
        """The value again; `type_hint` is what was asked for, with its own parameters."""


def transfer_type_convertible(
    converter_type: type[TransferTypeConverter[ValueT, TransferT]],
) -> Callable[[type[ValueT]], type[ValueT]]:
    """Have the values of a class converted so.

    Raises:
        TypeError: the class has such a converter, or inherits one.
    """

    def mark(cls: type[ValueT]) -> type[ValueT]:
        if hasattr(cls, _CONVERTER):
            raise TypeError("class already has a transfer type converter")
        setattr(cls, _CONVERTER, converter_type())
        return cls

    return mark


def transfer_of(hint: object) -> TransferTypeConverter[Any, Any] | None:
    """The converter of a class, or of a generic one with its parameters."""
    found: TransferTypeConverter[Any, Any] | None = getattr(hint, _CONVERTER, None)
    return found
