"""`kharvest files`."""

from __future__ import annotations

import argparse

from kharvest.cli.arguments import add_filters, add_output, add_server, filters_of
from kharvest.cli.exits import Exit
from kharvest.cli.output import Json, rfc3339, write_json, write_table
from kharvest.query import FoundFile, QueryClient


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server(parser)
    add_filters(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file versions that matching references name, by path and MD5, with the number of pods on each."""
    with QueryClient(arguments.server) as client:
        found = client.files(limit=arguments.limit, **filters_of(arguments))
        if arguments.output == "json":
            write_json(map(_json, found))
        elif arguments.output == "wide":
            write_table(("PATH", "MD5", "SIZE", "PODS", "FIRST SEEN", "LAST SEEN", "SHA256"), map(_wide, found))
        else:
            write_table(("PATH", "MD5", "SIZE", "PODS", "LAST SEEN"), map(_narrow, found))
    return Exit.OK


def _json(found: FoundFile) -> dict[str, Json]:
    return {
        "path": found.path,
        "md5": found.md5.hex(),
        "sha256": found.sha256.hex(),
        "size": found.size,
        "pods": found.pods,
        "first_seen": rfc3339(found.first_seen_ns),
        "last_seen": rfc3339(found.last_seen_ns),
    }


def _narrow(found: FoundFile) -> tuple[str, ...]:
    seen = found.last_seen.strftime("%Y-%m-%d %H:%M:%S")
    return found.path, found.md5.hex(), str(found.size), str(found.pods), seen


def _wide(found: FoundFile) -> tuple[str, ...]:
    first, last = rfc3339(found.first_seen_ns), rfc3339(found.last_seen_ns)
    return found.path, found.md5.hex(), str(found.size), str(found.pods), first, last, found.sha256.hex()
