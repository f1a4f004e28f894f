"""`memflow demo`: the demonstration lives in `memflow.dev.demo`."""

from __future__ import annotations

import argparse

from memflow.cli.problems import Exit
from memflow.dev.demo import demonstrate


def run(options: argparse.Namespace) -> int:
    """The command."""
    demonstrate(options.dsn, schema=options.schema)
    return Exit.DONE
