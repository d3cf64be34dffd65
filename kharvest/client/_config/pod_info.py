"""The files about the pod that Kubernetes' downward API writes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kharvest.client._config.checks import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    check_text,
)
from kharvest.client._errors import ConfigurationError

DIRECTORY = "/etc/podinfo"
ALL = "*"
_SHOWN = 40


@dataclass(slots=True)
class PodInfo:
    """Labels or annotations that can be metadata, and why the others cannot: a message for each."""

    pairs: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def read_pairs(file: Path, keys: Collection[str]) -> PodInfo:
    """The pairs of a file of labels or annotations with these keys, or all of them for `*`.

    Each line is KEY="VALUE", the value quoted as Go does it. A file that is not there has none. Others write this
    file, so no line of it is an error: what cannot be metadata is left out.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    found = PodInfo()
    if not keys:
        return found
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return found
    except OSError as error:
        remedy = "mount the downward API's volume so that it can be read"
        raise ConfigurationError(str(file), str(error), remedy) from error
    for number, line in enumerate(lines, 1):
        key, _, quoted = line.partition("=")
        if not line or not (ALL in keys or key in keys):
            continue
        try:
            found.pairs[_key(key)] = _value(quoted)
        except ValueError as error:
            found.left_out.append(f"{file}:{number}: {key[:_SHOWN]!r} is left out: {error}")
    return found


def fill(metadata: Mapping[str, str], pairs: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Add pairs to metadata, in the order of their keys, as long as there is room; and the keys that found none.

    What is in the metadata already stays as it is.
    """
    filled = dict(metadata)
    without_room = []
    for key in sorted(pairs):
        if key in filled or len(filled) < MAX_METADATA_PAIRS:
            filled.setdefault(key, pairs[key])
        else:
            without_room.append(key)
    return filled, without_room


def _key(text: str) -> str:
    check_text("its key", text, MAX_METADATA_KEY_BYTES)
    return text


def _value(quoted: str) -> str:
    try:
        value = ast.literal_eval(quoted)  # Go's escapes are among Python's
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError('it is not KEY="VALUE"')  # noqa: TRY004  # the text is wrong, not the caller
    check_text("its value", value, MAX_METADATA_VALUE_BYTES)
    return value
