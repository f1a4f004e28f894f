"""The worker processes of a benchmark: started, asked what they cost, killed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from typing import Any

from memflow.errors import MemflowError

BOOT_SECONDS = 60.0
"""How long a worker may take to be ready; it is about half a second on an idle machine."""

_ANSWER_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass(slots=True)
class Usage:
    """What worker processes have cost so far, together. Memory is that of the largest."""

    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    statements: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, other: Usage) -> None:
        self.cpu_seconds += other.cpu_seconds
        self.peak_memory_mb = max(self.peak_memory_mb, other.peak_memory_mb)
        for name, count in other.statements.items():
            self.statements[name] = self.statements.get(name, 0) + count


class WorkerProcess:
    """One worker process. Its stderr is ours: what goes wrong there is seen."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asking = asyncio.Lock()

    @classmethod
    async def start(cls, dsn: str, schema: str, *, queue: str, serve: str) -> WorkerProcess:
        """Returns when it serves `queue`.

        Raises:
            MemflowError: it ended instead, or did not get ready in `BOOT_SECONDS`.
        """
        order = {"schema": schema, "queue": queue, "serve": serve}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "memflow.bench.program", json.dumps(order),
            env={**os.environ, "MEMFLOW_DSN": dsn},
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,                          # Ctrl-C is for us: we see to it that they end
        )  # fmt: skip
        worker = cls(process)
        try:
            async with asyncio.timeout(BOOT_SECONDS):
                word = await worker._line()
        except BaseException:
            await worker.kill()
            raise
        if word != "READY":
            raise MemflowError(f"a worker process ended with code {await process.wait()} before it was ready; see above")
        return worker

    async def usage(self) -> Usage:
        """What it has cost since it started."""
        assert self._process.stdin is not None, "it was started with a pipe"
        async with self._asking:
            self._process.stdin.write(b"?\n")
            # Not `wait_for`: on Python 3.11 that loses a Ctrl-C which comes together with the answer.
            async with asyncio.timeout(_ANSWER_SECONDS):
                line = await self._line()
        if not line:
            raise MemflowError(f"a worker process ended with code {await self._process.wait()}; see above")
        told: dict[str, Any] = json.loads(line)
        return Usage(told["cpu_seconds"], told["peak_memory_mb"], told["statements"])

    async def kill(self) -> None:
        """SIGKILL: no goodbye."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """Let it drain, then make sure that it is gone."""
        assert self._process.stdin is not None, "it was started with a pipe"
        if self._process.returncode is None:
            self._process.stdin.close()
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                pass
        await self.kill()

    async def _line(self) -> str:
        assert self._process.stdout is not None, "it was started with a pipe"
        return (await self._process.stdout.readline()).decode().strip()
