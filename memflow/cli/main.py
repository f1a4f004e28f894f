"""`memflow`: reads the arguments and runs one command. Commands are imported late, so that `--help` is quick."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module

from memflow.cli.problems import Exit, problem_of
from memflow.cli.verbs import add_verbs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `problems.Exit`)."""
    options = parser().parse_args(arguments)
    module, _, function = str(options.command).partition(":")
    command: Callable[[argparse.Namespace], int] = getattr(import_module(f"memflow.cli.{module}"), function)
    try:
        return command(options)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:                          # the reader of our output has seen enough
        sys.stderr.close()
        return Exit.DONE
    except Exception as error:
        if options.verbose:
            traceback.print_exc()
        problem = problem_of(error)
        print(problem, file=sys.stderr)
        return problem.code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    shared = argparse.ArgumentParser(add_help=False)
    database = shared.add_argument_group("database")
    database.add_argument("--dsn", help="Postgres URL (else $MEMFLOW_DSN, else the project's embedded Postgres)")
    database.add_argument("--schema", default="memflow", help="schema that memflow lives in (default: %(default)s)")
    database.add_argument("--namespace", default="default", help="(default: %(default)s)")
    shared.add_argument("-v", "--verbose", action="store_true", help="more words; tracebacks of errors")

    top = argparse.ArgumentParser(prog="memflow", description="Durable workflows on Postgres alone.")
    top.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    worker = commands.add_parser("worker", parents=[shared], help="run the workflows and activities of a module")
    worker.add_argument("modules", metavar="MODULE", nargs="+", help="such as shop.orders, or a file such as shop/orders.py")
    worker.add_argument("--queue", action="append", help="task queue to serve; may be given again (default: default)")
    worker.add_argument("--slots", type=int, default=100, help="activities at a time, per queue (default: %(default)s)")
    worker.add_argument("--lease", default="10 seconds", help="silence after which others take over (default: %(default)s)")
    worker.add_argument("--identity", help="how lists name this worker (default: process and host)")
    worker.add_argument("--version", dest="code_version", metavar="VERSION", help="version of the code, as shown with its runs")
    worker.add_argument(
        "--default-versioning",
        choices=["pinned", "auto_upgrade"],
        default="pinned",
        help="of runs that a worker with a version begins (default: %(default)s)",
    )
    worker.add_argument("-q", "--quiet", action="store_true", help="say only what goes wrong")
    worker.add_argument("--uvloop", action="store_true", help="use uvloop (extra `speed`)")
    worker.set_defaults(command="worker:run")

    demo = commands.add_parser("demo", parents=[shared], help="see an order survive the death of its worker")
    demo.set_defaults(command="demo:run")

    _add_bench(commands.add_parser("bench", help="measure what memflow does on this database, and what limits it"))
    _add_run(commands.add_parser("run", help="look at runs, and act on them"), shared)
    _add_schedule(commands.add_parser("schedule", help="start runs by the clock"), shared)
    _add_activity(commands.add_parser("activity", help="act on pending activities"), shared)
    _add_escalation(commands.add_parser("escalation", help="answer what workflows ask people"), shared)
    db = commands.add_parser("db", help="the schema in the database").add_subparsers(metavar="COMMAND", required=True)
    migrate = db.add_parser("migrate", parents=[shared], help="install or upgrade the schema")
    migrate.set_defaults(command="db:migrate")
    status = db.add_parser("status", parents=[shared], help="say whether the schema fits this version of memflow")
    status.set_defaults(command="db:status")
    return top


