"""`kharvest cat`."""

from __future__ import annotations

import argparse
import hashlib
import sys

from kharvest.cli.arguments import add_server, connect, full_path, md5, pod
from kharvest.cli.exits import Exit
from kharvest.cli.failures import NotFound
from kharvest.cli.parser import Once
from kharvest.cli.streams import say
from kharvest.cli.text import escape
from kharvest.query import QueryClient, format_time


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server(parser)
    parser.add_argument("path", metavar="PATH", type=full_path, help="the file's full path")
    version = parser.add_mutually_exclusive_group()
    version.add_argument("--md5", metavar="HEX", type=md5, action=Once, help="the version with this MD5")
    version.add_argument(
        "--pod", metavar="NS/NAME", type=pod, action=Once, help="the version that this pod has, or had last"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the content to stdout: of one version, of what one pod holds, or of the version seen last."""
    with connect(arguments) as client:
        if arguments.md5 is not None:
            sha256 = _by_md5(client, arguments.path, arguments.md5)
        elif arguments.pod is not None:
            sha256 = _by_pod(client, arguments.path, *arguments.pod)
        else:
            sha256 = _newest(client, arguments.path)
        seen = hashlib.sha256()
        for chunk in client.content(sha256):
            seen.update(chunk)
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    if seen.digest() != sha256:
        say("cat", f"{escape(arguments.path)}: what arrived is damaged; verify the store")
        return Exit.FAILURE
    return Exit.OK


def _by_md5(client: QueryClient, path: str, digest: bytes) -> bytes:
    for file in client.files(path=path, md5=digest, limit=1):
        return file.sha256
    raise NotFound(f"{escape(path)}: no version has MD5 {digest.hex()}; see `kharvest files --path`")


def _by_pod(client: QueryClient, path: str, namespace: str, name: str) -> bytes:
    pod_ = escape(f"{namespace}/{name}")
    for reference in client.references(path=path, namespace=namespace, pod=name, newest_first=True, limit=1):
        if reference.sha256 is not None:
            return reference.sha256
        when = format_time(reference.observed_at_ns)
        raise NotFound(f"{escape(path)}: removed in pod {pod_} at {when}; see `kharvest references`")
    raise NotFound(f"{escape(path)}: pod {pod_} has no such file; see `kharvest references --pod`")


def _newest(client: QueryClient, path: str) -> bytes:
    held = {one.sha256 for one in client.files(path=path, latest=True)}
    for reference in client.references(path=path, newest_first=True):
        if reference.sha256 is not None:
            if held - {reference.sha256}:
                note = f"pods hold {len(held | {reference.sha256})} versions, this is the one seen last"
                say("cat", f"{escape(path)}: {note}; see `kharvest files --latest`")
            return reference.sha256
    raise NotFound(f"{escape(path)}: no pod has had such a file; see `kharvest files`")
