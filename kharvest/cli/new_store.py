"""`kharvest new-store`: makes the package of a new store. The conformance suite has the files that it is made of."""

from __future__ import annotations

import argparse
from pathlib import Path

from kharvest.cli.exits import Exit
from kharvest.cli.suite import is_missing
from kharvest.cli.text import escape
from kharvest.registry import OUR_BACKENDS

_NEXT = """\
Made the package kharvest-{name} in {folder}. There:

  make setup    an environment with the package and the conformance suite
  make next     run the suite up to the first failure: `{method}` is to be written
  make test     run the whole suite

README.md there explains the next steps."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="scheme of the store's URLs, which begin with NAME:")
    parser.add_argument(
        "--directory",
        metavar="DIR",
        type=Path,
        help="a new or empty directory for the package (default: kharvest-NAME)",
    )
    parser.add_argument(
        "--engine",
        action="store_true",
        help="for a database that is an ordered map of keys: you write only an engine for kharvest.records",
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the package, and say what to do next."""
    if is_missing("new-store"):
        return Exit.USAGE
    from kharvest_conformance.scaffold import new_store  # noqa: PLC0415  # a distribution of its own

    served = frozenset({*OUR_BACKENDS, *OUR_BACKENDS.values()})
    folder = new_store(arguments.name, arguments.directory, on_engine=arguments.engine, served=served)
    method = "commit" if arguments.engine else "put"
    print(_NEXT.format(folder=escape(str(folder)), name=arguments.name, method=method))
    return Exit.OK
