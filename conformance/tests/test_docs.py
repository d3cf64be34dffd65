"""The pages for backend authors say what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kharvest_conformance.clauses import clause_of
from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo.contract_page import PAGE, PLACES, render

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kharvest-lmdb"


def test_the_page_of_the_contract_is_up_to_date() -> None:
    assert PAGE.read_text() == render() + "\n", "run python -m kharvest_zoo.contract_page"


def test_the_page_of_the_contract_names_every_test_and_no_other() -> None:
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text())) == SUITE_TESTS.keys()
    assert {clause.place for test in SUITE_TESTS.values() if (clause := clause_of(test))} <= set(PLACES)


def test_the_code_in_the_guide_is_the_example_s() -> None:
    guide = (ROOT / "docs" / "writing-a-store.md").read_text()
    blocks = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 5
    for name, block in blocks:
        assert block.strip() in (EXAMPLE / name).read_text(), f"the guide's piece of {name} is not in the example"


@pytest.mark.slow
def test_the_commands_of_the_guide_do_what_it_says(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "writing-a-store.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", guide, re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(commands) >= 4
    for command in commands:
        program, *arguments = command.replace("/tmp/kharvest-scratch", str(tmp_path / "scratch")).split()
        if program == "pip":
            continue  # the development environment has them
        assert program == "kharvest"
        done = subprocess.run(
            [sys.executable, "-c", "from kharvest.cli.main import main; main()", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "lmdb" in done.stdout


@pytest.mark.slow
def test_the_example_passes_the_suite_from_its_own_tests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kharvest-examples=10", str(EXAMPLE)],
        capture_output=True,
        text=True,
        check=False,
        cwd=EXAMPLE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONFORMS" in done.stdout
