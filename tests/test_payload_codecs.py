"""Encryption, compression and chains of codecs, as values."""

from __future__ import annotations

import secrets
import subprocess
import sys
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memflow.client.codecs import codecs_of
from memflow.codec import Compression, Encryption, JsonCodec, Payload
from memflow.errors import ConfigurationError, PayloadError
from memflow.payload import Unreadable
from memflow.payload_codecs import Codecs

KEY, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
HERE, THERE = ("default", "input", "run-1"), ("default", "input", "run-2")

payloads = st.builds(Payload, st.binary(max_size=3000), st.none() | st.sampled_from(["failure", "json-ascii", "zlib", "ключ"]))


def encryption(**options: bool) -> Encryption:
    return Encryption(keys={"k1": KEY}, active="k1", **options)


@given(payloads)
def test_what_goes_in_comes_out(payload: Payload) -> None:
    codec = encryption()
    [sealed] = codec.seal([payload], [HERE])
    assert sealed.encoding == "aes256gcm:k1" and (len(payload.data) < 4 or payload.data not in sealed.data)
    assert encryption().open([sealed], [[THERE, HERE]]) == [payload]
    assert codec.decode(codec.encode([payload])) == [payload]


@given(st.builds(Payload, st.binary(max_size=3000), st.none() | st.sampled_from(["failure", "json-ascii"])))
def test_compressed_payloads_come_back(payload: Payload) -> None:
    codec = Compression(min_size=0)
    assert codec.decode(codec.encode([payload])) == [payload]
    text = Payload(b"a" * 5000 + payload.data, payload.encoding)
    [small] = codec.encode([text])
    assert len(small.data) < len(text.data) and codec.decode([small]) == [text]


def test_one_value_sealed_twice_looks_different() -> None:
    first, second = encryption().seal([Payload(b"yes")] * 2, [HERE, HERE])
    assert first.data != second.data


@pytest.mark.parametrize(
    "place", [THERE, ("other", "input", "run-1"), ("default", "result", "run-1"), (), ("default", "input run-1")]
)
def test_a_payload_opens_at_its_own_place_alone(place: tuple[str, ...]) -> None:
    [sealed] = encryption().seal([Payload(b"1")], [HERE])
    with pytest.raises(PayloadError, match=r"does not open with the key 'k1'.*changed, moved here"):
        encryption().open([sealed], [[place]])


def test_any_changed_byte_is_noticed() -> None:
    [sealed] = encryption().seal([Payload(b"12")], [HERE])
    for at in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[at] ^= 1
        with pytest.raises(PayloadError, match="does not open"):
            encryption().open([Payload(bytes(changed), sealed.encoding)], [[HERE]])
    for cut in range(0, len(sealed.data), 7):
        with pytest.raises(PayloadError, match="does not open"):
            encryption().open([Payload(sealed.data[:cut], sealed.encoding)], [[HERE]])


def test_the_key_is_named_when_it_is_unknown_and_may_not_be_exchanged() -> None:
    [sealed] = encryption().seal([Payload(b"1")], [HERE])
    with pytest.raises(PayloadError, match="encrypted with the key 'k1', which is not known here; known keys: 'k2', 'k3'"):
        Encryption(keys={"k2": OTHER, "k3": KEY}, active="k2").open([sealed], [[HERE]])
    # The same bytes under another name: the name is authenticated too.
    with pytest.raises(PayloadError, match="does not open with the key 'k3'"):
        Encryption(keys={"k3": KEY}, active="k3").open([Payload(sealed.data, "aes256gcm:k3")], [[HERE]])


def test_rotation_reads_old_and_writes_new() -> None:
    old = Encryption(keys={"k1": KEY}, active="k1").seal([Payload(b"1")], [HERE])
    both = Encryption(keys={"k1": KEY, "k2": OTHER}, active="k2")
    assert both.open(old, [[HERE]]) == [Payload(b"1")]
    assert both.seal([Payload(b"1")], [HERE])[0].encoding == "aes256gcm:k2"


