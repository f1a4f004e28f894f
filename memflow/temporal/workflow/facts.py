"""What a workflow knows of itself: `info()`, clock, chance, memo, search attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zlib import crc32

from memflow.core.record import copied
from memflow.duration import unix_seconds
from memflow.temporal.api.common.v1 import Payload
from memflow.temporal.arguments import is_list
from memflow.temporal.common import (
    Priority,
    RetryPolicy,
    SearchAttributePair,
    SearchAttributes,
    SearchAttributeUpdate,
    TypedSearchAttributes,
    WorkerDeploymentVersion,
)
from memflow.temporal.converter import PayloadConverter
from memflow.temporal.metrics import MetricMeter, SinkMeter
from memflow.temporal.search_attributes import changes_of, typed_from, untyped_from
from memflow.temporal.startup import Startup
from memflow.temporal.workflow.running import Running, current
from memflow.workflow import records

_UNSET: Any = object()


@dataclass(frozen=True)
class ParentInfo:
    """The workflow that started this one."""

    namespace: str
    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class RootInfo:
    """The workflow at the top of the tree that this one is in."""

    run_id: str
    workflow_id: str


@dataclass(frozen=True)
class Info:
    """Which workflow this is."""

    attempt: int
    continued_run_id: str | None
    cron_schedule: str | None
    execution_timeout: timedelta | None
    first_execution_run_id: str
    headers: Mapping[str, Payload]
    namespace: str
    original_execution_run_id: str
    parent: ParentInfo | None
    root: RootInfo | None
    priority: Priority
    raw_memo: Mapping[str, Payload]
    retry_policy: RetryPolicy | None
    run_id: str
    run_timeout: timedelta | None
    search_attributes: SearchAttributes
    start_time: datetime
    task_queue: str
    task_timeout: timedelta
    typed_search_attributes: TypedSearchAttributes
    workflow_id: str
    workflow_start_time: datetime
    workflow_type: str
    _running: Any = field(default=None, repr=False, compare=False)

    def get_current_build_id(self) -> str:
        """The version of the worker that runs this."""
        return current().settings.build_id

    def get_current_deployment_version(self) -> WorkerDeploymentVersion | None:
        """The deployment version of the worker that runs this; without a name where none is configured."""
        settings = current().settings
        return settings.deployment or WorkerDeploymentVersion("", settings.build_id)

    def get_current_history_length(self) -> int:
        """How many events the history had when this turn began; in a query, with what the turn has asked."""
        return current().history_length()

    def get_current_history_size(self) -> int:
        """About how many bytes that is: 100 for each event, since a replay does not weigh them."""
        return self.get_current_history_length() * 100

    def is_continue_as_new_suggested(self) -> bool:
        """Whether the history has become long: from 4096 events on."""
        running = current()
        return running.history_length() >= running.settings.long_history

    def is_target_worker_deployment_version_changed(self) -> bool:
        """Never: a run stays with its version, or goes on with whatever is deployed."""
        return False


def make_info(running: Running) -> Info:
    """The facts of a run."""
    facts = running.replay.info
    startup = Startup.of(facts.headers)
    parent = None
    if facts.parent_workflow_id is not None:
        parent = ParentInfo(facts.namespace, facts.parent_run_id or "", facts.parent_workflow_id)
    record = running.replay.record
    memo = running.replay.memo
    return Info(
        attempt=facts.attempt,
        continued_run_id=facts.continued_run_id,
        cron_schedule=startup.cron_schedule or None,
        execution_timeout=startup.execution_timeout,
        first_execution_run_id=facts.first_run_id or facts.run_id,
        headers=running.headers,
        namespace=facts.namespace,
        original_execution_run_id=facts.run_id,
        parent=parent,
        root=RootInfo(*startup.root) if startup.root is not None else None,
        priority=Priority(startup.priority_key),
        raw_memo={name: running.codec.payloads.to_payloads([value])[0] for name, value in memo.items()},
        retry_policy=filled(startup.retry_policy),
        run_id=facts.run_id,
        run_timeout=startup.execution_timeout if startup.run_timeout is None else startup.run_timeout,
        search_attributes={**untyped_from(record), **running.sent_attributes},
        start_time=facts.started_at,
        task_queue=facts.task_queue,
        task_timeout=startup.task_timeout or timedelta(seconds=10),
        typed_search_attributes=_as_sent(typed_from(record), running.sent_attributes),
        workflow_id=facts.workflow_id,
        workflow_start_time=facts.started_at,
        workflow_type=facts.workflow,
    )


def _as_sent(attributes: TypedSearchAttributes, sent: Mapping[str, Any]) -> TypedSearchAttributes:
    """The same values, but those that this run has set just as it wrote them: instants in their zones."""

    def value(pair: SearchAttributePair[Any]) -> SearchAttributePair[Any]:
        written: Sequence[Any] = sent.get(pair.key.name, ())
        return SearchAttributePair(pair.key, written[0]) if list(written) == [pair.value] else pair

    return TypedSearchAttributes([value(pair) for pair in attributes]) if sent else attributes


def filled(policy: RetryPolicy | None) -> RetryPolicy | None:
    """The policy with the longest interval that counts where it names none."""
    if policy is None or policy.maximum_interval is not None:
        return policy
    return replace(policy, maximum_interval=policy.initial_interval * 100)


def own_info(running: Running) -> Info:
    """The facts, made once until search attributes or the memo change."""
    if running.info is None:
        running.info = make_info(running)
    return running.info


def info() -> Info:
    """Which workflow this is.

    Raises:
        NotInWorkflowEventLoopError: no workflow calls.
    """
    running = current()
    return own_info(running) if running.outbound is None else running.outbound.info()


# ------------------------------------------------------------------------------------------------- clock and chance


def now() -> datetime:
    """The time of this turn, in UTC: the same in every replay."""
    return current().replay.now


def time() -> float:
    """`now()` as seconds since 1970."""
    return unix_seconds(current().replay.now)


def time_ns() -> int:
    """`now()` as nanoseconds since 1970."""
    at = current().replay.now
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000_000 + at.microsecond * 1000


def random() -> Random:
    """The run's own chance: every replay draws the same.

    Raises:
        ReadOnlyContextError: in a query.
    """
    return current().replay.random


def uuid4() -> UUID:
    """A random UUID that every replay makes the same."""
    return UUID(bytes=random().getrandbits(128).to_bytes(16, "big"), version=4)


def uuid7() -> UUID:
    """A UUID of this turn's time that every replay makes the same."""
    milliseconds = time_ns() // 1_000_000
    chance = random().getrandbits(74)
    high = (milliseconds & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | chance >> 62
    return UUID(int=high << 64 | 1 << 63 | (chance & (1 << 62) - 1))


def random_seed() -> int:
    """What the run's chance is seeded with."""
    return crc32(current().replay.info.run_id.encode())


def register_random_seed_callback(callback: Any) -> None:
    """Call back when the seed changes. It does not: a reset run is a run of its own, with its own code."""
    current().seed_callbacks.append(callback)


def new_random(name: str | None = None) -> Random:
    """Chance of its own, seeded from the run's: with a name, the same for that name."""
    if name is None:
        return Random(random().getrandbits(64))
    return Random(f"{current().replay.info.run_id}/{name}")


# ------------------------------------------------------------------------------------------------- memo and attributes


def memo() -> Mapping[str, Any]:
    """The facts kept with the workflow."""
    return {name: _memo_value(value) for name, value in current().replay.memo.items()}


def memo_value(key: str, default: Any = _UNSET, *, type_hint: type | None = None) -> Any:
    """One of them, read as `type_hint`.

    Raises:
        KeyError: there is none, and no default was given.
    """
    running = current()
    found = running.replay.memo
    if key not in found:
        if default is _UNSET:
            raise KeyError(f"Memo does not have a value for key {key}")
        return default
    return _memo_value(found[key], type_hint)


def _memo_value(value: Any, hint: Any = None) -> Any:
    running = current()
    payload = running.codec.payloads.to_payloads([copied(value)])[0]
    return running.codec.read(payload, Any if hint is None else hint)


def upsert_memo(updates: Mapping[str, Any], *, event_groups: Sequence[Any] | None = None) -> None:
    """Set facts of the memo. None removes one."""
    running = current()
    running.check_writable("add command")
    running.info = None
    if updates:
        running.replay.write_memo(plain_fields(updates, running.codec.payloads))


def plain_fields(fields: Mapping[str, Any], converter: PayloadConverter) -> dict[str, Any]:
    """Values as the plain JSON that the converter makes of them, so that a memo can be kept and changed by name.

    Raises:
        TypeError: the converter makes something else of a value.
    """
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            plain[name] = None
            continue
        payload = converter.to_payloads([value])[0]
        if not payload.metadata.get("encoding", b"").startswith(b"json/"):
            raise TypeError(f"memo {name!r}: only values whose converter makes JSON of them can be kept in a memo")
        plain[name] = json.loads(payload.data)
    return plain


def upsert_search_attributes(
    attributes: SearchAttributes | Sequence[SearchAttributeUpdate[Any]], *, event_groups: Sequence[Any] | None = None
) -> None:
    """Set search attributes. An empty list, or `key.value_unset()`, removes one.

    Raises:
        TypeError: a value is of no kind that there is.
    """
    if not attributes:
        return
    running = current()
    running.check_writable("add command")
    running.info = None
    records.upsert_search_attributes(changes_of(attributes, running.replay.record))
    if isinstance(attributes, Mapping):
        running.sent_attributes.update(attributes)
    else:
        for update in attributes:
            value: Any = update.value
            running.sent_attributes[update.key.name] = [] if value is None else list(value) if is_list(value) else [value]


def metric_meter() -> MetricMeter:
    """Counts and measures. Says nothing while the workflow is replayed."""
    running = current()
    facts = running.replay.info
    attributes = {"namespace": facts.namespace, "task_queue": facts.task_queue, "workflow_type": facts.workflow}
    meter = running.settings.meter.with_additional_attributes(attributes)
    if not isinstance(meter, SinkMeter):
        return meter
    return meter.while_(lambda: not running.replay.silent)


def payload_converter() -> PayloadConverter:
    """How values become payloads in this workflow."""
    return current().codec.payloads
