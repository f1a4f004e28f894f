"""Payloads to payloads: what happens to encoded values on their way to Postgres and back. Encryption, compression, your own.

A value codec (`codec.JsonCodec`) makes bytes of values; payload codecs change those bytes. They are given to
`Client.connect(codec=[...])` and applied at the edge to Postgres (`store/sealed.py`), so that only stored bytes differ.
"""

from __future__ import annotations

import hmac
import inspect
import json
import secrets
import zlib
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from memflow.errors import ConfigurationError, PayloadError
from memflow.payload import Payload, Unreadable

Place = tuple[str, ...]
"""Where a payload belongs: namespace, what it is, and the ids of its run and field. See `store/sealing.py`."""

MOST_INFLATED = 64 * 1024 * 1024
"""Bytes that a compressed payload may grow to by default; a few hundred bytes could otherwise fill the memory."""

UNREADABLE = "unreadable payload: "
"""How the reason begins why a payload cannot be opened. It tells nothing of what the payload holds."""

_AES = "aes256gcm:"
_ZLIB = "zlib"
_SALT, _NONCE = 16, 12
_MESSAGES_PER_SALT = 2**20
"""Payloads under one derived key. Random nonces of 96 bits allow 2**32 (NIST SP 800-38D); this leaves a wide margin."""

_DERIVED_KEYS = 1024
"""Derived keys kept in memory: each process that writes has one at a time."""


@runtime_checkable
class PayloadCodec(Protocol):
    """Changes payloads, many at a time, and back. Both methods may be async.

    `encode` marks what it changed by its own `encoding`, and `decode` gives back unchanged whatever does not carry that mark:
    it may have been written before the codec was in use. The answer has one payload for each, in the same order.
    """

    def encode(self, payloads: Sequence[Payload], /) -> Sequence[Payload] | Awaitable[Sequence[Payload]]:
        """Payloads as they are to be stored."""
        ...

    def decode(self, payloads: Sequence[Payload], /) -> Sequence[Payload] | Awaitable[Sequence[Payload]]:
        """Stored payloads as they were."""
        ...


@runtime_checkable
class BoundPayloadCodec(PayloadCodec, Protocol):
    """A payload codec that is also told where each payload belongs, so that it can notice one that was moved."""

    def seal(
        self, payloads: Sequence[Payload], places: Sequence[Place], /
    ) -> Sequence[Payload] | Awaitable[Sequence[Payload]]:
        """As `encode`, each payload bound to its place."""
        ...

    def open(
        self, payloads: Sequence[Payload], places: Sequence[Sequence[Place]], /
    ) -> Sequence[Payload] | Awaitable[Sequence[Payload]]:
        """As `decode`. A payload may belong to any of the places given for it."""
        ...


