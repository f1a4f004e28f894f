"""How time is skipped: while a test waits for a result, and nothing is under way, the clock jumps to what falls due next.

Written against two small protocols, so that any store can have such a clock: `Clockwork` moves the store's time, `Ground`
is a store with its clockwork.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from memflow.attempts import in_activity
from memflow.duration import Duration, to_text, to_timedelta
from memflow.errors import ConfigurationError
from memflow.store.base import Store

NET_SECONDS = 0.02
"""How often to look although nothing of this process came back: another process may have finished something."""

JUMPS_IN_VAIN = 100
"""So many jumps after which no journal has grown are enough: whatever goes round there has nothing to say to the test."""

SKIPPING_SECONDS = 60.0
"""How long (real seconds) one wait may go on skipping. Thousands of jumps fit in; a test that needs more is lost."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the store showed, and did; see `Clockwork.skip`."""

    state: Literal["busy", "due", "skipped", "reached", "nothing"]
    at: datetime
    progress: int = 0
    due: Collection[str] | None = None
    """What has fallen due with a jump: `runs`, `activities`, `schedules`. None: it is not known."""


class Clockwork(Protocol):
    """The clock of a store, which a test may move forward. `told` names workers that are told by other means."""

    async def now(self) -> datetime:
        """The store's time."""
        ...

    async def skip(self, *, awaited: Sequence[int], until: datetime | None, told: Sequence[int]) -> Look:
        """If nothing is under way, jump to what falls due next, but not past `until`.

        `busy`: something is under way, or one of the runs `awaited` has ended. `due`: nothing is, but something is due that a
        worker should take. `skipped`: it jumped. `reached`: it is
        `until`, and all that fell due before is done. `nothing`: nothing will ever fall due. `progress` grows with every
        entry of any journal.
        """
        ...

    async def advance(self, by: timedelta, *, told: Sequence[int]) -> datetime:
        """Jump at once, whatever is under way. Returns the new time."""
        ...

    async def settled(self) -> bool:
        """Whether all that is due has been taken up, and no run is in a worker's hands. Activities may be running."""
        ...


class Ground(Protocol):
    """What an environment stands on: a store of its own, and its clockwork if its time can be moved."""

    store: Store
    clockwork: Clockwork | None
    place: str
    """Where it is, for people."""

    async def keep(self) -> str | None:
        """Leave everything as it is for people to look at, after `close`. Says how to look, None: it cannot be kept."""
        ...

    async def close(self) -> None:
        """Let go of everything, the store too."""
        ...


class World(Protocol):
    """What the skipping clock asks of its environment."""

    def awaited_runs(self) -> list[int]:
        """The runs whose result is awaited."""
        ...

    async def awaits_update(self) -> bool:
        """Whether the end of an update is awaited that has not come yet."""
        ...

    def busy(self) -> bool:
        """Whether something is surely under way in this process."""
        ...

    def workers(self) -> list[int]:
        """Workers of this process."""
        ...

    def tell(self, now: datetime, due: Collection[str] | None = None) -> None:
        """Tell the workers of this process that the clock was moved, and what has fallen due; None: nobody knows."""
        ...

    async def give_up(self, why: str) -> Exception:
        """Tell those who await results that they wait in vain; what they were told."""
        ...


