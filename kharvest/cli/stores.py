"""`kharvest stores`."""

from __future__ import annotations

import argparse
import json

from kharvest.cli.exits import Exit
from kharvest.cli.output import write_table
from kharvest.registry import Installed, survey


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 1 when any of them is broken")


def run(arguments: argparse.Namespace) -> int:
    """Write what is installed."""
    installed = survey()
    if arguments.json:
        print(json.dumps([_json(one) for one in installed], indent=1))
    else:
        headers = ("DISTRIBUTION", "VERSION", "SPI", "SCHEMES", "CAPABILITIES", "STATE")
        write_table(headers, map(_row, installed))
    broken = any(one.problem is not None for one in installed)
    return Exit.FAILURE if arguments.check and broken else Exit.OK


def _json(one: Installed) -> dict[str, object]:
    return {
        "distribution": one.distribution,
        "version": one.version,
        "spi_version": _version(one.spi_version),
        "schemes": list(one.schemes),
        "capabilities": _capabilities(one),
        "state": "ok" if one.problem is None else "broken",
        "problem": None if one.problem is None else str(one.problem),
    }


def _row(one: Installed) -> tuple[str, ...]:
    return (
        one.distribution,
        one.version,
        _version(one.spi_version) or "-",
        ", ".join(one.schemes),
        ", ".join(_capabilities(one)) or "-",
        "ok" if one.problem is None else f"broken: {one.problem}",
    )


def _version(version: tuple[int, int] | None) -> str | None:
    return None if version is None else ".".join(map(str, version))


def _capabilities(one: Installed) -> list[str]:
    return sorted(capability.value for capability in one.capabilities)
