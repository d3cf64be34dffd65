"""A failure names the clause that is broken, shows the shortest way to it, and a program that goes it again."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kharvest.spi
from kharvest.spi import _values as values
from kharvest.spi import mask_url, store
from kharvest_conformance import suite
from kharvest_conformance._clauses import clause_of
from kharvest_conformance.registered import registered
from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo.fault import CAUGHT_BY
from kharvest_zoo.kinds import KINDS
from kharvest_zoo.running import Reports, run_zoo

SEQUENCES = "test_any_sequence_of_calls_agrees_with_the_model"


def _words(text: str) -> str:
    return " ".join(text.replace('"""', " ").split())


def _place(name: str) -> object:
    module = {"store": store, "values": values}
    if name in module:
        return module[name]
    found: object = values if name.startswith("values.") else store
    for part in name.removeprefix("values.").split("."):
        found = getattr(found, part)
    return found.fget if isinstance(found, property) else found


@pytest.mark.parametrize("test", SUITE_TESTS)
def test_the_words_of_each_clause_stand_in_the_contract(test: str) -> None:
    clause = clause_of(SUITE_TESTS[test])
    assert clause is not None, f"{test} says of no clause that it holds it"
    assert _words(clause.words) in _words(inspect.getsource(_place(clause.place)))  # type: ignore[arg-type]


@pytest.mark.parametrize("module", sorted(Path(suite.__file__).parent.glob("*.py")), ids=lambda one: one.stem)
def test_the_words_of_each_promise_within_a_test_stand_in_the_contract(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "promise":
            place, words = node.args
            if isinstance(place, ast.Constant) and isinstance(words, ast.Constant):
                assert _words(words.value) in _words(inspect.getsource(_place(place.value))), ast.unparse(node)  # type: ignore[arg-type]


SHOWN = {
    "FoldsCase": "test_path_restricts_to_exactly_that_path",
    "ClosesOnlyOnce": "",
    "RecordsHalfABatch": "",
    "KeepsHalfAPut": "",
    "EndsWithAnEmptyChunk": "",
    "ListsTheDigestItStartsAfter": "",
    "LosesTheTail": "",
    "ExcludesSince": "",
    "HasNoUniqueIndex": "",
    "OverwritesOnConflict": "",
    "ForgetsLeasesWhenItCloses": "",
    "PadsKeys": "",
    "KnowsForgottenFiles": SEQUENCES,
    "LosesRemovals": SEQUENCES,
    "IncludesUntil": SEQUENCES,
    "WantsAnyPair": SEQUENCES,
}
"""Stores of the zoo, whose programs are run again; where no test is named, it is the one that catches the store."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    tests = {kind: [test or CAUGHT_BY[KINDS[kind]]] for kind, test in SHOWN.items()}
    return run_zoo(tmp_path_factory.mktemp("zoo"), tests)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHOWN)
def test_the_program_of_a_failure_fails_again(kind: str, shown: Reports) -> None:
    for failure in shown[kind]["failed"]:
        program = failure["snippet"]
        assert "…" not in program
        printed: list[object] = []
        names: dict[str, object] = {"print": printed.append}
        last = program.splitlines()[-1]
        said = re.search(r"# it was (.*)", last)
        raised = re.search(r"# raised (\w+)", last)
        try:
            exec(compile(program, "snippet", "exec"), names)
        except AssertionError:
            assert "\nassert " in program
        except Exception as error:  # noqa: BLE001  # whatever the store raised
            assert raised is not None
            assert type(error).__name__ == raised.group(1)  # noqa: PT017
        else:
            assert said is not None, f"the program shows nothing:\n{program}"
            assert printed[-1] == eval(said.group(1), names)


@pytest.mark.slow
def test_a_program_says_what_ran_at_once_and_what_was_called_between_chunks(tmp_path: Path) -> None:
    kinds = ("ChecksBeforeItLocks", "VisibleWhilePut")
    reports = run_zoo(tmp_path, {kind: [CAUGHT_BY[KINDS[kind]]] for kind in kinds})
    at_once, between = (reports[kind]["failed"][0]["snippet"] for kind in kinds)
    assert "# At once, each in a thread of its own:\nat_once(\n" in at_once
    assert "# while it draws its chunks: " in between
    for program in (at_once, between):
        exec(compile(program, "snippet", "exec"), {"print": lambda *_values: None})


@pytest.mark.slow
def test_the_asserts_of_the_installed_suite_tell_both_sides(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(site), str(Path(__file__).parents[1])], check=True)
    kind, test = "CountsPodsByName", "test_a_summary_counts_pods_and_has_the_first_and_last_time"
    env = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    # With autoload, pytest sees to the asserts of a whole distribution that has a plug-in; the command line is without.
    options = ("--disable-plugin-autoload", "-p", "kharvest_conformance.plugin")
    (failure,) = run_zoo(tmp_path, {kind: [test]}, *options, env=env)[kind]["failed"]
    assert "pods=2" in failure["detail"]
    assert "pods=3" in failure["detail"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FoldsCase", "LosesRemovals", "IncludesUntil", "KnowsForgottenFiles"])
def test_a_random_sequence_is_shrunk_to_a_short_one(tmp_path: Path, kind: str) -> None:
    (failure,) = run_zoo(tmp_path, {kind: [SEQUENCES]})[kind]["failed"]
    calls = [line for line in failure["snippet"].splitlines() if re.match(r"store\.(put|record|forget|claim)\(", line)]
    assert 1 <= len(calls) <= 6


@pytest.fixture
def secret_url() -> str:
    return "postgresql://harvest:hunter2@db.example/files?sslpassword=hunter3"


def test_no_report_shows_a_password(secret_url: str) -> None:
    harness = registered(secret_url)
    for text in (harness.name, repr(harness), str(harness), harness.opening(harness.name)):
        assert "hunter" not in text
    assert mask_url(secret_url) == harness.name


def test_a_url_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, secret_url: str) -> None:
    monkeypatch.setenv("MY_STORE", secret_url)
    assert registered("env:MY_STORE").url == secret_url
    monkeypatch.delenv("MY_STORE")
    with pytest.raises(kharvest.spi.KharvestError, match="MY_STORE"):
        registered("env:MY_STORE")
