"""What is public is listed, exists, is documented, and costs next to nothing to import."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

PUBLIC = (
    "memflow",
    "memflow.activity",
    "memflow.workflow",
    "memflow.client",
    "memflow.worker",
    "memflow.embedded",
    "memflow.codec",
    "memflow.interceptors",
    "memflow_testing",
)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_listed_name_exists_and_says_what_it_means(module: str) -> None:
    found = importlib.import_module(module)
    assert found.__doc__
    assert len(set(found.__all__)) == len(found.__all__)
    for name in found.__all__:
        value = getattr(found, name)
        if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
            assert inspect.getdoc(value), f"{module}.{name} has no docstring"


def test_the_front_door_offers_what_the_readme_imports() -> None:
    names = {"Client", "Worker", "RetryPolicy", "activity", "workflow", "ApplicationError", "WorkflowFailedError"}
    assert names <= set(importlib.import_module("memflow").__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        importlib.import_module("memflow").Klient  # noqa: B018 - looking is the test


def test_importing_memflow_loads_no_driver_and_no_engine() -> None:
    code = "import sys, memflow; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncpg", "pydantic", "asyncio"} & set(loaded)


def test_workflow_authors_need_no_driver() -> None:
    code = "import sys; from memflow import activity, workflow; activity.defn, workflow.defn; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "asyncpg" not in loaded
