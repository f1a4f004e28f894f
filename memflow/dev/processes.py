"""Worker processes for the demonstration: the same command that one runs in production."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from memflow.embedded.supervisor import die_with_parent


@contextmanager
def worker_process(module: str, *, dsn: str, schema: str, queue: str) -> Generator[subprocess.Popen[bytes]]:
    """A worker for what `module` decorates, gone at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "memflow", "worker", module, "--queue", queue, "--schema", schema, "--quiet"],
        env={**os.environ, "MEMFLOW_DSN": dsn},      # not an argument, which `ps` would show to everybody
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_parent(os.getpid()),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
