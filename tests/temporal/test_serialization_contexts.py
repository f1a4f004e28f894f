"""Converters that want to know whose values they convert are told: a workflow's, or an activity's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from memflow.temporal import activity, workflow
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.api.failure.v1 import Failure
from memflow.temporal.client import Client, WorkflowFailureError
from memflow.temporal.common import RetryPolicy
from memflow.temporal.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadCodec,
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)
from memflow.temporal.exceptions import ActivityError, ApplicationError
from memflow.temporal.worker import Worker

SOON = timedelta(seconds=20)


@dataclasses.dataclass
class Way:
    """A value that notes each conversion."""

    stations: list[str] = dataclasses.field(default_factory=list[str])


def whose(context: SerializationContext | None) -> str:
    match context:
        case WorkflowSerializationContext(workflow_id=id):
            return f"workflow {id}"
        case ActivitySerializationContext(activity_type=name, is_local=local, workflow_id=id):
            return f"{'local ' if local else ''}{name} of {id}"
        case _:
            raise LookupError("nobody said whose value this is")


class Noting(EncodingPayloadConverter, WithSerializationContext):
    def __init__(self, context: SerializationContext | None = None) -> None:
        self.context = context
        self._json = JSONPlainPayloadConverter(encoding="test/way")

    @property
    def encoding(self) -> str:
        return "test/way"

    def with_context(self, context: SerializationContext) -> Noting:
        return Noting(context)

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, Way):
            return None
        value.stations.append(f"to {whose(self.context)}")
        return self._json.to_payload(value)

    def from_payload(self, payload: Payload, type_hint: Any = None) -> Any:
        value: Way = self._json.from_payload(payload, Way)
        value.stations.append(f"from {whose(self.context)}")
        return value


class Composite(CompositePayloadConverter):
    def __init__(self) -> None:
        super().__init__(Noting(), *DefaultPayloadConverter.default_encoding_payload_converters)


SEEN: list[str] = []


class Describing(DefaultFailureConverter, WithSerializationContext):
    context: SerializationContext | None = None

    def with_context(self, context: SerializationContext) -> Describing:
        made = Describing()
        made.context = context
        return made

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        SEEN.append(f"to {whose(self.context)}")
        super().to_failure(exception, payload_converter, failure)

    def from_failure(self, failure: Failure, payload_converter: PayloadConverter) -> BaseException:
        SEEN.append(f"from {whose(self.context)}")
        return super().from_failure(failure, payload_converter)


def with_converters(client: Client, **options: Any) -> Client:
    config = client.config()
    config["data_converter"] = DataConverter(**options)
    return Client(**config)


@activity.defn
async def pass_on(way: Way) -> Way:
    activity.heartbeat(way)
    await asyncio.sleep(0)
    return way


@activity.defn
async def remembers() -> Way:
    told = activity.info().heartbeat_details
    if told:
        return told[0]  # type: ignore[no-any-return]
    activity.heartbeat(Way())
    raise ApplicationError("again")


@workflow.defn(sandboxed=False)
class Travels:
    def __init__(self) -> None:
        self.last: Way | None = None

    @workflow.run
    async def run(self, way: Way) -> Way:
        way = await workflow.execute_activity(pass_on, way, start_to_close_timeout=SOON)
        way = await workflow.execute_local_activity(pass_on, way, start_to_close_timeout=SOON)
        return await workflow.execute_child_workflow(Stays.run, way, id="child")

    @workflow.query
    def back(self, way: Way) -> Way:
        return way


@workflow.defn(sandboxed=False)
class Stays:
    def __init__(self) -> None:
        self.got: Way | None = None

    @workflow.run
    async def run(self, way: Way | None) -> Way:
        if way is None:
            await workflow.wait_condition(lambda: self.got is not None)
        return way or self.got or Way()

    @workflow.signal
    def send(self, way: Way) -> None:
        self.got = way

    @workflow.update
    def put(self, way: Way) -> Way:
        return way


@workflow.defn(sandboxed=False)
class Remembers:
    @workflow.run
    async def run(self) -> Way:
        retry = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=2)
        return await workflow.execute_activity(remembers, start_to_close_timeout=SOON, retry_policy=retry)


@workflow.defn(sandboxed=False)
class Signals:
    @workflow.run
    async def run(self, way: Way) -> Way:
        await workflow.get_external_workflow_handle("target").signal(Stays.send, way)
        return way


def there_and_back(*owners: str) -> list[str]:
    return [f"{verb} {owner}" for owner in owners for verb in ("to", "from")]


async def test_each_value_is_converted_for_its_owner_on_both_sides(client: Client, queue: str) -> None:
    telling = with_converters(client, payload_converter_class=Composite)
    async with Worker(telling, task_queue=queue, workflows=[Travels, Stays], activities=[pass_on]):
        handle = await telling.start_workflow(Travels.run, Way(), id="w", task_queue=queue)
        way = await handle.result()
        assert way.stations == [
            *there_and_back("workflow w", "pass_on of w"),
            "to pass_on of w",                           # the heartbeat
            *there_and_back("pass_on of w", "local pass_on of w"),
            "to local pass_on of w",
            *there_and_back("local pass_on of w", "workflow child", "workflow child", "workflow w"),
        ]
        assert (await handle.query(Travels.back, Way())).stations == there_and_back("workflow w", "workflow w")


async def test_messages_are_converted_for_who_gets_them(client: Client, queue: str) -> None:
    telling = with_converters(client, payload_converter_class=Composite)
    async with Worker(telling, task_queue=queue, workflows=[Stays, Signals]):
        target = await telling.start_workflow(Stays.run, None, id="target", task_queue=queue)
        put = await target.execute_update(Stays.put, Way())
        assert put.stations == there_and_back("workflow target", "workflow target")
        sent = await telling.execute_workflow(Signals.run, Way(), id="sender", task_queue=queue)
        assert sent.stations == [
            *there_and_back("workflow sender"),
            "to workflow target",
            *there_and_back("workflow sender"),
        ]
        got = await target.result()
        assert got.stations == [
            *there_and_back("workflow sender"),
            *there_and_back("workflow target", "workflow target"),
        ]


async def test_details_of_heartbeats_are_the_activitys(client: Client, queue: str) -> None:
    telling = with_converters(client, payload_converter_class=Composite)
    async with Worker(telling, task_queue=queue, workflows=[Remembers], activities=[remembers]):
        way = await telling.execute_workflow(Remembers.run, id="r", task_queue=queue)
    assert way.stations[:2] == there_and_back("remembers of r")


@activity.defn
async def fails() -> None:
    raise ApplicationError("no")


@workflow.defn(sandboxed=False)
class Fails:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(fails, start_to_close_timeout=SOON, retry_policy=RetryPolicy(maximum_attempts=1))


async def test_failures_are_described_for_their_owner(client: Client, queue: str) -> None:
    SEEN.clear()
    telling = with_converters(client, failure_converter_class=Describing)
    async with Worker(telling, task_queue=queue, workflows=[Fails], activities=[fails]):
        with pytest.raises(WorkflowFailureError):
            await telling.execute_workflow(Fails.run, id="f", task_queue=queue)
    assert list(dict.fromkeys(SEEN)) == ["to fails of f", "from fails of f", "to workflow f", "from workflow f"]


# ------------------------------------------------------------------------------------------------- codecs


class Keyed(PayloadCodec, WithSerializationContext):
    """Encrypts, as it were, with a key of each owner: what another one's key has closed cannot be opened."""

    def __init__(self, context: SerializationContext | None = None) -> None:
        self.key = whose(context).encode() if context is not None else b"nobody"

    def with_context(self, context: SerializationContext) -> Keyed:
        return Keyed(context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        SEEN.append(self.key.decode())
        return [
            Payload(metadata={"encoding": b"keyed"}, data=self.key + b"|" + each.SerializeToString()) for each in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        opened: list[Payload] = []
        for each in payloads:
            key, _, data = each.data.partition(b"|")
            assert key == self.key, f"closed with the key of {key!r}, not of {self.key!r}"
            opened.append(Payload.FromString(data))
        return opened


@workflow.defn(sandboxed=False)
class Goes:
    def __init__(self) -> None:
        self.got: list[str] = []

    @workflow.run
    async def run(self, text: str) -> list[str]:
        await workflow.wait_condition(lambda: len(self.got) == 2)
        self.got.append(await workflow.execute_activity(shout, text, start_to_close_timeout=SOON))
        self.got.append(await workflow.execute_child_workflow(Echoes.run, text, id="echo"))
        try:
            await workflow.execute_activity(fails, start_to_close_timeout=SOON, retry_policy=RetryPolicy(maximum_attempts=1))
        except ActivityError as error:
            self.got.append(str(error.cause))
        return self.got

    @workflow.signal
    def send(self, text: str) -> None:
        self.got.append(text)

    @workflow.update
    def put(self, text: str) -> str:
        self.got.append(text)
        return text

    @workflow.query
    def look(self, text: str) -> str:
        return text


@workflow.defn(sandboxed=False)
class Echoes:
    @workflow.run
    async def run(self, text: str) -> str:
        return text


@activity.defn
async def shout(text: str) -> str:
    return text.upper()


async def test_a_codec_opens_with_the_key_of_the_owner_that_it_closed_for(client: Client, queue: str) -> None:
    SEEN.clear()
    keyed = with_converters(client, payload_codec=Keyed())
    async with Worker(keyed, task_queue=queue, workflows=[Goes, Echoes], activities=[shout, fails], max_cached_workflows=0):
        handle = await keyed.start_workflow(Goes.run, "a", id="goes", task_queue=queue, memo={"m": 1})
        assert await handle.query(Goes.look, "q") == "q"
        await handle.signal(Goes.send, "s")
        assert await handle.execute_update(Goes.put, "u") == "u"
        assert await handle.result() == ["s", "u", "A", "a", "no"]
        assert await (await handle.describe()).memo() == {"m": 1}
    assert {"workflow goes", "shout of goes", "fails of goes", "workflow echo"} <= set(SEEN)
