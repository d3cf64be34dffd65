"""Nobody weakens the suite in silence: what is overridden, left out or excused is seen and said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kharvest_conformance._clauses import Clause, clause_of, is_thorough
from kharvest_conformance._session import FAST_EXAMPLES
from kharvest_conformance.suite import SUITE_TESTS, Suite

CLOSE = "test_close_can_be_called_twice"
QUICK = ["--kharvest-examples=1", "-k", "OpeningTests or called_twice or empty_batches or release_leaves"]
AUTHORS_FILE = """
import pytest
from kharvest_conformance.suite import Suite
from kharvest_zoo.harness import ZooHarness

class TestMine(Suite):
    @pytest.fixture
    def harness(self, tmp_path): return ZooHarness("KIND", str(tmp_path))
"""


class Author:
    """Somebody with a test file, and a conftest.py perhaps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(AUTHORS_FILE.replace("KIND", "PlainStore"))

    def write(self, text: str, name: str = "test_mine.py") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, *options: str) -> tuple[int, str, dict[str, Any]]:
        """Exit code, output and report of a run of pytest; an empty report if none was written."""
        report = self.folder / "report.json"
        command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", "-q"]
        run = subprocess.run(
            [*command, f"--rootdir={self.folder}", f"--kharvest-json={report}", str(self.folder), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.folder,
        )
        written = report.read_text() if report.exists() else ""  # a run that is refused leaves nothing in it
        stores = json.loads(written)["stores"] if written else []
        return run.returncode, run.stdout + run.stderr, stores[0] if stores else {}


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path)


def test_overriding_a_test_of_the_suite_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=CLOSE):

        class Weakened(Suite):
            def test_close_can_be_called_twice(self) -> None:  # type: ignore[override]
                pass


def test_overriding_what_the_tests_stand_on_is_refused_too() -> None:
    with pytest.raises(TypeError, match="depth"):

        class Weakened(Suite):
            depth = None  # type: ignore[assignment]


@pytest.mark.slow
def test_a_class_may_have_tests_of_its_own(author: Author) -> None:
    author.write(AUTHORS_FILE.replace("KIND", "PlainStore") + "\n    def test_of_my_own(self, store): assert store\n")
    code, output, report = author.run("-k", f"{CLOSE} or test_of_my_own")
    assert code == 0, output
    assert "2 passed" in output
    assert report["ran"] == 1


@pytest.mark.slow
def test_deleting_a_test_is_a_failure(author: Author) -> None:
    author.write(AUTHORS_FILE.replace("KIND", "PlainStore") + f"\nTestMine.{CLOSE} = None\n")
    code, output, report = author.run(*QUICK)
    assert code == 1, output
    assert any(CLOSE in problem for problem in report["problems"])
    assert report["verdict"] == "fails"


@pytest.mark.slow
def test_replacing_a_test_is_a_failure(author: Author) -> None:
    author.write(AUTHORS_FILE.replace("KIND", "PlainStore") + f"\nTestMine.{CLOSE} = lambda self: None\n")
    code, output, report = author.run(*QUICK)
    assert code == 1, output
    assert any(CLOSE in problem for problem in report["problems"])


