"""Starting: who gets an id, what travels together, what joins the caller's transaction, and what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from memflow import workflow
from memflow.client.client import Client
from memflow.errors import ConfigurationError, PayloadError, WorkflowAlreadyStartedError, WorkflowNotFoundError
from tests.client.driver import Driver, card_declined


@dataclass
class Receipt:
    order: str
    cents: int


@workflow.defn
async def buy(order: str, cents: int = 100) -> Receipt:
    return Receipt(order, cents)


async def test_of_fifty_concurrent_starts_with_one_id_one_wins(client: Client) -> None:
    answers = await asyncio.gather(*(client.workflow.start("buy", id="one") for _ in range(50)), return_exceptions=True)
    [handle] = [a for a in answers if not isinstance(a, BaseException)]
    losers = [a for a in answers if isinstance(a, WorkflowAlreadyStartedError)]
    assert len(losers) == 49
    assert {(e.workflow_id, e.run_id) for e in losers} == {("one", handle.run_id)}
    assert await client.workflow.count() == 1


async def test_fifty_clients_that_take_what_exists_share_one_run(dsn: str, schema: str, client: Client) -> None:
    others = [await Client.connect(dsn, schema=schema) for _ in range(3)]
    try:
        handles = await asyncio.gather(
            *(c.workflow.start("buy", id="one", on_conflict="use_existing") for c in [client, *others] for _ in range(12))
        )
    finally:
        for other in others:
            await other.close()
    assert len({handle.run_id for handle in handles}) == 1
    assert await client.workflow.count() == 1


async def test_terminate_existing_ends_the_open_run_and_starts_anew(client: Client) -> None:
    first = await client.workflow.start("buy", id="one")
    second = await client.workflow.start("buy", id="one", on_conflict="terminate_existing")
    assert (await first.status(), await second.status()) == ("terminated", "running")
    assert first.run_id != second.run_id


async def test_reuse_decides_what_an_ended_run_allows(client: Client) -> None:
    driver = Driver(client)
    await client.workflow.start("buy", id="good")
    await driver.complete()
    await client.workflow.start("buy", id="bad")
    await driver.fail(card_declined())
    with pytest.raises(WorkflowAlreadyStartedError):
        await client.workflow.start("buy", id="good", reuse="failed_only")
    with pytest.raises(WorkflowAlreadyStartedError):
        await client.workflow.start("buy", id="bad", reuse="reject")
    assert await (await client.workflow.start("buy", id="bad", reuse="failed_only")).status() == "running"
    assert await (await client.workflow.start("buy", id="good")).status() == "running"


async def test_a_repeated_request_gets_the_run_it_made(client: Client) -> None:
    first = await client.workflow.start("buy", id="one", request_id="r1")
    again = await client.workflow.start("buy", id="one", request_id="r1")
    assert again.run_id == first.run_id
    with pytest.raises(WorkflowAlreadyStartedError):
        await client.workflow.start("buy", id="one", request_id="r2")


async def test_a_thousand_starts_share_a_few_statements(watched: tuple[Client, list[str]]) -> None:
    client, statements = watched
    statements.clear()
    await asyncio.gather(*(client.workflow.start("buy", "o") for _ in range(1000)))
    starts = [statement for statement in statements if "start_runs" in statement]
    assert await client.workflow.count() == 1000
    assert len(starts) == 2, starts


async def test_a_start_in_the_callers_transaction_happens_if_and_only_if_it_commits(dsn: str, client: Client) -> None:
    mine: Any = await asyncpg.connect(dsn)
    try:
        async with mine.transaction():
            kept = await client.workflow.start("buy", "o", id="kept", connection=mine)
            assert await client.workflow.count() == 0
        transaction = mine.transaction()
        await transaction.start()
        lost = await client.workflow.start("buy", "o", id="lost", connection=mine)
        await transaction.rollback()
    finally:
        await mine.close()
    assert await kept.status() == "running"
    with pytest.raises(WorkflowNotFoundError, match="'lost'"):
        await lost.status()
    assert await Driver(client).complete(1) == 1
    assert await kept.result(timeout=5) == 1


async def test_execute_refuses_to_wait_for_what_only_the_callers_commit_starts(client: Client) -> None:
    with pytest.raises(TypeError, match="commit"):
        await client.workflow.execute("buy", id="x", connection=object())


async def test_a_typed_workflow_checks_its_arguments_and_decodes_its_result(client: Client) -> None:
    handle = await client.workflow.start(buy, "o-1", 250)
    assert (await handle.describe()).arguments == ["o-1", 250]
    assert await Driver(client).complete({"order": "o-1", "cents": 250}) == 1
    assert await handle.result(timeout=5) == Receipt("o-1", 250)
    with pytest.raises(TypeError, match="1 to 2 arguments, 3 given"):
        await client.workflow.start(buy, args=["o-1", 1, 2])
    with pytest.raises(PayloadError, match=r"\$\[1\]"):
        await client.workflow.start(buy, args=["o-1", "many"])


async def test_by_name_takes_arguments_either_way_and_a_result_type(client: Client) -> None:
    first = await client.workflow.start("buy", args=["o-1", 1], result_type=Receipt)
    second = await client.workflow.start("buy", "o-1", 1)
    assert (await first.describe()).arguments == (await second.describe()).arguments == ["o-1", 1]
    await Driver(client).complete({"order": "o-1", "cents": 1})
    assert await first.result(timeout=5) == Receipt("o-1", 1)
    assert await second.result(timeout=5) == {"order": "o-1", "cents": 1}
    with pytest.raises(TypeError, match="not both"):
        await client.workflow.start("buy", 1, args=[1])


async def test_what_is_said_at_the_start_shows(client: Client) -> None:
    handle = await client.workflow.start(
        "buy", search={"customer": "acme", "n": 3}, memo={"by": "ada"}, start_delay="1 hour", task_queue="later"
    )
    run = await handle.describe()
    assert (run.record, run.memo, run.task_queue) == ({"customer": "acme", "n": 3}, {"by": "ada"}, "later")
    assert run.wake_at is not None and 3590 < (run.wake_at - run.started_at).total_seconds() < 3610
    assert await Driver(client).claim(queue="later") == []


async def test_a_start_signal_comes_with_the_first_turn(client: Client) -> None:
    await client.workflow.start("buy", start_signal="approved", start_signal_args=[True])
    [claim] = await Driver(client).claim()
    assert claim.first_arrivals == 1
    [mail] = await client.store.read_inbox([(claim.run, 0)], limit=10)
    assert (mail.arrival.name, client.codec.decode(mail.arrival.payload)) == ("approved", True)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"id": ""}, "workflow id"),
        ({"id": 5}, "workflow id"),
        ({"task_queue": "a\0b"}, "task queue"),
        ({"on_conflict": "ignore"}, "fail, use_existing, terminate_existing"),
        ({"reuse": True}, "allow, failed_only, reject"),
        ({"start_delay": "soon"}, "start_delay"),
        ({"run_timeout": 0}, "run_timeout"),
        ({"execution_timeout": -1}, "execution_timeout"),
        ({"expire": float("nan")}, "expire"),
        ({"search": ["a"]}, "search"),
        ({"memo": {1: 2}}, "memo"),
        ({"headers": {"a": 1}}, "headers"),
        ({"priority": "high"}, "priority"),
        ({"start_signal_args": [1]}, "start_signal"),
    ],
)
async def test_an_option_that_cannot_work_is_refused_with_what_can(client: Client, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        await client.workflow.start("buy", **options)
    assert await client.workflow.count() == 0


async def test_a_misspelt_option_names_the_right_one(client: Client) -> None:
    with pytest.raises(TypeError, match="'task_queue'"):
        await client.workflow.start("buy", taskqueue="x")  # type: ignore[call-overload]


async def test_a_value_that_cannot_be_stored_names_its_path(client: Client) -> None:
    with pytest.raises(PayloadError) as caught:
        await client.workflow.start("buy", {"items": [1, object()]})
    assert "items[1]" in caught.value.path


async def test_a_refused_start_fails_alone_among_its_neighbours(client: Client) -> None:
    await client.workflow.start("buy", id="taken")
    ids = ["a", "taken", "b", "a"]
    answers = await asyncio.gather(*(client.workflow.start("buy", id=id) for id in ids), return_exceptions=True)
    first, taken, other, second = [isinstance(a, WorkflowAlreadyStartedError) for a in answers]
    assert (taken, other) == (True, False)
    assert first != second, "of two at once with one id, one wins"


async def test_a_cancelled_caller_leaves_its_neighbours_started(client: Client) -> None:
    tasks = [asyncio.create_task(client.workflow.start("buy", id=str(n))) for n in range(20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert not [a for a in answers if isinstance(a, BaseException)]
