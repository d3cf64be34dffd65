"""The suite is measured: what is broken by rule is caught, what is not is explained, and explanations hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kharvest_zoo.generated import GENERATED
from kharvest_zoo.measuring import UNCAUGHT, InvalidReasons, Score, Share, read_uncaught
from kharvest_zoo.mutants.changes import mutants_of
from kharvest_zoo.mutants.explained import EQUIVALENT, InvalidExplanations, read_explanations
from kharvest_zoo.mutants.stores import MEMORY, SQLITE
from kharvest_zoo.warm import Verdict

SOURCE = '''
"""A module."""

def first(lines: list[str], most: int = 1) -> list[str]:
    if most < len(lines):
        return lines[:most]
    return lines
'''


def _measured(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "kharvest_zoo", *arguments], capture_output=True, text=True, check=False, timeout=280
    )
    return run.stdout + run.stderr + f"exit code {run.returncode}"


def test_each_small_change_is_one_mutant() -> None:
    assert {mutant.after for mutant in mutants_of("m.py", SOURCE)} == {
        "def first(lines: list[str], most: int = 2) -> list[str]:",
        "def first(lines: list[str], most: int = 0) -> list[str]:",
        "if True:",
        "if False:",
        "if (most <= len(lines)):",
        "if (most >= len(lines)):",
        "if most < (lines):",
        "if most < len():",
        "return None",
        "return lines[:]",
    }


@pytest.mark.slow
def test_mutants_are_python_and_have_one_change_each() -> None:
    mutants = MEMORY.mutants()
    assert len({mutant.source for mutant in mutants}) > 500
    for mutant in mutants:
        compile(mutant.source, mutant.file, "exec")
        assert mutant.before != mutant.after


@pytest.mark.parametrize("store", [MEMORY, SQLITE], ids=lambda store: store.package)
def test_each_explanation_is_of_a_mutant_that_there_is(store: object) -> None:
    assert isinstance(store, type(MEMORY))
    read_explanations(EQUIVALENT, store.package, store.mutants())


@pytest.mark.parametrize(
    ("before", "reason", "problem"),
    [
        ("if most < len(lines):", "", "must have"),
        ("if most <= len(lines):", "It is said so.", "there is no mutant"),
    ],
)
def test_an_explanation_that_does_not_apply_is_an_error(before: str, reason: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "equivalent.toml"
    place = "[[equivalent]]\nfile = 'p/m.py'\nfunctions = ['first']\n"
    path.write_text(f"{place}changes = [['{before}', 'if True:']]\nreason = '{reason}'\n")
    with pytest.raises(InvalidExplanations, match=problem):
        read_explanations(path, "p", mutants_of("p/m.py", SOURCE))


def test_an_explanation_that_applies_says_why(tmp_path: Path) -> None:
    path = tmp_path / "equivalent.toml"
    entry = (
        "[[equivalent]]\nfile = 'p/m.py'\nfunctions = ['first']\nchanges = [['if most < len(lines):', 'if True:']]\n"
    )
    path.write_text(entry + "reason = 'A slice ends where the list does.'\n")
    assert list(read_explanations(path, "p", mutants_of("p/m.py", SOURCE)).values()) == [
        "A slice ends where the list does."
    ]


def test_generated_stores_say_what_is_wrong_and_reasons_are_of_them(tmp_path: Path) -> None:
    assert len(GENERATED) > 1000
    assert all(store.__doc__ for store in GENERATED.values())
    read_uncaught(UNCAUGHT, GENERATED)
    path = tmp_path / "uncaught.toml"
    path.write_text("[uncaught]\nread__sings = 'It is no fault.'\n")
    with pytest.raises(InvalidReasons, match="read__sings"):
        read_uncaught(path, GENERATED)


def test_a_score_names_what_survives_and_what_is_explained_in_vain() -> None:
    score = Score("faults")
    good = []
    for name, caught_by, explained in (
        ("one", "test_one", False),
        ("two", "", True),
        ("three", "", False),
        ("four", "test_four", True),
    ):
        score.note(name, Verdict(caught_by), explained)
        good.append(score.is_good)
    assert good == [True, True, False, False]
    assert list(score.lines()) == [
        "faults: 2 of 4 caught, 1 explained, 1 unexplained survivors",
        "  survives: three",
        "  explained, and caught: four",
    ]


def test_a_sample_is_the_same_for_a_seed() -> None:
    names = [f"name{number}" for number in range(100)]
    assert Share(sample=5).of(names) == Share(sample=5).of(names) != Share(sample=5, seed=2).of(names)
    assert Share(part="99").of(names) == ["name99"]


@pytest.mark.slow
def test_mutants_of_a_store_are_caught(tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts"
    shown = _measured("memory", "--only", "Contents.discard: del self._digests", "--verdicts", str(verdicts))
    assert "mutants of kharvest_memory: 4 of 4 caught" in shown
    assert "exit code 0" in shown
    assert [line.split("\t")[1][:5] for line in verdicts.read_text().splitlines()] == ["test_"] * 4


def test_what_is_explained_is_counted_and_not_run() -> None:
    shown = _measured("memory", "--only", "_number = 0  ->  self._next_number = 1")
    assert "mutants of kharvest_memory: 0 of 1 caught, 1 explained, 0 unexplained survivors" in shown
    assert "exit code 0" in shown


@pytest.mark.slow
def test_what_is_explained_is_run_on_demand() -> None:
    shown = _measured("memory", "--only", "_number = 0  ->  self._next_number = 1", "--explained")
    assert "mutants of kharvest_memory: 0 of 1 caught, 1 explained, 0 unexplained survivors" in shown


@pytest.mark.slow
def test_generated_stores_are_caught() -> None:
    shown = _measured("generated", "--only", "until_inclusive")
    assert "generated faults: 1 of 1 caught" in shown
    assert "exit code 0" in shown
