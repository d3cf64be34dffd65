"""The client's rooms are joined from above only, and only its front is public."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType

import grimp
import pytest

from kharvest import client

ROOT = Path(__file__).parents[2]
PACKAGE = "kharvest.client"
ROOMS = ("_config", "_watch", "_send")
"""From the lowest up: an import leads down, or stays in its room."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The modules of kharvest, and what each imports of it, for types too."""
    graph = grimp.build_graph("kharvest")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def room(module: str) -> str:
    """The room of a module of the client; the module itself where it is in none."""
    return module.removeprefix(f"{PACKAGE}.").split(".")[0]


def test_no_modules_of_the_client_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    TopologicalSorter({module: imports[module] for module in imports if module.startswith(PACKAGE)}).prepare()


def test_arrows_between_rooms_go_one_way(imports: dict[str, set[str]]) -> None:
    arrows = {
        (room(module), room(imported))
        for module, others in imports.items()
        for imported in others
        if module.startswith(f"{PACKAGE}.") and imported.startswith(f"{PACKAGE}.")
    }
    between = {(one, other) for one, other in arrows if one in ROOMS and other in ROOMS and one != other}
    assert between == {("_watch", "_config"), ("_send", "_config"), ("_send", "_watch")}
    assert {one for one, other in arrows if other == "_send" and one != "_send"} <= {"_harvester", "_status", "_once"}


def test_who_uses_the_client_imports_its_front_only(imports: dict[str, set[str]]) -> None:
    behind = {
        module: others
        for module, imported in imports.items()
        if not module.startswith(PACKAGE) and (others := {one for one in imported if one.startswith(f"{PACKAGE}.")})
    }
    assert behind == {}


def test_what_is_public_is_listed() -> None:
    public = {name for name, value in vars(client).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert public == set(client.__all__)
    assert sorted(client.__all__) == sorted(set(client.__all__))
    undocumented = {name for name in client.__all__ if not getattr(client, name).__doc__}
    assert undocumented == set()


def test_the_reference_names_all_that_is_public() -> None:
    text = (ROOT / "docs/reference/python.md").read_text()
    assert {name for name in client.__all__ if f"`{name}`" not in text} == set()
