"""Arguments that the commands which ask a server share: the server, the filters, the output."""

from __future__ import annotations

import argparse
import os
import re
import time
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.query.client import Filter
from kharvest.spi import InvalidValue

DEFAULT_SERVER = "127.0.0.1:50051"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def add_server(parser: argparse.ArgumentParser) -> None:
    """Which server is asked."""
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("KHARVEST_SERVER", DEFAULT_SERVER),
        help=f"the server to ask (default: $KHARVEST_SERVER or {DEFAULT_SERVER})",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How the answer is written."""
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="default: table")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """What restricts the answer; all that are given must match."""
    filters = parser.add_argument_group("filters, all of which must match")
    filters.add_argument("--pod", metavar="NS/NAME", type=pod, help="the pod")
    filters.add_argument("--namespace", metavar="NS", help="the pod's namespace")
    filters.add_argument(
        "--path",
        metavar="GLOB",
        help="the file's path; `?`, `*` and `[...]` match within a segment, `**` across segments",
    )
    filters.add_argument("--md5", metavar="HEX", type=md5, help="the MD5 of its content; 32 zeros for removals")
    filters.add_argument(
        "-l", "--metadata", metavar="K=V", type=pair, action="append", default=[], help="a metadata pair; repeatable"
    )
    filters.add_argument(
        "--since", metavar="T", type=moment, help="from this time on: RFC 3339, or back from now, such as 2h or 15m"
    )
    filters.add_argument("--until", metavar="T", type=moment, help="before this time")
    filters.add_argument(
        "--latest", action="store_true", help="only the newest reference of each pod and path (before --until)"
    )
    parser.add_argument("--limit", metavar="N", type=limit, help="at most so many rows (default: all)")


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
    if arguments.metadata:
        filters["metadata"] = dict(arguments.metadata)
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
    if not slash or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return namespace, name


def md5(text: str) -> bytes:
    """32 hexadecimal digits."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 16:  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not an MD5: 32 hexadecimal digits")
    return digest


def pair(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def limit(text: str) -> int:
    """A positive number."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def moment(text: str) -> int:
    """Nanoseconds since the epoch: of an RFC 3339 time, or so long ago."""
    duration = _DURATION.fullmatch(text)
    if duration:
        return time.time_ns() - int(float(duration[1]) * _UNITS[duration[2]] * 10**9)
    stamp = Timestamp()
    try:
        stamp.FromJsonString(text)  # RFC 3339 to the nanosecond
        return stamp.ToNanoseconds()
    except ValueError:
        pass
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{text!r} is neither an RFC 3339 time (2026-01-31T10:00:00Z) nor a duration (2h, 15m)"
        raise argparse.ArgumentTypeError(problem) from None
    return int(given.astimezone().timestamp() * 10**6) * 1000  # no zone given: the machine's own
