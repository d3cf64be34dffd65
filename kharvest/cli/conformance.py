"""`kharvest conformance`: tells whether a store keeps the contract. The suite is a distribution of its own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from kharvest.cli.exits import Exit
from kharvest.cli.streams import say
from kharvest.cli.suite import is_missing
from kharvest.cli.text import one_line
from kharvest.spi import InvalidValue, KharvestError, mask_url

_EXITS = {"conforms": Exit.OK, "incomplete": Exit.PARTIAL, "fails": Exit.FAILURE}
_OF_A_RUN: tuple[str, ...] = (
    "url",
    "contents",
    "destroy_data",
    "examples",
    "fast",
    "seed",
    "statistics",
    "patience",
    "deviations",
    "jobs",
    "json",
    "junit",
    "badge",
)
_OF_A_MATRIX: tuple[str, ...] = ("output", "format")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.usage = "%(prog)s [options] URL\n       %(prog)s --matrix REPORT... [-o FILE] [--format html|md]"
    parser.add_argument("url", metavar="URL", nargs="?", help="an empty store; env:NAME reads the URL from a variable")
    parser.add_argument("--contents", metavar="URL", help="where its contents are, if elsewhere")
    parser.add_argument("--destroy-data", action="store_true", help="first delete everything that the store holds")
    parser.add_argument("--examples", metavar="N", type=int, help="random examples for each random test (30)")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="leave out slow tests, for work on a store; gives no verdict (exit code 3)",
    )
    parser.add_argument("--seed", metavar="N", help="seed of the random tests: a number, or `random` (1)")
    parser.add_argument(
        "--patience", metavar="SECONDS", type=float, help="after how long a call counts as blocked (60)"
    )
    parser.add_argument("--deviations", metavar="FILE", type=Path, help="known deviations, each with its reason (TOML)")
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=int,
        help="tests that run side by side, each on a place of its own (the number of processors, at most 4)",
    )
    parser.add_argument(
        "--statistics", action="store_true", help="print which events occurred in the random sequences, and how often"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="also write the report to FILE, as JUnit XML")
    parser.add_argument("--badge", metavar="FILE", type=Path, help="write the JSON of a badge to FILE, for shields.io")
    matrix = parser.add_argument_group("compare reports, without a run")
    matrix.add_argument("--matrix", metavar="REPORT", nargs="+", type=Path, help="files with reports of --json")
    matrix.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="file for the page (default: standard output)"
    )
    matrix.add_argument(
        "--format", choices=("html", "md"), help="format of the page (default: md if FILE ends with .md, else html)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the suite and write its report, or compare reports.

    Exits with 1 if the store does not conform, with 3 if tests were left out.
    """
    _check(arguments)
    if is_missing("conformance"):
        return Exit.USAGE
    return _compare(arguments) if arguments.matrix else _run(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse arguments that do not go together: none is ignored."""
    if arguments.matrix:
        excluded, purpose = _OF_A_RUN, "--matrix compares reports and runs nothing"
    elif arguments.url is None:
        raise InvalidValue("URL", "no store is named", "name one, or name reports to compare with --matrix")
    else:
        excluded, purpose = _OF_A_MATRIX, "it is an option of --matrix"
    for name in excluded:
        value = getattr(arguments, name)
        if value is not None and value is not False:
            said = mask_url(arguments.url) if name == "url" else f"--{name.replace('_', '-')}"
            raise InvalidValue(said, purpose, "leave it out")


def _run(arguments: argparse.Namespace) -> int:
    from kharvest_conformance.outputs import Outputs  # noqa: PLC0415  # a distribution of its own
    from kharvest_conformance.registered import StoreNotEmpty  # noqa: PLC0415
    from kharvest_conformance.run import run_suite  # noqa: PLC0415

    outputs = Outputs(junit=arguments.junit, badge=arguments.badge)
    outputs.prepare()
    try:
        report = run_suite(
            arguments.url,
            contents_url=arguments.contents,
            destroy_data=arguments.destroy_data,
            fast=arguments.fast,
            examples=arguments.examples,
            seed=arguments.seed,
            patience_seconds=arguments.patience,
            deviations=arguments.deviations,
            jobs=arguments.jobs,
        )
    except StoreNotEmpty as error:
        say("conformance", str(error))
        return Exit.USAGE
    people = report.lines(statistics=arguments.statistics)
    print(json.dumps(report.as_json(), indent=1) if arguments.json else _text(people))
    outputs.write(report)
    return _EXITS[report.verdict]


def _compare(arguments: argparse.Namespace) -> int:
    from kharvest_conformance.matrix import as_html, as_markdown, compared  # noqa: PLC0415  # as above

    form = arguments.format or ("md" if arguments.output and arguments.output.suffix == ".md" else "html")
    page = (as_markdown if form == "md" else as_html)(compared(arguments.matrix))
    if arguments.output is None:
        print(page, end="")
        return Exit.OK
    try:
        arguments.output.write_text(page, encoding="utf-8")
    except OSError as error:
        raise KharvestError(
            f"{arguments.output} cannot be written ({error.strerror}); name a file in a directory that exists"
        ) from error
    return Exit.OK


def _text(report: Iterable[str]) -> str:
    return "\n".join(one_line(line) for entry in report for line in entry.split("\n"))
