"""What a run writes for build servers and READMEs can be read by them, whatever stands in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import junitparser
import pytest

from kharvest.spi import Capability, InvalidValue, KharvestError
from kharvest_conformance._clauses import Clause
from kharvest_conformance._report import MAX_DETAIL_CHARACTERS, Outcome, Report, Result, StoreReport, bounded_detail
from kharvest_conformance.outputs import Outputs
from kharvest_conformance.outputs._badge import badge_of
from kharvest_conformance.outputs._junit import junit_of

PUT = Clause(place="ContentStore.put", words="Store the bytes of `content`.")
EVERYTHING = "".join(map(chr, (*range(0x300), 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F680, 0x10FFFF))) + "]]><!--&amp;"

# The schema "junit-10" of Jenkins' xUnit plug-in, as far as we use it: attributes, those that are required, children.
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, {"name", "value"}, set()),
    "testcase": (
        {"name", "classname", "time", "group"},
        {"name"},
        {"skipped", "failure", "system-out", "system-err"},
    ),
    "failure": ({"type", "message"}, set(), set()),
    "skipped": ({"type", "message"}, set(), set()),
    "system-out": (set(), set(), set()),
}


def store(*results: Result, problems: tuple[str, ...] = (), deselected: tuple[str, ...] = ()) -> StoreReport:
    found = StoreReport("mine://host", "kharvest-mine 1.2", frozenset({Capability.DURABLE}))
    found.results = {result.test: result for result in results}
    found.problems += problems
    found.deselected |= set(deselected)
    return found


def report(*stores: StoreReport, problems: tuple[str, ...] = ()) -> Report:
    found = Report(30, 1)
    found.stores = {str(number): one for number, one in enumerate(stores)}
    found.problems += problems
    return found


def result(outcome: Outcome, number: int = 1, detail: str = "", snippet: str = "", seconds: float = 0.5) -> Result:
    return Result(f"test_{outcome.value}_{number}", PUT, outcome, detail, snippet, seconds)


ONE_OF_EACH = store(
    result(Outcome.PASSED),
    result(Outcome.PASSED, 2),
    result(Outcome.FAILED, detail="AssertionError: b'a' is not b'b'", snippet="store.put(one)"),
    result(Outcome.SKIPPED, detail="the store does not declare SHARED"),
    result(Outcome.DEVIATES, detail="the driver cannot"),
    result(Outcome.WARNED, detail="a new test"),
    problems=("test_x has gone missing",),
)


def check(element: ET.Element) -> None:
    """Check an element against the schema, with all that is in it."""
    allowed, required, children = SCHEMA[element.tag]
    assert required <= set(element.keys()) <= allowed, element.tag
    assert {child.tag for child in element} <= children, element.tag
    for child in element:
        check(child)


def read(text: str) -> list[junitparser.TestSuite]:
    check(ET.fromstring(text))
    return list(junitparser.JUnitXml.fromstring(text.encode()))


def test_a_build_server_reads_what_became_of_each_test() -> None:
    text = junit_of(report(ONE_OF_EACH))
    (suite,) = read(text)
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("mine://host", 7, 2, 0, 3)
    assert suite.time == pytest.approx(3.0)
    facts = {one.get("name"): one.get("value") for one in ET.fromstring(text).iter("property")}
    assert facts["version"] == "kharvest-mine 1.2"
    assert (facts["capabilities"], facts["verdict"], facts["seed"], facts["spi"]) == ("DURABLE", "fails", "1", "1.0")
    cases = {case.name: case for case in suite}
    assert {case.classname for case in suite} == {"ContentStore.put", "the run"}
    (failure,) = cases["test_failed_1"].result
    for said in ("ContentStore.put: 'Store the bytes of `content`.'", "b'a' is not b'b'", "store.put(one)"):
        assert said in failure.text
    assert "b'a' is not b'b'" in failure.message
    told = {name: case.result[0].message for name, case in cases.items() if case.is_skipped}
    assert told == {
        "test_skipped_1": "the store does not declare SHARED",
        "test_deviates_1": "deviates: the driver cannot",
        "test_warned_1": "warning: a new test",
    }
    assert cases["test_x has gone missing"].is_failure
    assert cases["test_passed_1"].is_passed
    assert cases["test_passed_1"].system_out == "clause: ContentStore.put: 'Store the bytes of `content`.'"


def test_several_stores_are_several_suites_and_the_run_s_problems_are_one_more() -> None:
    suites = read(junit_of(report(store(), store(result(Outcome.PASSED)), problems=("nothing was asked",))))
    assert [(suite.name, suite.tests, suite.failures) for suite in suites] == [
        ("mine://host", 0, 0),
        ("mine://host", 1, 0),
        ("the run", 1, 1),
    ]


def test_any_text_makes_a_document_that_can_be_read() -> None:
    odd = Result(EVERYTHING, Clause(place=EVERYTHING, words=EVERYTHING), Outcome.FAILED, EVERYTHING, EVERYTHING)
    found = StoreReport(EVERYTHING, EVERYTHING, frozenset())
    found.results = {EVERYTHING: odd, "skipped": Result("s", PUT, Outcome.SKIPPED, EVERYTHING)}
    found.problems.append(EVERYTHING)
    found.deselected.add(EVERYTHING)
    one, other = read(junit_of(report(found, problems=(EVERYTHING,))))
    assert "\\x00" in one.name
    assert "\\ud800" in one.name
    assert "\t" in one.name
    assert one.name.endswith("]]><!--&amp;")
    assert other.tests == 1


def test_a_long_detail_is_cut_and_says_how_much_is_missing() -> None:
    assert bounded_detail("x" * MAX_DETAIL_CHARACTERS) == "x" * MAX_DETAIL_CHARACTERS
    cut = bounded_detail("x" * 5_000_000)
    assert len(cut) < MAX_DETAIL_CHARACTERS + 100
    assert cut.endswith("\n… (cut: 4,980,000 more characters)")


@pytest.mark.parametrize(
    ("found", "message", "color"),
    [
        (report(store(result(Outcome.PASSED), result(Outcome.SKIPPED))), "conforms: 1 test", "brightgreen"),
        (
            report(store(*(result(Outcome.PASSED, number) for number in range(187)), result(Outcome.DEVIATES))),
            "conforms: 188 tests, 1 deviation",
            "yellowgreen",
        ),
        (report(ONE_OF_EACH), "fails: 1 of 5", "red"),
        (report(store(result(Outcome.PASSED), problems=("gone",))), "fails: 1 problem", "red"),
        (report(store(result(Outcome.SKIPPED))), "fails: no test ran", "red"),
        (report(problems=("no test ran", "none")), "fails: 2 problems", "red"),
        (report(store(result(Outcome.PASSED), deselected=("test_x",))), "incomplete", "lightgrey"),
        (report(store(result(Outcome.PASSED)), ONE_OF_EACH), "fails: 1 of 6", "red"),
    ],
)
def test_a_badge_says_the_verdict(found: Report, message: str, color: str) -> None:
    badge = badge_of(found)
    assert (badge["message"], badge["color"], badge["isError"]) == (message, color, color == "red")
    # What shields.io asks for: https://shields.io/badges/endpoint-badge
    assert badge["schemaVersion"] == 1
    assert badge["label"]
    assert set(badge) <= {"schemaVersion", "label", "message", "color", "labelColor", "isError"}


def test_a_file_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"none/b\.json.*directory"):
        Outputs(badge=tmp_path / "none" / "b.json").prepare()


def test_no_older_verdict_outlives_a_run_that_breaks_off(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "report.json", tmp_path / "junit.xml", tmp_path / "badge.json")
    outputs.write(report(ONE_OF_EACH))
    assert json.loads((tmp_path / "badge.json").read_text())["color"] == "red"
    outputs.prepare()
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["", "", ""]


def test_a_file_that_cannot_be_written_at_the_end_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(KharvestError, match=r"badge\.json cannot be written"):
        Outputs(badge=tmp_path / "gone" / "badge.json").write(report(ONE_OF_EACH))


@pytest.mark.slow
@pytest.mark.parametrize("door", ["kharvest", "pytest"])
def test_both_doors_write_them(tmp_path: Path, door: str) -> None:
    junit, badge = tmp_path / "junit.xml", tmp_path / "badge.json"
    if door == "kharvest":
        run = [sys.executable, "-m", "kharvest", "conformance", "memory:", f"--junit={junit}", f"--badge={badge}"]
        run += ["--examples", "1", "--json"]
    else:
        run = [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", "--pyargs"]
        run += ["kharvest_conformance", "--kharvest-store=memory:", "-k", "close_can_be_called_twice"]
        run += [f"--kharvest-junit={junit}", f"--kharvest-badge={badge}"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    (suite,) = read(junit.read_text())
    said = json.loads(badge.read_text())["message"]
    if door == "kharvest":
        (told,) = json.loads(done.stdout)["stores"]
        assert said == f"conforms: {told['ran']} tests"
        assert suite.tests == told["ran"] + len(told["skipped"])
        assert all(one["seconds"] >= 0 for one in told["passed"])
        assert sum(one["seconds"] for one in told["passed"]) > 0
    else:
        assert (said, suite.tests) == ("incomplete", 1)


def test_a_run_s_report_can_be_written_nowhere_without_a_word(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "kharvest", "conformance", "memory:", f"--junit={tmp_path}/none/x.xml"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none/x.xml" in done.stderr
