"""Values go in and come out, or are refused with the path of the offender."""

from __future__ import annotations

import enum
import logging
import typing
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field

from memflow.codec import SURROGATES, JsonCodec
from memflow.errors import PayloadError
from memflow.payload import NO_ARGUMENTS, NOTHING, Payload

CODEC = JsonCodec()
T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Size(enum.StrEnum):
    SMALL = "small"


@dataclass(frozen=True)
class Item:
    sku: str
    price: Decimal
    image: bytes = b""


@dataclass(frozen=True)
class Gift(Item):
    note: str = ""


@dataclass
class Order:
    id: UUID
    at: datetime
    items: list[Item]
    by_sku: dict[str, Item] = field(default_factory=dict[str, Item])
    parent: Order | None = None
    weight: float = 0.0


@dataclass
class Box(Generic[T]):
    content: T


class Customer(BaseModel):
    name: str
    born: date | None = None
    color: Color = Color.RED


class Vip(Customer):
    level: int = 1


class Point(NamedTuple):
    x: int
    y: float = 0.5


class Address(TypedDict):
    city: str
    stamp: NotRequired[bytes]


ORDER = Order(
    UUID(int=7),
    datetime(2026, 3, 1, 12, 30, 1, 5, tzinfo=UTC),
    [Item("a", Decimal("1.10"), b"\xff\x00")],
    {"é": Item("b", Decimal("0"))},
    Order(UUID(int=8), datetime(2026, 1, 1), []),
    float("inf"),
)

ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, None),
    (None, type(None)),
    (True, bool),
    (2**100, int),
    (-(10**4299), int),
    (1.5, float),
    (3, float),
    (float("-inf"), float),
    ("", str),
    ("a\0b \U0001f418", str),
    (b"\x00\xff", bytes),
    (datetime(2026, 1, 1), datetime),
    (datetime(2026, 1, 1, tzinfo=UTC), datetime),
    (datetime(2026, 1, 1, 1, 1, 1, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=30))), datetime),
    (datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime),
    (date(1, 1, 1), date),
    (time(23, 59, 59, 1), time),
    (timedelta(days=-3, microseconds=7), timedelta),
    (timedelta(days=100_000), timedelta),
    (UUID(int=1), UUID),
    (Decimal("1.100"), Decimal),
    (Decimal("1E+400"), Decimal),
    ((1, "a"), tuple[int, str]),
    ((1, 2, 3), tuple[int, ...]),
    ((), tuple[()]),
    ({1, 2}, set[int]),
    (frozenset({b"a"}), frozenset[bytes]),
    (deque([1, 2]), deque[int]),
    ({1: "a", 2: "b"}, dict[int, str]),
    ({UUID(int=1): date(2026, 1, 1)}, dict[UUID, date]),
    ({"a": {"b": [(1, b"x")]}}, dict[str, dict[str, list[tuple[int, bytes]]]]),
    (Color.BLUE, Color),
    (Size.SMALL, Size),
    ([Color.RED, Color.BLUE], list[Color]),
    ("a", Literal["a", "b"]),
    (Point(1), Point),
    ({"city": "Bonn", "stamp": b"\xfe"}, Address),
    ([{"city": "Bonn"}], list[Address]),
    ({"city": "Bonn"}, Address | None),
    (ORDER, Order),
    ([ORDER], list[Order]),
    (Box(5), Box[int]),
    (Box([Item("a", Decimal(1))]), Box[list[Item]]),
    (Customer(name="Ann", born=date(2000, 2, 29), color=Color.BLUE), Customer),
    (Vip(name="Bob", level=3), Vip),
    (Vip(name="Bob"), Customer | Vip),
    (5, int | str),
    ("5", int | str),
    (None, int | None),
    ({"a": [1, 2.5, None, True, "x", {}]}, Any),
    ({"a": [1, None]}, dict[str, Any]),
    ([1, "a"], list[Any]),
    (7, object),
]


@pytest.mark.parametrize(("value", "hint"), ROUND_TRIPS, ids=lambda value: ascii(value)[:30])
def test_comes_back_the_same(value: Any, hint: Any) -> None:
    back = CODEC.decode(CODEC.encode(value, hint), hint)
    assert back == value
    assert type(back) is type(value) or (hint is float and type(back) is float)


@pytest.mark.parametrize(("value", "hint"), ROUND_TRIPS, ids=lambda value: ascii(value)[:30])
def test_arguments_come_back_the_same(value: Any, hint: Any) -> None:
    payload = CODEC.encode_arguments([value, "and", value], [hint, str, hint])
    assert CODEC.decode_arguments(payload, [hint, str, hint, int], 3) == [value, "and", value]


def test_not_a_number_comes_back() -> None:
    back = CODEC.decode(CODEC.encode(float("nan"), float), float)
    assert back != back


class Wrong(NamedTuple):
    value: Any
    hint: Any
    path: str
    message: str


class Opaque:
    """Nothing here tells how to store it."""


