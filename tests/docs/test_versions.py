"""The page on versions names the versions that the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import kharvest
from kharvest.spi import SPI_VERSION
from kharvest.wire import legacy_pb2, v2_pb2
from kharvest_conformance import _report as report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/versions.md").read_text()
NOW = dict(re.findall(r"^\| ([^|]+) \| `?([^|`]+)`? \|", PAGE, re.MULTILINE))


def test_the_versions_of_today_are_those_of_the_code() -> None:
    assert NOW["all our distributions"] == kharvest.__version__
    assert NOW["the contract of stores (SPI)"] == ".".join(map(str, SPI_VERSION))
    assert NOW["the protocol"] == v2_pb2.DESCRIPTOR.package
    assert NOW["the original protocol"] == legacy_pb2.DESCRIPTOR.package
    assert NOW["the report of the conformance suite"] == str(report.FORMAT)


def test_the_versions_of_python_are_those_that_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [one.rsplit(" ", 1)[-1] for one in project["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert f"The packages declare {', '.join(declared[:-1])} and {declared[-1]}." in PAGE
    assert project["requires-python"] == f">={declared[0]}"


def test_the_range_of_versions_that_go_together_is_the_one_that_the_backends_ask_for() -> None:
    (named,) = re.findall(r"each requires the others as `([^`]+)`", PAGE)
    for file in ROOT.glob("backends/*/pyproject.toml"):
        assert f"kharvest{named}" in tomllib.loads(file.read_text())["project"]["dependencies"]
