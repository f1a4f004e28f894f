"""Payload codecs end to end: what lies in Postgres is sealed, what comes out is what went in, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from memflow import Client, RetryPolicy, Worker, activity, workflow
from memflow.codec import Compression, Encryption, JsonCodec, Payload
from memflow.errors import ApplicationError, PayloadError, UpdateFailedError, WorkflowFailedError
from memflow.store.postgres import PostgresStore
from tests.polling import until

SECRET = "xyzzy-the-marker"
K1, K2 = secrets.token_bytes(32), secrets.token_bytes(32)


@activity.defn
async def echo(text: str) -> str:
    return f"{text} echoed"


@activity.defn(retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))
async def flaky(text: str) -> str:
    activity.heartbeat(f"beat {text}")
    await asyncio.sleep(0.15)                            # long enough for a row of its own
    raise ApplicationError(f"no: {text}", {"why": text}, type="Flaky")


@workflow.defn
async def child(text: str) -> str:
    return await echo(f"child {text}")


@workflow.defn
async def failing_child(text: str) -> str:
    raise ApplicationError(f"child failed: {text}", {"detail": text})


@workflow.defn
class Rich:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.round = 0

    @workflow.run
    async def run(self, text: str, again: bool) -> list[str]:
        found = [await echo(text), await workflow.execute_activity(echo, text, task_queue="elsewhere")]
        try:
            await flaky(text)
        except Exception as error:
            found.append(str(error.__cause__))
        found.append(await workflow.execute_child(child, text))
        try:
            await workflow.execute_child(failing_child, text)
        except Exception as error:
            found.append(f"{error} <- {error.__cause__}")
        await workflow.emit({"sealed.topic": {"text": text}})
        await workflow.trace({"text": text})
        workflow.upsert_memo({"later": text})
        await workflow.signal("by-id", f"sent {text}")
        found.append(await workflow.wait_for("by-id", type=str))
        await workflow.wait_condition(lambda: len(self.notes) >= 3)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if again:
            workflow.continue_as_new(text, False, memo={"third": text})
        return [*found, *self.notes]

    @workflow.signal
    async def note(self, text: str) -> None:
        self.notes.append(text)

    @workflow.query
    def asked(self, text: str) -> str:
        return f"{text} {self.notes}"

    @workflow.update
    async def change(self, text: str) -> str:
        if text.startswith("bad"):
            raise ApplicationError(f"refused: {text}")
        return f"changed {text}"


async def dump(dsn: str, schema: str) -> dict[str, bytes]:
    """Every table, every column, as bytes."""
    connection = await asyncpg.connect(dsn)
    try:
        names = [row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = $1", schema)]
        found: dict[str, bytes] = {}
        for name in names:
            rows = await connection.fetch(f'select * from "{schema}"."{name}"')
            found[name] = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values()
            )
        return found
    finally:
        await connection.close()


def encryption(active: str = "k1", **options: Any) -> Encryption:
    return Encryption(keys={"k1": K1, "k2": K2}, active=active, **options)


def worker_of(client: Client, queue: str = "sealed", **options: Any) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[Rich, child, failing_child, two_steps],
        activities=[echo, flaky],
        trace_sinks=[],
        **options,
    )


@workflow.defn
async def two_steps(text: str) -> list[str]:
    first = await echo(text)
    go = await workflow.wait_for(f"go-{workflow.info().workflow_id}", type=str)
    return [first, go, await echo(go)]


class Backwards:
    """A codec of one's own, async, told nothing of places."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        await asyncio.sleep(0)
        return [Payload(each.data[::-1], f"backwards:{each.encoding or ''}") for each in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        await asyncio.sleep(0)
        return [self._back(each) for each in payloads]

    def _back(self, payload: Payload) -> Payload:
        name, _, inner = (payload.encoding or "").partition(":")
        return Payload(payload.data[::-1], inner or None) if name == "backwards" else payload


CODECS: dict[str, Any] = {
    "encrypted": lambda: encryption(),
    "encrypted, nothing else taken": lambda: encryption(require=True),
    "compressed and encrypted": lambda: [Compression(min_size=1), encryption()],
    "one's own": lambda: [Backwards(), encryption()],
}


@pytest.mark.parametrize("codec", CODECS)
async def test_nothing_of_a_rich_run_lies_in_clear(codec: str, dsn: str, schema: str) -> None:
    text = f"{SECRET} " * 3
    async with Client.connect(dsn, schema=schema, codec=CODECS[codec]()) as client:
        async with client.events.subscribe("sealed.*") as events:
            async with worker_of(client), worker_of(client, "elsewhere"):
                handle = await client.workflow.start(
                    Rich.run, text, True, id="rich", task_queue="sealed", memo={"first": text}, search={"shown": "clear"},
                    start_signal="note", start_signal_args=[f"with the start {text}"],
                )
                await handle.signal(Rich.note, f"one {text}")
                assert await handle.update(Rich.change, text) == f"changed {text}"
                with pytest.raises(UpdateFailedError, match="refused"):
                    await handle.update(Rich.change, f"bad {text}")
                assert f"one {text}" in await handle.query(Rich.asked, text)
                await handle.signal(Rich.note, f"two {text}")

                async def second() -> bool:
                    return (await handle.describe()).status.value == "continued_as_new"

                await until(second, seconds=30)
                latest = client.get_handle("rich", result_type=list[str])
                for n in range(3):
                    await latest.signal("note", f"{n} {text}")
                async with asyncio.timeout(30):
                    result = await latest.result()
            assert result[0] == f"{text} echoed" and result[2] == f"no: {text}" and f"child {text} echoed" in result
            assert "child failed" in result[4] and result[4].count(SECRET) >= 3
            assert (await anext(events)).payload == {"text": text}
        described = await latest.describe()
        assert described.arguments == [text, False] and described.memo == {"third": text, "later": text}
        assert [entry.attributes["result"] for entry in await latest.history() if entry.kind == "activity_completed"]
    tables = await dump(dsn, schema)
    assert [name for name, data in tables.items() if SECRET.encode() in data or SECRET[::-1].encode() in data] == []
    assert b"clear" in tables["records"]


async def test_without_codec_the_marker_would_be_found(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as client, worker_of(client):
        await client.workflow.execute(child, SECRET, task_queue="sealed")
    tables = await dump(dsn, schema)
    assert {"runs", "journal"} <= {name for name, data in tables.items() if SECRET.encode() in data}


async def stuck(client: Client, id: str) -> str:
    """Why a run is stuck, once it is."""
    found = ""

    async def is_stuck() -> bool:
        nonlocal found
        described = await client.get_handle(id).describe()
        found = described.detail or ""
        assert described.status.is_open, f"{id} ended: {described.failure}"
        return found.startswith("stuck:")

    await until(is_stuck, seconds=20)
    return found


async def execute(dsn: str, schema: str, statement: str, *arguments: Any) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.execute(statement.replace("memflow.", f'"{schema}".'), *arguments))
    finally:
        await connection.close()


SWAPS = {
    "inputs of two runs": "update memflow.runs r set input = o.input from memflow.runs o where o.id <> r.id",
    "memos of two runs": "update memflow.runs r set memo = o.memo from memflow.runs o where o.id <> r.id",
    "input and memo of each": "update memflow.runs set input = memo, memo = input",
    "signals of two runs": "update memflow.inbox i set data = o.data from memflow.inbox o where o.run <> i.run",
    "one bit": "update memflow.runs set input = set_byte(input, length(input) - 1, get_byte(input, length(input) - 1) # 1)",
}


@pytest.mark.parametrize("swap", SWAPS)
async def test_payloads_that_were_moved_or_changed_leave_the_run_stuck_until_they_are_back(
    swap: str, dsn: str, schema: str
) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        for id in ("a", "b"):
            await client.workflow.start(
                Rich.run, id, False, id=id, task_queue="sealed", memo={"of": id}, start_signal="note", start_signal_args=[id]
            )
        await execute(dsn, schema, "create table memflow.kept_runs as select id, input, memo from memflow.runs")
        await execute(dsn, schema, "create table memflow.kept_inbox as select run, position, data from memflow.inbox")
        assert await execute(dsn, schema, SWAPS[swap]) == "UPDATE 2"
        async with worker_of(client), worker_of(client, "elsewhere"):
            for id in ("a", "b"):
                assert "PayloadError: unreadable payload: the payload does not open with the key 'k1'" in await stuck(client, id)
            restored = "update memflow.runs r set input = k.input, memo = k.memo from memflow.kept_runs k where k.id = r.id"
            assert await execute(dsn, schema, restored) == "UPDATE 2"
            restored = "update memflow.inbox i set data = k.data from memflow.kept_inbox k where k.run = i.run"
            await execute(dsn, schema, restored)
            for id in ("a", "b"):
                handle = client.get_handle(id, result_type=list[str])
                for _ in range(3):
                    await handle.signal("note", "more")
                async with asyncio.timeout(30):
                    assert (await handle.result())[0] == f"{id} echoed"


async def test_journals_that_were_swapped_leave_the_runs_stuck_and_queries_failed(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        for id in ("a", "b"):
            await client.workflow.start(two_steps, id, id=id, task_queue="sealed")
        async with worker_of(client):
            for id in ("a", "b"):
                await until(lambda id=id: _waits(client, id))  # type: ignore[misc]  # bound at once
        swapped = """update memflow.journal j set data = o.data
                       from memflow.journal o
                      where o.seq = j.seq and o.run <> j.run and j.kind = 'activity_completed'"""
        assert await execute(dsn, schema, swapped) == "UPDATE 2"
        async with worker_of(client):
            await client.signal("go-a", "on")
            assert "does not open" in await stuck(client, "a")
            with pytest.raises(Exception, match="does not open"):
                await client.get_handle("b").query("__stack_trace")
            assert await execute(dsn, schema, swapped) == "UPDATE 2"
            assert await client.get_handle("a").result() == ["a echoed", "on", "on echoed"]


async def _waits(client: Client, id: str) -> bool:
    return (await client.get_handle(id).describe()).detail is not None


async def test_keys_rotate_while_runs_are_open(dsn: str, schema: str) -> None:
    """Old data by the old key, new data by the new one; who lacks a key says which, and nothing is lost by it."""
    async with Client.connect(dsn, schema=schema, codec=encryption("k1")) as client, worker_of(client):
        await client.workflow.start(two_steps, "begun", id="begun", task_queue="sealed")
        await until(lambda: _waits(client, "begun"))
    only_new = Encryption(keys={"k2": K2}, active="k2")
    async with Client.connect(dsn, schema=schema, codec=only_new) as client, worker_of(client):
        await client.signal("go-begun", "on")
        assert "encrypted with the key 'k1', which is not known here; known keys: 'k2'" in await stuck(client, "begun")
        assert [run.id async for run in client.workflow.list()] == ["begun"]
        assert "not known here" in str((await client.get_handle("begun").describe()).arguments)
    async with Client.connect(dsn, schema=schema, codec=encryption("k2")) as client, worker_of(client):
        async with asyncio.timeout(30):
            assert await client.get_handle("begun").result() == ["begun echoed", "on", "on echoed"]
    written = await dump_encodings(dsn, schema)
    assert {"aes256gcm:k1", "aes256gcm:k2"} <= written


async def dump_encodings(dsn: str, schema: str) -> set[str | None]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0] for row in await connection.fetch(f'select encoding from "{schema}".journal where data is not null')}
    finally:
        await connection.close()


