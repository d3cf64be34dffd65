"""How a program that shows a failure again opens the store: on a fresh place."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from kharvest_conformance.harness import Harness


def opening_of(harness: Harness, address: str) -> tuple[str, str]:
    """The code that opens the first handle, as `store`, and what opens one more on the same place, as `{name}`."""
    kind = type(harness)
    if kind.opening is not Harness.opening or repr(harness).startswith("<"):
        return _as_the_harness_says(harness, address)
    made = re.sub(r"'(/[^']*)'", _fresh_folder, repr(harness))
    imports = [f"from {kind.__module__} import {kind.__qualname__}"]
    if "tempfile." in made:
        imports.insert(0, "import tempfile")
    opening = [*imports, "", f"harness = {made}", "address = harness.create()", "store = harness.open(address)"]
    return "\n".join(opening), "{name} = harness.open(address)"


def _as_the_harness_says(harness: Harness, address: str) -> tuple[str, str]:
    lines = harness.opening(address).splitlines()
    again = [line.replace("store = ", "{name} = ", 1) for line in lines if not line.startswith(("from ", "import "))]
    where = "# The place must be empty, and keeps what is written to it." if harness.reuses_place else ""
    return "\n".join(filter(None, [where, *lines])), "\n".join(again)


def _fresh_folder(quoted: re.Match[str]) -> str:
    """A folder for temporary files has gone when the program is run: another one does as well."""
    path = Path(quoted.group(1))
    temporary = Path(tempfile.gettempdir())
    return "tempfile.mkdtemp()" if temporary in path.parents and path.suffix == "" else quoted.group()
