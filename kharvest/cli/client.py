"""`kharvest client`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from kharvest.cli.exits import Exit
from kharvest.client import Client, ClientConfig, ConfigurationError, Summary, harvest_once

_DEFAULTS = ClientConfig(server="-", pod="-")
DEFAULT_SERVER = "127.0.0.1:50051"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("paths", metavar="PATH", nargs="*", help="a file to watch; it may come to be later")
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        default=os.environ.get("KHARVEST_SERVER", DEFAULT_SERVER),
        help=f"the server to announce to (default: $KHARVEST_SERVER or {DEFAULT_SERVER})",
    )
    parser.add_argument("--namespace", metavar="NS", help="default: $POD_NAMESPACE, $NAMESPACE, or 'default'")
    parser.add_argument("--pod", metavar="NAME", help="default: $POD_NAME, $PODNAME, or the host's name")
    parser.add_argument(
        "--metadata",
        metavar="K=V",
        action="append",
        default=[],
        type=_pair,
        help="recorded with every reference; repeatable",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=_DEFAULTS.root,
        help="announce DIR/etc/app.conf as /etc/app.conf: for files of another container that are mounted here",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="read paths from this file, one a line")
    parser.add_argument(
        "--once", action="store_true", help="announce what is there, wait for the acknowledgements, and exit"
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="with --once: how long to wait for a server that does nothing for us (default: 60)",
    )
    parser.add_argument(
        "--grace",
        metavar="SECONDS",
        dest="grace_seconds",
        type=float,
        default=_DEFAULTS.grace_seconds,
        help=f"on SIGTERM: how long to bring what is pending to the server (default: {_DEFAULTS.grace_seconds:g})",
    )
    parser.add_argument(
        "-o", "--output", choices=("table", "wide", "json"), default="table", help="of --once; default: table"
    )
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    times = parser.add_argument_group("times")
    for name, meaning in (
        ("settle_seconds", "how long a file must rest before it is read"),
        ("settle_max_seconds", "after how long a file that never rests is read nevertheless"),
        ("rescan_seconds", "how often everything is looked at, whatever events came"),
        ("poll_seconds", "how often it is where there are no events"),
        ("reannounce_seconds", "how often everything is announced again, changed or not"),
        ("spread_seconds", "within which time everything is announced again after a reconnect"),
    ):
        default = getattr(_DEFAULTS, name)
        times.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="N",
            type=float,
            default=default,
            help=f"{meaning} (default: {default:g})",
        )


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT, or harvest once."""
    logging.basicConfig(
        stream=sys.stderr,
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    try:
        config = _config(arguments)
    except ConfigurationError as error:
        print(f"kharvest client: {error}", file=sys.stderr)
        return Exit.USAGE
    if arguments.once:
        summary = harvest_once(config, arguments.timeout)
        _write(summary, arguments.output)
        return _exit(summary)
    return _watch(config)


def _watch(config: ClientConfig) -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    client = Client(config)
    client.start()
    stopping.wait()
    # A second signal ends it at once, as signals do.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not client.close():
        print("kharvest client: stopped before everything was acknowledged; the server was away", file=sys.stderr)
    return Exit.OK


def _config(arguments: argparse.Namespace) -> ClientConfig:
    paths = [*arguments.paths]
    if arguments.config is not None:
        paths += _listed(arguments.config)
    if not paths:
        raise ConfigurationError("paths", "none are given", "name the files to watch, or a --config file that does")
    environment = os.environ
    return ClientConfig(
        server=arguments.server,
        namespace=arguments.namespace
        or environment.get("POD_NAMESPACE")
        or environment.get("NAMESPACE")
        or _DEFAULTS.namespace,
        pod=arguments.pod or environment.get("POD_NAME") or environment.get("PODNAME") or socket.gethostname(),
        metadata=dict(arguments.metadata),
        paths=tuple(paths),
        root=arguments.root,
        grace_seconds=arguments.grace_seconds,
        settle_seconds=arguments.settle_seconds,
        settle_max_seconds=arguments.settle_max_seconds,
        rescan_seconds=arguments.rescan_seconds,
        poll_seconds=arguments.poll_seconds,
        reannounce_seconds=arguments.reannounce_seconds,
        spread_seconds=arguments.spread_seconds,
    )


def _listed(file: Path) -> list[str]:
    """The paths of a configuration file in the original format: one a line, blank lines and `#` comments ignored."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("--config", f"{file}: {error}", "name a text file that can be read") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _write(summary: Summary, output: str) -> None:
    numbers = {
        "announced": summary.announced,
        "acknowledged": summary.acknowledged,
        "uploaded": summary.uploaded,
        "uploaded_bytes": summary.uploaded_bytes,
        "refused": summary.refused,
    }
    if output == "json":
        print(json.dumps({**numbers, "failures": [asdict(failure) for failure in summary.failures]}))
        return
    for name, number in numbers.items():
        print(f"{name.replace('_', ' '):<15} {number}")
    for failure in summary.failures:
        print(f"{failure.path}: {failure.message} ({failure.reason})", file=sys.stderr)
    if summary.unavailable is not None:
        print(f"kharvest client: gave up waiting for the server: {summary.unavailable}", file=sys.stderr)


def _exit(summary: Summary) -> Exit:
    if summary.unavailable is not None:
        return Exit.UNAVAILABLE
    if not summary.failures:
        return Exit.OK
    return Exit.PARTIAL if summary.acknowledged else Exit.FAILURE


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
