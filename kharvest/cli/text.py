"""Text that names from elsewhere are part of: nothing in it reaches a terminal as a control character.

A path, a pod's name or metadata may hold anything but NUL: escape sequences of terminals, line breaks, marks that turn
the direction of writing. `escape` writes a value so that it can be told what it was: as Python's string literals and
bash's `$'…'` read it.
"""

from __future__ import annotations

import re

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\"}
_LONG = {short: character for character, short in _SHORT.items()}
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)


class Escaped(str):
    """Text that is escaped already: `escape` leaves it as it is."""

    __slots__ = ()


def escape(value: str) -> Escaped:
    r"""The value with backslashes doubled and what is not printable written as `\n`, `\x1b`, `\u202e` and the like.

    Reversible: two values are never written the same. What is printable is what `str.isprintable` says: no control
    characters, no format characters (which turn the direction of writing), no separators but the space, no surrogates.
    """
    if isinstance(value, Escaped):
        return value
    if value.isprintable() and "\\" not in value:
        return Escaped(value)
    return Escaped("".join(c if c.isprintable() and c != "\\" else _SHORT.get(c) or _code(c) for c in value))


def unescape(text: str) -> str:
    """The value that `escape` wrote. A backslash before anything else makes that literal."""
    return _ESCAPED.sub(_character, text)


def one_line(message: str) -> str:
    """A message on one line: what is not printable is escaped. Backslashes stay: values in it are escaped already."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else _SHORT.get(c) or _code(c) for c in message)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x80:  # noqa: PLR2004  # bash takes \x80 and above as a byte, not as a character
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004


def _character(match: re.Match[str]) -> str:
    digits = match[1] or match[2] or match[3]
    return chr(int(digits, 16)) if digits else _LONG.get(match[0], match[4])