@pytest.mark.slow
def test_taking_tests_out_of_a_run_by_a_hook_is_a_failure(author: Author) -> None:
    author.write(
        f"def pytest_collection_modifyitems(items): items[:] = [one for one in items if {CLOSE!r} not in one.name]",
        "conftest.py",
    )
    code, output, report = author.run(*QUICK)
    assert code == 1, output
    assert any(CLOSE in problem for problem in report["problems"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "mark", ["pytest.mark.skip", "pytest.mark.xfail(strict=False)", "pytest.mark.xfail(run=False)"]
)
def test_a_mark_that_excuses_a_failure_is_a_failure(author: Author, mark: str) -> None:
    author.write(AUTHORS_FILE.replace("KIND", "ClosesOnlyOnce"))
    author.write(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        f"    for one in items:\n        if {CLOSE!r} in one.name: one.add_marker({mark})\n",
        "conftest.py",
    )
    code, output, report = author.run(*QUICK)
    assert code == 1, output
    assert [failure["test"] for failure in report["failed"]] == [CLOSE]


@pytest.mark.slow
def test_what_the_command_line_leaves_out_makes_a_run_incomplete(author: Author) -> None:
    code, output, report = author.run("-k", CLOSE)
    assert code == 0, output
    assert report["verdict"] == "incomplete"
    assert len(report["deselected"]) > 100
    assert "INCOMPLETE" in output


@pytest.mark.slow
def test_a_fast_run_leaves_out_what_is_thorough_and_never_conforms(author: Author) -> None:
    large = "test_large_batches_are_one_batch"
    code, output, report = author.run("--kharvest-fast", "-k", f"{CLOSE} or {large}")
    assert code == 0, output
    assert report["verdict"] == "incomplete"
    assert large in report["deselected"]
    assert re.search(r"left out \d+ tests: there is no verdict", output)
    assert "fast run" in output
    assert f"{FAST_EXAMPLES} examples" in output
    code, output, report = author.run("--kharvest-fast", "--kharvest-examples=7", "-k", CLOSE)
    assert "7 examples" in output


def test_a_fast_run_has_tests_of_each_method() -> None:
    clauses = {test: clause_of(test) for test in SUITE_TESTS.values()}
    methods = {clause.place for clause in clauses.values() if clause and "Store." in clause.place}
    assert methods == {clause.place for test, clause in clauses.items() if clause and not is_thorough(test)} & methods


@pytest.mark.slow
def test_a_run_that_leaves_all_of_it_out_says_nothing(author: Author) -> None:
    author.write("def test_other(): pass", "test_other.py")
    code, output, report = author.run("-k", "test_other")
    assert (code, report) == (0, {}), output


@pytest.mark.slow
def test_a_store_that_was_named_and_not_tested_is_a_failure(author: Author) -> None:
    author.write("def test_other(): pass")
    code, output, _report = author.run("--kharvest-store", "memory:")
    assert code == 1
    assert "no test of the suite has run" in output


@pytest.mark.slow
def test_a_class_without_a_store_says_how_to_name_one(author: Author) -> None:
    author.write("from kharvest_conformance.suite import Suite\nclass TestMine(Suite): pass\n")
    code, output, _report = author.run("-k", CLOSE)
    assert code == 1
    assert "--kharvest-store" in output


@pytest.mark.slow
def test_a_known_deviation_with_its_reason_is_reported_and_no_failure(author: Author) -> None:
    author.write(AUTHORS_FILE.replace("KIND", "ClosesOnlyOnce"))
    file = author.write(f'[deviations]\n{CLOSE} = "the driver cannot"\n', "deviations.toml")
    code, output, report = author.run(*QUICK, "--kharvest-deviations", str(file))
    assert code == 0, output
    assert [(one["test"], one["detail"]) for one in report["deviations"]] == [(CLOSE, "the driver cannot")]
    assert "the driver cannot" in output


@pytest.mark.slow
def test_a_class_may_name_its_own_deviations(author: Author) -> None:
    file = author.write(f'[deviations]\n{CLOSE} = "the driver cannot"\n', "deviations.toml")
    author.write(
        AUTHORS_FILE.replace("KIND", "ClosesOnlyOnce")
        + f"    import pathlib\n    deviations = pathlib.Path({str(file)!r})\n"
    )
    code, output, report = author.run(*QUICK)
    assert code == 0, output
    assert [one["test"] for one in report["deviations"]] == [CLOSE]


@pytest.mark.slow
def test_a_deviation_that_has_gone_is_a_failure(author: Author) -> None:
    file = author.write(f'[deviations]\n{CLOSE} = "the driver cannot"\n', "deviations.toml")
    code, output, report = author.run(*QUICK, "--kharvest-deviations", str(file))
    assert code == 1, output
    assert "the deviation has gone" in report["failed"][0]["detail"]


@pytest.mark.slow
def test_a_deviation_from_what_is_not_tested_is_a_failure(author: Author) -> None:
    name = "test_everything_is_there_after_reopening"
    file = author.write(f'[deviations]\n{name} = "some day"\n', "deviations.toml")
    code, output, report = author.run("-k", f"{CLOSE} or {name}", "--kharvest-deviations", str(file))
    assert code == 1, output
    assert [failure["test"] for failure in report["failed"]] == [name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[deviations]\ntest_no_such_thing = "x"\n', "test_no_such_thing"),
        (f'[deviations]\n{CLOSE} = " "\n', "no reason"),
        ('[deviation]\nx = "y"\n', "one table"),
        ("[deviations", "not TOML"),
    ],
)
def test_a_file_of_deviations_that_cannot_be_used_is_refused(author: Author, text: str, said: str) -> None:
    file = author.write(text, "deviations.toml")
    code, output, _report = author.run(*QUICK, "--kharvest-deviations", str(file))
    assert code == pytest.ExitCode.USAGE_ERROR
    assert said in output


@pytest.mark.slow
def test_a_new_test_is_a_warning_for_one_minor_version(author: Author) -> None:
    new = Clause(place="store", words="", since=(0, 2))
    assert new.is_new((0, 2))
    assert not new.is_new((0, 3))
    assert not Clause(place="store", words="").is_new((0, 1))
    author.write("import kharvest_conformance.plugin as plugin\nplugin.SUITE_VERSION = (0, 2)\n", "conftest.py")
    author.write(
        AUTHORS_FILE.replace("KIND", "PlainStore")
        + "    from kharvest_conformance._clauses import clause\n"
        + "    @clause('store', 'something new', since=(0, 2))\n    def test_new(self, store): assert not store\n"
    )
    code, output, report = author.run("-k", f"{CLOSE} or test_new")
    assert code == 0, output
    assert [one["test"] for one in report["warnings"]] == ["test_new"]
    assert "WARNING test_new" in output
