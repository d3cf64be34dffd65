"""`kharvest COMMAND …`: finds the command, runs it, and turns what it raises into a message and an exit code.

A command is a module of this package with two functions: `configure` adds its arguments to a parser, and `run` does it
and returns the exit code. Only the module of the command that is called is imported: a sidecar pays for every import.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from kharvest import __version__
from kharvest.cli.exits import Exit
from kharvest.cli.locale import arguments_of_process
from kharvest.cli.parser import Parser, exit_of
from kharvest.cli.streams import OutputFailed, ReaderGone, open_streams, say

COMMANDS = {
    "server": "run the server",
    "client": "watch files and announce them; runs beside an application",
    "references": "which pod had which file, when",
    "files": "file versions, with the number of pods on each",
    "cat": "write the content of a file to stdout",
    "stores": "the installed store backends",
    "conformance": "run the conformance suite against a store, or compare what it reported",
    "new-store": "make a package for a store of your own",
}


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    arguments = arguments_of_process()
    open_streams()
    if _command_of(arguments) == "client":
        # gRPC loads asyncio, and asyncio loads ssl where there is one. Nothing here uses it: gRPC has its own TLS. It
        # takes 1.3 MB in each of thousands of sidecars.
        sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    called = _command_of(arguments)
    try:
        code = _run(called, arguments)
        sys.stdout.flush()
    except ReaderGone:  # a reader that has had enough, as `head` has, is no failure
        return Exit.OK
    except OutputFailed as error:
        say(called, str(error))
        return Exit.FAILURE
    return code


def _command_of(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _run(called: str, arguments: Sequence[str]) -> int:
    try:
        parser = Parser(
            prog="kharvest",
            description="Collects the files that pods write, and moves each distinct content over the network once.",
            epilog="Exit codes: 0 ok, 1 failure or difference, 2 usage, 3 partial, 4 not found, "
            "5 refused by authentication, 6 server or store unavailable, 130 interrupted.",
        )
        parser.add_argument("--version", action="version", version=f"kharvest {__version__}")
        commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
        module = None
        for name, meaning in COMMANDS.items():
            command = commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
            if name == called:
                module = importlib.import_module(f"kharvest.cli.{name.replace('-', '_')}")
                module.configure(command)
        parsed = parser.parse_args(arguments)
        return Exit(module.run(parsed)) if module else Exit.USAGE
    except SystemExit as exit_:  # argparse has said what there is to say
        return exit_of(exit_)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OutputFailed:
        raise
    except Exception as error:
        from kharvest.cli.failures import explain  # noqa: PLC0415 - only when there is something to explain

        message, code = explain(error)
        if message is None:
            raise
        say(called, message)
        return code
