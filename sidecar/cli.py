"""The command `otel-sidecar`: each subcommand imports only its own room, so that `serve` stays small in memory."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

_EXTRA = "pip install 'otel-sidecar[sidecar]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; 0: fine, 2: usage or configuration, 130: Ctrl-C before there was anything to stop."""
    try:
        return _main(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return 130  # as a shell says it


def _main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="otel-sidecar",
        description="The observability sidecar for machine-learning services on FastAPI.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_run(commands)
    commands.add_parser("demo", help="the whole thing on this machine, with real traffic").set_defaults(run=_demo)
    # The demo reads its own arguments, without its room being imported for the help of the others.
    flags, unknown = (
        (argparse.Namespace(command="demo", run=_demo, rest=given[1:]), [])
        if given[:1] == ["demo"]
        else parser.parse_known_args(given)
    )
    if unknown:  # argparse alone would show the usage of the whole instead of the command's
        getattr(flags, "parser", parser).error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        return int(flags.run(flags))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"sidecar", "instrumentation", "examples"}:
            raise
        print(f"otel-sidecar {flags.command}: module {error.name!r} is not installed: {_EXTRA}", file=sys.stderr)
        return 2


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from sidecar.options import add_options

    serve = commands.add_parser(
        "serve", help="run the sidecar", description="Runs the sidecar until SIGTERM or SIGINT.", allow_abbrev=False
    )
    add_options(serve)
    serve.set_defaults(run=_serve, parser=serve)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from sidecar.options import add_options

    run = commands.add_parser(
        "run",
        help="run a service, untouched, with a sidecar beside it",
        description="Starts a sidecar, then CMD instrumented and pointed at it, and ends with CMD's exit status. "
        "The options are the sidecar's; an address nobody asked for moves to a free port when it is taken.",
        usage="otel-sidecar run [OPTIONS] -- CMD [ARGUMENT ...]",
        allow_abbrev=False,
    )
    add_options(run)
    run.add_argument("cmd", metavar="CMD", nargs=argparse.REMAINDER, help="the service, as typed in a shell")
    run.set_defaults(run=_run, parser=run)


def _demo(flags: argparse.Namespace) -> int:
    from sidecar.demo import main as demo

    return demo(flags.rest)


def _run(flags: argparse.Namespace) -> int:
    from sidecar.options import OptionError
    from sidecar.run import run

    command = flags.cmd[1:] if flags.cmd[:1] == ["--"] else flags.cmd
    try:
        return run(flags, command, os.environ)
    except OptionError as error:
        print(f"otel-sidecar run: {error}", file=sys.stderr)
        return 2


def _serve(flags: argparse.Namespace) -> int:
    from sidecar.options import OptionError, read_options

    try:
        options = read_options(flags, os.environ)
        from sidecar.serve import serve

        serve(options)
    except OptionError as error:
        print(f"otel-sidecar serve: {error}", file=sys.stderr)
        return 2
    return 0


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("otel-sidecar"))
        parser.exit()
