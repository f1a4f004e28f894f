"""What `codec=` of a client may be: a value codec, payload codecs, or both, sorted out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from memflow.codec import Codec, JsonCodec
from memflow.errors import ConfigurationError
from memflow.payload_codecs import Codecs, PayloadCodec, is_payload_codec

AnyCodec = Codec | PayloadCodec | Sequence[Codec | PayloadCodec]
"""One codec, or several: at most one of them for values, the rest for payloads in their order."""

_VALUE_VERBS = ("encode", "decode", "encode_arguments", "decode_arguments")


def codecs_of(given: AnyCodec | None) -> tuple[Codec, Codecs | None]:
    """The value codec, and the payload codecs as one; None for none.

    Raises:
        ConfigurationError: something is no codec, or there are two for values.
    """
    listed: list[Any] = [given]
    if given is None:
        listed = []
    elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
        listed = list(given)
    values: list[Codec] = []
    payloads: list[PayloadCodec] = []
    for each in listed:
        if is_payload_codec(each):
            payloads.append(each)
        elif not isinstance(each, type) and all(callable(getattr(each, verb, None)) for verb in _VALUE_VERBS):
            values.append(each)
        else:
            shown = f"the class {each.__name__}" if isinstance(each, type) else repr(each)
            raise ConfigurationError(
                f"codec: {shown} is no codec; give an instance that encodes and decodes payloads (Encryption, Compression, ...),"
                " a value codec such as JsonCodec(), or a list of them"
            )
    if len(values) > 1:
        raise ConfigurationError("codec: only one codec can turn values into bytes; the others have to be payload codecs")
    return values[0] if values else JsonCodec(), Codecs(payloads) if payloads else None