def _add_bench(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("scenarios", metavar="SCENARIO", nargs="*", help="such as throughput (default: all; see --list)")
    bench.add_argument("--list", action="store_true", help="say which scenarios there are, and end")
    bench.add_argument("--dsn", help="Postgres URL (else $MEMFLOW_DSN, else the project's embedded Postgres)")
    bench.add_argument("--short", action="store_true", help="smaller numbers: all of it within three minutes")
    bench.add_argument("--n", type=int, help="how large the one scenario named is, instead of its own size")
    bench.add_argument("--workers", type=int, default=1, help="worker processes that run workflows (default: %(default)s)")
    bench.add_argument("--in-flight", type=int, default=200, help="calls of the client at a time (default: %(default)s)")
    bench.add_argument("--payload", type=int, default=100, metavar="BYTES", help="of arguments (default: %(default)s)")
    bench.add_argument("--idle", type=float, metavar="SECONDS", help="how long to watch sleepers (default: 10, --short: 5)")
    form = bench.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document on stdout, in the end")
    form.add_argument("--markdown", action="store_true", help="tables for a page, in the end")
    bench.add_argument("-v", "--verbose", action="store_true", help="tracebacks of errors")
    bench.set_defaults(command="bench:run")


def _add_run(run: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    verbs = run.add_subparsers(metavar="COMMAND", required=True)
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("-o", "--output", choices=["table", "json"], default="table", help="(default: %(default)s)")

    listing = verbs.add_parser("list", parents=[shared, output], help="list runs, newest first")
    listing.add_argument("--where", help="""a filter: 'status = failed and started > ago("2h")'""")
    listing.add_argument("--order", help="started, closed, id, type, queue, status, length; asc or desc (default: started desc)")
    listing.add_argument("--limit", type=int, default=50, help="(default: %(default)s)")
    listing.set_defaults(command="runs:list_runs")

    export = verbs.add_parser("export", parents=[shared], help="print runs as JSON, one per line: what `run check` reads")
    export.add_argument("ids", metavar="ID", nargs="*", help="workflow ids")
    export.add_argument("--run-id", help="one run of a single id (default: the latest)")
    export.add_argument("--where", help="""a filter instead of ids: 'type = "order" and status = failed'""")
    export.set_defaults(command="check:export")

    check = verbs.add_parser("check", parents=[shared], help="replay open runs, or exported ones, against today's code")
    check.add_argument("files", metavar="FILE", nargs="*", help="exported runs (default: the open runs of the database)")
    check.add_argument("--code", metavar="MODULE", action="append", help="the code, as for `memflow worker`; may be given again")
    check.add_argument("--where", help="""a filter for other runs than the open ones: 'type = "order"'""")
    check.set_defaults(command="check:check")

    show = verbs.add_parser("show", parents=[shared, output], help="draw a run's timeline")
    describe = verbs.add_parser("describe", parents=[shared, output], help="tell all about a run")
    for each, command in ((show, "runs:show"), (describe, "runs:describe")):
        each.add_argument("id", metavar="ID", help="workflow id")
        each.add_argument("--run-id", help="one run of that id (default: the latest)")
        each.set_defaults(command=command)
    add_verbs(verbs, shared, output)


def _add_schedule(schedule: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    verbs = schedule.add_subparsers(metavar="COMMAND", required=True)
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("-o", "--output", choices=["table", "json"], default="table", help="(default: %(default)s)")
    overlaps = ["skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"]

    create = verbs.add_parser("create", parents=[shared, output], help="create a schedule")
    create.add_argument("id", metavar="ID")
    create.add_argument("workflow", metavar="WORKFLOW", help="the workflow's name")
    create.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="JSON, or else text as it is")
    create.add_argument("--cron", action="append", help="""such as '0 9 * * MON-FRI'; may be given again""")
    create.add_argument("--every", help="""such as '10 minutes'""")
    create.add_argument("--offset", help="what moves --every")
    create.add_argument("--zone", default="UTC", help="time zone of --cron (default: %(default)s)")
    create.add_argument("--jitter", default="0 seconds", help="each run begins up to this much later")
    create.add_argument("--queue", default="default", help="task queue of the runs (default: %(default)s)")
    create.add_argument("--overlap", choices=overlaps, default="skip", help="if a run is still open (default: %(default)s)")
    create.add_argument("--catchup", default="365 days", help="how late a missed run is made up for (default: %(default)s)")
    create.add_argument("--limit", type=int, help="end after so many runs")
    create.add_argument("--pause-on-failure", action="store_true", help="pause when a run fails")
    create.add_argument("--paused", action="store_true", help="begin paused")
    create.add_argument("--note", help="a line for people")
    create.set_defaults(command="schedules:create")

    listing = verbs.add_parser("list", parents=[shared, output], help="list schedules")
    listing.add_argument("--limit", type=int, default=50, help="(default: %(default)s)")
    listing.set_defaults(command="schedules:list_schedules")

    describe = verbs.add_parser("describe", parents=[shared, output], help="tell all about a schedule")
    pause = verbs.add_parser("pause", parents=[shared], help="start nothing more")
    resume = verbs.add_parser("resume", parents=[shared], help="go on")
    trigger = verbs.add_parser("trigger", parents=[shared], help="start a run now")
    backfill = verbs.add_parser("backfill", parents=[shared], help="start the runs of a time that has passed")
    delete = verbs.add_parser("delete", parents=[shared], help="delete a schedule; its runs go on")
    named = {"describe": describe, "pause": pause, "resume": resume, "trigger": trigger, "backfill": backfill, "delete": delete}
    for command, each in named.items():
        each.add_argument("id", metavar="ID")
        each.set_defaults(command=f"schedules:{command}")
    for each in (pause, resume):
        each.add_argument("--note", help="a line for people")
    for each in (trigger, backfill):
        each.add_argument("--overlap", choices=overlaps, help="if a run is still open")
    backfill.add_argument("start", metavar="START", help="first instant, such as 2026-01-31T00:00+01:00")
    backfill.add_argument("end", metavar="END", help="last instant")

    following = verbs.add_parser("next", parents=[output], help="say when a cron line is due; asks no database")
    following.add_argument("cron", metavar="EXPR", help="""such as '0 9 * * MON-FRI'""")
    following.add_argument("--zone", default="UTC", help="(default: %(default)s)")
    following.add_argument("--after", help="an instant (default: now)")
    following.add_argument("--count", type=int, default=10, help="(default: %(default)s)")
    following.add_argument("-v", "--verbose", action="store_true", help="tracebacks of errors")
    following.set_defaults(command="schedules:next_times")


def _add_activity(activity: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    verbs = activity.add_subparsers(metavar="COMMAND", required=True)
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("id", metavar="ID", help="workflow id")
    which.add_argument("activity_id", metavar="ACTIVITY", help="activity id, or number, as `memflow run describe` shows it")
    which.add_argument("--run-id", help="one run of that id (default: the latest)")

    def verb(name: str, help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, parents=[shared, which], help=help)
        added.set_defaults(command="activities:act", verb=name)
        return added

    complete = verb("complete", "end it with a result")
    complete.add_argument("--result", default="null", metavar="JSON", help="(default: %(default)s)")
    fail = verb("fail", "end its attempt with an error; its retry policy says what follows")
    fail.add_argument("message", metavar="MESSAGE", help="what went wrong")
    fail.add_argument("--type", default="Operator", help="type of the error (default: %(default)s)")
    fail.add_argument("--final", action="store_true", help="no further attempt")
    verb("pause", "let no further attempt begin")
    verb("resume", "let attempts begin again")
    reset = verb("reset", "count attempts from one again; the next is due at once")
    reset.add_argument("--keep-paused", action="store_true", help="leave a paused one paused")
    reset.add_argument("--reset-heartbeats", action="store_true", help="forget the details of the last heartbeat")


def _add_escalation(escalation: argparse.ArgumentParser, shared: argparse.ArgumentParser) -> None:
    verbs = escalation.add_subparsers(metavar="COMMAND", required=True)
    listing = verbs.add_parser("list", parents=[shared], help="list what people are asked, the most urgent first")
    listing.add_argument("--status", choices=["pending", "resolved", "cancelled", "expired", "all"], default="pending")
    listing.add_argument("--role")
    listing.add_argument("--type")
    listing.add_argument("--assignee", help="only what this person holds")
    listing.add_argument("--limit", type=int, default=50, help="(default: %(default)s)")
    listing.add_argument("-o", "--output", choices=["table", "json"], default="table", help="(default: %(default)s)")
    listing.set_defaults(command="escalations:list_escalations")

    claim = verbs.add_parser("claim", parents=[shared], help="hold one, so that nobody else takes it")
    claim.add_argument("id", metavar="ID")
    claim.add_argument("--assignee", help="who holds it (default: the user of this system)")
    claim.add_argument("--for", dest="duration", default="15 minutes", help="how long (default: %(default)s)")
    claim.set_defaults(command="escalations:claim")

    resolve = verbs.add_parser("resolve", parents=[shared], help="answer one, so that its workflow goes on")
    resolve.add_argument("id", metavar="ID")
    resolve.add_argument("payload", metavar="JSON", nargs="?", default="null", help="the answer (default: null)")
    resolve.add_argument("--assignee", help="only if this person holds it, or nobody")
    resolve.set_defaults(command="escalations:resolve")


class _ShowVersion(argparse.Action):
    """Looks the version up when asked for it, which takes longer than all the rest of `--help`."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"memflow {version('memflow')}")
        except PackageNotFoundError:                 # run from a source tree that is not installed
            print("memflow, not installed")
        parser.exit()
