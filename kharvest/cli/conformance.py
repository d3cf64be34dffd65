"""`kharvest conformance`: tells whether a store keeps the contract. The suite is a distribution of its own."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

from kharvest.cli.exits import Exit

_SUITE = "kharvest_conformance"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("url", metavar="URL", help="the store, empty; env:NAME takes it from an environment variable")
    parser.add_argument("--contents", metavar="URL", help="where its contents are, if not there")
    parser.add_argument("--destroy-data", action="store_true", help="empty the store first, should it hold anything")
    parser.add_argument("--examples", metavar="N", type=int, help="how many random examples each random test gets")
    parser.add_argument("--seed", metavar="N", help="their seed: a number, or `random`")
    parser.add_argument("--deviations", metavar="FILE", type=Path, help="known deviations, each with its reason (TOML)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the suite, write its report, and exit 1 if the store does not conform."""
    if importlib.util.find_spec(_SUITE) is None:
        print("kharvest conformance: it is not installed; run: pip install kharvest-conformance", file=sys.stderr)
        return Exit.USAGE
    from kharvest_conformance.registered import StoreNotEmpty  # noqa: PLC0415  # a distribution of its own
    from kharvest_conformance.run import run_suite  # noqa: PLC0415

    try:
        report = run_suite(
            arguments.url,
            contents_url=arguments.contents,
            destroy_data=arguments.destroy_data,
            examples=arguments.examples,
            seed=arguments.seed,
            deviations=arguments.deviations,
        )
    except StoreNotEmpty as error:
        print(f"kharvest conformance: {error}", file=sys.stderr)
        return Exit.USAGE
    print(json.dumps(report.as_json(), indent=1) if arguments.json else "\n".join(report.lines()))
    return Exit.OK if report.verdict == "conforms" else Exit.FAILURE