class Encryption:
    """AES-256-GCM. Needs the library `cryptography`: `pip install 'memflow[crypto]'`.

        codec = Encryption(keys={"2026-01": new_key, "2025-07": old_key}, active="2026-01")

    `keys` maps ids to 32 random bytes (`secrets.token_bytes(32)`); what is written uses the `active` one, what is read the one it
    names: the id stands in clear beside the bytes. To rotate, first add the new key everywhere, then make it active. Every
    payload is bound to its namespace, run and field: moved to another, it cannot be opened. Payloads that were written before
    encryption was in use are read as they are, unless `require` refuses them; failures that the database itself pronounces
    (a terminated run) are plain always.

    Raises:
        ConfigurationError: a key or id cannot be used, or the library is missing.
    """

    def __init__(self, keys: Mapping[str, bytes], active: str, *, require: bool = False) -> None:
        if not keys:
            raise ConfigurationError("Encryption: keys is empty; give at least one, as {'k1': secrets.token_bytes(32)}")
        for id, key in cast("Mapping[object, object]", keys).items():
            if not isinstance(id, str) or not id or len(id) > 100 or not id.isprintable():
                raise ConfigurationError(f"Encryption: {id!r} cannot be the id of a key; give 1 to 100 printable characters")
            if not isinstance(key, bytes | bytearray) or len(key) != 32:
                found = f"{len(key)} bytes" if isinstance(key, bytes | bytearray) else type(key).__name__
                raise ConfigurationError(f"Encryption: key {id!r} is {found}; AES-256 takes 32 bytes: secrets.token_bytes(32)")
        if active not in keys:
            raise ConfigurationError(f"Encryption: active={active!r} is not one of the keys {', '.join(map(repr, keys))}")
        self._aesgcm, self._invalid = _ciphers()
        self._keys = {id: bytes(key) for id, key in keys.items()}
        self._active = active
        self._require = require
        self._derived: dict[tuple[str, bytes], Any] = {}
        self._salt = b""
        self._left = 0

    def __repr__(self) -> str:
        return f"Encryption(keys={list(self._keys)}, active={self._active!r})"  # never the keys themselves

    def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        """Encrypted, bound to no place."""
        return self.seal(payloads, [()] * len(payloads))

    def decode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        """Decrypted, if bound to no place."""
        return self.open(payloads, [((),)] * len(payloads))

    def seal(self, payloads: Sequence[Payload], places: Sequence[Place], /) -> list[Payload]:
        """Encrypted, each bound to its place."""
        return [self._seal(payload, place) for payload, place in zip(payloads, places, strict=True)]

    def open(self, payloads: Sequence[Payload], places: Sequence[Sequence[Place]], /) -> list[Payload]:
        """Decrypted.

        Raises:
            PayloadError: the key is unknown, or the bytes are not what was written for this place.
        """
        return [self._open(payload, allowed) for payload, allowed in zip(payloads, places, strict=True)]

    def _seal(self, payload: Payload, place: Place) -> Payload:
        if self._left == 0:
            self._salt, self._left = secrets.token_bytes(_SALT), _MESSAGES_PER_SALT
        self._left -= 1
        # Random, not counted: a forked process goes on with the same counter, and GCM breaks when a nonce repeats.
        nonce = secrets.token_bytes(_NONCE)
        inner = b"" if payload.encoding is None else payload.encoding.encode()
        plain = len(inner).to_bytes(2, "big") + inner + payload.data
        sealed = self._cipher(self._active, self._salt).encrypt(nonce, plain, _bound(self._active, place))
        return Payload(b"".join((self._salt, nonce, sealed)), _AES + self._active)

    def _open(self, payload: Payload, allowed: Sequence[Place]) -> Payload:
        encoding = payload.encoding or ""
        if not encoding.startswith(_AES):
            if self._require and encoding != "failure":
                raise PayloadError("the payload is not encrypted, and Encryption(require=True) takes no other")
            return payload
        id = encoding.removeprefix(_AES)
        if id not in self._keys:
            known = ", ".join(map(repr, self._keys))
            raise PayloadError(f"the payload is encrypted with the key {id!r}, which is not known here; known keys: {known}")
        data = payload.data
        salt, nonce, sealed = data[:_SALT], data[_SALT : _SALT + _NONCE], data[_SALT + _NONCE :]
        for place in allowed:
            try:
                plain: bytes = self._cipher(id, salt).decrypt(nonce, sealed, _bound(id, place))
            except (self._invalid, ValueError):
                continue
            size = 2 + int.from_bytes(plain[:2], "big")
            return Payload(plain[size:], plain[2:size].decode() or None)
        where = "/".join(allowed[0]) or "this place"
        raise PayloadError(
            f"the payload does not open with the key {id!r} for {where}:"
            " it was changed, moved here from another run or field, or the key is another one of the same id"
        )

    def _cipher(self, id: str, salt: bytes) -> Any:
        cipher = self._derived.get((id, salt))
        if cipher is None:
            if len(self._derived) >= _DERIVED_KEYS:
                self._derived.clear()
            derived = hmac.digest(self._keys[id], b"memflow payload\0" + salt, "sha256")
            cipher = self._derived[id, salt] = self._aesgcm(derived)
        return cipher


