"""Mutants that no test can catch, each with the reason: one file, and no entry that has outlived its mutant."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from kharvest_zoo.mutants.changes import Mutant

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
_FIELDS = {"file", "functions", "changes", "reason"}


class InvalidExplanations(ValueError):
    """The file of explanations cannot be used."""


def read_explanations(path: Path, package: str, mutants: Iterable[Mutant]) -> dict[tuple[str, str, str, str], str]:
    """The reasons for a package's mutants, by the key of those that they explain.

    An entry has a file, functions of it, a reason, and `changes`: pairs of the lines before and after.

    Raises:
        InvalidExplanations: an entry lacks something, is there twice, or there is no such mutant any more.
    """
    keys = {mutant.key for mutant in mutants}
    reasons: dict[tuple[str, str, str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("equivalent", []):
        if entry.keys() != _FIELDS or not entry["reason"].strip():
            raise InvalidExplanations(f"{path}: {entry} must have {', '.join(sorted(_FIELDS))}; write them all")
        if entry["file"].partition("/")[0] != package:
            continue
        for function, (before, after) in product(entry["functions"], entry["changes"]):
            key = (entry["file"], function, before, after)
            if key in reasons:
                raise InvalidExplanations(f"{path}: {key} is explained twice; remove one")
            if key not in keys:
                raise InvalidExplanations(f"{path}: there is no mutant {key} (any more); correct or remove the entry")
            reasons[key] = entry["reason"]
    return reasons
