"""The stores that are mutated, and how the suite is run on a mutant."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kharvest_conformance.harness import Harness
from kharvest_conformance.registered import registered
from kharvest_zoo.mutants.changes import Mutant, mutants_of
from kharvest_zoo.warm import Case


@dataclass(frozen=True)
class MutatedStore:
    """A store of ours.

    Attributes:
        package: what is mutated.
        url: where the suite finds it; `{folder}` stands for a folder of its own.
    """

    package: str
    url: str

    def mutants(self) -> list[Mutant]:
        """All mutants of its modules, but for the registry's hook: a URL that it refuses is never a store."""
        folder = _folder(self.package)
        return [
            mutant
            for path in sorted(folder.rglob("*.py"))
            if path.name != "plugin.py"
            for mutant in mutants_of(f"{self.package}/{path.relative_to(folder)}", path.read_text())
        ]

    def case(self, mutant: Mutant | None = None) -> Case:
        """A run of the suite on a mutant; on the store as it is if none is given."""

        def prepare(folder: Path) -> Harness:
            if mutant is not None:
                _import_from(folder, self.package, mutant)
            return registered(self.url.format(folder=folder))

        name = (
            self.package
            if mutant is None
            else f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.before}  ->  {mutant.after}"
        )
        return Case(name, prepare)


MEMORY = MutatedStore("kharvest_memory", "memory:")
SQLITE = MutatedStore("kharvest_sql", "sqlite:///{folder}/store.db")


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed; `make setup` does so")
    return Path(next(iter(spec.submodule_search_locations)))


def _import_from(folder: Path, package: str, mutant: Mutant) -> None:
    """Have this process, and those that it starts, import the package with the mutant in it."""
    copies = folder / "mutated"
    shutil.copytree(_folder(package), copies / package, ignore=shutil.ignore_patterns("__pycache__"))
    (copies / mutant.file).write_text(mutant.source)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
    sys.path.insert(0, str(copies))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(copies), *filter(None, [os.environ.get("PYTHONPATH")])])
