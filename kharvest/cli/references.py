"""`kharvest references`."""

from __future__ import annotations

import argparse

from kharvest.cli.arguments import add_filters, add_output, add_server, connect, filters_of
from kharvest.cli.exits import Exit
from kharvest.cli.output import Json, write_json, write_table
from kharvest.cli.pairs import format_pairs
from kharvest.cli.streams import say
from kharvest.query import FoundReference, format_time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server(parser)
    add_filters(parser)
    parser.add_argument("--newest-first", action="store_true", help="the newest row first (default: the oldest)")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the references that match, in the order of their times."""
    with connect(arguments) as client:
        found = client.references(newest_first=arguments.newest_first, limit=arguments.limit, **filters_of(arguments))
        if arguments.output == "json":
            rows = write_json(map(_json, found))
        elif arguments.output == "wide":
            rows = write_table(
                ("OBSERVED", "POD", "PATH", "SIZE", "MD5", "SHA256", "UID", "METADATA"), map(_wide, found)
            )
        else:
            rows = write_table(("OBSERVED", "POD", "PATH", "SIZE", "MD5"), map(_narrow, found))
    if not rows:
        say("references", "nothing matches; leave out a filter, or see that the server is the right one")
    return Exit.OK


def _json(found: FoundReference) -> dict[str, Json]:
    return {
        "path": found.path,
        "md5": found.md5.hex(),
        "sha256": found.sha256.hex() if found.sha256 is not None else None,
        "size": found.size,
        "namespace": found.namespace,
        "pod": found.pod,
        "uid": found.uid,
        "observed_at": format_time(found.observed_at_ns),
        "metadata": found.metadata,
    }


def _narrow(found: FoundReference) -> tuple[str, ...]:
    size, md5 = ("-", "removed") if found.is_removal else (str(found.size), found.md5.hex())
    return format_time(found.observed_at_ns), f"{found.namespace}/{found.pod}", found.path, size, md5


def _wide(found: FoundReference) -> tuple[str, ...]:
    sha256 = found.sha256.hex() if found.sha256 is not None else "-"
    return *_narrow(found), sha256, found.uid or "-", format_pairs(found.metadata)
