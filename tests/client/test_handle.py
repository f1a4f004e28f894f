"""Looking at runs and talking to them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from memflow.client.client import Client
from memflow.client.describe import WaitingFor
from memflow.core.arrivals import CancelRequested, SignalReceived
from memflow.core.interrupts import AwaitSignal, ScheduleActivity
from memflow.errors import ConfigurationError
from memflow.failure import encode_failure, failure_of
from memflow.options import ActivityOptions
from memflow.payload import Payload
from memflow.store.turns import ActivityRow
from tests.client.driver import Driver, card_declined

WAITING = json.dumps(
    [
        {"op": 1, "what": "signal 'approved'", "chain": ["orders.py:12 in order", "orders.py:31 in approval"]},
        {"op": 2, "what": "activity charge", "chain": ["orders.py:14 in order"]},
    ]
)


async def test_describe_shows_what_the_run_waits_for_and_where_with_no_worker_alive(client: Client) -> None:
    handle = await client.workflow.start("order", "o-1", id="o-1")
    driver = Driver(client)
    [claim] = await driver.claim()
    now = await client.store.now()
    charge = ScheduleActivity(2, "charge", Payload(b"[]"), ActivityOptions())
    row = ActivityRow(
        2, "charge", "default", Payload(b"[]"), ActivityOptions(), {}, attempt=3,
        next_attempt_at=now + timedelta(hours=1), scheduled_at=now, close_by=None,
        last_failure=encode_failure(failure_of(card_declined(), client.codec)),
    )
    await driver.park(
        claim, entries=[AwaitSignal(1, "approved"), charge], effects=[AwaitSignal(1, "approved")],
        activities=[row], waiting_at=WAITING,
    )
    run = await handle.describe()
    assert run.detail == "waiting: signal 'approved' at orders.py:31 in approval and 1 more"
    assert run.waiting[0] == WaitingFor("signal 'approved'", ("orders.py:12 in order", "orders.py:31 in approval"), 1)
    [activity] = run.activities
    assert (activity.name, activity.attempt, activity.task_queue) == ("charge", 3, "default")
    assert activity.last_failure is not None and str(activity.last_failure) == "payment failed"
    assert (run.type, run.arguments, run.length, run.unread, run.is_open) == ("order", ["o-1"], 3, 0, True)
    assert await handle.stack() == (
        "signal 'approved'\n  orders.py:12 in order\n  orders.py:31 in approval\n\nactivity charge\n  orders.py:14 in order"
    )


async def test_a_stuck_run_says_why(client: Client) -> None:
    handle = await client.workflow.start("order")
    driver = Driver(client)
    [claim] = await driver.claim()
    await driver.park(claim, detail="stuck: code mismatch at op 3", waiting_at=WAITING)
    assert (await handle.describe()).detail == "stuck: code mismatch at op 3"
    assert [run.id async for run in client.workflow.list('detail ~ "stuck"')] == [handle.id]


async def test_an_ended_run_waits_for_nothing_and_shows_its_failure(client: Client) -> None:
    handle = await client.workflow.start("order")
    await Driver(client).fail(card_declined())
    run = await handle.describe()
    assert (run.status, run.waiting, run.activities, run.result, run.detail) == ("failed", (), (), None, None)
    assert str(run.failure) == "payment failed"
    assert run.closed_at is not None and run.closed_at >= run.started_at
    assert await handle.stack() == ""


async def test_history_is_the_journal_decoded(client: Client) -> None:
    handle = await client.workflow.start("order", "o-1")
    await Driver(client).complete({"paid": True})
    started, completed = await handle.history()
    assert (started.seq, started.kind, started.turn, started.op) == (1, "run_started", 1, None)
    assert started.attributes == {"input": ["o-1"]}
    assert (completed.seq, completed.kind, completed.turn) == (2, "complete", 1)
    assert completed.attributes == {"result": {"paid": True}}
    assert started.at == completed.at


async def test_a_signal_to_a_run_waits_in_its_inbox_and_a_repeat_counts_once(client: Client) -> None:
    handle = await client.workflow.start("order")
    await handle.signal("add", {"item": "a"}, request_id="r1")
    await handle.signal("add", {"item": "a"}, request_id="r1")
    await handle.signal("pair", 1, "two")
    await handle.cancel("changed my mind")
    assert (await handle.describe()).unread == 3
    [claim] = await Driver(client).claim()
    arrivals = [mail.arrival for mail in await client.store.read_inbox([(claim.run, 0)], limit=10)]
    first, second, third = arrivals
    assert isinstance(first, SignalReceived) and client.codec.decode(first.payload) == {"item": "a"}
    assert isinstance(second, SignalReceived) and client.codec.decode(second.payload) == [1, "two"]
    assert third == CancelRequested("changed my mind")


async def test_a_signal_by_id_is_kept_for_the_first_who_will_wait(dsn: str, client: Client) -> None:
    await client.signal("approved-1", True)
    await client.workflow.start("order")
    driver = Driver(client)
    [claim] = await driver.claim()
    wait = AwaitSignal(1, "approved-1")
    await driver.park(claim, entries=[wait], effects=[wait])
    [mail] = await client.store.read_inbox([(claim.run, 0)], limit=10)
    assert isinstance(mail.arrival, SignalReceived)
    assert (mail.arrival.op, client.codec.decode(mail.arrival.payload)) == (1, True)


async def test_a_signal_in_the_callers_transaction_is_sent_if_and_only_if_it_commits(dsn: str, client: Client) -> None:
    handle = await client.workflow.start("order")
    mine: Any = await asyncpg.connect(dsn)
    try:
        transaction = mine.transaction()
        await transaction.start()
        await client.signal("by-id", 1, connection=mine)
        await handle.signal("by-run", 1, connection=mine)
        await transaction.rollback()
        assert (await handle.describe()).unread == 0
        async with mine.transaction():
            await handle.signal("by-run", 2, connection=mine)
            assert (await handle.describe()).unread == 0
    finally:
        await mine.close()
    assert (await handle.describe()).unread == 1


async def test_ids_that_cannot_be_are_refused_before_anybody_is_asked(client: Client) -> None:
    for id, run_id in (("", None), ("a", "\0"), (" a", None)):
        with pytest.raises(ConfigurationError):
            client.get_handle(id, run_id)
    with pytest.raises(ConfigurationError, match="signal id"):
        await client.signal("")