class SkippingClock:
    """The clock of an environment. Moves by itself while results are awaited."""

    def __init__(self, clockwork: Clockwork, world: World, came_back: asyncio.Event, *, patience: timedelta) -> None:
        self._clockwork = clockwork
        self._world = world
        self._came_back = came_back
        self._patience = patience.total_seconds()
        self._locks = 0
        self._sleepers: dict[asyncio.Future[None], datetime] = {}
        self._driver: asyncio.Task[None] | None = None
        self._idle_since: float | None = None            # since when nothing is under way, and time cannot be skipped
        self._began: float | None = None                 # when skipping began, for those who wait now
        self._progress = 0
        self._jumps = 0                                  # since any journal grew

    # ------------------------------------------------------------------------------------------------- for tests

    async def now(self) -> datetime:
        """The time in this environment."""
        return await self._clockwork.now()

    async def sleep(self, duration: Duration) -> None:
        """Let so much time pass: everything that falls due meanwhile happens, in order and at its time.

        Time stands still while an activity runs. In the code of an activity itself it jumps at once.
        """
        by = _forward(duration, "sleep")
        if in_activity():
            await asyncio.sleep(0)                       # a heartbeat of just now is heard first: its timeout counts from it
            await self._jump(by)
            for _ in range(2):                           # its own timeouts fire, and cancel it here, not after its end
                await asyncio.sleep(0)
            return
        until = await self._clockwork.now() + by
        if self._driver is None:
            raise ConfigurationError(_CLOSED)
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = until
        self._came_back.set()
        try:
            await sleeper
        finally:
            self._sleepers.pop(sleeper, None)

    async def advance(self, duration: Duration) -> datetime:
        """Jump at once, as if nobody had looked at the clock for so long, and wait until what is due now is done.

        Activities that run are not waited for; their timeouts pass.
        """
        by = _forward(duration, "advance")
        now = await self._jump(by)
        if not in_activity():
            await self._settled()
        return now

    @contextmanager
    def auto_time_skipping_disabled(self) -> Generator[None]:
        """Inside, awaiting a result skips no time: it takes as long as it takes. `sleep` and `advance` still do."""
        self._locks += 1
        try:
            yield
        finally:
            self._locks -= 1
            self._came_back.set()

    # ------------------------------------------------------------------------------------------------- for the environment

    def start(self) -> None:
        """Begin to watch."""
        self._driver = asyncio.create_task(self._drive(), name="memflow test clock")

    async def close(self) -> None:
        """Stop. Sleepers wake with an error."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.cancel()
            await asyncio.wait([driver])
        self._wake(ConfigurationError(_CLOSED))

    # ------------------------------------------------------------------------------------------------- driving

    async def _drive(self) -> None:
        while True:
            self._came_back.clear()
            try:
                look = await self._look()
            except Exception as error:                   # whatever broke, those who wait must not wait for ever
                self._wake(error)
                await self._world.give_up(f"the clock of the environment stopped: {type(error).__name__}: {error}")
                await self._rest()
                continue
            if look is None:
                self._fresh()
                await self._came_back.wait()
            else:
                await self._rest()

    async def _look(self) -> Look | None:
        """Skip if somebody waits and nothing is under way. None: nobody waits."""
        awaited = [] if self._locks else self._world.awaited_runs()
        until = min(self._sleepers.values(), default=None)
        if until is None and not awaited and (self._locks or not await self._world.awaits_update()):
            return None
        if self._world.busy():
            self._idle_since = None
            return Look("busy", _LONG_AGO)
        look = await self._clockwork.skip(awaited=awaited, until=until, told=self._world.workers())
        match look.state:
            case "busy":
                self._idle_since = None
            case "due":
                await self._in_vain("something is due, and no worker has taken it")
            case "skipped":
                self._idle_since = None
                self._world.tell(look.at, look.due)
                await self._count(look)
            case "reached":
                self._wake(None, look.at)
            case "nothing":
                await self._in_vain("nothing is under way and nothing will fall due")
        return look

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(NET_SECONDS):
                await self._came_back.wait()
        # Whoever heard the same answer may have something to do about it: then it is under way, and we need not ask.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def _wake(self, error: Exception | None, at: datetime | None = None) -> None:
        for sleeper, until in list(self._sleepers.items()):
            if sleeper.done() or (at is not None and until > at):
                continue
            if error is None:
                sleeper.set_result(None)
            else:
                sleeper.set_exception(error)
            del self._sleepers[sleeper]

    async def _jump(self, by: timedelta) -> datetime:
        now = await self._clockwork.advance(by, told=self._world.workers())
        self._world.tell(now)
        return now

    async def _settled(self) -> None:
        """Until what is due has been taken up, or there is no room for it."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline and not await self._clockwork.settled():
            await self._rest()

    # ------------------------------------------------------------------------------------------------- in vain

    def _fresh(self) -> None:
        self._idle_since = self._began = None
        self._progress = self._jumps = 0

    async def _in_vain(self, why: str) -> None:
        """It stands still; when it has done so for too long, those who wait are told."""
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since >= self._patience:
            self._wake(await self._world.give_up(f"{why}, for {to_text(timedelta(seconds=self._patience))} now"))
            self._fresh()

    async def _count(self, look: Look) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        self._jumps = self._jumps + 1 if look.progress == self._progress else 0
        self._progress = look.progress
        if self._sleepers:
            return                                       # that wait ends by itself
        if self._jumps >= JUMPS_IN_VAIN:
            await self._world.give_up(f"time was skipped {self._jumps} times, up to {_minute(look.at)}, and no run got on")
            self._fresh()
        elif now - self._began > SKIPPING_SECONDS:
            await self._world.give_up(f"time was skipped for {SKIPPING_SECONDS:.0f} seconds, up to {_minute(look.at)}")
            self._fresh()


_LONG_AGO = datetime.min

_CLOSED = "the environment was closed while something slept in it"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _forward(duration: Duration, what: str) -> timedelta:
    """A duration that time can be moved by. Its own words for the usual slip: time runs forward only."""
    if (isinstance(duration, timedelta) and duration < timedelta()) or (isinstance(duration, int | float) and duration < 0):
        raise ConfigurationError(f"{what}: {duration!r} is backwards; time in an environment moves forward only")
    return to_timedelta(duration, what=what)
