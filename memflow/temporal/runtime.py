"""Runtime and telemetry settings. memflow has no native core to configure: metrics go to a buffer or to OpenTelemetry."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, NewType, Protocol

from memflow.temporal.metrics import Metric, MetricAttributes, MetricMeter, SinkMeter

BufferedMetricKind = NewType("BufferedMetricKind", int)
BUFFERED_METRIC_KIND_COUNTER = BufferedMetricKind(0)
BUFFERED_METRIC_KIND_GAUGE = BufferedMetricKind(1)
BUFFERED_METRIC_KIND_HISTOGRAM = BufferedMetricKind(2)

_KINDS = {
    "counter": BUFFERED_METRIC_KIND_COUNTER,
    "gauge": BUFFERED_METRIC_KIND_GAUGE,
    "histogram": BUFFERED_METRIC_KIND_HISTOGRAM,
}


class BufferedMetric(Protocol):
    """A metric of a buffered update."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str | None: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def kind(self) -> BufferedMetricKind: ...


class BufferedMetricUpdate(Protocol):
    """One value that was measured."""

    @property
    def metric(self) -> BufferedMetric: ...
    @property
    def value(self) -> int | float: ...
    @property
    def attributes(self) -> MetricAttributes: ...


@dataclass(frozen=True)
class _Buffered:
    name: str
    description: str | None
    unit: str | None
    kind: BufferedMetricKind


@dataclass(frozen=True)
class _Update:
    metric: _Buffered
    value: int | float
    attributes: MetricAttributes


class MetricBufferDurationFormat(Enum):
    """How durations are given."""

    MILLISECONDS = 1
    SECONDS = 2


class MetricBuffer:
    """Keeps what is measured until it is retrieved; the oldest goes when it is full."""

    def __init__(
        self, buffer_size: int, duration_format: MetricBufferDurationFormat = MetricBufferDurationFormat.MILLISECONDS
    ) -> None:
        self._kept: deque[_Update] = deque(maxlen=buffer_size)
        self._metrics: dict[tuple[str, str, str | None, str | None], _Buffered] = {}
        self._lock = threading.Lock()
        self._in_seconds = duration_format is MetricBufferDurationFormat.SECONDS

    def retrieve_updates(self) -> Sequence[BufferedMetricUpdate]:
        """What was measured since the last time."""
        with self._lock:
            updates = list(self._kept)
            self._kept.clear()
        return updates

    def take(self, metric: Metric, value: float, attributes: MetricAttributes) -> None:
        """Note a value."""
        unit = metric.unit
        if unit == "duration":
            unit = "s" if self._in_seconds else "ms"
            value = value / 1000 if self._in_seconds else int(value)
        key = metric.kind, metric.name, metric.description, unit
        with self._lock:
            known = self._metrics.get(key)
            if known is None:                    # each metric once: programs compare by identity
                known = self._metrics[key] = _Buffered(metric.name, metric.description, unit, _KINDS[metric.kind])
            self._kept.append(_Update(known, value, attributes))


class OpenTelemetryMetricTemporality(Enum):
    """How values are added up."""

    CUMULATIVE = 1
    DELTA = 2


@dataclass(frozen=True)
class OpenTelemetryConfig:
    """Accepted; configure OpenTelemetry itself, memflow uses its global meter provider."""

    url: str
    headers: Mapping[str, str] | None = None
    metric_periodicity: timedelta | None = None
    metric_temporality: OpenTelemetryMetricTemporality = OpenTelemetryMetricTemporality.CUMULATIVE
    durations_as_seconds: bool = False
    http: bool = False
    histogram_bucket_overrides: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True)
class PrometheusConfig:
    """Accepted; serve your own endpoint from a MetricBuffer, or from OpenTelemetry's Prometheus exporter."""

    bind_address: str
    counters_total_suffix: bool = False
    unit_suffix: bool = False
    durations_as_seconds: bool = False
    histogram_bucket_overrides: Mapping[str, Sequence[float]] | None = None


@dataclass
class TelemetryFilter:
    """Accepted; use Python's logging levels on `memflow`."""

    core_level: str
    other_level: str

    def formatted(self) -> str:
        """As text."""
        return f"{self.other_level},memflow={self.core_level}"


@dataclass(frozen=True)
class LogForwardingConfig:
    """Accepted: memflow logs to Python's logging already."""

    logger: logging.Logger
    append_target_to_name: bool = True
    prepend_target_on_message: bool = True
    overwrite_log_record_time: bool = True
    append_log_fields_to_message: bool = True


