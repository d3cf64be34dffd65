"""`kharvest COMMAND …`: finds the command, runs it, and turns what it raises into a message and an exit code.

A command is a module of this package with two functions: `configure` adds its arguments to a parser, and `run` does it
and returns the exit code. Only the module of the command that is called is imported: a sidecar pays for every import.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from kharvest import __version__
from kharvest.cli.exits import Exit

COMMANDS = {
    "server": "run the server",
    "client": "watch files and announce them; runs beside an application",
    "references": "which pod had which file, when",
    "files": "file versions, with the number of pods on each",
    "cat": "write the content of a file to stdout",
    "stores": "the installed store backends",
    "conformance": "run the conformance suite against a store",
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="kharvest",
        description="Collects the files that pods write, and moves each distinct content over the network once.",
        epilog="Exit codes: 0 ok, 1 failure or difference, 2 usage, 3 partial, 4 not found, "
        "5 refused by authentication, 6 server or store unavailable, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"kharvest {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    module = None
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
        if name == called:
            module = importlib.import_module(f"kharvest.cli.{name}")
            module.configure(command)
    try:
        parsed = parser.parse_args(arguments)
        return Exit(module.run(parsed)) if module else Exit.USAGE
    except SystemExit as exit_:  # argparse has said what there is to say
        return exit_.code if isinstance(exit_.code, int) else Exit.USAGE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        from kharvest.cli.failures import explain  # noqa: PLC0415 - only when there is something to explain

        message, code = explain(error)
        if message is None:
            raise
        print(f"kharvest {called}: {message}", file=sys.stderr)
        return code
