"""Signals: those sent to this run by name, and those that it waits for by id. None that arrived is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from memflow.core.arrivals import SignalReceived
from memflow.core.interrupts import AwaitSignal, CancelWait, SendSignal
from memflow.core.waiting import Host


class Taker(Host, Protocol):
    """What signals need of the replay."""

    def handle_signal(self, signal: SignalReceived, *, dynamic: bool) -> bool:
        """Whether a handler takes it: the one of its name, or the dynamic one."""
        ...


class Signals:
    """Unread signals by name, and waits by signal id in the order they began."""

    __slots__ = ("_host", "_kept", "_unread", "_waits")

    def __init__(self, host: Taker) -> None:
        self._host = host
        self._kept = 0
        self._unread: dict[str, deque[tuple[int, SignalReceived]]] = {}  # with numbers in the order they came
        self._waits: dict[str, dict[int, asyncio.Future[SignalReceived]]] = {}

    def apply(self, signal: SignalReceived) -> None:
        """A signal has arrived: to whom it was addressed, else to the longest waiting, else kept or sent back."""
        if signal.op is not None:
            future = self._leave(signal.name, signal.op)
            self._host.forget(signal.op)
            if future is not None and not future.done():
                future.set_result(signal)
                return
        self._pass_on(signal, signal.name)

    def drain(self, name: str | None) -> list[SignalReceived]:
        """Take the unread signals of one name, or of all, in the order they came: there is a handler for them now."""
        names = list(self._unread) if name is None else [name]
        taken = [each for each_name in names for each in self._unread.pop(each_name, ())]
        return [signal for _, signal in sorted(taken, key=lambda numbered: numbered[0])]

    async def wait(self, signal_id: str) -> SignalReceived:
        """The next signal of that name or id. See `Replay.wait_signal`."""
        unread = self._unread.get(signal_id)
        if unread:
            return self._take(signal_id, unread)
        host = self._host
        op = host.next_op()
        host.ask(AwaitSignal(op, signal_id))
        future: asyncio.Future[SignalReceived] = host.new_future()
        self._waits.setdefault(signal_id, {})[op] = future
        try:
            return await future
        except asyncio.CancelledError:
            if host.refusing:
                if future.done() and not future.cancelled():  # the run ended before its waiter could go on
                    self._unread.setdefault(signal_id, deque()).appendleft((0, future.result()))
                raise
            if future.done() and not future.cancelled():
                self._pass_on(future.result(), signal_id, first=True)
            elif self._leave(signal_id, op) is not None:
                host.ask(CancelWait(op, signal_id))
            raise

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
        self._waits.clear()

    def _pass_on(self, signal: SignalReceived, signal_id: str, *, first: bool = False) -> None:
        """A signal without its waiter. One sent by name goes to the handler of that name, else to the longest waiting here,
        else to a handler of any name, else it is kept. One sent by id goes to the longest waiting, else back there."""
        host = self._host
        if signal.op is None and host.handle_signal(signal, dynamic=False):
            return
        for op, future in self._waits.get(signal_id, {}).items():
            if not future.done():
                self._leave(signal_id, op)
                host.ask(CancelWait(op, signal_id))
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

    def _leave(self, signal_id: str, op: int) -> asyncio.Future[SignalReceived] | None:
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
