"""Writes `docs/engine.md`: the contract of an engine in its own words, and the tests of the suite of engines.

    python -m kharvest_zoo.engine_page

A test fails when the page is not what this writes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from kharvest.records import Engine, View
from kharvest.records import _engine as engine
from kharvest_conformance.engines._committing import CommittingTests
from kharvest_conformance.engines._handles import HandleTests
from kharvest_conformance.engines._limits import LimitTests
from kharvest_conformance.engines._reading import ReadingTests
from kharvest_conformance.engines._viewing import ViewingTests
from kharvest_zoo.contract_page import code_of, constants

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"

_HEAD = """# The contract of an engine

An engine is an ordered map of bytes. `kharvest.records.RecordStore` makes the references half of a store of it. This
page quotes the contract from `kharvest.records`, with the tests of `kharvest_conformance.engines.EngineSuite` that hold
it.
[writing-a-store.md](writing-a-store.md#5-references-on-an-engine) explains how to write an engine.

`python -m kharvest_zoo.engine_page` writes this page. A test fails if the page is out of date.
"""


def render() -> str:
    """The page."""
    lines = [_HEAD, *_quoted(engine), "\n## Limits\n", "| limit | value | |", "|---|---|---|"]
    lines += [f"| `{name}` | {value} | {said} |" for name, value, said in constants(engine)]
    lines += _held(LimitTests)
    for title, methods, tests in (
        ("Views", (View.get, View.scan), ReadingTests),
        ("Moments", (Engine.view,), ViewingTests),
        ("Commits", (Engine.commit,), CommittingTests),
        ("Handles", (Engine.capabilities, Engine.now_ns, Engine.close), HandleTests),
    ):
        lines.append(f"\n## {title}")
        for method in methods:
            found = getattr(method, "fget", method)
            lines += [f"\n### `{found.__qualname__}`\n", *code_of(found), *_quoted(found)]
        lines += _held(tests)
    return "\n".join(lines)


def _quoted(found: object) -> Iterator[str]:
    for line in (inspect.getdoc(found) or "").splitlines():
        yield f"> {line}".rstrip()


def _held(tests: type) -> Iterator[str]:
    yield "\nHeld by:\n"
    yield from (f"- `{name}`" for name in vars(tests) if name.startswith("test_"))


if __name__ == "__main__":
    PAGE.write_text(render() + "\n")
