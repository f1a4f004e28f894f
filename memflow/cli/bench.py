"""`memflow bench`: the scenarios live in `memflow.bench`; here they are asked for and shown."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys

from memflow import embedded
from memflow.bench.benchmark import benchmark, check
from memflow.bench.progress import Progress
from memflow.bench.report import Report, costs, document, headline, markdown
from memflow.bench.settings import SCENARIOS, Settings
from memflow.cli.output import table
from memflow.cli.problems import Exit


def run(options: argparse.Namespace) -> int:
    """The command."""
    if options.list:
        rows = [[each.name, f"{each.full:,}", f"{each.short:,}", each.counts, each.shows] for each in SCENARIOS.values()]
        print(table(["SCENARIO", "N", "SHORT", "OF", "SHOWS"], rows, empty=""))
        return Exit.DONE
    settings = Settings(
        short=options.short,
        n=options.n,
        workers=options.workers,
        in_flight=options.in_flight,
        payload=options.payload,
        idle_seconds=options.idle,
    )
    names = check(options.scenarios, settings)
    quiet = options.json or options.markdown

    def tell(report: Report) -> None:
        if not quiet:
            print(f"{report.scenario:<11} {report.what}\n{'':<11} {headline(report)}", flush=True)

    with contextlib.ExitStack() as cleanup:
        dsn = options.dsn or os.environ.get("MEMFLOW_DSN") or cleanup.enter_context(embedded.start()).dsn
        try:
            machine, reports = asyncio.run(benchmark(dsn, names, settings, tell=tell, progress=Progress(sys.stderr)))
        except asyncio.CancelledError:                       # SIGTERM; Ctrl-C is a KeyboardInterrupt
            return Exit.INTERRUPTED
    if options.json:
        print(json.dumps(document(machine, reports), indent=2))
    elif options.markdown:
        print(markdown(machine, reports))
    else:
        heads, rows = costs(reports)
        if rows:
            print(f"\nwhat each unit of work cost\n{table(heads, rows, empty='')}")
        postgres = machine["postgres"]
        print(
            f"\non {machine['cpus']} CPUs, PostgreSQL {postgres['server_version']}, fsync {postgres['fsync']},"
            f" synchronous_commit {postgres['synchronous_commit']}, a flush takes {postgres['flush_ms']} ms"
        )
        for report in reports:
            if report.limit is not None:
                print(f"{report.scenario:<11} limited by {report.limit}")
    return Exit.DONE
