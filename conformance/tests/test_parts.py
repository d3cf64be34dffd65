"""The suite and its zoo are whole: nothing that somebody wrote is left out, hidden or spoilt."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import kharvest_conformance
import kharvest_zoo
from kharvest_conformance import suite
from kharvest_conformance.suite import SUITE_TESTS, Suite
from kharvest_zoo import faults
from kharvest_zoo.fault import CAUGHT_BY
from kharvest_zoo.faults import FAULTS
from kharvest_zoo.generated import GENERATED
from kharvest_zoo.kinds import CORRECT, KINDS
from kharvest_zoo.odd import ODD
from kharvest_zoo.plain import PlainStore

SUITE_MODULES = [one.name for one in pkgutil.iter_modules(suite.__path__)]
NO_TESTS = frozenset({"_base", "_whole"})
"""Modules of the suite that assert nothing."""


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for one in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not one.name.endswith(("__main__", "test_store")):
            yield importlib.import_module(one.name)


def _stores_of(module: ModuleType) -> Iterator[type[PlainStore]]:
    for found in vars(module).values():
        if inspect.isclass(found) and issubclass(found, PlainStore) and found.__module__ == module.__name__:
            yield found


def test_each_module_of_the_suite_has_its_asserts_rewritten() -> None:
    (call,) = (node for node in ast.walk(_parsed(suite)) if isinstance(node, ast.GeneratorExp))
    listed = set(ast.literal_eval(call.generators[0].iter))
    assert listed == set(SUITE_MODULES) - NO_TESTS


def test_each_test_that_is_written_in_the_suite_is_run_and_none_hides_another() -> None:
    written = Counter(
        node.name
        for module in _modules(suite)
        for node in ast.walk(_parsed(module))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    assert [name for name, times in written.items() if times > 1] == []
    assert written.keys() == SUITE_TESTS.keys()


def test_no_two_parts_of_the_suite_have_a_name_in_common() -> None:
    names = [name for part in Suite.__bases__ for name in vars(part) if not name.startswith("__")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("package", [suite, kharvest_conformance])
def test_what_a_module_keeps_for_all_tests_cannot_be_changed_by_a_store(package: ModuleType) -> None:
    changeable = {
        f"{module.__name__}.{name}"
        for module in _modules(package)
        for name, value in vars(module).items()
        if isinstance(value, (list, dict, set, bytearray)) and not name.startswith("_")
    }
    assert changeable == set(), "make it a tuple or a MappingProxyType, and give stores a copy"


def test_no_two_stores_of_the_zoo_have_one_name() -> None:
    stores: list[type[PlainStore]] = [*CORRECT.values(), *ODD.values(), *FAULTS, *GENERATED.values()]
    names = Counter(store.__name__ for store in stores)
    assert [name for name, times in names.items() if times > 1] == []
    assert len(KINDS) == len(stores)


def test_each_store_that_is_written_as_a_fault_says_what_catches_it() -> None:
    written = [store for module in _modules(faults) for store in _stores_of(module)]
    bases = {base for store in CAUGHT_BY for base in store.__mro__[1:]}
    assert [store.__name__ for store in written if store not in CAUGHT_BY and store not in bases] == []
    assert {one.name for one in pkgutil.iter_modules(faults.__path__)} <= set(faults.__all__)


def test_each_store_that_is_written_as_correct_but_odd_is_among_them() -> None:
    modules = [module for module in _modules(kharvest_zoo) if module.__name__.rpartition(".")[2].startswith("odd")]
    written = {store for module in modules for store in _stores_of(module)}
    bases = {base for store in ODD.values() for base in store.__mro__[1:]}
    assert written - bases == set(ODD.values())


def _parsed(module: ModuleType) -> ast.Module:
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text())
