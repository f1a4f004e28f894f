"""Fakes stand for activities under their name and options; what does not fit is refused when the worker is made."""

from __future__ import annotations

import asyncio
from unittest.mock import AsyncMock, Mock

import pytest

from memflow import ApplicationError, RetryPolicy, activity, workflow
from memflow.errors import ConfigurationError
from memflow_testing import WorkflowEnvironment, replacing

TRIES: list[int] = []


@activity.defn(retry=RetryPolicy(maximum_attempts=3))
async def charge(order: str, cents: int = 100) -> str:
    return f"charged {order} {cents}"


@activity.defn
def pack(order: str) -> int:
    return 0


@activity.defn
async def other(order: str) -> str:
    return order


class Mail:
    @activity.defn
    async def send(self, to: str) -> str:
        return f"sent to {to}"


@workflow.defn
async def buy(order: str) -> str:
    paid = await charge(order, 250)
    parcels = await pack(order)
    return f"{paid}, {parcels} parcels"


@workflow.defn
async def write(to: str) -> str:
    return await workflow.proxy_activities(Mail).send(to)


async def fake_charge(order: str, cents: int = 100) -> str:
    TRIES.append(activity.info().attempt)
    if len(TRIES) < 3:
        raise ApplicationError("busy")
    return f"fake {order}"


def fake_pack(order: str) -> int:
    return 3


async def test_fakes_run_under_the_options_of_what_they_stand_for(dsn: str) -> None:
    TRIES.clear()
    fakes = {charge: fake_charge, pack: fake_pack}
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(buy, activities=[charge, pack], replace=fakes):  # type: ignore[arg-type]
            handle = await env.client.workflow.start(buy, "o-1", task_queue=env.task_queue)
            assert await handle.result() == "fake o-1, 3 parcels"
        assert TRIES == [1, 2, 3]
        handle.assert_called(charge, "o-1", 250, times=1)
        handle.assert_called(pack)
        handle.assert_called("pack", "o-1")
        handle.assert_called(other, times=0)
        assert [each.activity for each in handle.calls()] == ["charge", "pack"]
        with pytest.raises(AssertionError, match=r"(?s)pack\('o-2'\) was to be called, and was called 0 times.*pack\('o-1'\)"):
            handle.assert_called(pack, "o-2")
        with pytest.raises(AssertionError, match="2 times, and was called 1 times"):
            handle.assert_called(charge, times=2)


async def test_mocks_and_methods_of_an_instance_can_stand_in(dsn: str) -> None:
    mail = Mail()
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        mocks = [replacing(mail.send, AsyncMock(return_value="mocked")), replacing(pack, Mock(return_value=1))]
        async with env.worker(write, activities=[mail, pack], replace=mocks):
            assert await env.client.workflow.execute(write, "ann", task_queue=env.task_queue) == "mocked"


async def test_calls_of_two_runs_are_told_apart(dsn: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        async with env.worker(buy, activities=[charge, pack]):
            one, two = await asyncio.gather(
                *(env.client.workflow.start(buy, order, task_queue=env.task_queue) for order in ("o-1", "o-2"))
            )
            await asyncio.gather(one.result(), two.result())
        one.assert_called(charge, "o-1", 250, times=1)
        two.assert_called(charge, "o-2", 250, times=1)
        env.client.workflow.get_handle(one.id).assert_called(pack, "o-1", times=1)


def one_too_few() -> str:
    return ""


def one_too_many(order: str, cents: int, why: str) -> str:
    return ""


def wrong_type(order: int, cents: int = 1) -> str:
    return ""


def wrong_result(order: str, cents: int = 1) -> int:
    return 0


@pytest.mark.parametrize(
    ("fakes", "said"),
    [
        ({other: fake_charge}, "'other' is not registered on this worker.*charge, pack"),
        ({"charge": fake_charge}, "'charge' is no activity"),
        ({charge: "text"}, "give a function"),
        ({charge: one_too_few}, "called with [12] arguments: too many positional"),
        ({charge: one_too_many}, "called with [12] arguments: missing"),
        ({charge: wrong_type}, "order is int there, and str in the activity"),
        ({charge: wrong_result}, "returns int, the activity str"),
    ],
)
async def test_what_does_not_fit_is_refused(dsn: str, fakes: dict[object, object], said: str) -> None:
    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        with pytest.raises(ConfigurationError, match=said):
            env.worker(buy, activities=[charge, pack], replace=fakes)  # type: ignore[arg-type]


async def test_another_activity_of_the_same_name_is_not_replaced_by_mistake(dsn: str) -> None:
    @activity.defn(name="charge")
    async def elsewhere(order: str, cents: int = 100) -> str:
        return ""

    async with await WorkflowEnvironment.start_time_skipping(dsn) as env:
        with pytest.raises(ConfigurationError, match="another activity named 'charge' is registered"):
            env.worker(buy, activities=[charge, pack], replace={elsewhere: fake_charge})
