"""`kharvest client`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from kharvest.cli.exits import Exit
from kharvest.cli.pairs import format_pairs
from kharvest.cli.signals import EndingSignals, interrupt_on_sigterm
from kharvest.cli.streams import say
from kharvest.cli.text import escape
from kharvest.cli.textlog import configure_text_log
from kharvest.client import (
    SETTINGS,
    Client,
    ClientConfig,
    ConfigurationError,
    Health,
    Setting,
    Settings,
    Shape,
    Summary,
    find_files,
    harvest_once,
)

_GIVEN_UP = {"UNAVAILABLE": Exit.UNAVAILABLE, "UNAUTHENTICATED": Exit.REFUSED, "PERMISSION_DENIED": Exit.REFUSED}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: one for each setting, and those of the command itself."""
    parser.epilog = (
        "Every setting can be given as an environment variable too (KHARVEST_SERVER, KHARVEST_SETTLE_SECONDS, …) "
        "and in the configuration file; arguments win over the environment, and that over the file."
    )
    running = parser.add_argument_group("running")
    add = running.add_argument
    add(
        "--config",
        metavar="FILE",
        help="the configuration file ($KHARVEST_CONFIG): YAML if it ends in .yaml or .yml, else a path per line; "
        "changes take effect at once",
    )
    add("--once", action="store_true", help="announce what is there, wait for the acknowledgements, and exit")
    add("--check-config", action="store_true", help="print what would be watched, or what is wrong, and exit")
    add(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help="with --once: when to give up, also while there is progress (default: only after 60 s without progress)",
    )
    add(
        "--health",
        metavar="HOST:PORT",
        help="answer GET /live and /status here; without HOST on all addresses (default: nowhere)",
    )
    add("-o", "--output", choices=("table", "wide", "json"), default="table", help="of --once (default: table)")
    add(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="log no lines below this level (default: info)",
    )
    settings = parser.add_argument_group("settings")
    for setting in SETTINGS:
        if setting.option:
            _add_setting(settings, setting)
    settings.add_argument("--grace", metavar="N", dest="grace_seconds", type=float, help="the same as --grace-seconds")


def _add_setting(group: Any, setting: Setting) -> None:
    kind = setting.kind
    details: dict[str, Any] = {"type": _argument(kind.parse), "metavar": kind.metavar}
    about = setting.about + ("; repeatable" if kind.shape is not Shape.ONE else "")
    details["help"] = about + (f" (default: {setting.default})" if setting.default else "")
    if not setting.option.startswith("-"):
        group.add_argument(setting.name, nargs="*", **details)
        return
    if kind.shape is not Shape.ONE:
        details["action"] = "append"
    elif not kind.metavar:
        details = {"action": "store_const", "const": True, "help": details["help"]}
    group.add_argument(setting.option, dest=setting.name, **details)


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """The conversion of an argument; the parser reports its errors with the option."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def run(arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or SIGINT, or harvest once."""
    configure_text_log(arguments.log_level)
    try:
        settings = _settings(arguments)
        config = settings.load()
        if arguments.check_config:
            _print_plan(config)
            return Exit.OK
        if arguments.once:
            _require_files(config)
            interrupt_on_sigterm()
            summary = harvest_once(config, arguments.timeout)
            _write(summary, arguments.output)
            return _exit(summary)
        if not settings.config_file:
            _require_files(config)  # what is written in a file may come to be later
        return _watch(Client(settings), arguments.health)
    except ConfigurationError as error:
        say("client", str(error))
        return Exit.USAGE


def _watch(client: Client, health: str | None) -> int:
    with EndingSignals() as signals:
        client.start()
        try:
            with Health(client, health) if health else nullcontext():
                signals.wait()
                if not client.close():
                    say("client", "the time was over before everything was acknowledged")
        finally:
            client.close(0)  # where the health address cannot be had
    return Exit.OK


def _settings(arguments: argparse.Namespace) -> Settings:
    given: dict[str, Any] = {}
    for setting in SETTINGS:
        value = getattr(arguments, setting.name, None)
        if value is not None and value != []:
            given[setting.name] = dict(value) if setting.kind.shape is Shape.PAIRS else value
    return Settings(given, config_file=arguments.config)


def _require_files(config: ClientConfig) -> None:
    if not config.all_rules():
        remedy = "name files, or give --glob, --directory or --config"
        raise ConfigurationError("paths", "there is nothing to watch", remedy)


def _print_plan(config: ClientConfig) -> None:
    """Print what would be watched."""
    print(f"server     {escape(config.server)}\npod        {escape(f'{config.namespace}/{config.pod}')}")
    for key, value in sorted(config.metadata.items()):
        print(f"metadata   {format_pairs({key: value})}")
    for rule in config.all_rules():
        found = "" if rule.is_path else f"   {len(find_files(rule))} files now"
        print(f"watch      {escape(str(rule))}{found}")


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
            say("client", f"{escape(failure.path)}: {failure.message} ({failure.reason})")
    if summary.given_up is not None:
        waiting = "" if summary.given_up.is_timeout else " waiting for the server"
        say("client", f"gave up{waiting}: {summary.given_up.message} ({summary.given_up.reason})")


def _exit(summary: Summary) -> Exit:
    if summary.given_up is not None and not summary.given_up.is_timeout:
        return _GIVEN_UP.get(summary.given_up.reason, Exit.FAILURE)
    if not summary.failures and summary.given_up is None:
        return Exit.OK
    return Exit.PARTIAL if summary.acknowledged else Exit.FAILURE
