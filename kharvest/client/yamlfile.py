"""The configuration file in YAML: every value is checked where it stands, and errors tell file and line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kharvest.client.errors import ConfigurationError
from kharvest.client.rules import Rule, directory_rule, glob_rule, path_rule
from kharvest.client.sizes import parse_size

_KINDS: Mapping[str, Callable[..., Rule]] = {"path": path_rule, "glob": glob_rule, "directory": directory_rule}

Value = Any
Convert = Callable[["_Place"], Value]


class _Place:
    """A node of the document, and how to speak of it."""

    def __init__(self, node: yaml.Node, file: str, field: str) -> None:
        self.node = node
        self.file = file
        self.field = field

    def wrong(self, problem: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"{self.file}:{self.node.start_mark.line + 1}: {self.field}", problem, remedy)

    def at(self, node: yaml.Node, field: str) -> _Place:
        return _Place(node, self.file, field)

    def pairs(self) -> Iterator[tuple[str, _Place, _Place]]:
        """Key, and the places of key and value, of a mapping whose keys are all different."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("it is no mapping", "write `key: value` lines")
        seen = set()
        for key, value in self.node.value:
            prefix = f"{self.field}." if self.field != "document" else ""
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            here = self.at(key, f"{prefix}{name}")
            if name in seen:
                raise here.wrong("it is given twice", "keep one of them")
            seen.add(name)
            yield name, here, self.at(value, here.field)

    def items(self) -> Iterator[_Place]:
        """The places of the items of a list; of the only one where there is no list."""
        nodes = self.node.value if isinstance(self.node, yaml.SequenceNode) else [self.node]
        return (self.at(node, f"{self.field}[{index}]") for index, node in enumerate(nodes))

    def text(self) -> str:
        """A scalar as it is written: `1.10` stays `1.10`."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == "tag:yaml.org,2002:null":
            raise self.wrong("it is no text", "write one value")
        return str(self.node.value)

    def unknown(self, name: str, known: Mapping[str, object]) -> ConfigurationError:
        close = difflib.get_close_matches(name, known, n=1)
        remedy = f"do you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
        return self.wrong("there is no such setting", remedy)


def read_yaml(file: Path) -> tuple[dict[str, Value], dict[str, str]]:
    """The settings in a file, and for each of them `FILE:LINE`.

    Raises:
        ConfigurationError: it cannot be read, or something in it is not as it should be.
    """
    name = str(file)
    try:
        document = yaml.compose(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(name, str(error), "name a text file that can be read") from error
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise ConfigurationError(f"{name}:{line}", f"{error.problem}", "write valid YAML") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(name, str(error).replace("\n", " "), "write valid YAML") from error
    values: dict[str, Value] = {}
    lines: dict[str, str] = {}
    if document is None:
        return values, lines
    for key, place, value in _Place(document, name, "document").pairs():
        if key not in _SETTINGS:
            raise place.unknown(key, _SETTINGS)
        values[key] = _SETTINGS[key](value)
        lines[key] = f"{name}:{place.node.start_mark.line + 1}"
    return values, lines


def _number(place: _Place) -> float:
    try:
        number = float(place.text())
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise place.wrong(f"{place.text()!r} is no number", "give seconds")
    return number


def _size(place: _Place) -> int:
    try:
        return parse_size(place.text())
    except ValueError:
        raise place.wrong(f"{place.text()!r} is no size", "give bytes, or such as 10Mi") from None


def _texts(place: _Place) -> tuple[str, ...]:
    return tuple(item.text() for item in place.items())


def _metadata(place: _Place) -> dict[str, str]:
    return {key: value.text() for key, _, value in place.pairs()}


def _rules(place: _Place) -> tuple[Rule, ...]:
    return tuple(_rule(item) for item in place.items())


def _rule(place: _Place) -> Rule:
    if isinstance(place.node, yaml.ScalarNode):
        return _made(place, path_rule, place.text())
    known: dict[str, Convert] = {"exclude": _texts, "max_bytes": _size, "settle_seconds": _number}
    details: dict[str, Value] = {}
    kind = target = ""
    for key, here, value in place.pairs():
        if key in known:
            details[key] = known[key](value)
        elif key not in _KINDS:
            raise here.unknown(key, {**known, **_KINDS})
        elif kind:
            raise here.wrong(f"{kind} is given too", "give one of path, glob, directory")
        else:
            kind, target = key, value.text()
    if not kind:
        raise place.wrong("it names no files", "give one of path, glob, directory")
    if kind == "path" and "exclude" in details:
        raise place.wrong("a path excludes nothing", "leave out `exclude`, or give a glob or directory")
    return _made(place, _KINDS[kind], target, **details)


def _made(place: _Place, make: Callable[..., Rule], target: str, **details: Value) -> Rule:
    if not target.startswith("/"):
        raise place.wrong(f"{target!r} is relative", "give it from the root")
    try:
        return make(target, **details)
    except ConfigurationError as error:
        raise place.wrong(error.problem, error.remedy) from error


_SETTINGS: dict[str, Convert] = {
    "server": _Place.text,
    "namespace": _Place.text,
    "pod": _Place.text,
    "metadata": _metadata,
    "labels": _texts,
    "annotations": _texts,
    "files": _rules,
    "exclude": _texts,
    "max_bytes": _size,
    "root": _Place.text,
    "settle_seconds": _number,
    "settle_max_seconds": _number,
    "rescan_seconds": _number,
    "poll_seconds": _number,
    "reannounce_seconds": _number,
    "spread_seconds": _number,
    "grace_seconds": _number,
}
