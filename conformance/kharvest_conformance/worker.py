"""Other processes that work on the same data, and can be killed at any moment: the child's side."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

from kharvest.spi import Unsupported

if TYPE_CHECKING:
    from kharvest_conformance.harness import Harness
    from kharvest_conformance.tasks import Task


def main() -> None:
    """Open the store that the parent names on standard input, and do the tasks that it sends, until it ends."""
    # What a driver prints must not get between the reports: they go to a descriptor of their own.
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(kind: str, value: object) -> None:
        pickle.dump((kind, value), reports)
        reports.flush()

    try:
        path, module, file, harness, address = pickle.load(sys.stdin.buffer)  # noqa: S301  # our own parent
        sys.path[:] = path
        _load(module, file)
        opener: Harness = pickle.loads(harness)  # noqa: S301
        store = opener.open(address)
        send("ready", None)
        while True:
            try:
                task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301
            except EOFError:
                break
            send("answer", task.run(store, lambda value: send("progress", value)))
        store.close()
    except Unsupported as error:
        send("unsupported", str(error))
    except Exception:  # noqa: BLE001  # the outermost loop of this process; the parent raises it
        send("error", traceback.format_exc())


def _load(module: str, file: str | None) -> None:
    """Import the harness's module, also when it is a test file that only pytest knows how to import."""
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}.") or file is None:
            raise
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[module] = loaded
        spec.loader.exec_module(loaded)
