"""The configuration file in YAML. Errors name the file, the line and the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kharvest.client._config.client_config import SETTINGS
from kharvest.client._config.kinds import Kind, Shape, unknown
from kharvest.client._config.rules import DETAILS, Rule, directory_rule, glob_rule, path_rule
from kharvest.client._errors import ConfigurationError

_BY_KEY = {setting.key: setting for setting in SETTINGS if setting.key}
_MAKERS: Mapping[str, Callable[..., Rule]] = {"path": path_rule, "glob": glob_rule, "directory": directory_rule}


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the document, its key if it has one, and its name in errors."""

    node: yaml.Node
    file: str
    field: str
    key: yaml.Node | None = None

    @property
    def line(self) -> str:
        return f"{self.file}:{(self.key or self.node).start_mark.line + 1}"

    def wrong(self, problem: str, remedy: str) -> ConfigurationError:
        return ConfigurationError(f"{self.line}: {self.field}", problem, remedy)

    def pairs(self) -> Iterator[tuple[str, _Node]]:
        """The keys and values of a mapping whose keys are all different."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("it is not a mapping", "write `key: value` lines")
        seen = set()
        prefix = f"{self.field}." if self.field != "document" else ""
        for key, value in self.node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            node = _Node(value, self.file, f"{prefix}{name}", key)
            if name in seen:
                raise node.wrong("it is given twice", "keep one of them")
            seen.add(name)
            yield name, node

    def items(self) -> Iterator[_Node]:
        """The items of a list; the node itself where it is not a list."""
        nodes = self.node.value if isinstance(self.node, yaml.SequenceNode) else [self.node]
        return (_Node(node, self.file, f"{self.field}[{index}]") for index, node in enumerate(nodes))

    def text(self) -> str:
        """A scalar as it is written: `1.10` stays `1.10`."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == "tag:yaml.org,2002:null":
            raise self.wrong("it is not text", "write one value")
        return str(self.node.value)

    def value(self, kind: Kind) -> Any:
        """The value of a setting or detail of this kind."""
        match kind.shape:
            case Shape.PAIRS:
                return {key: value.text() for key, value in self.pairs()}
            case Shape.SEVERAL:
                return tuple(item.text() for item in self.items())
            case Shape.RULES:
                return tuple(_rule(item) for item in self.items())
        try:
            return kind.parse(self.text())
        except ValueError as error:
            problem, _, remedy = str(error).partition("; ")
            raise self.wrong(problem, remedy) from None


def read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings in a file by their names, and for each of them `FILE:LINE`.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is wrong.
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
    values: dict[str, Any] = {}
    lines: dict[str, str] = {}
    if document is not None:
        for key, node in _Node(document, name, "document").pairs():
            if key not in _BY_KEY:
                raise unknown(f"{node.line}: {node.field}", key, _BY_KEY)
            setting = _BY_KEY[key]
            values[setting.name] = node.value(setting.kind)
            lines[setting.name] = node.line
    return values, lines


def _rule(node: _Node) -> Rule:
    if isinstance(node.node, yaml.ScalarNode):
        return _made(node, path_rule, node.text())
    details: dict[str, Any] = {}
    maker = target = ""
    for key, value in node.pairs():
        if key in DETAILS:
            details[key] = value.value(DETAILS[key])
        elif key not in _MAKERS:
            raise unknown(f"{value.line}: {value.field}", key, {**DETAILS, **_MAKERS})
        elif maker:
            raise value.wrong(f"{maker} is given too", "give one of path, glob, directory")
        else:
            maker, target = key, value.text()
    if not maker:
        raise node.wrong("it names no files", "give one of path, glob, directory")
    if maker == "path" and "exclude" in details:
        raise node.wrong("a path excludes nothing", "leave out `exclude`, or give a glob or directory")
    return _made(node, _MAKERS[maker], target, **details)


def _made(node: _Node, make: Callable[..., Rule], target: str, **details: Any) -> Rule:
    if not target.startswith("/"):
        raise node.wrong(f"{target!r} is relative", "give it from the root")
    try:
        return make(target, **details)
    except ConfigurationError as error:
        raise node.wrong(error.problem, error.remedy) from error
