"""What the docs name of settings and metrics is there, and what operators need is told."""

from __future__ import annotations

import argparse
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import server_options, settings_table
from kharvest.server._metrics import Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
LIMIT_OR_TIME = re.compile(r"--(?:max|min)-[a-z-]+[a-z]|--[a-z-]+-seconds\b")


def options() -> set[str]:
    """Every option of the commands that have limits and times."""
    found: set[str] = set()
    for command in ("server", "client"):
        parser = argparse.ArgumentParser()
        importlib.import_module(f"kharvest.cli.{command}").configure(parser)
        found |= {option for action in parser._actions for option in action.option_strings}
    return found


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_limits_and_times_that_a_page_names_can_be_set(page: Path) -> None:
    assert set(LIMIT_OR_TIME.findall(page.read_text())) <= options()


def test_the_page_for_operators_lists_every_metric() -> None:
    text = (ROOT / "docs/how-to/run-the-server.md").read_text()
    told = set(re.findall(r"^\| `(kharvest_\w+?)(?:_total)?(?:\{\w+(?:,\w+)*\})?` \|", text, re.MULTILINE))
    assert {metric.name for metric in Metrics().registry.collect()} <= told


def test_the_page_lists_every_setting_of_the_client_as_the_program_has_it() -> None:
    assert settings_table.written() == settings_table.table(), "run `python tests/docs/settings_table.py`"


def test_the_page_lists_every_option_of_the_server_as_the_program_has_it() -> None:
    assert server_options.PAGE.read_text() == server_options.page(), "run `python tests/docs/server_options.py`"


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_tests_and_modules_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    named = set(re.findall(r"`((?:tests|benchmarks|backends)/[\w./-]+)", text))
    if page.name == "how-it-works.md":
        named |= {f"kharvest/server/{module}" for module in re.findall(r"`(?:server/)?(\w+\.py)`", text)}
    named |= {f"kharvest/{module}" for module in re.findall(r"`(client/[\w/]+\.py)`", text)}
    assert not [name for name in named if not (ROOT / name).exists()]


def dependencies() -> Iterator[str]:
    """The names of all distributions, but our own, that we ask for."""
    asked: list[str] = []
    for file in [*ROOT.glob("backends/*/pyproject.toml"), ROOT / "pyproject.toml", ROOT / "conformance/pyproject.toml"]:
        said = tomllib.loads(file.read_text())
        asked += said["build-system"]["requires"] + said["project"]["dependencies"]
        for extra in said["project"].get("optional-dependencies", {}).values():
            asked += extra
    asked += [line for line in (ROOT / "requirements-dev.txt").read_text().splitlines() if not line.startswith("#")]
    for requirement in asked:
        name = re.split(r"[^\w.-]", requirement)[0]
        if not name.startswith("kharvest"):
            yield "types-*" if name.startswith("types-") else name


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text().lower()
    assert not {name for name in dependencies() if name.lower() not in text}
