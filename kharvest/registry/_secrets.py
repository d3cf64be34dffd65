r"""Keeps what is secret in store URLs out of texts: those of our errors, of drivers, and of logs.

A secret is replaced wherever it stands, in the spellings of URLs, of JSON and of Python. Two kinds would tear texts
apart, and give themselves away by that:

- A plain word or number, and any of fewer than 8 letters and digits, is replaced only as a word of its own: the
  password `post` leaves `postgresql` whole.
- One of fewer than 4 characters is replaced only where a URL, an option or quotes show it: `:abc@`, `=abc`, `'abc'`.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from kharvest.spi import KharvestError, secrets_of

_MASK = "***"
_SHORT = 4
_WORD = 8
# The escapes of URLs, JSON and Python end in letters and digits, and are no part of the word behind them.
_WORD_BEGINS = r"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[abfnrtv])|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4}))"
_WORD_ENDS = r"(?![^\W_])"


class Masked(Exception):
    """Stands in a chain of errors for one of another program whose text held a secret."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Secrets:
    """What is secret in some URLs."""

    def __init__(self, *urls: str | None) -> None:
        secrets = {spelling for url in urls if url for secret in secrets_of(url) for spelling in _spellings(secret)}
        longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
        self._pattern = re.compile("|".join(map(_occurrence, longest_first))) if secrets else None

    def mask(self, text: str) -> str:
        """The text with `***` for each secret."""
        return self._pattern.sub(_MASK, text) if self._pattern else text

    def mask_error(self, error: BaseException) -> None:
        """Replace the secrets in an error of ours, and in what it is chained to.

        In errors of ours the message and the attributes are changed. One of another program that shows a secret is
        replaced by a `Masked` with its traceback: what its text is made of, only its class knows.
        """
        if self._pattern is None:
            return
        shown: dict[int, tuple[BaseException, BaseException]] = {}  # by identity; holds what it identifies
        pending = [error]
        while pending:
            one = pending.pop()
            if isinstance(one, KharvestError):
                self._mask_own(one)
            is_suppressed = one.__suppress_context__
            for link in ("__cause__", "__context__"):
                chained = getattr(one, link)
                if chained is None:
                    continue
                if id(chained) not in shown:
                    shown[id(chained)] = chained, self._stand_in(chained)
                    pending.append(shown[id(chained)][1])
                setattr(one, link, shown[id(chained)][1])
            one.__suppress_context__ = is_suppressed

    def _mask_own(self, error: KharvestError) -> None:
        error.args = tuple(self.mask(value) if isinstance(value, str) else value for value in error.args)
        for name, value in vars(error).items():
            if isinstance(value, str):
                setattr(error, name, self.mask(value))

    def _stand_in(self, error: BaseException) -> BaseException:
        if isinstance(error, KharvestError) or all(self.mask(text) == text for text in _texts(error)):
            return error
        masked = Masked(type(error).__qualname__, self.mask(str(error)))
        masked.__traceback__ = error.__traceback__
        masked.__cause__, masked.__context__ = error.__cause__, error.__context__
        masked.__suppress_context__ = error.__suppress_context__
        return masked


def _texts(error: BaseException) -> Iterator[str]:
    """What may be shown of an error, without what it is chained to."""
    yield from traceback.format_exception_only(error)
    yield repr(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _texts(one)


def _spellings(secret: str) -> Iterator[str]:
    """How a secret may be written in a URL, in a URL's host, in Python and in JSON."""
    for spelled in (secret, secret.lower(), quote(secret), quote(secret, safe=""), quote_plus(secret)):
        quoted = repr(spelled)[1:-1]
        yield from (spelled, quoted, json.dumps(spelled)[1:-1], json.dumps(quoted)[1:-1])


def _occurrence(secret: str) -> str:
    """The expression for where a secret is to be replaced."""
    escaped = re.escape(secret)
    if len(secret) < _SHORT:
        return rf"(?<=[:=\"']){escaped}(?=[@&\"'\s]|$)"
    if secret.isalnum() and (secret.isalpha() or secret.isdigit() or len(secret) < _WORD):
        return f"{_WORD_BEGINS}{escaped}{_WORD_ENDS}"
    return escaped
