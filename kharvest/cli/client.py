"""`kharvest client`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from contextlib import nullcontext
from dataclasses import asdict

from kharvest.cli.exits import Exit
from kharvest.client import (
    Client,
    ClientConfig,
    ConfigurationError,
    Health,
    Settings,
    Summary,
    harvest_once,
)
from kharvest.client.rules import find
from kharvest.client.settings import DEFAULT_SERVER
from kharvest.client.sizes import parse_size

_DEFAULTS = ClientConfig(server="-", pod="-")
_TIMES = {
    "grace_seconds": "on SIGTERM: how long to bring what is pending to the server",
    "settle_seconds": "how long a file must rest before it is read",
    "settle_max_seconds": "after how long a file that never rests is read nevertheless",
    "rescan_seconds": "how often everything is looked at, whatever events came",
    "poll_seconds": "how often it is where there are no events",
    "reannounce_seconds": "how often everything is announced again, changed or not",
    "spread_seconds": "within which time everything is announced again after a reconnect",
}


_GIVEN_UP = {"UNAVAILABLE": Exit.UNAVAILABLE, "UNAUTHENTICATED": Exit.REFUSED, "PERMISSION_DENIED": Exit.REFUSED}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.epilog = (
        "Every setting can be given as an environment variable too (KHARVEST_SERVER, KHARVEST_SETTLE_SECONDS, …) "
        "and in the configuration file; arguments win over the environment, and that over the file."
    )
    add = parser.add_argument
    add("paths", metavar="PATH", nargs="*", help="a file to watch; it may come to be later")
    add("--server", metavar="HOST:PORT", help=f"the server to announce to (default: {DEFAULT_SERVER})")
    add("--namespace", metavar="NS", help="default: $POD_NAMESPACE, $NAMESPACE, or 'default'")
    add("--pod", metavar="NAME", help="default: $POD_NAME, $PODNAME, or the host's name")
    add("--metadata", metavar="K=V", action="append", type=_pair, help="recorded with every reference; repeatable")
    add(
        "--label",
        metavar="KEY",
        dest="labels",
        action="append",
        help="take this one of /etc/podinfo/labels; default: all",
    )
    add(
        "--annotation",
        metavar="KEY",
        dest="annotations",
        action="append",
        help="and this one of /etc/podinfo/annotations",
    )
    files = parser.add_argument_group("what to watch")
    add = files.add_argument
    add(
        "--config",
        metavar="FILE",
        help="YAML if named so, else a path per line; changes are taken over ($KHARVEST_CONFIG)",
    )
    add("--glob", metavar="GLOB", dest="globs", action="append", help="files that this finds; `**` for any directories")
    add("--directory", metavar="DIR", dest="directories", action="append", help="all files below this directory")
    add(
        "--exclude",
        metavar="GLOB",
        action="append",
        help="leave out what --glob and --directory find by this name or path",
    )
    add("--max-bytes", metavar="SIZE", type=_size, help="leave out larger files; such as 10Mi")
    add(
        "--root",
        metavar="DIR",
        help="announce DIR/etc/app.conf as /etc/app.conf: for mounts of other containers' files",
    )
    running = parser.add_argument_group("running")
    add = running.add_argument
    add("--once", action="store_true", help="announce what is there, wait for the acknowledgements, and exit")
    add("--check-config", action="store_true", help="tell what would be watched, or what is wrong, and exit")
    add(
        "--timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="with --once: how long to wait for a server that does nothing for us (default: 60)",
    )
    add(
        "--health",
        metavar="HOST:PORT",
        help="answer GET /live and /status here, without HOST on all addresses (default: nowhere)",
    )
    add("-o", "--output", choices=("table", "wide", "json"), default="table", help="of --once; default: table")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: info")
    times = parser.add_argument_group("times, in seconds")
    for name, meaning in _TIMES.items():
        help_ = f"{meaning} (default: {getattr(_DEFAULTS, name):g})"
        times.add_argument(f"--{name.replace('_', '-')}", metavar="N", type=float, help=help_)
    times.add_argument("--grace", metavar="N", dest="grace_seconds", type=float, help="the same as --grace-seconds")


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT, or harvest once."""
    logging.basicConfig(
        stream=sys.stderr,
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    try:
        settings = _settings(arguments)
        config = settings.load()
        if arguments.check_config:
            _tell(config)
            return Exit.OK
        if arguments.once:
            _require_files(config)
            summary = harvest_once(config, arguments.timeout)
            _write(summary, arguments.output)
            return _exit(summary)
        if not settings.config_file:
            _require_files(config)  # what is written in a file may come to be later
        return _watch(Client(settings), arguments.health)
    except ConfigurationError as error:
        print(f"kharvest client: {error}", file=sys.stderr)
        return Exit.USAGE


def _watch(client: Client, health: str | None) -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    client.start()
    try:
        with Health(client, health) if health else nullcontext():
            stopping.wait()
            # A second signal ends it at once, as signals do.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if not client.close():
                print("kharvest client: the time was up before everything was acknowledged", file=sys.stderr)
    finally:
        client.close(0)  # where the health address cannot be had
    return Exit.OK


def _settings(arguments: argparse.Namespace) -> Settings:
    told = {name: getattr(arguments, name) for name in ("server", "namespace", "pod", "root", "max_bytes", *_TIMES)}
    lists = {name: getattr(arguments, name) for name in ("labels", "annotations", "globs", "directories", "exclude")}
    told |= {name: tuple(values) for name, values in lists.items() if values}
    if arguments.paths:
        told["paths"] = tuple(arguments.paths)
    if arguments.metadata:
        told["metadata"] = dict(arguments.metadata)
    return Settings(told, config_file=arguments.config)


def _require_files(config: ClientConfig) -> None:
    if not config.all_rules():
        remedy = "name files, or give --glob, --directory or --config"
        raise ConfigurationError("paths", "there is nothing to watch", remedy)


def _tell(config: ClientConfig) -> None:
    """Say what would be watched."""
    print(f"server     {config.server}\npod        {config.namespace}/{config.pod}")
    for key, value in sorted(config.metadata.items()):
        print(f"metadata   {key}={value}")
    for rule in config.all_rules():
        files = find(rule).files if not rule.is_path else []
        found = "" if rule.is_path else f"   {len(files)} files now"
        print(f"watch      {rule}{found}")


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
    else:
        for name, number in numbers.items():
            print(f"{name.replace('_', ' '):<15} {number}")
        for failure in summary.failures:
            print(f"{failure.path}: {failure.message} ({failure.reason})", file=sys.stderr)
    if summary.given_up is not None:
        reason, message = summary.given_up.reason, summary.given_up.message
        print(f"kharvest client: gave up waiting for the server: {message} ({reason})", file=sys.stderr)


def _exit(summary: Summary) -> Exit:
    if summary.given_up is not None:
        return _GIVEN_UP.get(summary.given_up.reason, Exit.FAILURE)
    if not summary.failures:
        return Exit.OK
    return Exit.PARTIAL if summary.acknowledged else Exit.FAILURE


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
