"""The pages for backend authors say what is so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kharvest_conformance._clauses import clause_of
from kharvest_conformance.engines import ENGINE_TESTS
from kharvest_conformance.suite import SUITE_TESTS
from kharvest_zoo import engine_page
from kharvest_zoo.contract_page import PAGE, PLACES, render
from kharvest_zoo.sentences import ELSEWHERE, elsewhere, unheld

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kharvest-lmdb"


def test_the_page_of_the_contract_is_up_to_date() -> None:
    assert PAGE.read_text() == render() + "\n", "run python -m kharvest_zoo.contract_page"


def test_the_page_of_engines_is_up_to_date_and_names_every_test() -> None:
    page = engine_page.PAGE.read_text()
    assert page == engine_page.render() + "\n", "run python -m kharvest_zoo.engine_page"
    assert set(re.findall(r"`(test_\w+)`", page)) == ENGINE_TESTS.keys()


def test_the_page_of_the_contract_names_every_test_and_no_other() -> None:
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text())) == SUITE_TESTS.keys()
    assert {clause.place for test in SUITE_TESTS.values() if (clause := clause_of(test))} <= set(PLACES)


def test_each_sentence_of_the_contract_is_held_by_a_test_or_says_what_holds_it() -> None:
    sentences = [sentence for place in PLACES for sentence in unheld(place)]
    assert [sentence for sentence in sentences if elsewhere(sentence) is None] == []
    assert [start for start in ELSEWHERE if not any(one.startswith(start) for one in sentences)] == []


def test_the_code_in_the_guide_is_the_example_s() -> None:
    guide = (ROOT / "docs" / "writing-a-store.md").read_text()
    blocks = re.findall(r"<!-- (\S+) -->\n```\w+\n(.*?)```", guide, re.DOTALL)
    assert len(blocks) >= 5
    for name, block in blocks:
        assert block.strip() in (EXAMPLE / name).read_text(), f"the guide's piece of {name} is not in the example"


@pytest.fixture(scope="module")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example is installed as a user installs it: built, and away from its sources."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(EXAMPLE)], check=True)
    path = os.pathsep.join(filter(None, (str(target), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


@pytest.mark.slow
def test_the_commands_of_the_guide_do_what_it_says(installed_example: dict[str, str], tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "writing-a-store.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", guide, re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert "pip install -e examples/kharvest-lmdb" in commands
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "kharvest"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from kharvest.cli.main import main; main()" "$@"\n')
    program.chmod(0o755)
    environment = {**installed_example, "PATH": f"{programs}:{os.environ['PATH']}"}
    outputs = []
    for command in commands:
        line = command.replace("/tmp/kharvest-scratch", str(tmp_path / "scratch"))
        if not line.startswith("kharvest "):
            continue
        if line.startswith("kharvest conformance lmdb"):
            line = line.replace(" conformance", " conformance --examples 2")  # depth is not what is tested here
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, line + done.stdout + done.stderr
        outputs.append(done.stdout)
    made, stores, conformance, *files = outputs
    assert "kharvest-mydb" in made
    assert "lmdb" in stores
    assert "CONFORMS" in conformance
    assert files == ["", ""]
    assert "conforms: " in (tmp_path / "badge.json").read_text()
    assert "lmdb" in (tmp_path / "stores.html").read_text()


@pytest.mark.slow
def test_the_example_passes_the_suite_from_its_own_tests(installed_example: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kharvest-examples=2", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=installed_example,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CONFORMS" in done.stdout