@dataclass
class Deep:
    items: list[dict[str, int]]


class Forgetful(BaseModel):
    kept: int
    secret: int = Field(default=0, exclude=True)


REFUSED = [
    Wrong("5", int, "$", "this is str"),
    Wrong(5, str, "$", "declared type is str"),
    Wrong(True, int, "$", "bool would come back as int"),
    Wrong(2**60 + 1, float, "$", "would come back as"),
    Wrong(None, int, "$", "this is None"),
    Wrong(5, None, "$", "this is int"),
    Wrong([1, "x"], list[int], "$[1]", "this is str"),
    Wrong({"a": [1, "x"]}, dict[str, list[int]], "$.a[1]", "this is str"),
    Wrong({"a b": {"c": "x"}}, dict[str, dict[str, int]], "$['a b'].c", "this is str"),
    Wrong(Deep([{"n": 1}, {"n": "x"}]), Deep, "$.items[1].n", "'x'"),  # type: ignore[dict-item]
    Wrong(Gift("a", Decimal(1), note="hi"), Item, "$", "Gift would come back as"),
    Wrong([Item("a", Decimal(1)), Gift("b", Decimal(1))], list[Item], "$[1]", "Gift would come back as"),
    Wrong(Vip(name="Bob"), Customer, "$", "Vip would come back as"),
    Wrong(Forgetful(kept=1, secret=5), Forgetful, "$.secret", "5 would come back as 0"),
    Wrong((1, 2), list[int], "$", "this is tuple"),
    Wrong((1, 2), tuple[int], "$", ""),
    Wrong(Point(1), tuple[int, float], "$", "Point would come back as tuple"),
    Wrong(datetime(2026, 1, 1), date, "$", ""),
    Wrong({"city": "Bonn", "zip": "1"}, Address, "$.zip", "would be lost"),
    Wrong("c", Literal["a"], "$", "'a'"),
    Wrong(Decimal("NaN"), Decimal, "$", "finite"),
    Wrong(10**5000, int, "$", "4300 digits"),
    Wrong([1, 10**5000], Any, "$[1]", "4300 digits"),
    Wrong(Opaque(), Opaque, "$", "Opaque"),
    Wrong(print, Callable[..., Any], "$", "Callable"),
    Wrong({"x": 5}, list["Missing"], "$", "Missing"),  # type: ignore[name-defined]  # noqa: F821
    Wrong(float("nan"), Any, "$", "annotate the parameter as float"),
    Wrong({"a": {1}}, Any, "$.a", "this is set"),
    Wrong([{"k": (1,)}], Any, "$[0].k", "this is tuple"),
    Wrong({1: 2}, Any, "$[1]", "key of the type int"),
    Wrong(ORDER, Any, "$", "annotate the parameter or result as"),
    Wrong(Size.SMALL, Any, "$", "Size"),
    Wrong([Item("a", Decimal(1))], list[Any], "$[0]", "Item would come back as dict"),
    Wrong({"a": datetime(2026, 1, 1)}, dict[str, Any], "$.a", "would come back as str"),
    Wrong(b"x", Any, "$", "bytes"),
]


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: f"{type(wrong.value).__name__}-{wrong.hint!s:.30}")
def test_is_refused_with_its_path(wrong: Wrong) -> None:
    with pytest.raises(PayloadError) as refused:
        CODEC.encode(wrong.value, wrong.hint)
    assert wrong.message in str(refused.value)
    assert refused.value.path == wrong.path


def test_arguments_are_refused_with_their_position() -> None:
    with pytest.raises(PayloadError) as refused:
        CODEC.encode_arguments([1, {"a": ORDER}], [int])
    assert refused.value.path == "$[1].a"


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    for hint in (Any, list[Any]):
        with pytest.raises(PayloadError):
            CODEC.encode(ring, hint)


@pytest.mark.parametrize("levels", [199, 200, 201, 5_000])
def test_nesting_is_taken_as_deep_as_it_can_be_read(levels: int) -> None:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    if levels <= 200:
        assert CODEC.decode(CODEC.encode(value)) == value
    else:
        with pytest.raises(PayloadError, match="nested deeper than 200"):
            CODEC.encode(value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("\ud800", str),
        ("\ud800", Any),
        ({"\udfff": ["a\ud800b\0"]}, Any),
        (["\ud800"], list[str]),
        ({"a": "\ud800"}, dict[str, Any]),
    ],
)
def test_half_surrogates_come_back(value: Any, hint: Any) -> None:
    payload = CODEC.encode(value, hint)
    assert payload.encoding == SURROGATES
    assert CODEC.decode(payload, hint) == value
    both = CODEC.encode_arguments([value, 5], [hint, int])
    assert CODEC.decode_arguments(both, [hint, int], 2) == [value, 5]


def test_half_surrogates_beside_what_is_no_plain_value_are_refused() -> None:
    with pytest.raises(PayloadError, match="surrogate"):
        CODEC.encode(["\ud800", b"x"], list[str | bytes])


