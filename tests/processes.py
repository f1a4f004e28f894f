"""Worker processes that a test can kill, freeze and read the log of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent


class WorkerProcess:
    """A worker in a process of its own, gone at the end of the `with` whatever happened."""

    def __init__(self, dsn: str, schema: str, *modules: str, queue: str = "default", log: Path, **options: Any) -> None:
        self._log_path = log
        self._log = log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.run_worker", dsn, schema, queue, json.dumps(options), *modules],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != b"READY":
            self.process.wait(10)
            raise AssertionError(f"the worker did not start:\n{self.log()}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log_path.read_text()

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP: silent, but its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM: drains; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.thaw()
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