class LoggingFormat(Enum):
    """Accepted, without effect."""

    COMPACT = "compact"
    PRETTY = "pretty"
    JSON = "json"


@dataclass(frozen=True)
class LoggingConfig:
    """Accepted: memflow logs to Python's logging already."""

    filter: TelemetryFilter | str
    forwarding: LogForwardingConfig | None = None
    format: LoggingFormat | None = None
    default: ClassVar[LoggingConfig]


LoggingConfig.default = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"))


@dataclass(frozen=True)
class TelemetryConfig:
    """Where metrics go."""

    logging: LoggingConfig | None = LoggingConfig.default
    metrics: OpenTelemetryConfig | PrometheusConfig | MetricBuffer | None = None
    global_tags: Mapping[str, str] = field(default_factory=dict[str, str])
    attach_service_name: bool = True
    metric_prefix: str | None = None
    """Before the names of what memflow counts itself; None: `temporal_`."""


class Runtime:
    """Telemetry settings that clients share."""

    _default: ClassVar[Runtime | None] = None
    _prevented: ClassVar[bool] = False

    def __init__(
        self,
        *,
        telemetry: TelemetryConfig,
        worker_heartbeat_interval: timedelta | None = timedelta(seconds=60),
        disable_environment_info: bool = False,
    ) -> None:
        self._meter = _meter_of(telemetry)
        if worker_heartbeat_interval is not None and worker_heartbeat_interval <= timedelta(0):
            raise ValueError("worker_heartbeat_interval must be positive")
        self._worker_heartbeat_interval = worker_heartbeat_interval

    @classmethod
    def default(cls) -> Runtime:
        """The runtime of clients that are given none.

        Raises:
            RuntimeError: `prevent_default` was called.
        """
        if cls._default is None:
            if cls._prevented:
                raise RuntimeError("Runtime default creation has been prevented")
            cls._default = cls(telemetry=TelemetryConfig())
        return cls._default

    @classmethod
    def prevent_default(cls) -> None:
        """Refuse to make a default runtime.

        Raises:
            RuntimeError: there is one already.
        """
        if cls._default is not None:
            raise RuntimeError("Runtime default already set")
        cls._prevented = True

    @staticmethod
    def set_default(runtime: Runtime, *, error_if_already_set: bool = True) -> None:
        """Make this the runtime of clients that are given none.

        Raises:
            RuntimeError: there is one already.
        """
        if Runtime._default is not None and error_if_already_set:
            raise RuntimeError("Runtime default already set")
        Runtime._default = runtime

    @property
    def metric_meter(self) -> MetricMeter:
        """What programs of their own count and measure with."""
        return self._meter


SERVICE = "temporal-core-sdk"
"""What the SDK's metrics say as `service_name`: dashboards filter by it."""


def _meter_of(telemetry: TelemetryConfig) -> MetricMeter:
    prefix = "temporal_" if telemetry.metric_prefix is None else telemetry.metric_prefix
    tags = {**({"service_name": SERVICE} if telemetry.attach_service_name else {}), **telemetry.global_tags}
    match telemetry.metrics:
        case MetricBuffer() as buffer:
            return SinkMeter(buffer.take, tags, prefix)
        case OpenTelemetryConfig() | PrometheusConfig():
            return SinkMeter(_OpenTelemetry().take, tags, prefix)
        case None:
            return MetricMeter.noop


class _OpenTelemetry:
    """Hands what is measured to OpenTelemetry's global meter provider, where that is installed."""

    def __init__(self) -> None:
        from opentelemetry import metrics  # here: only with the extra `otel`

        self._meter = metrics.get_meter("memflow")
        self._made: dict[tuple[str, str], object] = {}

    def take(self, metric: Metric, value: float, attributes: MetricAttributes) -> None:
        """Note a value."""
        name, unit, description = metric.name, metric.unit or "", metric.description or ""
        key = metric.kind, name
        made = self._made.get(key)
        if made is None:
            makers: dict[str, Any] = {
                "counter": self._meter.create_counter,
                "histogram": self._meter.create_histogram,
                "gauge": self._meter.create_gauge,
            }
            made = self._made[key] = makers[metric.kind](name, unit=unit, description=description)
        verb = {"counter": "add", "histogram": "record", "gauge": "set"}[metric.kind]
        getattr(made, verb)(value, attributes=dict(attributes))
