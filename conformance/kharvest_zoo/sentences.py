"""The sentences of the contract, and what holds each of those that no test of the suite does."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kharvest.spi import _values as values
from kharvest.spi import store
from kharvest_conformance._clauses import Clause, clause_of
from kharvest_conformance.suite import SUITE_TESTS

_SENTENCE = re.compile(r".+?(?:[.;](?=\s+[A-Z`])|$)")

SAYS_WHAT_FOLLOWS = "it says what the next ones are about"
TO_THE_CALLER = "it is the caller's part"
ALLOWS = "it allows, and asks for nothing"

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "The contract that a backend implements.": SAYS_WHAT_FOLLOWS,
        "A store may assume that the values it is given keep their limits": "`tests/spi/test_values.py`",
        "Every clause below is kept by a named test": "`conformance/tests/test_docs.py`",
        "An open store belongs to its process.": TO_THE_CALLER,
        "What an opened store declares of itself.": SAYS_WHAT_FOLLOWS,
        "The store need not hash": "`tests/registry/test_plugins.py`",
        "Raises: StoreFull: no room.": "each backend's own tests: the suite cannot fill a store",
        "The caller has seen to it that no file": TO_THE_CALLER,
        "Who does not know whether an append took effect": TO_THE_CALLER,
        "It may be wrong, and may be set": TO_THE_CALLER,
        "The query has no cursor.": TO_THE_CALLER,
        "A backend opened on one URL": SAYS_WHAT_FOLLOWS,
        "Times are nanoseconds since the epoch, UTC.": "`tests/spi/test_values.py`",
        "A pod's identity.": SAYS_WHAT_FOLLOWS,
        "The MD5 is kept beside it": "it is a reason",
        "What a pod says of itself": "`tests/spi/test_values.py`",
        "Removals are not files": "`test_removals_have_no_summary`",
        "The parameters of every read.": SAYS_WHAT_FOLLOWS,
        "A page that has a next cursor may be shorter": ALLOWS,
        "Some items of a query's answer": SAYS_WHAT_FOLLOWS,
    }
)
"""How a sentence begins, and where it is held instead."""


def of(place: str) -> object:
    """What the contract names so."""
    found: object = values if place.startswith("values") else store
    for part in place.removeprefix("values").removeprefix("store").removeprefix(".").split("."):
        found = getattr(found, part) if part else found
    return found.fget if isinstance(found, property) else found


def words(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def text_of(place: str) -> str:
    """What the contract says there, on one line."""
    said = [inspect.getdoc(of(place)) or ""]
    if place == "Capability":
        said += [f"{name}: {text}" for name, text in members()]
    return words(" ".join(said))


def members() -> Iterator[tuple[str, str]]:
    """Each capability, and what is written below it."""
    body = ast.parse(inspect.getsource(store.Capability)).body[0]
    assert isinstance(body, ast.ClassDef)
    for name, said in itertools.pairwise(body.body):
        if isinstance(name, ast.Assign) and isinstance(said, ast.Expr):
            yield ast.unparse(name.targets[0]), words(ast.literal_eval(said.value))


def clauses_of(place: str) -> dict[str, Clause]:
    """The clauses that tests of the suite hold there, by test."""
    found = {name: clause_of(test) for name, test in SUITE_TESTS.items()}
    return {name: clause for name, clause in found.items() if clause is not None and clause.place == place}


def unheld(place: str) -> list[str]:
    """The sentences there of which no test of the suite holds a word."""
    text = text_of(place)
    held = [(start, start + len(one)) for one in map(words, _held(place)) if (start := text.find(one)) >= 0]
    return [
        sentence.group().strip()
        for sentence in _SENTENCE.finditer(text)
        if not any(start < sentence.end() and end > sentence.start() for start, end in held)
    ]


def _held(place: str) -> set[str]:
    return {clause.words for clause in clauses_of(place).values()}


def elsewhere(sentence: str) -> str | None:
    """What holds a sentence that no test of the suite does; None if nothing is known to."""
    return next((place for start, place in ELSEWHERE.items() if sentence.startswith(start)), None)
