"""Values through converters: every kind of hint, converters of one's own, pydantic, failures."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union
from uuid import UUID

import pydantic
import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.common.v1 import Payload, WorkflowExecution
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.contrib.pydantic import pydantic_data_converter
from memflow.temporal.converter import (
    AdvancedJSONEncoder,
    BinaryProtoPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    JSONTypeConverter,
    PayloadCodec,
    TransferTypeConverter,
    create_payload_validation_error,
    transfer_type_convertible,
    value_to_type,
)
from memflow.temporal.exceptions import ActivityError, ApplicationError, FailureError
from memflow.temporal.worker import Worker

SOON = timedelta(seconds=20)
T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    depth: int


@dataclass
class Inner:
    at: datetime
    id: UUID


@dataclass
class Outer(Generic[T]):
    inner: Inner
    colours: list[Colour]
    maybe: Inner | None = None
    by_level: dict[Level, Point] = field(default_factory=dict)


UserId = NewType("UserId", str)
NOON = datetime(2026, 5, 4, 12, 30, 15, 250, tzinfo=UTC)
ID = UUID("11111111-2222-4333-8444-555555555555")


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 5),
        (float, 5.5),
        (str, "text"),
        (bool, True),
        (type(None), None),
        (Optional[int], None),  # noqa: UP045 - both spellings are met
        (int | None, None),
        (int | str, "x"),
        (Union[Inner, str], "x"),  # noqa: UP007
        (list[int], [1, 2]),
        (Sequence[int], [1, 2]),
        (set[int], {1, 2}),
        (frozenset[str], frozenset({"a"})),
        (deque[int], deque([1])),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (tuple[()], ()),
        (dict[str, list[int]], {"a": [1]}),
        (Mapping[int, bool], {1: True}),
        (dict[float, str], {1.5: "x"}),
        (Literal["a", 2], 2),
        (Colour, Colour.RED),
        (Level, Level.HIGH),
        (datetime, NOON),
        (UUID, ID),
        (Point, Point(1, 2.5)),
        (Options, {"depth": 3}),
        (UserId, UserId("u")),
        (Inner, Inner(NOON, ID)),
        (
            Outer[int],
            Outer[int](Inner(NOON, ID), [Colour.RED], Inner(NOON, ID), {Level.HIGH: Point(1, 1.0)}),
        ),
        (list[Inner], [Inner(NOON, ID)]),
        (bytes, b"\x00\xff"),
        (Any, {"nested": [1, {"a": None}]}),
    ],
    ids=str,
)
def test_a_value_comes_back_as_its_hint_says(hint: Any, value: Any) -> None:
    converter = DataConverter.default.payload_converter
    [payload] = converter.to_payloads([value])
    assert converter.from_payloads([payload], [hint]) == [value]


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "5"),
        (str, 5),
        (Colour, "blue"),
        (Literal["a"], "b"),
        (list[int], {"a": 1}),
        (dict[str, int], [1]),
        (datetime, "yesterday"),
        (type(None), 5),
        (int | None, "x"),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused(hint: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        value_to_type(hint, value)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents


class MoneyEncoder(AdvancedJSONEncoder):
    def default(self, o: Any) -> Any:
        return {"cents": o.cents} if isinstance(o, Money) else super().default(o)


class MoneyType(JSONTypeConverter):
    def to_typed_value(self, hint: type, value: Any) -> Any:
        return Money(value["cents"]) if hint is Money else JSONTypeConverter.Unhandled


class MoneyJSON(CompositePayloadConverter):
    def __init__(self) -> None:
        json_converter = JSONPlainPayloadConverter(encoder=MoneyEncoder, custom_type_converters=[MoneyType()])
        super().__init__(
            *[
                json_converter if isinstance(each, JSONPlainPayloadConverter) else each
                for each in DefaultPayloadConverter.default_encoding_payload_converters
            ]
        )


class MoneyBytes(EncodingPayloadConverter):
    """An encoding of its own, as the samples of custom converters have it."""

    @property
    def encoding(self) -> str:
        return "text/money"

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, Money):
            return None
        return Payload(metadata={"encoding": self.encoding.encode(), "is-money": b"\x01"}, data=str(value.cents).encode())

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        return Money(int(payload.data))


class WithMoney(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(MoneyBytes(), *DefaultPayloadConverter.default_encoding_payload_converters)


@activity.defn
async def double(money: Money) -> Money:
    return Money(money.cents * 2)


@workflow.defn
class Doubling:
    def __init__(self) -> None:
        self.last = Money(0)

    @workflow.run
    async def run(self, money: Money) -> Money:
        self.last = await workflow.execute_activity(double, money, start_to_close_timeout=SOON)
        return self.last

    @workflow.query
    def now(self, more: Money) -> Money:
        return Money(self.last.cents + more.cents)


@pytest.mark.parametrize("converter", [MoneyJSON, WithMoney])
async def test_converters_of_ones_own(client: Client, queue: str, converter: Any) -> None:
    config = client.config()
    config["data_converter"] = dataclasses.replace(DataConverter.default, payload_converter_class=converter)
    rich = Client(**config)
    async with Worker(rich, task_queue=queue, workflows=[Doubling], activities=[double]):
        handle = await rich.start_workflow(Doubling.run, Money(21), id="money", task_queue=queue)
        assert await handle.result() == Money(42)
        assert await handle.query(Doubling.now, Money(8)) == Money(50)


class Address(pydantic.BaseModel):
    street: str
    since: datetime


class Person(pydantic.BaseModel):
    name: str
    addresses: list[Address] = []
    limit: timedelta = timedelta(days=1)


@activity.defn
async def move(person: Person, address: Address) -> Person:
    return person.model_copy(update={"addresses": [*person.addresses, address]})


@workflow.defn
class Moving:
    @workflow.run
    async def run(self, people: list[Person]) -> list[Person]:
        address = Address(street="Main", since=workflow.now())
        return list(
            await asyncio.gather(
                *[
                    workflow.execute_activity(move, args=[each, address], start_to_close_timeout=SOON)
                    for each in people
                ]
            )
        )


async def test_pydantic_models_travel(client: Client, queue: str) -> None:
    config = client.config()
    config["data_converter"] = pydantic_data_converter
    typed = Client(**config)
    async with Worker(typed, task_queue=queue, workflows=[Moving], activities=[move]):
        result = await typed.execute_workflow(
            Moving.run, [Person(name="Ann"), Person(name="Bob")], id="moving", task_queue=queue
        )
    assert [each.name for each in result] == ["Ann", "Bob"]
    assert all(isinstance(each, Person) and each.addresses[0].street == "Main" for each in result)


class Refined(Exception):
    pass


class OwnFailures(DefaultFailureConverter):
    def from_failure(self, failure: Failure, payload_converter: Any) -> BaseException:
        error = super().from_failure(failure, payload_converter)
        if isinstance(error, ApplicationError) and error.type == "Refined":
            changed = ApplicationError(f"refined: {error.message}", type="Refined")
            changed.__cause__ = error.__cause__
            return changed
        return error


@activity.defn
async def refine() -> None:
    raise Refined("oil")


@workflow.defn
class Refinery:
    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.execute_activity(
                refine, start_to_close_timeout=SOON, retry_policy=workflow_once()
            )
        except ActivityError as error:
            assert isinstance(error.cause, FailureError)
            raise ApplicationError("the end", type="End") from error
        return "fine"


def workflow_once() -> Any:
    from memflow.temporal.common import RetryPolicy

    return RetryPolicy(maximum_attempts=1)


@pytest.mark.parametrize("kind", [OwnFailures, DefaultFailureConverterWithEncodedAttributes])
async def test_failure_converters_of_ones_own(client: Client, queue: str, kind: Any) -> None:
    config = client.config()
    config["data_converter"] = dataclasses.replace(DataConverter.default, failure_converter_class=kind)
    own = Client(**config)
    async with Worker(own, task_queue=queue, workflows=[Refinery], activities=[refine]):
        with pytest.raises(WorkflowFailureError) as failed:
            await own.execute_workflow(Refinery.run, id="refinery", task_queue=queue)
    end = failed.value.cause
    assert isinstance(end, ApplicationError) and (end.type, end.message) == ("End", "the end")
    assert isinstance(end.cause, ActivityError)
    assert isinstance(end.cause.cause, ApplicationError)
    assert end.cause.cause.message.endswith("oil")


def test_encoded_attributes_hide_message_and_stack() -> None:
    converter = DataConverter(failure_converter_class=DefaultFailureConverterWithEncodedAttributes)
    failure = Failure()
    converter.failure_converter.to_failure(ApplicationError("secret", type="T"), converter.payload_converter, failure)
    assert failure.message == "Encoded failure"
    back = converter.failure_converter.from_failure(failure, converter.payload_converter)
    assert isinstance(back, ApplicationError) and back.message == "secret"


@pytest.mark.parametrize(
    ("raised", "cause"),
    [(ApplicationError("outer"), "inner"), (ValueError("outer"), None)],   # plain errors keep what they were raised from alone
)
def test_a_failure_tells_during_what_it_was_raised(raised: Exception, cause: str | None) -> None:
    failure = Failure()
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise raised  # noqa: B904 - that is the point
    except Exception as error:
        DataConverter.default.failure_converter.to_failure(error, DataConverter.default.payload_converter, failure)
    assert failure.HasField("cause") == (cause is not None)
    assert cause is None or cause in failure.cause.message


async def test_every_failure_of_a_chain_is_encoded(client: Client, queue: str) -> None:
    config = client.config()
    kind = DefaultFailureConverterWithEncodedAttributes
    config["data_converter"] = dataclasses.replace(DataConverter.default, failure_converter_class=kind)
    own = Client(**config)
    async with Worker(own, task_queue=queue, workflows=[Refinery], activities=[refine]):
        handle = await own.start_workflow(Refinery.run, id="refinery", task_queue=queue)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    failure = (await handle.fetch_history()).events[-1].workflow_execution_failed_event_attributes.failure
    messages = [failure.message]
    while failure.HasField("cause"):
        failure = failure.cause
        messages.append(failure.message)
    assert messages == ["Encoded failure"] * 3


class Rot13(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/rot13"}, data=each.SerializeToString()[::-1]) for each in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload.FromString(each.data[::-1]) if each.metadata["encoding"] == b"binary/rot13" else each
            for each in payloads
        ]


async def test_a_data_converter_with_a_codec_encodes_and_decodes() -> None:
    converter = dataclasses.replace(DataConverter.default, payload_codec=Rot13())
    payloads = await converter.encode([{"a": 1}, None])
    assert [each.metadata["encoding"] for each in payloads] == [b"binary/rot13"] * 2
    assert await converter.decode(payloads) == [{"a": 1}, None]


def test_payloads_are_compared_copied_and_written_as_protobuf_does() -> None:
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b'"hi"')
    assert payload.SerializeToString() == b'\n\x16\n\x08encoding\x12\njson/plain\x12\x04"hi"'
    back = Payload.FromString(payload.SerializeToString())
    assert back == payload
    copy = Payload()
    copy.CopyFrom(payload)
    copy.metadata["more"] = b"x"
    assert copy != payload and json.loads(payload.data) == "hi"


class Plain(Enum):
    A = "a"


def test_what_json_cannot_write_is_refused() -> None:
    with pytest.raises(TypeError):
        DataConverter.default.payload_converter.to_payloads([{"bytes": object()}])
    assert Plain.A.value == "a"


# ------------------------------------------------------------------------------------------------- transfer types


class Degrees:
    """What JSON does not know."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Degrees) and other.value == self.value

    __hash__ = None  # type: ignore[assignment]


