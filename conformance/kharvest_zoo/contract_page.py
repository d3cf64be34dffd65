"""Writes `docs/spi.md`: the contract in its own words, and the test that holds each clause.

    python -m kharvest_zoo.contract_page

A test fails when the page is not what this writes.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from kharvest.spi import SPI_VERSION, backend
from kharvest.spi import _content_errors as content_errors
from kharvest.spi import _cursor as cursor
from kharvest.spi import _errors as errors
from kharvest.spi import _values as values
from kharvest_zoo.sentences import clauses_of, elsewhere, members, of, unheld

PAGE = Path(__file__).parents[2] / "docs" / "spi.md"

_OPENED = ("Opened.capabilities", "Opened.close")
_CONTENTS = tuple(f"ContentStore.{name}" for name in ("put", "read", "present", "contents", "discard"))
_REFERENCES = tuple(
    f"ReferenceStore.{name}"
    for name in (
        "record",
        "append",
        "known",
        "newest",
        "references",
        "files",
        "claim",
        "release",
        "now_ns",
        "forget",
    )
)
_VALUES = tuple(
    f"values.{name}"
    for name in ("Pod", "Signature", "Content", "Metadata", "Timeline", "Reference", "FileSummary", "Query", "Page")
)
PLACES = ("store", "Capability", *_OPENED, *_CONTENTS, *_REFERENCES, "Store", "values", *_VALUES)

_DEFAULT = re.compile(r"(?<=[\w\]])=(?=[\w'\"])")
"""Where a default is written without spaces, though its argument has a type."""

_VERSION = ".".join(map(str, SPI_VERSION))

_HEAD = f"""# The store SPI, clause by clause

The contract between kharvest and a store is the package `kharvest.spi`, version {_VERSION}. This page quotes its
clauses, each with the tests of the conformance suite that hold it. [writing-a-store.md](writing-a-store.md) explains
how to write a store and how to run the suite.

`python -m kharvest_zoo.contract_page` writes this page. A test fails if the page is out of date.

## How the suite reads the contract

Where the words allow several readings, the suite uses these:

- The last page has no cursor, also when it is exactly full. A page before it may be short or empty.
- A cursor of `references` is invalid for `files`, and the other way round.
- Of two calls that record conflicting contents at the same time, one succeeds and one raises `Conflict`.
- Of a store that does not declare SHARED, a second handle or process is refused with `Unsupported`, or has data of
  its own, as with a store in memory.
- A reader of a content that is discarded meanwhile gets all of its bytes or `UnknownContent`, also when somebody puts
  it again.
- A store that declares neither DURABLE nor SHARED may hold contents in this process's memory: each once, and reading
  makes no copy. The others hold a part of one at the most.
- A failed put takes no room, as far as that can be measured: in memory, and on the disk if the harness returns the
  size of its place (`Harness.size`). Up to half of the failed bytes may wait to be removed.
- A store may look at sizes and digests itself, and raise `ContentMismatch`.
- `Backend.capabilities` is what every store of a backend has. A store that is opened may declare more. One that
  declares less is refused when it is opened: `tests/registry/test_plugins.py` holds that.

## What no test holds

- `StoreFull`, `StoreUnavailable` and its kinds `StoreDenied` and `StoreReplaced`, `StoreCorrupt` and
  `IncompatibleSchema`: to bring them about takes means that only a backend's own tests have.
- Time. The server relies on every call ending, also when packets vanish on an open connection; how soon each
  backend's calls end is on its page, and held by its own tests.
- A power cut. What a killed process leaves behind is tested; whether the disk keeps its word is not.
- Errors outside of the tree: the core wraps what a store raises, so the suite sees them as failures of what it tests.
- What the caller answers for: that `discard` names nothing that a file refers to, and that nothing is called after
  `close`.

## Limits

