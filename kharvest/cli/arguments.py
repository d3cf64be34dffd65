"""Arguments that the commands which ask a server share: the server, the filters, the output."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from typing import TypeVar

from kharvest.cli.pairs import parse_pairs
from kharvest.cli.parser import Once
from kharvest.query import Filter, QueryClient, check_glob, check_name, check_path, time_ns
from kharvest.spi import InvalidValue
from kharvest.wire.address import DEFAULT_PORT, DEFAULT_SERVER

_MD5 = re.compile(r"[0-9A-Fa-f]{32}")

Checked = TypeVar("Checked")


def add_server(parser: argparse.ArgumentParser) -> None:
    """Which server is asked."""
    parser.add_argument(
        "--server",
        metavar="HOST[:PORT]",
        help=f"the server to ask (default: $KHARVEST_SERVER or {DEFAULT_SERVER}; without a port, {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="reach it through this HTTP proxy, http://HOST:PORT (default: $KHARVEST_PROXY, or directly)",
    )


def connect(arguments: argparse.Namespace) -> QueryClient:
    """The connection to the server that is named by argument or environment, or to the default.

    The environment is read here, not where the parser is made: so no help shows what is in it.
    """
    get = os.environ.get
    server = (get("KHARVEST_SERVER") or DEFAULT_SERVER) if arguments.server is None else arguments.server
    proxy = (get("KHARVEST_PROXY") or None) if arguments.proxy is None else arguments.proxy
    return QueryClient(server, proxy=proxy)


def add_output(parser: argparse.ArgumentParser) -> None:
    """How the answer is written."""
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="default: table")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """What restricts the answer; all that are given must match."""
    filters = parser.add_argument_group("filters, all of which must match")
    filters.add_argument("--pod", metavar="NS/NAME", type=pod, action=Once, help="the pod, by its exact names")
    filters.add_argument(
        "--namespace", metavar="NS", type=_argument(check_name), action=Once, help="the pod's namespace"
    )
    filters.add_argument(
        "--uid",
        metavar="UID",
        type=_argument(check_name),
        action=Once,
        help="the pod's UID, which tells it from others of its name",
    )
    filters.add_argument(
        "--path",
        metavar="GLOB",
        type=_argument(check_glob),
        action=Once,
        help="the file's full path; `?`, `*` and `[...]` match within a segment, `**` across segments",
    )
    filters.add_argument(
        "--md5", metavar="HEX", type=md5, action=Once, help="the MD5 of its content; 32 zeros for removals"
    )
    filters.add_argument(
        "-l",
        "--metadata",
        metavar="K=V[,K=V]",
        type=selector,
        action="append",
        default=[],
        help="metadata pairs; repeatable; a backslash makes the next character literal",
    )
    filters.add_argument(
        "--since",
        metavar="T",
        type=_argument(time_ns),
        action=Once,
        help="from this time on: RFC 3339 with its zone, or back from now, such as 2h or 15m",
    )
    filters.add_argument("--until", metavar="T", type=_argument(time_ns), action=Once, help="before this time")
    filters.add_argument(
        "--latest", action="store_true", help="only the newest reference of each pod and path (before --until)"
    )
    parser.add_argument("--limit", metavar="N", type=limit, help="at most N rows (default: all)")


def filters_of(arguments: argparse.Namespace) -> Filter:
    """The filters that were given."""
    filters = Filter()
    if arguments.path is not None:
        filters["path_glob"] = arguments.path
    if arguments.md5 is not None:
        filters["md5"] = arguments.md5
    if arguments.namespace is not None:
        filters["namespace"] = arguments.namespace
    if arguments.pod is not None:
        filters["namespace"], filters["pod"] = arguments.pod
        if arguments.namespace not in {None, arguments.pod[0]}:
            raise InvalidValue("--namespace", "it is not the namespace of --pod", "give one of them")
    if arguments.uid is not None:
        filters["uid"] = arguments.uid
    if arguments.metadata:
        filters["metadata"] = _together(arguments.metadata)
    if arguments.since is not None:
        filters["since"] = arguments.since
    if arguments.until is not None:
        filters["until"] = arguments.until
    if arguments.latest:
        filters["latest"] = True
    return filters


def pod(text: str) -> tuple[str, str]:
    """NS/NAME."""
    namespace, slash, name = text.partition("/")
    if not slash or not name or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    exact = _argument(check_name)
    return exact(namespace), exact(name)


def full_path(text: str) -> str:
    """A file's full path."""
    return _argument(check_path)(text)


def md5(text: str) -> bytes:
    """32 hexadecimal digits."""
    if not _MD5.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an MD5: 32 hexadecimal digits")
    return bytes.fromhex(text)


def selector(text: str) -> dict[str, str]:
    """KEY=VALUE,KEY=VALUE."""
    try:
        return parse_pairs(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def limit(text: str) -> int:
    """A positive number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _argument(check: Callable[[str, str], Checked]) -> Callable[[str], Checked]:
    """What the queries' own check makes of an argument; what it refuses, the parser says, with the option."""

    def convert(text: str) -> Checked:
        try:
            return check("", text)
        except InvalidValue as error:
            raise argparse.ArgumentTypeError(f"{error.problem}; {error.remedy}") from None

    return convert


def _together(selectors: list[dict[str, str]]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for key, value in (pair for one in selectors for pair in one.items()):
        if pairs.setdefault(key, value) != value:
            raise InvalidValue("-l", f"{key!r} is given twice, and can have one value", "give one of them")
    return pairs
