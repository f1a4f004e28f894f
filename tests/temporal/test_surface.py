"""Every public name of Temporal's SDK is offered, or says what to use instead; and what others pay for all this."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from memflow.temporal import activity, client, worker, workflow
from tests.temporal.reference import page, surface

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("short", surface())
def test_every_name_is_offered_or_says_what_to_use_instead(short: str) -> None:
    module = importlib.import_module(f"memflow.temporal.{short}")
    for name in surface()[short]:
        try:
            assert getattr(module, name) is not None
        except AttributeError as missing:
            assert str(missing).startswith("not offered by memflow.temporal: ")
            assert ";" in str(missing)


def test_the_reference_page_is_up_to_date() -> None:
    kept = (ROOT / "docs" / "reference" / "temporal.md").read_text()
    assert kept == page(), "write it anew: python -m tests.temporal.reference > docs/reference/temporal.md"


def test_a_name_that_never_was_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = workflow.nonsense  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"workflow\.NexusClient; there is no Nexus"):
        _ = workflow.NexusClient  # type: ignore[attr-defined]


def loaded_by(code: str, prefix: str) -> list[str]:
    """The modules of that prefix that are loaded once `code` has run, in a process of its own."""
    shown = f"print(json.dumps([name for name in sys.modules if name.startswith({prefix!r})]))"
    script = f"import sys, json, memflow\n{code}\n{shown}"
    ran = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True)
    found: list[str] = json.loads(ran.stdout)
    return found


def test_memflow_alone_does_not_load_it() -> None:
    assert loaded_by("memflow.Client, memflow.Worker, memflow.workflow, memflow.activity", "memflow.temporal") == []


def test_the_harness_is_not_loaded_before_an_environment_is_started() -> None:
    assert loaded_by("import memflow.temporal.testing", "memflow_testing") == []


@pytest.mark.parametrize(
    ("config", "function"),
    [
        (workflow.ActivityConfig, workflow.execute_activity),
        (workflow.ActivityConfig, workflow.start_activity_method),
        (workflow.LocalActivityConfig, workflow.start_local_activity),
        (workflow.ChildWorkflowConfig, workflow.start_child_workflow),
        (worker.WorkerConfig, worker.Worker.__init__),
        (worker.ReplayerConfig, worker.Replayer.__init__),
    ],
)
def test_configs_are_the_options_of_their_functions(config: type, function: object) -> None:
    shown = set(inspect.signature(function).parameters)  # type: ignore[arg-type]
    assert set(config.__annotations__) - {"client"} <= shown


def test_a_call_with_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
        worker.Worker(None, task_queue="q", retries=3)  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: workflow.defn(type("Empty", (), {})), "Invalid workflow class: Missing @workflow.run method"),
        (lambda: activity.defn(name="x", dynamic=True), "Cannot provide name and dynamic boolean"),
        (lambda: workflow.init(lambda self: None), "may only be used on the __init__ method"),
        (lambda: client.WithStartWorkflowOperation, None),
    ],
)
def test_wrong_declarations_say_why(make: object, said: str | None) -> None:
    assert callable(make)
    if said is None:
        assert make()
        return
    with pytest.raises((ValueError, RuntimeError), match=said):
        make()
