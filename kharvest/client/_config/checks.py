"""Checks of values that a program, a file or the environment gives: their types, and the limits of the contract.

The limits are those of `kharvest.spi._values`. They are repeated because loading that module costs a sidecar memory; a
test compares the two. The server checks what is announced of files, and refuses file by file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from kharvest.client._errors import ConfigurationError

MAX_NAMESPACE_BYTES = 63
MAX_POD_BYTES = 253
MAX_UID_BYTES = 64
MAX_METADATA_PAIRS = 64
MAX_METADATA_KEY_BYTES = 317
MAX_METADATA_VALUE_BYTES = 4096

StrPath = str | os.PathLike[str]

Item = TypeVar("Item")


def check_type(field: str, given: object, wanted: type[Item]) -> Item:
    """Require a value's type; returns the value.

    Raises:
        ConfigurationError: the value has another type.
    """
    if not isinstance(given, wanted):
        raise _wrong_type(field, given, wanted.__name__)
    return given


def check_number(field: str, given: object, *, whole: bool = False) -> float:
    """Require a number, not the text of one; returns it.

    Raises:
        ConfigurationError: it has another type.
    """
    if isinstance(given, bool) or not isinstance(given, int if whole else (int, float)):
        raise _wrong_type(field, given, "a whole number" if whole else "a number")
    return given


def check_text(field: str, given: object, max_bytes: int) -> str:
    """Require valid Unicode without NUL, of at most `max_bytes` bytes of UTF-8; returns it.

    Raises:
        ConfigurationError: the text breaks one of these rules.
    """
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


def check_metadata(field: str, given: object) -> Mapping[str, str]:
    """Require metadata that a server accepts; returns it.

    Raises:
        ConfigurationError: a server would refuse it.
    """
    if not isinstance(given, Mapping):
        raise _wrong_type(field, given, "Mapping")
    metadata: Mapping[str, str] = given
    if len(metadata) > MAX_METADATA_PAIRS:
        problem = f"{len(metadata)} pairs, at most {MAX_METADATA_PAIRS} are allowed"
        raise ConfigurationError(field, problem, "remove some")
    for key, value in metadata.items():
        check_text(f"{field} key", key, MAX_METADATA_KEY_BYTES)
        check_text(f"{field} {key!r}", value, MAX_METADATA_VALUE_BYTES)
    return metadata


def one_path(field: str, given: object) -> str:
    """Return a path or pattern as text, given as `str` or `os.PathLike`.

    Raises:
        ConfigurationError: it has another type.
    """
    path = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(path, str):
        raise _wrong_type(field, given, "str or os.PathLike")
    return path


def several_paths(field: str, given: object) -> tuple[str, ...]:
    """Return paths or patterns as text, given as any collection.

    Raises:
        ConfigurationError: it is a single one, whose characters would be taken one by one, or has another type.
    """
    if isinstance(given, (str, bytes, os.PathLike)):
        raise ConfigurationError(field, f"{given!r} is one, and several belong here", f"give ({given!r},)")
    return tuple(one_path(f"{field}[{index}]", item) for index, item in enumerate(_items(field, given)))


def several(field: str, given: object, wanted: type[Item]) -> tuple[Item, ...]:
    """Return values of a type, given as any collection.

    Raises:
        ConfigurationError: it is not a collection, or one of its items has another type.
    """
    return tuple(check_type(f"{field}[{index}]", item, wanted) for index, item in enumerate(_items(field, given)))


def unknown(field: str, name: str, known: Collection[str]) -> ConfigurationError:
    """The error of a setting that does not exist, with the name that may have been meant."""
    import difflib  # noqa: PLC0415  # only where there is something to explain

    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"do you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return ConfigurationError(field, "there is no such setting", remedy)


def _items(field: str, given: object) -> Iterable[object]:
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise _wrong_type(field, given, "a tuple or a list")
    return given


def _wrong_type(field: str, given: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(field, f"{given!r} is of type {type(given).__name__}", f"give {wanted}")
