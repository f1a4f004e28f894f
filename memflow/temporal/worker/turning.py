"""Temporal's definitions as memflow's: a decorated class becomes a `Definition`, a decorated function an activity."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memflow import errors
from memflow.core.definition import Definition
from memflow.errors import FailureError
from memflow.names import check_name
from memflow.payload import Payload as Stored
from memflow.temporal.common import VersioningBehavior, WorkerDeploymentVersion
from memflow.temporal.interception import Interceptor, WorkflowInterceptorClassInput
from memflow.temporal.metrics import MetricMeter
from memflow.temporal.own_metrics import OwnMetrics
from memflow.temporal.service import LONG_HISTORY
from memflow.temporal.stored import Raw
from memflow.temporal.worker.runners import WorkflowRunner
from memflow.temporal.worker.workflow_sandbox import UnintentionalPassthroughError
from memflow.temporal.workflow.builtin_queries import BUILTIN_QUERIES
from memflow.temporal.workflow.define import WorkflowDefinition
from memflow.temporal.workflow.running import Running, Settings, engine_handler
from memflow.temporal.workflow.words import NondeterminismError, RestrictedWorkflowAccessError

_VERSIONING = {
    VersioningBehavior.UNSPECIFIED: None,
    VersioningBehavior.PINNED: "pinned",
    VersioningBehavior.AUTO_UPGRADE: "auto_upgrade",
}

DYNAMIC = "*"
"""The name under which a worker lists the workflow, or activity, that takes every type without one of its own."""


def settings_of(
    interceptors: Sequence[Interceptor],
    failure_exception_types: Sequence[type[BaseException]],
    *,
    disable_eager_activity_execution: bool,
    meter: MetricMeter,
    build_id: str,
    runner: WorkflowRunner,
    unsandboxed_runner: WorkflowRunner,
    debug_mode: bool = False,
    activities: frozenset[str | None] | None = None,
    deployment: WorkerDeploymentVersion | None = None,
    long_history: int = LONG_HISTORY,
) -> Settings:
    """What a worker says of all its workflows."""
    extern: dict[str, Callable[..., Any]] = {}
    classes = [
        cls
        for each in interceptors
        if (cls := each.workflow_interceptor_class(WorkflowInterceptorClassInput(unsafe_extern_functions=extern))) is not None
    ]
    return Settings(
        tuple(classes),
        extern,
        tuple(failure_exception_types),
        disable_eager_activity_execution,
        meter,
        build_id,
        (runner.for_debugging() if debug_mode or os.environ.get("TEMPORAL_DEBUG") else runner).dialect,
        unsandboxed_runner.dialect,
        activities,
        deployment,
        long_history,
        OwnMetrics.over(meter),
    )


def _unfit(error: errors.NondeterminismError) -> NondeterminismError:
    return NondeterminismError(f"[TMPRL1100] Nondeterminism error: {str(error).removeprefix('CodeMismatch: ')}")


def workflow_definition(definition: WorkflowDefinition, settings: Settings) -> Definition:
    """A workflow as memflow's worker knows it.

    Raises:
        RuntimeError: its module imports what its sandbox forbids.
    """

    def make(input: Stored) -> Running:
        return Running(definition, settings, input)

    def run(running: Running, input: Stored) -> Any:
        return running.run()

    failing = (*definition.failure_exception_types, *settings.failure_exception_types)
    try:
        dialect = (settings.dialect if definition.sandboxed else settings.unsandboxed_dialect)(definition.cls)
    except (RestrictedWorkflowAccessError, UnintentionalPassthroughError) as error:
        raise RuntimeError(f"Failed validating workflow {definition.name}") from error
    return Definition(
        name=DYNAMIC if definition.name is None else check_name(definition.name, what="workflow name"),
        run=run,
        argument_types=(Raw,),
        required_arguments=1,
        result_type=Any,
        fails_on=(FailureError, TimeoutError, *failing),
        make=make,
        handlers=(*BUILTIN_QUERIES, *(engine_handler(each) for each in definition.handlers.values())),
        versioning=_VERSIONING[definition.versioning_behavior],
        dialect=dialect,
        fails_unfit=_unfit if any(issubclass(NondeterminismError, each) for each in failing) else None,
    )


def workflow_definitions(classes: Sequence[type[Any]], settings: Settings) -> Mapping[str, Definition]:
    """All workflows of a worker, by name.

    Raises:
        ValueError: a class is not decorated, or two have one name.
    """
    found: dict[str, Definition] = {}
    for cls in classes:
        definition = WorkflowDefinition.must_from_class(cls)
        made = workflow_definition(definition, settings)
        if made.name in found:
            if definition.name is None:
                raise TypeError("More than one dynamic workflow")
            raise ValueError(f"More than one workflow named {definition.name}")
        found[made.name] = made
    return found