def test_plain_payloads_pass_unless_all_must_be_encrypted() -> None:
    plain = Payload(b"1")
    assert encryption().open([plain], [[HERE]]) == [plain]
    with pytest.raises(PayloadError, match="takes no other"):
        encryption(require=True).open([plain], [[HERE]])
    pronounced = Payload(b"{}", "failure")
    assert encryption(require=True).open([pronounced], [[HERE]]) == [pronounced]


@pytest.mark.parametrize(
    ("keys", "active", "says"),
    [
        ({}, "k1", "keys is empty"),
        ({"k1": b"short"}, "k1", "key 'k1' is 5 bytes; AES-256 takes 32 bytes"),
        ({"k1": "a" * 32}, "k1", "key 'k1' is str"),
        ({"": KEY}, "", "cannot be the id of a key"),
        ({"a\0b": KEY}, "a\0b", "cannot be the id of a key"),
        ({"k1": KEY}, "k2", "active='k2' is not one of the keys 'k1'"),
    ],
)
def test_keys_that_cannot_work_are_refused_and_never_shown(keys: dict[str, bytes], active: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Encryption(keys=keys, active=active)
    assert repr(KEY) not in repr(encryption()) and KEY.hex() not in repr(encryption())


def test_the_library_is_imported_on_use_alone_and_named_when_missing() -> None:
    code = """
import sys
sys.modules["cryptography"] = None
from memflow.codec import Encryption
from memflow.errors import ConfigurationError
try:
    Encryption(keys={"k": bytes(32)}, active="k")
except ConfigurationError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'memflow[crypto]'" in said


def test_what_would_fill_the_memory_is_not_inflated() -> None:
    bomb = Payload(zlib.compress(bytes(10_000_000)), "zlib")
    with pytest.raises(PayloadError, match="larger than 1,000,000 bytes"):
        Compression(max_bytes=1_000_000).decode([bomb])
    with pytest.raises(PayloadError, match="damaged"):
        Compression().decode([Payload(b"no zlib", "zlib")])
    for options in ({"level": 0}, {"level": 10}, {"min_size": -1}):
        with pytest.raises(ConfigurationError, match="Compression"):
            Compression(**options)


async def test_a_chain_goes_forth_in_order_and_back_in_reverse() -> None:
    chain = Codecs([Compression(min_size=0), encryption()])
    text = Payload(b"secret " * 100)
    [sealed] = await chain.seal([(text, HERE)])
    assert sealed.encoding == "aes256gcm:k1" and len(sealed.data) < 100
    assert await chain.open([(sealed, [HERE])]) == [text]


async def test_one_that_cannot_be_opened_holds_up_no_other() -> None:
    chain = Codecs([encryption()])
    sealed = await chain.seal([(Payload(b"1"), HERE), (Payload(b"2"), HERE)])
    first, second = await chain.open([(sealed[0], [THERE]), (sealed[1], [HERE])])
    assert isinstance(first, Unreadable) and first.data == sealed[0].data and "does not open" in first.reason
    assert second == Payload(b"2")
    with pytest.raises(PayloadError, match=r"unreadable payload: .* does not open"):
        JsonCodec().decode(first)


class Broken:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]

    decode = encode


@pytest.mark.parametrize("answer", [[], None, [b"bytes"], KeyError("x")])
async def test_a_codec_that_answers_wrongly_is_named(answer: object) -> None:
    with pytest.raises(PayloadError, match="the payload codec Broken"):
        await Codecs([Broken(answer)]).seal([(Payload(b"1"), HERE)])


def test_what_a_client_takes_as_codec() -> None:
    values = JsonCodec(max_bytes=10)
    assert codecs_of(None)[1] is None and codecs_of(values) == (values, None)
    assert codecs_of([values, Compression()])[0] is values
    assert codecs_of(encryption())[1] is not None and codecs_of([])[1] is None
    with pytest.raises(ConfigurationError, match="the class Compression is no codec; give an instance"):
        codecs_of(Compression)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="'aes' is no codec"):
        codecs_of("aes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="only one codec"):
        codecs_of([values, values])
