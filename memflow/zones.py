"""Time zones by name, and what a wall clock that jumps means for whoever waits for a time on it.

Twice a year a wall clock skips an hour or shows one twice (Lord Howe: half an hour). The rules here are those of Vixie's cron:
a time that the clock skips is met at the first instant after the gap, and one that it shows twice is met the first time only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from memflow.errors import ConfigurationError

_SECOND = timedelta(seconds=1)

_WIDEST_JUMP = timedelta(hours=26)
"""Further than any clock has ever been put at once (Samoa skipped a whole day in 2011)."""


@cache
def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name, as in "Europe/Berlin".

    Raises:
        ConfigurationError: there is none; the message names the nearest.
    """
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError):
        known = {each.lower(): each for each in available_timezones()}
        last = {each.rpartition("/")[2].lower(): each for each in sorted(known.values(), reverse=True)}
        wanted = str(name).lower().replace(" ", "_")
        near = [known[each] for each in get_close_matches(wanted, known, n=3, cutoff=0.7)]
        near += [last[each] for each in get_close_matches(wanted, last, n=2, cutoff=0.8) if last[each] not in near]
        hint = f"did you mean {' or '.join(map(repr, near[:3]))}?" if near else 'give a name such as "Europe/Berlin" or "UTC"'
        raise ConfigurationError(f"zone: {str(name)[:80]!r} is no time zone; {hint}") from None


def wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """What a clock on the wall shows at an instant, as a naive datetime."""
    return at.astimezone(zone).replace(tzinfo=None)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a wall clock shows `wall` for the first time, or, if it never does, the first instant after the gap."""
    at = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if wall_clock(at, zone) == wall:
        return at
    before = at - _WIDEST_JUMP
    # Python reads a time in a gap with the offset before it, so `at` lies after the jump, by as much as the gap was entered.
    return first_change(before, at, zone) or at


def first_change(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """An instant in (after, until] at which the offset from UTC has just changed, if it differs at both ends."""
    offset = after.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == offset:
        return None
    low, high = after.replace(microsecond=0), until.replace(microsecond=0) + _SECOND
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle == low:
            break
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == offset else (low, middle)
    return high


def next_elapsed(
    after: datetime, zone: ZoneInfo, *, next_wall: Callable[[datetime], datetime | None], matches: Callable[[datetime], bool]
) -> datetime | None:
    """The next instant of something that recurs within the hour: it follows elapsed time, so each shown time counts.

    `next_wall` gives the next matching wall time after one, as if clocks never jumped; `matches` says whether one matches.
    """
    at = after
    while True:
        offset = at.astimezone(zone).utcoffset() or timedelta()
        wall = next_wall((at + offset).replace(tzinfo=None))
        if wall is None:
            return None
        found = (wall - offset).replace(tzinfo=UTC)
        change = first_change(at, found, zone)
        if change is None:
            return found
        if matches(wall_clock(change, zone)):
            return change
        at = change


def next_fixed(after: datetime, zone: ZoneInfo, *, next_wall: Callable[[datetime], datetime | None]) -> datetime | None:
    """The next instant of something with a fixed time of day: once per time, however often the clock shows it."""
    # A clock that was put back shows what it showed before; looking from there on finds only times that come later, or again.
    wall = next_wall(wall_clock(after, zone))
    while wall is not None:
        found = instant_of(wall, zone)
        if found > after:
            return found
        wall = next_wall(wall)
    return None
