"""The files about the pod that Kubernetes' downward API writes."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from pathlib import Path

from kharvest.client._config.kinds import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    check_text,
)
from kharvest.client._errors import ConfigurationError

DIRECTORY = "/etc/podinfo"
ALL = "*"
_SHOWN = 40


def read_pairs(file: Path, keys: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """The pairs of a file of labels or annotations with these keys, or all of them for `*`.

    Each line is KEY="VALUE", the value quoted as Go does it. A file that is not there has none. Others write this
    file, so no line of it is an error: what cannot be metadata is left out, and there is a message for each.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    pairs: dict[str, str] = {}
    left_out: list[str] = []
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n") if keys else []
    except (FileNotFoundError, NotADirectoryError):
        lines = []
    except OSError as error:
        remedy = "mount the downward API's volume so that it can be read"
        raise ConfigurationError(str(file), str(error), remedy) from error
    for number, line in enumerate(lines, 1):
        key, _, quoted = line.partition("=")
        if line and (ALL in keys or key in keys):
            try:
                check_text("its key", key, MAX_METADATA_KEY_BYTES)
                pairs[key] = _value(quoted)
            except ValueError as error:
                left_out.append(f"{file}:{number}: {key[:_SHOWN]!r} is left out: {error}")
    return pairs, left_out


def add_pairs(metadata: dict[str, str], pairs: Mapping[str, str], source: object) -> list[str]:
    """Add pairs that are not in the metadata yet, in the order of their keys, as long as there is room.

    Returns:
        A message if there was too little.
    """
    new = sorted(pairs.keys() - metadata.keys())
    room = max(0, MAX_METADATA_PAIRS - len(metadata))
    metadata.update((key, pairs[key]) for key in new[:room])
    if not new[room:]:
        return []
    return [f"{source}: there is room for {MAX_METADATA_PAIRS} pairs; left out: {', '.join(new[room:])}"]


def _value(quoted: str) -> str:
    try:
        value = ast.literal_eval(quoted)  # Go's escapes are among Python's
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise ValueError('it is not KEY="VALUE"')  # noqa: TRY004  # the text is wrong, not the caller
    check_text("its value", value, MAX_METADATA_VALUE_BYTES)
    return value
