"""The kinds of settings: how a value is written as text, and what a value may be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from kharvest.client._config.checks import (
    MAX_NAMESPACE_BYTES,
    MAX_POD_BYTES,
    MAX_UID_BYTES,
    check_metadata,
    check_number,
    check_text,
    check_type,
    one_path,
    several,
    several_paths,
)
from kharvest.client._config.rules import Rule, absolute
from kharvest.client._errors import ConfigurationError
from kharvest.wire.address import InvalidAddress, target
from kharvest.wire.channel import check_proxy

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)


class Shape(Enum):
    """How many values a setting has."""

    ONE = "one"
    SEVERAL = "several"
    PAIRS = "pairs"
    RULES = "rules"


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of a setting are written and checked.

    Attributes:
        metavar: the name of a value in the help.
        check: is called with the setting's name and what a program gives. Returns the value to use, or raises
            `ConfigurationError`.
        parse: makes a value (of several, each of them; of pairs, the key and the value) of its text, in the
            environment, an argument or the configuration file. Raises `ValueError`.
        shape: how many values there are.
        separator: stands between several values in the environment.
    """

    metavar: str
    check: Callable[[str, Any], object]
    parse: Callable[[str], Any] = str
    shape: Shape = Shape.ONE
    separator: str = ""

    def parse_variable(self, text: str) -> object:
        """Make a value of an environment variable's text.

        Raises:
            ValueError: the text cannot be used.
        """
        if self.shape is Shape.ONE:
            return self.parse(text)
        items = [self.parse(part.strip() if self.separator == "," else part) for part in text.split(self.separator)]
        return dict(items) if self.shape is Shape.PAIRS else tuple(item for item in items if item)


def parse_size(text: str) -> int:
    """Return bytes: a number, with k, M, G (powers of 1000) or Ki, Mi, Gi (powers of 1024).

    Raises:
        ValueError: `text` is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; give bytes, or such as 10Mi")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _parse_flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in _FLAGS:
        raise ValueError(f"{text!r} is neither true nor false; give true or false")
    return _FLAGS[word]


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is not a number; give seconds")
    return seconds


def _parse_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=VALUE; write it so")
    return key, value


def _server(name: str, given: Any) -> str:
    try:
        return target(check_type(name, given, str))
    except InvalidAddress as error:
        raise ConfigurationError(name, f"{error.address!r} {error.problem}", error.remedy) from None


def _proxy(name: str, given: Any) -> str | None:
    if given is None:
        return None
    proxy = check_type(name, given, str)
    try:
        check_proxy(proxy)
    except ValueError as error:
        raise ConfigurationError(name, str(error), "give http://HOST:PORT") from None
    return proxy


def _pod(name: str, given: Any) -> str:
    if not check_text(name, given, MAX_POD_BYTES):
        raise ConfigurationError(name, "it is empty", "name the pod that the files belong to")
    return str(given)


def _files(name: str, given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(absolute(path) for path in several_paths(name, given)))


def _number(
    holds: Callable[[float], bool], remedy: str, *, whole: bool = False, optional: bool = False
) -> Callable[[str, Any], object]:
    """The check of a number for which a condition holds."""

    def check(name: str, given: Any) -> object:
        if given is None and optional:
            return None
        number = check_number(name, given, whole=whole)
        if not holds(number):
            raise ConfigurationError(name, f"{number} is out of range", remedy)
        return number

    return check


SERVER = Kind("HOST[:PORT]", _server)
PROXY = Kind("URL", _proxy)
NAMESPACE = Kind("NS", lambda name, given: check_text(name, given, MAX_NAMESPACE_BYTES))
POD = Kind("NAME", _pod)
UID = Kind("UID", lambda name, given: check_text(name, given, MAX_UID_BYTES))
METADATA = Kind(
    "K=V", lambda name, given: MappingProxyType(dict(check_metadata(name, given))), _parse_pair, Shape.PAIRS, ","
)
KEYS = Kind("KEY", several_paths, shape=Shape.SEVERAL, separator=",")
FILES = Kind("PATH", _files, shape=Shape.SEVERAL, separator=":")
DIRECTORIES = replace(FILES, metavar="DIR")
GLOBS = Kind("GLOB", several_paths, shape=Shape.SEVERAL, separator=":")
DIRECTORY = Kind("DIR", lambda name, given: absolute(one_path(name, given)))
SIZE = Kind("SIZE", _number(lambda size: size >= 0, "give 0 or more", whole=True), parse_size)
OPTIONAL_SIZE = replace(SIZE, check=_number(lambda size: size >= 0, "give 0 or more", whole=True, optional=True))
FLAG = Kind("", lambda name, given: check_type(name, given, bool), _parse_flag)
SECONDS = Kind("N", _number(lambda seconds: seconds >= 0, "give 0 or more"), _parse_seconds)
INTERVAL = replace(SECONDS, check=_number(lambda seconds: seconds > 0, "give more than 0"))
RULES = Kind("", lambda name, given: several(name, given, Rule), shape=Shape.RULES)
