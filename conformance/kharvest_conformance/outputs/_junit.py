"""A run as JUnit XML, for the pages that build servers show.

pytest writes such a file too (`--junitxml`), of what its tests did. This one is of what the report says: a deviation is
no failure, a test that somebody skipped is one, and what makes a run worthless has an entry of its own. It keeps to
the schema that pytest's own file keeps to, which most readers understand: "junit-10" of Jenkins' xUnit plug-in.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from kharvest.spi import SPI_VERSION
from kharvest_conformance import __version__
from kharvest_conformance._report import Outcome, Report, Result, StoreReport

_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may hold (its production 2, Char), and the carriage return, which readers would change."""


def junit_of(report: Report) -> str:
    """The document: a `testsuite` for each store, and one for what is wrong with the run as a whole."""
    root = ET.Element("testsuites", name="kharvest-conformance")
    for store in report.stores.values():
        _add_store(root, store, report)
    if report.problems:
        _add_suite(root, "the run", [], report.problems)
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    root.set("time", _seconds(result for store in report.stores.values() for result in store.results.values()))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_store(root: ET.Element, store: StoreReport, report: Report) -> None:
    suite = _add_suite(root, store.store, store.results.values(), store.problems)
    facts = {
        "version": store.version,
        "capabilities": ", ".join(sorted(one.name for one in store.capabilities)),
        "verdict": store.verdict,
        "deselected": ", ".join(sorted(store.deselected)),
        "suite": __version__,
        "spi": ".".join(map(str, SPI_VERSION)),
        "python": platform.python_version(),
        "examples": str(report.examples),
        "seed": str(report.seed),
        "fast": str(report.fast).lower(),
    }
    properties = ET.Element("properties")
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_xml(value))
    suite.insert(0, properties)


def _add_suite(root: ET.Element, name: str, results: Iterable[Result], problems: Iterable[str]) -> ET.Element:
    results, problems = list(results), list(problems)
    failures = sum(result.outcome is Outcome.FAILED for result in results)
    passes = sum(result.outcome is Outcome.PASSED for result in results)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_xml(name),
        tests=str(len(results) + len(problems)),
        failures=str(failures + len(problems)),
        errors="0",  # by the schema, `error` is no element of a test case
        skipped=str(len(results) - failures - passes),
        time=_seconds(results),
    )
    for problem in problems:
        case = ET.SubElement(suite, "testcase", classname="the run", name=_xml(problem), time="0.000")
        ET.SubElement(case, "failure", message=_xml(problem), type="problem").text = _xml(problem)
    for result in results:
        _add_case(suite, result)
    return suite


def _add_case(suite: ET.Element, result: Result) -> None:
    clause = result.clause
    case = ET.SubElement(
        suite, "testcase", classname=_xml(clause.place), name=_xml(result.test), time=_seconds([result])
    )
    said = f"{clause.place}: {clause.words!r}"
    if result.outcome is Outcome.FAILED:
        failure = ET.SubElement(case, "failure", message=_xml(f"{said}: {result.detail}"), type="broken clause")
        program = f"\n\nRun this to see it again:\n\n{result.snippet}" if result.snippet else ""
        failure.text = _xml(f"The clause that is broken is of {said}\n\n{result.detail}{program}\n")
    elif result.outcome is not Outcome.PASSED:
        before = {Outcome.DEVIATES: "deviates: ", Outcome.WARNED: "warning: "}.get(result.outcome, "")
        ET.SubElement(case, "skipped", message=_xml(f"{before}{result.detail}"), type=result.outcome.value)
    ET.SubElement(case, "system-out").text = _xml(f"clause: {said}")


def _seconds(results: Iterable[Result]) -> str:
    return f"{sum(result.seconds for result in results):.3f}"


def _xml(text: str) -> str:
    r"""The text, with what XML cannot hold written as `\x1b`, `\ud800` and the like."""
    return _NOT_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
