"""What is public is listed: each package names its public names in `__all__`; private modules begin with `_`."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "kharvest": ROOT / "kharvest",
    "kharvest_conformance": ROOT / "conformance/kharvest_conformance",
    **{path.name: path for path in ROOT.glob("backends/*/kharvest_*")},
}
NO_API = {"kharvest.cli", "kharvest.globs", "kharvest.__main__"}
"""Parts of the core that are imported by name: programs, and one module."""
PUBLIC_MODULES = {
    "kharvest.spi": {"backend", "disks", "pieces", "recording", "room", "store"},
    "kharvest.wire": {"address", "channel", "legacy_pb2", "legacy_pb2_grpc", "trailers", "v2_pb2", "v2_pb2_grpc"},
    "kharvest_fsspec": {"plugin"},
    "kharvest_memory": {"plugin"},
    "kharvest_mongo": {"plugin"},
    "kharvest_sql": {"index", "plugin"},
    "kharvest_conformance": {
        *("engines", "harness", "matrix", "outputs", "plugin", "registered", "run", "scaffold", "suite", "test_store"),
    },
}
"""The modules that are public as such, of each package: others import them, or an entry point names them."""


def part_of(module: str) -> str:
    """What a module is part of: of the core, or a distribution of its own."""
    first, *rest = module.split(".")
    return ".".join((first, *rest[:1])) if first == "kharvest" else first


FACADES = sorted(
    {
        "kharvest",
        *(f"kharvest.{path.parent.name}" for path in PACKAGES["kharvest"].glob("*/__init__.py")),
        *PACKAGES.keys(),
    }
    - NO_API
)


def imports() -> Iterator[tuple[str, str, str]]:
    """Every import of a package of ours by another part: the importer, the module, and the name taken from it."""
    for package, base in PACKAGES.items():
        for file in base.rglob("*.py"):
            module = ".".join((package, *file.relative_to(base).with_suffix("").parts)).removesuffix(".__init__")
            for node in ast.walk(ast.parse(file.read_text())):
                taken = []
                if isinstance(node, ast.ImportFrom) and node.module:
                    taken = [(node.module, alias.name) for alias in node.names]
                elif isinstance(node, ast.Import):
                    taken = [(alias.name, "") for alias in node.names]
                for target, name in taken:
                    if target.split(".")[0] in PACKAGES and part_of(target) != part_of(module):
                        yield part_of(module), target, name


def test_each_module_is_listed_or_is_marked_as_private() -> None:
    unmarked = set()
    for package, base in PACKAGES.items():
        for file in base.rglob("*.py"):
            names = [name for name in (package, *file.relative_to(base).with_suffix("").parts) if name != "__init__"]
            part = part_of(".".join(names))
            inner = names[len(part.split(".")) :]
            if part in NO_API or not inner or any(name.startswith("_") for name in inner):
                continue
            if inner[0] not in PUBLIC_MODULES.get(part, ()) or len(inner) > 1:
                unmarked.add(".".join(names))
    assert unmarked == set()


@pytest.mark.parametrize("facade", FACADES)
def test_a_package_lists_what_is_public_in_order_and_has_it(facade: str) -> None:
    package = importlib.import_module(facade)
    listed: list[str] = package.__all__
    in_order = sorted(listed, key=lambda name: (not name.isupper(), not name[:1].isupper(), name))
    assert listed == in_order
    assert [name for name in listed if not hasattr(package, name)] == []
    for name in PUBLIC_MODULES.get(facade, ()):
        importlib.import_module(f"{facade}.{name}")


@pytest.mark.parametrize("facade", FACADES)
def test_a_package_has_no_public_name_that_is_not_listed(facade: str) -> None:
    package = importlib.import_module(facade)
    names = {name for name, value in vars(package).items() if not name.startswith("_")}
    modules = {name for name in names if isinstance(getattr(package, name), ModuleType)}
    assert names - modules - set(package.__all__) == set()


@pytest.mark.slow
def test_parts_import_each_other_s_public_names_only() -> None:
    behind = set()
    for importer, target, name in imports():
        part = part_of(target)
        if part in NO_API:
            continue
        public = {*importlib.import_module(part).__all__, *PUBLIC_MODULES.get(part, ())}
        inner = target.removeprefix(part).removeprefix(".")
        if (inner.split(".")[0] if inner else name) not in public and name != "__version__":
            behind.add((importer, target if inner else f"{target}.{name}"))
    assert behind == set()