async def test_a_key_of_the_same_id_but_another_value_opens_nothing(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=Encryption(keys={"k1": K2}, active="k1")) as other:
        await other.workflow.start(two_steps, "x", id="x", task_queue="sealed")
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client, worker_of(client):
        assert "does not open with the key 'k1'" in await stuck(client, "x")
        # One that can be read goes on beside it.
        assert await client.workflow.execute(child, "fine", task_queue="sealed") == "child fine echoed"


async def test_what_was_written_before_is_read_unless_everything_must_be_encrypted(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema) as plain:
        await plain.workflow.start(two_steps, "old", id="old", task_queue="sealed")
        async with worker_of(plain):
            await until(lambda: _waits(plain, "old"))
    async with Client.connect(dsn, schema=schema, codec=encryption(require=True)) as strict, worker_of(strict):
        await strict.signal("go-old", "on")
        assert "takes no other" in await stuck(strict, "old")
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client, worker_of(client):
        async with asyncio.timeout(30):
            assert await client.get_handle("old").result() == ["old echoed", "on", "on echoed"]


async def test_a_worker_without_the_codec_fails_no_run(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        await client.workflow.start(two_steps, "new", id="new", task_queue="sealed")
        await client.workflow.start(two_steps, "begun", id="begun", task_queue="sealed")
        async with Client.connect(dsn, schema=schema) as plain, worker_of(plain):
            for id in ("new", "begun"):
                assert "the encoding 'aes256gcm:k1' is not one of this codec" in await stuck(plain, id)
        async with worker_of(client):
            for id in ("new", "begun"):
                await client.signal(f"go-{id}", "on")
                assert await client.get_handle(id).result(timeout=30) == [f"{id} echoed", "on", "on echoed"]


async def test_views_show_sealed_payloads_as_opaque(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client, worker_of(client):
        await client.workflow.execute(child, SECRET, task_queue="sealed")
        with pytest.raises(WorkflowFailedError, match=SECRET):
            await client.workflow.execute(failing_child, SECRET, task_queue="sealed")
    connection = await asyncpg.connect(dsn)
    try:
        for view in ("v_runs", "v_journal", "v_inbox", "v_activities", "v_signals", "v_timers"):
            assert SECRET not in str([dict(row) for row in await connection.fetch(f'select * from "{schema}".{view}')])
        rows = await connection.fetch(f'select type, result is null as r, failure is null as f from "{schema}".v_runs')
        assert {tuple(row) for row in rows} == {("child", False, True), ("failing_child", True, False)}
    finally:
        await connection.close()


@workflow.defn
async def third_time(text: str) -> list[Any]:
    if workflow.info().attempt < 3:
        await workflow.execute_child(failing_child, text)
    return [text, workflow.memo(), await workflow.wait_for("kept", type=str)]


async def test_a_run_that_is_tried_again_reads_what_the_first_was_given(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        await client.signal("kept", f"before {SECRET}")
        async with Worker(client, task_queue="sealed", workflows=[third_time, failing_child]):
            again = RetryPolicy(initial_interval=0.01, maximum_attempts=3)
            handle = await client.workflow.start(
                third_time, SECRET, id="t", task_queue="sealed", memo={"of": SECRET}, retry=again
            )
            assert await handle.result(timeout=30) == [SECRET, {"of": SECRET}, f"before {SECRET}"]
    tables = await dump(dsn, schema)
    assert [name for name, data in tables.items() if SECRET.encode() in data] == []


@activity.defn(transactional=True)
async def noted(text: str) -> str:
    await activity.connection().execute("create temporary table noted as select 1")
    return f"{text} noted"


@workflow.defn
async def notes(text: str) -> str:
    return await noted(text)


async def test_the_result_of_a_transactional_activity_is_sealed(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        async with Worker(client, task_queue="sealed", workflows=[notes], activities=[noted]):
            assert await client.workflow.execute(notes, SECRET, task_queue="sealed") == f"{SECRET} noted"
    tables = await dump(dsn, schema)
    assert [name for name, data in tables.items() if SECRET.encode() in data] == []


@workflow.defn
class Buggy:
    @workflow.run
    async def run(self, text: str) -> None:
        raise KeyError(text)                             # not meant: the run waits for fixed code


async def test_why_a_run_is_stuck_is_encrypted_too(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        async with Worker(client, task_queue="sealed", workflows=[Buggy]):
            await client.workflow.start(Buggy.run, SECRET, id="buggy", task_queue="sealed")
            assert await stuck(client, "buggy") == f"stuck: KeyError: '{SECRET}'"
        assert [run.id async for run in client.workflow.list('detail ~ "stuck"')] == ["buggy"]
    tables = await dump(dsn, schema)
    assert [name for name, data in tables.items() if SECRET.encode() in data] == []


async def test_without_payload_codecs_the_store_is_not_wrapped(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=JsonCodec(max_bytes=100)) as client:
        assert type(client.store) is PostgresStore


@activity.defn(retry=RetryPolicy(initial_interval=0.01))
async def goes_on(text: str) -> list[Any]:
    before = list(activity.info().heartbeat_details)
    if not before:
        activity.heartbeat(f"half way with {text}", 50)
        await asyncio.sleep(0.3)
        raise ApplicationError(f"once more with {text}")
    return before


@workflow.defn
async def beating(text: str) -> list[Any]:
    return await goes_on(text)


async def test_an_activity_that_is_retried_reads_its_last_heartbeat(dsn: str, schema: str) -> None:
    async with Client.connect(dsn, schema=schema, codec=encryption()) as client:
        async with Worker(client, task_queue="sealed", workflows=[beating], activities=[goes_on]):
            handle = await client.workflow.start(beating, SECRET, id="beating", task_queue="sealed")
            assert await handle.result(timeout=20) == [f"half way with {SECRET}", 50]


class Unwell:
    """Fails to encode while it is ill: a key service that is away."""

    def __init__(self) -> None:
        self.ill = False

    def encode(self, payloads: Sequence[Payload]) -> Sequence[Payload]:
        if self.ill:
            raise ConnectionError("the key service is away")
        return payloads

    def decode(self, payloads: Sequence[Payload]) -> Sequence[Payload]:
        return payloads


async def test_a_codec_that_fails_keeps_runs_waiting_and_loses_none(dsn: str, schema: str) -> None:
    codec = Unwell()
    async with Client.connect(dsn, schema=schema, codec=codec) as client, worker_of(client):
        handle = await client.workflow.start(two_steps, "x", id="x", task_queue="sealed")
        await until(lambda: _waits(client, "x"))
        await client.signal("go-x", "on")
        codec.ill = True
        with pytest.raises(PayloadError, match="the payload codec Unwell failed to encode: ConnectionError"):
            await client.workflow.start(two_steps, "y", task_queue="sealed")
        await asyncio.sleep(1)                           # some failed commits
        assert (await handle.status()).is_open
        codec.ill = False
        assert await handle.result(timeout=30) == ["x echoed", "on", "on echoed"]
