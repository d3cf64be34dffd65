"""Metadata pairs as text: `KEY=VALUE,KEY=VALUE`, as kubectl takes labels. What is printed can be given back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kharvest.cli.text import Escaped, escape, unescape

_PAIR = re.compile(r"\s*(?P<key>(?:\\.|[^\\,=])+?)\s*==?\s*(?P<value>(?:\\.|[^\\,])*?)\s*(?P<end>,|\Z)", re.DOTALL)
# What would be read as something else, in text that is escaped already.
_IN_KEY = re.compile(r"[,=]|^[ !]|[ !]\Z")
_IN_VALUE = re.compile(r",|^[ =]| \Z")


def parse_pairs(text: str) -> dict[str, str]:
    """The pairs of a selector, all of which must match; `==` is `=`, and spaces around keys and values are ignored.

    Keys and values are read as `kharvest.cli.text.escape` writes them, and a backslash makes a comma part of them.

    Raises:
        ValueError: it has something else than pairs, or one key with two values.
    """
    pairs: dict[str, str] = {}
    position, end = 0, ","
    while end == ",":
        match = _PAIR.match(text, position)
        if match is None:
            raise ValueError(f"{text[position:]!r} is not KEY=VALUE; write a comma within a value as \\,")
        if match["key"].endswith("!") and not match["key"].endswith("\\!"):
            raise ValueError(f"{match[0]!r}: != is not supported; give KEY=VALUE, or filter what -o json prints")
        key, value = unescape(match["key"]), unescape(match["value"])
        if pairs.setdefault(key, value) != value:
            raise ValueError(f"{key!r} is given twice, and has one value; give one of them")
        position, end = match.end(), match["end"]
    return pairs


def format_pairs(pairs: Mapping[str, str]) -> Escaped:
    """The pairs as `parse_pairs` reads them, by key."""
    return Escaped(
        ",".join(
            f"{_IN_KEY.sub(_backslashed, escape(key))}={_IN_VALUE.sub(_backslashed, escape(value))}"
            for key, value in sorted(pairs.items())
        )
    )


def _backslashed(match: re.Match[str]) -> str:
    return f"\\{match[0]}"
