"""Writes `docs/spi.md`: the contract in its own words, and the test that holds each clause.

    python -m kharvest_zoo.contract_page

A test fails when the page is not what this writes.
"""

from __future__ import annotations

import ast
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path

from kharvest.spi import SPI_VERSION, store, values
from kharvest_conformance.clauses import clause_of
from kharvest_conformance.suite import SUITE_TESTS

PAGE = Path(__file__).parents[2] / "docs" / "spi.md"

_OPENED = ("Opened.capabilities", "Opened.close")
_CONTENTS = tuple(f"ContentStore.{name}" for name in ("put", "read", "present", "contents", "discard"))
_REFERENCES = tuple(
    f"ReferenceStore.{name}"
    for name in ("record", "known", "newest", "references", "files", "claim", "release", "forget")
)
_VALUES = tuple(f"values.{name}" for name in ("Signature", "Content", "Reference", "FileSummary", "Query", "Page"))
PLACES = ("store", "Capability", *_OPENED, *_CONTENTS, *_REFERENCES, "Store", "values", *_VALUES)

_VERSION = ".".join(map(str, SPI_VERSION))

_HEAD = f"""# The store SPI, clause by clause

The contract between kharvest and a store is the package `kharvest.spi`, version {_VERSION}. Below is what it says, in
its own words, and for each clause the test of the conformance suite that holds it. How to write a store against it, and
how to run the suite, is in [writing-a-store.md](writing-a-store.md).

This page is written by `python -m kharvest_zoo.contract_page`, and a test fails when it lags behind.

## How the suite reads the contract

Where the words leave room, the suite takes them like this:

- The last page has no cursor, also when it is exactly full. A page before it may be short or empty.
- A walk through `files` gives what was there at the start, and stays, exactly once, as one through `references` does.
- A cursor of `references` is invalid for `files`, and the other way round.
- `contents` may be read while contents are put and discarded: what is there all along is given once.
- `forget` removes as many as match, up to the limit, in each call.
- Claiming again with another end replaces the end, also by an earlier one.
- Batches may name a thing twice, may be empty, and may hold thousands.
- A lease is a write: it is as durable as any other.
- `read`, like `put`, holds no more of a content in memory than a part.
- Of two records that conflict and come at once, one wins and one raises `Conflict`.
- Of a store that does not declare SHARED, a second handle or process is refused with `Unsupported`, or has data of its
  own, as with a store in memory.

## What no test holds

- `StoreFull`, `StoreUnavailable`, `StoreCorrupt` and `IncompatibleSchema`: to bring them about takes means that only a
  backend's own tests have.
- A power cut. What a killed process leaves behind is tested; whether the disk keeps its word is not.
- Errors outside of the tree: the core wraps what a store raises, so the suite sees them as failures of what it tests.
- What the caller answers for: that `discard` names nothing that a file refers to, and that nothing is called after
  `close`.

## The clauses
"""


def of(place: str) -> object:
    """What the contract names so."""
    found: object = values if place.startswith("values") else store
    for part in place.removeprefix("values").removeprefix("store").removeprefix(".").split("."):
        found = getattr(found, part) if part else found
    return found.fget if isinstance(found, property) else found


def render() -> str:
    """The page."""
    return _HEAD + "\n".join(line for place in PLACES for line in _section(place))


def _section(place: str) -> Iterator[str]:
    held: dict[str, list[str]] = {}
    for name, test in SUITE_TESTS.items():
        clause = clause_of(test)
        if clause is not None and clause.place == place:
            held.setdefault(clause.words, []).append(name)
    yield f"\n### `{place.removeprefix('values.')}`\n"
    for line in (inspect.getdoc(of(place)) or "").splitlines():
        yield f"> {line}".rstrip()
    if place == "Capability":
        yield from _members()
    if held:
        yield "\n| clause | held by |\n|---|---|"
        for words, tests in sorted(held.items()):
            yield f"| {words.replace('|', chr(92) + '|')} | {'<br>'.join(f'`{name}`' for name in sorted(tests))} |"


def _members() -> Iterator[str]:
    """What is written below each capability."""
    body = ast.parse(inspect.getsource(store.Capability)).body[0]
    assert isinstance(body, ast.ClassDef)
    for name, said in itertools.pairwise(body.body):
        if isinstance(name, ast.Assign) and isinstance(said, ast.Expr):
            yield f">\n> {ast.unparse(name.targets[0])}: {' '.join(ast.literal_eval(said.value).split())}"


if __name__ == "__main__":
    PAGE.write_text(render() + "\n")
