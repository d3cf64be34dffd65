"""The tree keeps its shape: imports point one way, distributions carry one version, generated code is in step."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import kharvest

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(
    [ROOT / "pyproject.toml", *ROOT.glob("backends/*/pyproject.toml"), *ROOT.glob("conformance/pyproject.toml")]
)


def test_imports_point_one_way() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle_not_even_for_types() -> None:
    graph = _imports()
    assert len(graph) > 100
    reachable: dict[str, set[str]] = {}
    for module in graph:
        found, pending = set[str](), [module]
        while pending:
            for one in graph[pending.pop()] - found:
                found.add(one)
                pending.append(one)
        reachable[module] = found
    assert sorted(module for module, found in reachable.items() if module in found) == []


def _imports() -> dict[str, set[str]]:
    """The modules that each module names in an import, wherever that stands; façades aside, which import their own."""
    files = {
        ".".join((base.name, *file.relative_to(base).with_suffix("").parts)): file
        for base in (ROOT / "kharvest", *ROOT.glob("backends/*/kharvest_*"), ROOT / "conformance/kharvest_conformance")
        for file in base.rglob("*.py")
        if file.name != "__init__.py"
    }
    graph: dict[str, set[str]] = {}
    for module, file in files.items():
        named = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        graph[module] = named & files.keys()
    return graph


@pytest.mark.parametrize("project", PROJECTS, ids=[path.parent.name for path in PROJECTS])
def test_every_distribution_carries_one_version(project: Path) -> None:
    described = tomllib.loads(project.read_text())["project"]
    assert described["version"] == kharvest.__version__
    major, minor, _patch = described["version"].split(".")
    span = f">={major}.{minor},<{major}.{int(minor) + 1}"
    lines = sum(described.get("optional-dependencies", {}).values(), described["dependencies"])
    ours = [line for line in lines if line.startswith("kharvest")]
    assert ours, "a backend depends on the core, and the core offers the backends"
    assert all(line.endswith(span) for line in ours), ours


def test_every_backend_can_be_installed_as_an_extra_of_the_core() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for backend in ROOT.glob("backends/kharvest-*"):
        assert any(line.startswith(backend.name) for lines in extras.values() for line in lines), backend.name


@pytest.mark.slow
def test_generated_code_is_in_step_with_the_protocol(tmp_path: Path) -> None:
    subprocess.run([ROOT / "proto/generate.sh", tmp_path], cwd=ROOT, check=True, capture_output=True)
    generated = sorted((tmp_path / "kharvest/wire").iterdir())
    assert len(generated) == 8
    for file in generated:
        committed = ROOT / "kharvest/wire" / file.name
        assert file.read_bytes() == committed.read_bytes(), f"{file.name} is out of step: run `make generated`"
