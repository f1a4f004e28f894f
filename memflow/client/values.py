"""Values that a client sends without a declared type: a signal's payload, a memo, fields to search by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from memflow.codec import Codec
from memflow.errors import ConfigurationError
from memflow.payload import Payload
from memflow.workflow.handlers import handler_types

_PLAIN = (bool, int, float, str, list, dict, type(None))


def encode_value(value: Any, codec: Codec) -> Payload:
    """A value by its own type: the receiver's hint reads it back. Inside a list or dict only plain JSON values are taken.

    Raises:
        PayloadError: it cannot be stored; names the path in the value.
    """
    return codec.encode(value) if type(value) in _PLAIN else codec.encode(value, type(value))


def encode_signal(arguments: Sequence[Any], codec: Codec) -> Payload:
    """What a signal carries: nothing, one value as it is, or several as a list."""
    match len(arguments):
        case 0:
            return codec.encode(None)
        case 1:
            return encode_value(arguments[0], codec)
        case _:
            return codec.encode(list(arguments))


def encode_arguments(arguments: Sequence[Any], target: Any, codec: Codec) -> tuple[Payload, Any]:
    """The arguments of a query or update as a list, and the type of its result. `target` is its method or its name.

    Raises:
        TypeError: too few or too many arguments for the method.
        PayloadError: an argument is not of its declared type, or cannot be stored.
    """
    parameters, types, result = handler_types(target)
    if parameters is None:
        return codec.encode_arguments(arguments, [Any if type(each) in _PLAIN else type(each) for each in arguments]), result
    return codec.encode_arguments(parameters.bind(arguments, {}), types), result


def encode_signal_to(target: Any, arguments: Sequence[Any], codec: Codec) -> Payload:
    """What a signal carries to the handler of its name; `target` is that method or the name.

    Raises:
        TypeError: too few or too many arguments for the method.
        PayloadError: an argument is not of its declared type, or cannot be stored.
    """
    parameters, types, _ = handler_types(target)
    if parameters is None:
        return encode_signal(arguments, codec)
    bound = parameters.bind(arguments, {})
    match len(bound):
        case 0:
            return codec.encode(None)
        case 1:
            return codec.encode(bound[0], types[0])
        case _:
            return codec.encode_arguments(bound, types)


def encode_fields(fields: object, codec: Codec, *, what: str) -> Payload | None:
    """A JSON object by field name, or None for none. `what` names the option in errors.

    Raises:
        ConfigurationError: not a mapping of names.
        PayloadError: a value cannot be stored.
    """
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"{what}: a dict of names and values is needed, not {type(fields).__name__}")
    named: dict[str, Any] = {}
    for name, value in cast("Mapping[object, Any]", fields).items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"{what}: {name!r} is no name; names are text")
        named[name] = value
    return codec.encode(named) if named else None


def check_headers(headers: object) -> dict[str, str]:
    """Headers are text by text: they travel with the run and are not encoded.

    Raises:
        ConfigurationError: something else.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers: a dict of text is needed, not {type(headers).__name__}")
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(f"headers: {name!r} is {type(value).__name__}; names and values are text")
        checked[name] = value
    return checked
