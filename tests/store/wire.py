"""A proxy between a client and Postgres that counts round trips and breaks the one it is told to break."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit, urlunsplit

Break = Literal["lose_request", "lose_answer", "leave", "swallow"]
"""Cut before Postgres hears it; cut before the client hears the answer; cut while Postgres goes on; say nothing."""

ENDS_A_TRIP = b"QSH"
"""Simple query, sync, flush: after these the client waits for an answer."""

PASSES_AT_ONCE = b"pX"
"""A password, and good-bye."""


class Wire:
    """`plan(n, sent)` is asked at each round trip: what to do with the n-th (from 1), whose bytes are `sent`."""

    def __init__(self, dsn: str, plan: Callable[[int, bytes], Break | None]) -> None:
        self._parts = urlsplit(dsn)
        self._plan = plan
        self.trips = 0
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._left: list[asyncio.StreamWriter] = []      # connections that Postgres does not know to be abandoned

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        for writer in self._left:
            writer.transport.abort()

    @property
    def dsn(self) -> str:
        """How to connect through the proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user = f"{self._parts.username}:{self._parts.password}" if self._parts.password else f"{self._parts.username}"
        return urlunsplit(self._parts._replace(netloc=f"{user}@127.0.0.1:{port}", query="sslmode=disable"))

    async def _upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        options = parse_qs(self._parts.query)
        if "host" in options:
            port = self._parts.port or options.get("port", ["5432"])[0]
            return await asyncio.open_unix_connection(f"{options['host'][0]}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._parts.hostname, self._parts.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            up_reader, up_writer = await self._upstream()
            lost = asyncio.Event()                       # the answers of this connection no longer come through
            silent = asyncio.Event()
            both = [
                asyncio.create_task(self._requests(reader, up_writer, lost, silent)),
                asyncio.create_task(self._answers(up_reader, writer, lost, silent)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in both:
                    each.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                writer.transport.abort()
                if up_writer not in self._left:
                    up_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._talks.discard(talk)

    async def _requests(
        self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, lost: asyncio.Event, silent: asyncio.Event
    ) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            size = struct.unpack("!I", await reader.readexactly(4))[0]
            up.write(struct.pack("!I", size) + await reader.readexactly(size - 4))    # the first message has no type byte
            sent = b""
            while True:
                kind = await reader.readexactly(1)
                head = await reader.readexactly(4)
                sent += kind + head + await reader.readexactly(struct.unpack("!I", head)[0] - 4)
                if kind in ENDS_A_TRIP:
                    self.trips += 1
                    what = self._plan(self.trips, sent)
                    if what == "lose_request":
                        return
                    if what == "leave":
                        up.write(sent)
                        await up.drain()
                        self._left.append(up)
                        return
                    if what == "lose_answer":
                        lost.set()
                    elif what == "swallow":
                        silent.set()
                if kind in ENDS_A_TRIP + PASSES_AT_ONCE:
                    up.write(sent)
                    sent = b""
                    await up.drain()

    @staticmethod
    async def _answers(
        up: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, silent: asyncio.Event
    ) -> None:
        with suppress(ConnectionError):
            while data := await up.read(65536):
                if lost.is_set():
                    return                               # an answer came, so it was done; nobody hears of it
                if not silent.is_set():
                    writer.write(data)
                    await writer.drain()
