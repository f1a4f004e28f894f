"""Instants and spans as events carry them: plain ones of Python, with the methods of protobuf's messages besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Timestamp(datetime):
    """An instant."""

    @classmethod
    def of(cls, at: datetime) -> Timestamp:
        """The same instant, in UTC."""
        at = at.astimezone(UTC)
        return cls(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, UTC)

    @property
    def seconds(self) -> int:
        """Whole seconds since 1970."""
        return self.ToMicroseconds() // 1_000_000

    @property
    def nanos(self) -> int:
        """Nanoseconds beyond them."""
        return self.microsecond * 1000

    def ToDatetime(self, tzinfo: tzinfo | None = None) -> datetime:
        """The instant in a zone; without one in UTC, and without a zone."""
        plain = datetime(self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond, UTC)
        return plain.replace(tzinfo=None) if tzinfo is None else plain.astimezone(tzinfo)

    def ToMicroseconds(self) -> int:
        """Microseconds since 1970."""
        return (self.ToDatetime(UTC) - EPOCH) // _MICROSECOND

    def ToNanoseconds(self) -> int:
        """Nanoseconds since 1970."""
        return self.ToMicroseconds() * 1000

    def ToMilliseconds(self) -> int:
        """Whole milliseconds since 1970."""
        return self.ToMicroseconds() // 1000

    def ToSeconds(self) -> int:
        """Whole seconds since 1970."""
        return self.seconds

    def ToJsonString(self) -> str:
        """As protobuf writes it as JSON."""
        return self.ToDatetime().isoformat(timespec="microseconds" if self.microsecond else "seconds") + "Z"


class Duration(timedelta):
    """A span of time."""

    @classmethod
    def of(cls, span: timedelta) -> Duration:
        """The same span."""
        return cls(span.days, span.seconds, span.microseconds)

    @property
    def nanos(self) -> int:
        """Nanoseconds beyond the whole seconds."""
        return self.microseconds * 1000

    def ToTimedelta(self) -> timedelta:
        """As a plain timedelta."""
        return timedelta(self.days, self.seconds, self.microseconds)

    def ToMicroseconds(self) -> int:
        """In microseconds."""
        return self.ToTimedelta() // _MICROSECOND

    def ToNanoseconds(self) -> int:
        """In nanoseconds."""
        return self.ToMicroseconds() * 1000

    def ToMilliseconds(self) -> int:
        """In whole milliseconds."""
        return self.ToMicroseconds() // 1000

    def ToSeconds(self) -> int:
        """In whole seconds."""
        return self.ToMicroseconds() // 1_000_000
