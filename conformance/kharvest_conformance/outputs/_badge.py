"""A badge of a run's verdict, in the JSON that shields.io draws badges from.

The schema is that of shields.io's endpoint badge, version 1: https://shields.io/badges/endpoint-badge
"""

from __future__ import annotations

from typing import Literal, TypedDict

from kharvest_conformance._report import Outcome, Report

LABEL = "kharvest store"


class Badge(TypedDict):
    """What the schema has, and we use.

    Attributes:
        isError: true keeps a page that shows the badge from giving it another colour.
    """

    schemaVersion: Literal[1]
    label: str
    message: str
    color: str
    isError: bool


def badge_of(report: Report) -> Badge:
    """The badge of a report: of all its stores, when there are several."""
    message, color = _said(report)
    return Badge(schemaVersion=1, label=LABEL, message=message, color=color, isError=report.verdict == "fails")


def _said(report: Report) -> tuple[str, str]:
    stores = report.stores.values()
    ran = sum(store.ran for store in stores)
    if report.verdict == "incomplete":
        return "incomplete", "lightgrey"
    if report.verdict == "conforms":
        excused = sum(len(store.having(Outcome.DEVIATES)) for store in stores)
        if excused:
            return f"conforms: {_counted(ran, 'test')}, {_counted(excused, 'deviation')}", "yellowgreen"
        return f"conforms: {_counted(ran, 'test')}", "brightgreen"
    failed = sum(len(store.having(Outcome.FAILED)) for store in stores)
    problems = len(report.problems) + sum(len(store.problems) for store in stores)
    if failed:
        return f"fails: {failed} of {ran}", "red"
    return f"fails: {_counted(problems, 'problem') if problems else 'no test ran'}", "red"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
