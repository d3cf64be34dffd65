"""`kharvest stores`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from kharvest.cli.exits import Exit
from kharvest.cli.output import write_table
from kharvest.registry import Installed, survey
from kharvest.spi import Capability


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
        write_table(headers, (row for one in installed for row in _rows(one)))
    broken = any(one.problem is not None for one in installed)
    return Exit.FAILURE if arguments.check and broken else Exit.OK


def _json(one: Installed) -> dict[str, object]:
    return {
        "distribution": one.distribution,
        "version": one.version,
        "spi_version": _version(one.spi_version),
        "schemes": list(one.capabilities),
        "capabilities": {scheme: _names(capabilities) for scheme, capabilities in one.capabilities.items()},
        "state": "ok" if one.problem is None else "broken",
        "problem": None if one.problem is None else str(one.problem),
    }


def _rows(one: Installed) -> Iterator[tuple[str, ...]]:
    """One row for all schemes whose stores have the same capabilities."""
    alike: dict[frozenset[Capability] | None, list[str]] = {}
    for scheme, capabilities in one.capabilities.items():
        alike.setdefault(capabilities, []).append(scheme)
    for capabilities, schemes in alike.items():
        yield (
            one.distribution,
            one.version,
            _version(one.spi_version) or "-",
            ", ".join(schemes),
            ", ".join(_names(capabilities) or ()) or "-",
            "ok" if capabilities is not None else f"broken: {one.problem}",
        )


def _version(version: tuple[int, int] | None) -> str | None:
    return None if version is None else ".".join(map(str, version))


def _names(capabilities: frozenset[Capability] | None) -> list[str] | None:
    return None if capabilities is None else sorted(capability.value for capability in capabilities)