class Compression:
    """zlib, for payloads of at least `min_size` bytes that become smaller. `level` is zlib's, 1 (fast) to 9 (small).

    Put it before encryption: what is encrypted has no pattern left. A payload that would grow beyond `max_bytes` is refused.

    Raises:
        ConfigurationError: an option cannot work.
    """

    def __init__(self, *, min_size: int = 1024, level: int = 6, max_bytes: int = MOST_INFLATED) -> None:
        if not 1 <= level <= 9:
            raise ConfigurationError(f"Compression: level={level!r} is not one of 1 to 9")
        if min_size < 0:
            raise ConfigurationError(f"Compression: min_size={min_size!r} is below 0")
        self._min_size = min_size
        self._level = level
        self._max_bytes = max_bytes

    def encode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        """Compressed where it helps."""
        return [self._deflate(payload) for payload in payloads]

    def decode(self, payloads: Sequence[Payload], /) -> list[Payload]:
        """As they were.

        Raises:
            PayloadError: the bytes cannot be inflated.
        """
        return [self._inflate(payload) for payload in payloads]

    def _deflate(self, payload: Payload) -> Payload:
        if len(payload.data) < self._min_size:
            return payload
        data = zlib.compress(payload.data, self._level)
        encoding = _ZLIB if payload.encoding is None else f"{_ZLIB}:{payload.encoding}"
        return Payload(data, encoding) if len(data) < len(payload.data) else payload

    def _inflate(self, payload: Payload) -> Payload:
        name, _, inner = (payload.encoding or "").partition(":")
        if name != _ZLIB:
            return payload
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(payload.data, self._max_bytes)
        except zlib.error as error:
            raise PayloadError(f"a compressed payload is damaged: {error}") from None
        if not inflater.eof:
            raise PayloadError(f"a compressed payload is cut short, or larger than {self._max_bytes:,} bytes inflated")
        return Payload(data, inner or None)


class Codecs:
    """Several payload codecs as one: `codecs[0]` is nearest to the value, the last one nearest to Postgres."""

    def __init__(self, codecs: Sequence[PayloadCodec]) -> None:
        self._codecs = tuple(codecs)

    async def seal(self, found: Sequence[tuple[Payload, Place]]) -> list[Payload]:
        """Payloads as they are to be stored.

        Raises:
            PayloadError: a codec failed.
        """
        payloads = [payload for payload, _ in found]
        places = [place for _, place in found]
        for codec in self._codecs:
            payloads = await _called(codec, "encode", payloads, places) if payloads else payloads
        return payloads

    async def open(self, found: Sequence[tuple[Payload, Sequence[Place]]]) -> list[Payload]:
        """Payloads as they were; those that cannot be opened come as `Unreadable`, and hold up no others."""
        try:
            return await self._open(found)
        except PayloadError as error:
            if len(found) == 1:
                payload = found[0][0]
                return [Unreadable(payload.data, payload.encoding, UNREADABLE + str(error).removesuffix(f" (at {error.path})"))]
        return [(await self.open([one]))[0] for one in found]

    async def _open(self, found: Sequence[tuple[Payload, Sequence[Place]]]) -> list[Payload]:
        payloads = [payload for payload, _ in found]
        places = [allowed for _, allowed in found]
        for codec in reversed(self._codecs):
            payloads = await _called(codec, "decode", payloads, places) if payloads else payloads
        return payloads


async def _called(codec: PayloadCodec, verb: str, payloads: list[Payload], places: Sequence[Any]) -> list[Payload]:
    """What a codec makes of payloads. Whatever it raises comes as a PayloadError: it may be anybody's code."""
    name = type(codec).__name__
    try:
        if isinstance(codec, BoundPayloadCodec):
            answer: Any = codec.seal(payloads, places) if verb == "encode" else codec.open(payloads, places)
        else:
            answer = codec.encode(payloads) if verb == "encode" else codec.decode(payloads)
        if inspect.isawaitable(answer):
            answer = await answer
        changed = list(cast("Sequence[object]", answer))
    except PayloadError:
        raise
    except Exception as error:
        raise PayloadError(f"the payload codec {name} failed to {verb}: {type(error).__name__}: {error}") from error
    if len(changed) != len(payloads) or not all(isinstance(each, Payload) for each in changed):
        raise PayloadError(f"the payload codec {name} must give one Payload for each of {len(payloads)}, in their order")
    return cast("list[Payload]", changed)


def is_payload_codec(value: object) -> bool:
    """Whether this changes payloads rather than values: both have `encode` and `decode`, a value codec has more."""
    return not isinstance(value, type) and isinstance(value, PayloadCodec) and not hasattr(value, "encode_arguments")


def _bound(id: str, place: Place) -> bytes:
    """What is authenticated besides the bytes. As JSON, in which no two lists look the same."""
    return json.dumps(["memflow", 1, id, *place], ensure_ascii=True, separators=(",", ":")).encode("ascii")


def _ciphers() -> tuple[Any, Any]:
    """AESGCM, and the error it raises; the library is imported only by those who encrypt."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigurationError("Encryption needs the library cryptography: pip install 'memflow[crypto]'") from None
    return AESGCM, InvalidTag
