"""The kinds of settings: how a value is written as text, and what a value may be.

A check takes a field's name and what a program, a file or the environment gives; it returns the value to use, or
raises `ConfigurationError`.

The limits are those of `kharvest.spi._values`. They are repeated because loading that module costs a sidecar memory; a
test compares the two. The server checks what is announced of files, and refuses file by file.
"""

# Paths are strings here: they are looked at by the thousand, and announced exactly as they are.
# ruff: noqa: PTH100
from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeVar

from kharvest.client._errors import ConfigurationError
from kharvest.wire.address import InvalidAddress, target
from kharvest.wire.channel import check_proxy

MAX_NAMESPACE_BYTES = 63
MAX_POD_BYTES = 253
MAX_UID_BYTES = 64
MAX_METADATA_PAIRS = 64
MAX_METADATA_KEY_BYTES = 317
MAX_METADATA_VALUE_BYTES = 4096

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?|)b?", re.IGNORECASE)

StrPath = str | os.PathLike[str]

Item = TypeVar("Item")


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
        check: is called with the setting's name and what a program gives.
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


def unknown(field: str, name: str, known: Collection[str]) -> ConfigurationError:
    """The error of a setting that does not exist, with the name that may have been meant."""
    import difflib  # noqa: PLC0415  # only where there is something to explain

    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"do you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return ConfigurationError(field, "there is no such setting", remedy)


def check_type(field: str, given: object, wanted: type[Item]) -> Item:
    """Require a value's type."""
    if not isinstance(given, wanted):
        raise _wrong_type(field, given, wanted.__name__)
    return given


def check_text(field: str, given: object, max_bytes: int) -> str:
    """Require valid Unicode without NUL, of at most `max_bytes` bytes of UTF-8."""
    text = check_type(field, given, str)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConfigurationError(field, f"{text!r} is not valid Unicode", "give it in UTF-8") from None
    if size > max_bytes:
        raise ConfigurationError(field, f"{size} bytes ({text[:40]!r}…), at most {max_bytes} are allowed", "shorten it")
    if "\0" in text:
        raise ConfigurationError(field, f"{text!r} holds a NUL", "remove it")
    return text


def one_path(field: str, given: object) -> str:
    """Return a path or pattern as text, given as `str` or `os.PathLike`."""
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str):
        raise _wrong_type(field, given, "str or os.PathLike")
    return path


def absolute(path: StrPath) -> str:
    """The path from the root, without `.` and `..`, its links kept.

    Raises:
        ConfigurationError: it is empty, holds a NUL, or goes up through a symbolic link.
    """
    path = one_path("path", path)
    if not path:
        raise ConfigurationError("path", "it is empty", "give the path of a file")
    if "\0" in path:
        raise ConfigurationError("path", f"{path!r} holds a NUL", "remove it")
    full = "/" + os.path.abspath(path).lstrip("/")  # POSIX keeps two slashes at the beginning
    if ".." in path.split("/") and os.path.realpath(full) != os.path.realpath(path):
        raise ConfigurationError("path", f"{path!r} goes up through a symbolic link", "give the path without `..`")
    return full


def several(field: str, given: object, one: Callable[[str, Any], Item]) -> tuple[Item, ...]:
    """Return the checked items of any collection. A single text is none: its characters would be taken one by one."""
    if isinstance(given, (str, bytes, os.PathLike)):
        raise ConfigurationError(field, f"{given!r} is one, and several belong here", f"give ({given!r},)")
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise _wrong_type(field, given, "a tuple or a list")
    return tuple(one(f"{field}[{index}]", item) for index, item in enumerate(given))


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


def _proxy(name: str, given: Any) -> str:
    proxy = check_type(name, given, str)
    try:
        check_proxy(proxy)
    except ValueError as error:
        raise ConfigurationError(name, str(error), "give http://HOST:PORT") from None
    return proxy


def _pod(name: str, given: Any) -> str:
    if given == "":
        raise ConfigurationError(name, "it is empty", "name the pod that the files belong to")
    return check_text(name, given, MAX_POD_BYTES)


def _metadata(name: str, given: Any) -> Mapping[str, str]:
    if not isinstance(given, Mapping):
        raise _wrong_type(name, given, "Mapping")
    if len(given) > MAX_METADATA_PAIRS:
        problem = f"{len(given)} pairs, at most {MAX_METADATA_PAIRS} are allowed"
        raise ConfigurationError(name, problem, "remove some")
    for key, value in given.items():
        check_text(f"{name} key", key, MAX_METADATA_KEY_BYTES)
        check_text(f"{name} {key!r}", value, MAX_METADATA_VALUE_BYTES)
    return MappingProxyType(dict(given))


def _globs(name: str, given: Any) -> tuple[str, ...]:
    return several(name, given, one_path)


def _files(name: str, given: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(absolute, several(name, given, one_path))))


def _number(*, whole: bool = False, may_be_zero: bool = True) -> Callable[[str, Any], float]:
    """The check of a number, which is not the text of one."""

    def check(name: str, given: Any) -> float:
        if isinstance(given, bool) or not isinstance(given, int if whole else (int, float)):
            raise _wrong_type(name, given, "a whole number" if whole else "a number")
        if not (given >= 0 if may_be_zero else given > 0):
            raise ConfigurationError(
                name, f"{given} is out of range", "give 0 or more" if may_be_zero else "give more than 0"
            )
        return given

    return check


def optional(kind: Kind) -> Kind:
    """The kind of a setting that may be None."""
    return replace(kind, check=lambda name, given: None if given is None else kind.check(name, given))


def _wrong_type(field: str, given: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(field, f"{given!r} is of type {type(given).__name__}", f"give {wanted}")


SERVER = Kind("HOST[:PORT]", _server)
PROXY = optional(Kind("URL", _proxy))
NAMESPACE = Kind("NS", lambda name, given: check_text(name, given, MAX_NAMESPACE_BYTES))
UID = Kind("UID", lambda name, given: check_text(name, given, MAX_UID_BYTES))
POD = Kind("NAME", _pod)
METADATA = Kind("K=V", _metadata, _parse_pair, Shape.PAIRS, ",")
KEYS = Kind("KEY", _globs, shape=Shape.SEVERAL, separator=",")
FILES = Kind("PATH", _files, shape=Shape.SEVERAL, separator=":")
DIRECTORIES = replace(FILES, metavar="DIR")
GLOBS = Kind("GLOB", _globs, shape=Shape.SEVERAL, separator=":")
DIRECTORY = Kind("DIR", lambda name, given: absolute(one_path(name, given)))
SIZE = Kind("SIZE", _number(whole=True), parse_size)
FLAG = Kind("", lambda name, given: check_type(name, given, bool), _parse_flag)
SECONDS = Kind("N", _number(), _parse_seconds)
INTERVAL = replace(SECONDS, check=_number(may_be_zero=False))
