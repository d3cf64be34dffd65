"""`kharvest files`."""

from __future__ import annotations

import argparse

from kharvest.cli.arguments import add_filters, add_output, add_server, connect, filters_of
from kharvest.cli.exits import Exit
from kharvest.cli.output import Json, write_json, write_table
from kharvest.cli.streams import say
from kharvest.query import FoundFile, format_time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server(parser)
    add_filters(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file versions that matching references name, by path and MD5, with the number of pods on each."""
    with connect(arguments) as client:
        found = client.files(limit=arguments.limit, **filters_of(arguments))
        if arguments.output == "json":
            rows = write_json(map(_json, found))
        elif arguments.output == "wide":
            rows = write_table(("PATH", "MD5", "SIZE", "PODS", "FIRST SEEN", "LAST SEEN", "SHA256"), map(_wide, found))
        else:
            rows = write_table(("PATH", "MD5", "SIZE", "PODS", "LAST SEEN"), map(_narrow, found))
    if not rows:
        say("files", "nothing matches; leave out a filter, or see that the server is the right one")
    return Exit.OK


def _json(found: FoundFile) -> dict[str, Json]:
    return {
        "path": found.path,
        "md5": found.md5.hex(),
        "sha256": found.sha256.hex(),
        "size": found.size,
        "pods": found.pods,
        "first_seen": format_time(found.first_seen_ns),
        "last_seen": format_time(found.last_seen_ns),
    }


def _narrow(found: FoundFile) -> tuple[str, ...]:
    return found.path, found.md5.hex(), str(found.size), str(found.pods), format_time(found.last_seen_ns)


def _wide(found: FoundFile) -> tuple[str, ...]:
    *narrow, last_seen = _narrow(found)
    return *narrow, format_time(found.first_seen_ns), last_seen, found.sha256.hex()