"""


def render() -> str:
    """The page."""
    return "\n".join(
        [
            _HEAD + _limits(),
            "## The clauses",
            *(line for place in PLACES for line in _section(place)),
            *_api("Errors", "A store raises these for what happens at run time.", errors, content_errors),
            *_api("Cursors", "What makes a cursor opaque, and tells whether it was made for a query.", cursor),
            *_api("Backends", "What a plug-in tells of itself: see [writing-a-store.md](writing-a-store.md).", backend),
        ]
    )


def _limits() -> str:
    """The numbers of the contract, each with what is said of it."""
    lines = ["A store is never given more than this, and must take as much.\n", "| limit | value | |", "|---|---|---|"]
    for name, value, said in constants(values):
        lines.append(f"| `{name}` | {value} | {said} |")
    return "\n".join(lines) + "\n"


def constants(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """The limits that a module defines: name, value, and what is said of it."""
    body = ast.parse(inspect.getsource(module)).body
    for assigned, said in itertools.pairwise(body):
        if isinstance(assigned, ast.Assign) and ast.unparse(assigned.targets[0]).startswith("MAX_"):
            is_said = isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)
            text = ast.literal_eval(said.value) if is_said else ""  # type: ignore[attr-defined]
            yield ast.unparse(assigned.targets[0]), _number(ast.unparse(assigned.value)), " ".join(text.split())


def _number(code: str) -> str:
    return code.replace("**", "^").replace(" * ", " · ")


def _section(place: str) -> Iterator[str]:
    yield f"\n### `{place.removeprefix('values.')}`\n"
    yield from code_of(of(place))
    for line in (inspect.getdoc(of(place)) or "").splitlines():
        yield f"> {line}".rstrip()
    if place == "Capability":
        for name, said in members():
            yield f">\n> {name}: {said}"
    held: dict[str, list[str]] = {}
    for test, clause in clauses_of(place).items():
        held.setdefault(clause.words, []).append(f"`{test}`")
    for sentence in unheld(place):
        held[sentence] = [elsewhere(sentence) or "nothing yet"]
    if held:
        yield "\n| clause | held by |\n|---|---|"
        for words, tests in sorted(held.items()):
            yield f"| {words.replace('|', chr(92) + '|')} | {'<br>'.join(sorted(tests))} |"


def _api(title: str, about: str, *modules: ModuleType) -> Iterator[str]:
    """What modules offer to the author of a store."""
    yield f"\n## {title}\n\n{about}"
    for name, found in (item for module in modules for item in vars(module).items()):
        is_own = getattr(found, "__module__", None) in {module.__name__ for module in modules}
        if is_own and not name.startswith("_") and (inspect.isclass(found) or inspect.isfunction(found)):
            yield f"\n### `{name}`\n"
            yield from code_of(found)
            for line in (inspect.getdoc(found) or "").splitlines():
                yield f"> {line}".rstrip()


def code_of(found: object) -> Iterator[str]:
    """The signature of a function, the fields of a value, or how an error is made."""
    if inspect.isfunction(found):
        yield f"```pyi\n{_signature(found)}\n```\n"
    elif inspect.isclass(found) and not getattr(found, "_is_protocol", False):
        lines = list(_fields(found))
        if not lines and inspect.isfunction(made := found.__init__) and made.__module__ == found.__module__:
            lines = [_signature(made, found.__name__)]
        if lines:
            yield "```pyi\n" + "\n".join(lines) + "\n```\n"


def _parsed(found: object) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]  # type: ignore[arg-type]


def _signature(function: object, name: str = "") -> str:
    parsed = _parsed(function)
    assert isinstance(parsed, ast.FunctionDef)
    is_property = any(ast.unparse(one) == "property" for one in parsed.decorator_list)
    arguments = [one for one in parsed.args.args if one.arg != "self"]
    parsed.args.args = arguments
    returned = f" -> {ast.unparse(parsed.returns)}" if parsed.returns and not name else ""
    if is_property:
        return f"@property\n{parsed.name}{returned}"
    return f"{name or parsed.name}({_DEFAULT.sub(' = ', ast.unparse(parsed.args))}){returned}"


def _fields(found: type) -> Iterator[str]:
    parsed = _parsed(found)
    assert isinstance(parsed, ast.ClassDef)
    if "__dataclass_fields__" in vars(found):
        yield from (ast.unparse(one).replace("''", '""') for one in parsed.body if isinstance(one, ast.AnnAssign))


if __name__ == "__main__":
    PAGE.write_text(render() + "\n")
