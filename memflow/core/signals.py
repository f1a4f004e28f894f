"""Signals: those sent to this run by name, and those that it waits for by id. None that arrived is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from memflow.core.arrivals import SignalReceived, WaitCancelled
from memflow.core.interrupts import AwaitSignal, CancelWait, SendSignal
from memflow.core.waiting import Host


class Taker(Host, Protocol):
    """What signals need of the replay."""

    def handle_signal(self, signal: SignalReceived, *, dynamic: bool) -> bool:
        """Whether a handler takes it: the one of its name, or the dynamic one."""
        ...


class Signals:
    """Unread signals by name, and waits by signal id in the order they began."""

    __slots__ = ("_escalated", "_host", "_kept", "_unread", "_waits", "reserved")

    def __init__(self, host: Taker) -> None:
        self._host = host
        self._kept = 0
        self._unread: dict[str, deque[tuple[int, SignalReceived]]] = {}  # with numbers in the order they came
        self._waits: dict[str, dict[int, asyncio.Future[SignalReceived | WaitCancelled]]] = {}
        self._escalated: set[int] = set()                                # of the waits, those that people are asked to answer
        self.reserved: Collection[int] = ()                              # ops whose own answer arrived in this turn

    def apply(self, signal: SignalReceived) -> None:
        """A signal has arrived: to whom it was addressed, else to the longest waiting, else kept or sent back."""
        if signal.op is not None:
            future = self._leave(signal.name, signal.op)
            self._host.forget(signal.op)
            if future is not None and not future.done():
                future.set_result(signal)
                return
        self._pass_on(signal, signal.name)

    def cancelled(self, arrival: WaitCancelled) -> None:
        """Nobody will answer a wait: its escalation was cancelled."""
        future = self._leave(arrival.name, arrival.op)
        self._host.forget(arrival.op)
        if future is not None and not future.done():
            future.set_result(arrival)

    def drain(self, name: str | None) -> list[SignalReceived]:
        """Take the unread signals of one name, or of all, in the order they came: there is a handler for them now."""
        names = list(self._unread) if name is None else [name]
        taken = [each for each_name in names for each in self._unread.pop(each_name, ())]
        return [signal for _, signal in sorted(taken, key=lambda numbered: numbered[0])]

    async def wait(
        self, signal_id: str, escalation: str | None, expired: Callable[[], bool]
    ) -> SignalReceived | None:
        """The next signal of that name or id; None: its escalation was cancelled. See `Replay.wait_signal`."""
        unread = self._unread.get(signal_id)
        if unread:
            return self._take(signal_id, unread)
        host = self._host
        op = host.next_op()
        host.ask(AwaitSignal(op, signal_id, escalation))
        future: asyncio.Future[SignalReceived | WaitCancelled] = host.new_future()
        self._waits.setdefault(signal_id, {})[op] = future
        if escalation is not None:
            self._escalated.add(op)
        try:
            found = await future
            return None if isinstance(found, WaitCancelled) else found
        except asyncio.CancelledError:
            if host.refusing:
                received = _signal_in(future)
                if received is not None:                 # the run ended before its waiter could go on
                    self._unread.setdefault(signal_id, deque()).appendleft((0, received))
                raise
            if future.done() and not future.cancelled():
                received = _signal_in(future)
                if received is not None:
                    self._pass_on(received, signal_id, first=True)
            elif self._leave(signal_id, op) is not None:
                became = None if escalation is None else "expired" if expired() else "cancelled"
                host.ask(CancelWait(op, signal_id, became))
            raise

    @property
    def ask_people(self) -> bool:
        """Whether a wait has an escalation."""
        return bool(self._escalated)

    def by_future(self) -> dict[int, int]:
        """For each future that waits here, by its id(), the op."""
        return {id(future): op for waits in self._waits.values() for op, future in waits.items()}

    def unread(self) -> list[SignalReceived]:
        """What arrived and no code has taken, in the order it came."""
        kept = [each for signals in self._unread.values() for each in signals]
        return [signal for _, signal in sorted(kept, key=lambda numbered: numbered[0])]

    def clear(self) -> None:
        """Forget all; the run is over."""
        self._unread.clear()
        self._escalated.clear()
        self._waits.clear()

    def _pass_on(self, signal: SignalReceived, signal_id: str, *, first: bool = False) -> None:
        """A signal without its waiter. One sent by name goes to the handler of that name, else to the longest waiting here,
        else to a handler of any name, else it is kept. One sent by id goes to the longest waiting, else back there."""
        host = self._host
        if signal.op is None and host.handle_signal(signal, dynamic=False):
            return
        for op, future in self._waits.get(signal_id, {}).items():
            if not future.done():
                escalated = op in self._escalated
                if escalated and op in self.reserved:    # who resolved its escalation was told that this wait gets the answer
                    continue
                self._leave(signal_id, op)
                became = ("resolved", signal.payload) if escalated else (None, None)
                host.ask(CancelWait(op, signal_id, *became))
                future.set_result(signal)
                return
        if signal.op is None:
            if host.handle_signal(signal, dynamic=True):
                return
            unread = self._unread.setdefault(signal_id, deque())
            self._kept += 1
            if first:
                unread.appendleft((0, signal))
            else:
                unread.append((self._kept, signal))
        else:
            host.ask(SendSignal(host.next_op(), signal_id, signal.payload))

    def _leave(self, signal_id: str, op: int) -> asyncio.Future[SignalReceived | WaitCancelled] | None:
        self._escalated.discard(op)
        waits = self._waits.get(signal_id)
        if waits is None:
            return None
        future = waits.pop(op, None)
        if not waits:
            del self._waits[signal_id]
        return future

    def _take(self, signal_id: str, unread: deque[tuple[int, SignalReceived]]) -> SignalReceived:
        _, signal = unread.popleft()
        if not unread:
            del self._unread[signal_id]
        return signal


def _signal_in(future: asyncio.Future[SignalReceived | WaitCancelled]) -> SignalReceived | None:
    found = None if not future.done() or future.cancelled() else future.result()
    return found if isinstance(found, SignalReceived) else None
