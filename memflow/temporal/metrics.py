"""Metric meters: what workflow and activity code counts and measures. Workflows count each thing once, however often replayed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final, Self, cast

MetricAttributes = Mapping[str, str | int | float | bool]

def checked_attributes(attributes: MetricAttributes) -> MetricAttributes:
    """The same attributes.

    Raises:
        TypeError: a value is neither text, a number nor a truth value.
    """
    for key, value in cast("Mapping[str, object]", attributes).items():
        if not isinstance(value, str | int | float):     # a bool is an int
            raise TypeError(f"Invalid value type for key {key}: {type(value).__name__}")
    return attributes


Sink = Callable[["Metric", float, MetricAttributes], None]
"""Takes what is measured: the metric, the value, all attributes."""


class MetricCommon(ABC):
    """What every metric has."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name."""

    @property
    @abstractmethod
    def description(self) -> str | None:
        """What it means."""

    @property
    @abstractmethod
    def unit(self) -> str | None:
        """What one of it is."""

    @abstractmethod
    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Self:
        """The same metric with more attributes on each value."""


class MetricCounter(MetricCommon):
    """Something that only grows."""

    @abstractmethod
    def add(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Count `value` more.

        Raises:
            ValueError: `value` is negative.
        """


class MetricHistogram(MetricCommon):
    """A spread of whole numbers."""

    @abstractmethod
    def record(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Note a value.

        Raises:
            ValueError: `value` is negative.
        """


class MetricHistogramFloat(MetricCommon):
    """A spread of numbers."""

    @abstractmethod
    def record(self, value: float, additional_attributes: MetricAttributes | None = None) -> None:
        """Note a value.

        Raises:
            ValueError: `value` is negative.
        """


class MetricHistogramTimedelta(MetricCommon):
    """A spread of durations."""

    @abstractmethod
    def record(self, value: timedelta, additional_attributes: MetricAttributes | None = None) -> None:
        """Note a duration.

        Raises:
            ValueError: `value` is negative.
        """


class MetricGauge(MetricCommon):
    """A whole number that goes up and down."""

    @abstractmethod
    def set(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        """Note where it stands.

        Raises:
            ValueError: `value` is negative.
        """


class MetricGaugeFloat(MetricCommon):
    """A number that goes up and down."""

    @abstractmethod
    def set(self, value: float, additional_attributes: MetricAttributes | None = None) -> None:
        """Note where it stands.

        Raises:
            ValueError: `value` is negative.
        """


class MetricMeter(ABC):
    """Makes metrics."""

    noop: ClassVar[MetricMeter]
    """A meter whose metrics go nowhere."""

    @abstractmethod
    def create_counter(self, name: str, description: str | None = None, unit: str | None = None) -> MetricCounter:
        """A counter."""

    @abstractmethod
    def create_histogram(self, name: str, description: str | None = None, unit: str | None = None) -> MetricHistogram:
        """A histogram of whole numbers."""

    @abstractmethod
    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramFloat:
        """A histogram of numbers."""

    @abstractmethod
    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramTimedelta:
        """A histogram of durations."""

    @abstractmethod
    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        """A gauge of whole numbers."""

    @abstractmethod
    def create_gauge_float(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGaugeFloat:
        """A gauge of numbers."""

    @abstractmethod
    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        """The same meter with more attributes on each value."""


class Metric(
    MetricCounter, MetricHistogram, MetricHistogramFloat, MetricHistogramTimedelta, MetricGauge, MetricGaugeFloat
):
    """Any metric: it hands each value to a sink."""

    def __init__(
        self, kind: str, name: str, description: str | None, unit: str | None, attributes: MetricAttributes, sink: Sink
    ) -> None:
        self.kind = kind
        self._name = name
        self._description = description
        self._unit = unit
        self._attributes = attributes
        self._sink = sink

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str | None:
        return self._description

    @property
    def unit(self) -> str | None:
        return self._unit

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Self:
        both = {**self._attributes, **checked_attributes(additional_attributes)}
        return type(self)(self.kind, self._name, self._description, self._unit, both, self._sink)

    def add(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        self._note(value, additional_attributes)

    def record(self, value: Any, additional_attributes: MetricAttributes | None = None) -> None:
        self._note(value.total_seconds() * 1000 if isinstance(value, timedelta) else value, additional_attributes)

    def set(self, value: float, additional_attributes: MetricAttributes | None = None) -> None:
        self._note(value, additional_attributes)

    def _note(self, value: float, additional: MetricAttributes | None) -> None:
        if value < 0:
            raise ValueError("Metric value must be non-negative")
        self._sink(self, value, {**self._attributes, **checked_attributes(additional)} if additional else self._attributes)


class SinkMeter(MetricMeter):
    """A meter over a sink."""

    def __init__(self, sink: Sink, attributes: MetricAttributes | None = None, prefix: str = "temporal_") -> None:
        self._sink = sink
        self._attributes: MetricAttributes = attributes or {}
        self.prefix: Final = prefix
        """Before the names of what memflow counts itself."""

    def while_(self, true: Callable[[], bool]) -> SinkMeter:
        """The same meter, deaf whenever `true()` is not."""
        sink = self._sink

        def listen(metric: Metric, value: float, attributes: MetricAttributes) -> None:
            if true():
                sink(metric, value, attributes)

        return SinkMeter(listen, self._attributes, self.prefix)

    def _make(self, kind: str, name: str, description: str | None, unit: str | None) -> Metric:
        return Metric(kind, name, description, unit, self._attributes, self._sink)

    def create_counter(self, name: str, description: str | None = None, unit: str | None = None) -> MetricCounter:
        return self._make("counter", name, description, unit)

    def create_histogram(self, name: str, description: str | None = None, unit: str | None = None) -> MetricHistogram:
        return self._make("histogram", name, description, unit)

    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramFloat:
        return self._make("histogram", name, description, unit)

    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramTimedelta:
        return self._make("histogram", name, description, unit or "duration")

    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        return self._make("gauge", name, description, unit)

    def create_gauge_float(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGaugeFloat:
        return self._make("gauge", name, description, unit)

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        both = {**self._attributes, **checked_attributes(additional_attributes)}
        return SinkMeter(self._sink, both, self.prefix)


def _nowhere(metric: Metric, value: float, attributes: MetricAttributes) -> None:
    """What is measured is dropped."""


MetricMeter.noop = SinkMeter(_nowhere)
