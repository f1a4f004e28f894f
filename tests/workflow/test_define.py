"""What can be a workflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from memflow import workflow
from memflow.errors import ConfigurationError, FailureError
from memflow.workflow.define import definition_of, is_workflow
from tests.workflow.driving import Driven


@dataclass
class Order:
    item: str
    quantity: int = 1


@workflow.defn
async def plain(order: Order, note: str = "") -> list[str]:
    return [order.item, note]


@workflow.defn(name="Order", failure_exception_types=[ValueError])
class OrderWorkflow:
    @workflow.init
    def __init__(self, order: Order) -> None:
        self.order = order

    @workflow.run
    async def run(self, order: Order) -> int:
        if order.quantity < 0:
            raise ValueError("less than nothing")
        return self.order.quantity


@workflow.defn
class Simple:
    def __init__(self) -> None:
        self.greeting = "hello"

    @workflow.run
    async def run(self, name: str) -> str:
        return f"{self.greeting} {name}"


def test_a_function_becomes_a_definition_and_stays_a_function() -> None:
    found = definition_of(plain)
    assert (found.name, found.argument_types, found.required_arguments) == ("plain", (Order, str), 1)
    assert found.result_type == list[str]
    assert found.run is plain and found.fails_on == (Exception,)
    assert definition_of(plain) is found


def test_a_class_and_its_run_are_the_same_workflow() -> None:
    found = definition_of(OrderWorkflow)
    assert definition_of(OrderWorkflow.run) is found
    assert (found.name, found.argument_types, found.result_type) == ("Order", (Order,), int)
    assert found.fails_on == (FailureError, ValueError)
    assert definition_of(found) is found


def test_only_what_is_decorated_is_a_workflow() -> None:
    class Heir(Simple): ...

    assert [is_workflow(each) for each in (plain, OrderWorkflow, Simple)] == [True] * 3
    assert [is_workflow(each) for each in (Heir, OrderWorkflow.run, print, Order, 5, Simple())] == [False] * 6
    with pytest.raises(ConfigurationError, match=r"print is no workflow; decorate it with @workflow\.defn"):
        definition_of(print)
    with pytest.raises(ConfigurationError, match="Heir is no workflow"):
        definition_of(Heir)


def test_functions_and_classes_run() -> None:
    with Driven(plain, Order("tea"), "hot") as driven:
        driven.start()
        assert driven.result() == ["tea", "hot"]
    with Driven(plain, Order("tea")) as driven:
        driven.start()
        assert driven.result() == ["tea", ""]
    with Driven(OrderWorkflow, Order("tea", 3)) as driven:
        driven.start()
        assert driven.result() == 3
    with Driven(Simple, "you") as driven:
        driven.start()
        assert driven.result() == "hello you"


def test_errors_listed_by_a_class_fail_its_run() -> None:
    with Driven(OrderWorkflow, Order("tea", -1)) as driven:
        driven.start()
        assert "less than nothing" in str(driven.failure())


def test_a_local_workflow_finds_its_local_types() -> None:
    class Local: ...

    @workflow.defn
    async def local(given: Local) -> Local:
        return given

    assert definition_of(local).argument_types == (Local,)


def test_what_cannot_be_one_is_refused_with_the_reason() -> None:
    def sync() -> None: ...
    async def stars(*names: str) -> None: ...
    async def keyword(*, only: int) -> None: ...

    class NoRun: ...

    class TwoRuns:
        @workflow.run
        async def one(self) -> None: ...
        @workflow.run
        async def two(self) -> None: ...

    class Heir(Simple): ...

    class NeedsArguments:
        def __init__(self, order: Order) -> None: ...
        @workflow.run
        async def run(self, order: Order) -> None: ...

    class OtherArguments:
        @workflow.init
        def __init__(self, other: str) -> None: ...
        @workflow.run
        async def run(self, order: Order) -> None: ...

    refused: list[tuple[Any, str]] = [
        (sync, "async def sync"),
        (stars, r"\*names cannot be kept"),
        (keyword, "keyword-only only cannot be kept"),
        (lambda: None, "lambda"),
        (5, "functions and classes"),
        (NoRun, "NoRun: exactly one method .* none is"),
        (TwoRuns, "here 2 is"),
        (Heir, "here none is"),
        (NeedsArguments, r"mark it @workflow\.init"),
        (OtherArguments, r"takes \(other\), its run \(order\)"),
    ]
    for target, message in refused:
        with pytest.raises(ConfigurationError, match=message):
            workflow.defn(target)
    with pytest.raises(ConfigurationError, match="is no exception class"):
        workflow.defn(failure_exception_types=["ValueError"])(plain)  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="a workflow is async"):
        workflow.run(sync)  # type: ignore[type-var]
    with pytest.raises(ConfigurationError, match="belongs on __init__"):
        workflow.init(sync)
    with pytest.raises(ConfigurationError, match="workflow name: "):
        workflow.defn(name=" x")(plain)