class _AsNumber(TransferTypeConverter[Degrees, float]):
    transfer_type = float

    def to_transfer_type(self, value: Degrees) -> float:
        return value.value

    def from_transfer_type(self, value: float, type_hint: type[Degrees]) -> Degrees:
        return type_hint(value)


transfer_type_convertible(_AsNumber)(Degrees)


@activity.defn
async def warm_up(by: Degrees) -> Degrees:
    return Degrees(by.value + 1)


@workflow.defn
class WarmsUp:
    @workflow.run
    async def run(self, start: Degrees) -> Degrees:
        return await workflow.execute_activity(warm_up, start, start_to_close_timeout=SOON)


async def test_a_class_may_travel_as_another(client: Client, queue: str) -> None:
    [payload] = await DataConverter.default.encode([Degrees(20.5)])
    assert (payload.data, payload.metadata) == (b"20.5", {"encoding": b"json/plain"})
    assert await DataConverter.default.decode([payload], [Degrees]) == [Degrees(20.5)]
    async with Worker(client, task_queue=queue, workflows=[WarmsUp], activities=[warm_up]):
        assert await client.execute_workflow(WarmsUp.run, Degrees(1), id="warm", task_queue=queue) == Degrees(2)
    with pytest.raises(TypeError, match="already has a transfer type converter"):
        transfer_type_convertible(_AsNumber)(Degrees)


def test_what_is_not_valid_is_not_tried_again() -> None:
    error = create_payload_validation_error({"path": "a.b"})
    assert (error.message, error.type, error.non_retryable) == ("Payload validation failed", "PayloadValidationError", True)
    assert list(error.details) == [{"path": "a.b"}]
    assert list(create_payload_validation_error(None).details) == []


async def test_the_message_that_names_a_run_needs_no_protobuf() -> None:
    run = WorkflowExecution(workflow_id="w", run_id="r")
    [payload] = await DataConverter.default.encode([run])
    assert (payload.metadata["encoding"], payload.data) == (b"json/protobuf", b'{"runId":"r","workflowId":"w"}')
    assert await DataConverter.default.decode([payload]) == [run]
    binary = BinaryProtoPayloadConverter()
    made = binary.to_payload(run)
    assert made is not None and made.data == b"\n\x01w\x12\x01r" and binary.from_payload(made) == run