@pytest.mark.parametrize("value", [defaultdict(int, {"a": 1}), OrderedDict(a=1), {"a": 1}])
def test_a_kind_of_dict_without_fields_may_stand_for_a_dict(value: Any) -> None:
    back = CODEC.decode(CODEC.encode(value, dict[str, int]), dict[str, int])
    assert back == {"a": 1} and type(back) is dict


def test_an_enum_of_texts_may_stand_for_a_text() -> None:
    assert CODEC.decode(CODEC.encode(Size.SMALL, str), str) == "small"


def test_a_model_with_aliases_and_computed_fields_comes_back() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(extra="allow")
        total: int = Field(alias="Total")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def double(self) -> int:
            return self.total * 2

    value = Aliased.model_validate({"Total": 4, "more": "x"})
    back = CODEC.decode(CODEC.encode(value, Aliased), Aliased)
    assert back == value and back.model_extra == {"more": "x"}


# Stored values are read for years: fields are added and removed meanwhile.


def test_fields_may_be_added_with_a_default_and_removed() -> None:
    @dataclass
    class Old:
        name: str
        gone: int

    @dataclass
    class New:
        name: str
        added: int = 5

    assert CODEC.decode(CODEC.encode(Old("x", 1), Old), New) == New("x", 5)


@pytest.mark.parametrize(
    ("data", "hints", "required", "message"),
    [
        (b"[1]", [int, int], 2, "2 arguments expected, 1 given"),
        (b"[]", [int], 1, "1 argument expected, 0 given"),
        (b"[1,2,3]", [int, int], 1, "1 to 2 arguments expected, 3 given"),
        (b'["x"]', [int], 1, r"valid integer.*'x' \(at \$\[0\]\)"),
        (b'[{"content":"x"}]', [Box[int]], 1, r"at \$\[0\].content"),
        (b'{"a":1}', [int], 1, "JSON array"),
        (b"[1", [int], 1, "no JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(data: bytes, hints: list[Any], required: int, message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        CODEC.decode_arguments(Payload(data), hints, required)


def test_bytes_of_another_codec_are_refused() -> None:
    with pytest.raises(PayloadError, match="'aes'"):
        CODEC.decode(Payload(b"??", "aes"))


def test_sizes_are_warned_about_and_then_refused_with_numbers(caplog: pytest.LogCaptureFixture) -> None:
    codec = JsonCodec(max_bytes=1_000, warn_bytes=100)
    with caplog.at_level(logging.WARNING):
        codec.encode("x" * 98)
        assert not caplog.records
        codec.encode("x" * 99)
    assert [record.__dict__["payload_bytes"] for record in caplog.records] == [101]
    codec.encode("x" * 998)
    with pytest.raises(PayloadError, match="1,001 bytes, at most 1,000"):
        codec.encode("x" * 999)
    with pytest.raises(PayloadError, match="at most 1,000"):
        codec.encode_arguments(["x" * 500, "y" * 500], [str, str])


def test_two_megabytes_are_the_default_limit() -> None:
    CODEC.encode("x" * (2 * 1024 * 1024 - 2))
    with pytest.raises(PayloadError, match="2,097,153 bytes"):
        CODEC.encode("x" * (2 * 1024 * 1024 - 1))


def test_nothing_costs_nothing() -> None:
    assert CODEC.encode(None) is NOTHING
    assert CODEC.encode_arguments([], [int]) is NO_ARGUMENTS


def test_unions_that_only_differ_in_order_keep_apart() -> None:
    @dataclass
    class A:
        n: int

    @dataclass
    class B:
        n: int

    codec = JsonCodec()
    assert codec.decode(Payload(b'{"n":1}'), A | B) == A(1)
    assert codec.decode(Payload(b'{"n":1}'), B | A) == B(1)
    with pytest.raises(PayloadError, match="would come back as"):
        codec.encode(B(1), A | B)


def test_hints_that_cannot_be_hashed_work() -> None:
    hint = typing.Annotated[int, ["no hash"]]
    assert CODEC.decode(CODEC.encode(5, hint), hint) == 5
    assert CODEC.decode_arguments(CODEC.encode_arguments([5], [hint]), [hint], 1) == [5]


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=4),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


@given(PLAIN)
@settings(max_examples=300, deadline=None)
def test_any_plain_value_comes_back_whatever_its_texts_hold(value: Any) -> None:
    assert same(CODEC.decode(CODEC.encode(value)), value)
    assert same(CODEC.decode(CODEC.encode(value, object), object), value)


@given(
    st.builds(
        Order,
        st.uuids(),
        st.datetimes(timezones=st.none() | st.just(UTC)),
        st.lists(st.builds(Item, st.text(), st.decimals(allow_nan=False, allow_infinity=False), st.binary())),
        weight=st.floats(allow_nan=False),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_order_comes_back(order: Order) -> None:
    assert CODEC.decode(CODEC.encode(order, Order), Order) == order
