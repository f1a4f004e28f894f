"""Notes what activities did, attempt by attempt, and whether an attempt was protected against being repeated."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from memflow.activity import ActivityContext, ActivityDefinition, activity_context
from memflow.attempts import Info

APART_SECONDS = 0.02
"""How long the end of one activity may keep the next from ending."""

_FACTS = tuple(field.name for field in dataclasses.fields(Info))


@dataclass(frozen=True, slots=True)
class Effect:
    """An attempt whose function returned, so that whatever it does was done.

    `protected`: a repeat of it does no harm. It ran in the transaction that records its result, or it read its idempotency key.
    """

    run_id: str
    workflow_id: str
    workflow: str
    activity: str
    activity_id: str
    arguments: str
    protected: bool

    @property
    def call(self) -> tuple[str, str]:
        """What attempts of one call have in common."""
        return self.run_id, self.activity_id


class Effects:
    """What the activities of one environment did.

    Async ones end one at a time, each when the end before it has been recorded (or after `APART_SECONDS`): so their ends do not
    share commits, and a worker can die between any two of them.
    """

    def __init__(self) -> None:
        self.done: list[Effect] = []
        self._ends = asyncio.Lock()
        self._release: asyncio.TimerHandle | None = None

    def recorded(self) -> None:
        """Something was committed: the next may end."""
        if self._release is not None:
            self._release.cancel()
            self._release = None
            self._ends.release()

    async def _apart(self) -> None:
        await self._ends.acquire()
        self._release = asyncio.get_running_loop().call_later(APART_SECONDS, self.recorded)

    def watched(self, definition: ActivityDefinition) -> ActivityDefinition:
        """The same activity, with its attempts noted here."""
        run = definition.run

        async def call(*arguments: Any) -> Any:
            seen = _Seen(activity_context.get())
            token = activity_context.set(cast("ActivityContext", seen))
            try:
                result = await run(*arguments)
            finally:
                activity_context.reset(token)
            self._note(definition, seen, arguments)
            await self._apart()
            return result

        def call_in_thread(*arguments: Any) -> Any:
            seen = _Seen(activity_context.get())
            token = activity_context.set(cast("ActivityContext", seen))
            try:
                result = run(*arguments)
            finally:
                activity_context.reset(token)
            self._note(definition, seen, arguments)
            return result

        return dataclasses.replace(definition, run=call if definition.is_async else call_in_thread)

    def _note(self, definition: ActivityDefinition, seen: _Seen, arguments: tuple[Any, ...]) -> None:
        facts: Info = seen.facts
        self.done.append(
            Effect(
                facts.run_id,
                facts.workflow_id,
                facts.workflow,
                facts.activity,
                facts.activity_id,
                ", ".join(map(repr, arguments)),
                definition.transactional or seen.read_key,
            )
        )

    def repeated(self) -> list[tuple[Effect, int]]:
        """Calls that took effect more than once without protection, and how often."""
        times = Counter(each.call for each in self.done)
        bare = {each.call: each for each in reversed(self.done) if not each.protected}
        return [(each, times[call]) for call, each in bare.items() if times[call] > 1]

    def calls(self) -> list[Effect]:
        """One for each call that took effect, in order."""
        return list({each.call: each for each in reversed(self.done)}.values())[::-1]


class _Seen:
    """The context of an attempt, the same in everything, that notices when the idempotency key is read."""

    __slots__ = ("_inner", "read_key")

    def __init__(self, inner: ActivityContext) -> None:
        self._inner = inner
        self.read_key = False

    @property
    def facts(self) -> Info:
        return self._inner.info

    @property
    def info(self) -> Info:
        return _WatchedInfo.of(self._inner.info, self._key_was_read)

    def _key_was_read(self) -> None:
        self.read_key = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _Seen.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._inner, name, value)


class _WatchedInfo(Info):
    """An `Info` that tells when its `idempotency_key` is read."""

    __slots__ = ("_read",)
    _read: Callable[[], None]

    @classmethod
    def of(cls, info: Info, read: Callable[[], None]) -> _WatchedInfo:
        made = cls(**{name: getattr(info, name) for name in _FACTS})
        object.__setattr__(made, "_read", read)
        return made

    def __getattribute__(self, name: str) -> Any:
        if name == "idempotency_key":
            object.__getattribute__(self, "_read")()
        return object.__getattribute__(self, name)
