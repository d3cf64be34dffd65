"""What a store's URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from kharvest.spi import InvalidStoreURL, mask_url, scheme_of, secrets_of

_USER = re.compile(r"(?P<name>[^:/@]*):(?P<secret>.*)@", re.DOTALL)


class Secrets:
    """What a URL must not show, hidden wherever it stands in a text."""

    def __init__(self, url: str = "") -> None:
        whole = secrets_of(url)
        self._secrets = sorted({*whole, *map(quote_plus, whole), *map(quote, whole)}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text with `***` in their place, however they are quoted in it."""
        for secret in self._secrets:  # a longer one may have a shorter one in it
            text = text.replace(secret, "***")
        return text


NO_SECRETS = Secrets()


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, taken apart.

    Attributes:
        masked: the URL as it may be shown.
        protocol: fsspec's name of the file system: `file`, `s3`, `gs`, `az`, or what is behind `fsspec+`.
        root: what is behind `://`, without user and options.
        user: the name and the secret before an `@`.
        options: those behind `?`.
        secrets: what of all this must not be shown.
    """

    masked: str
    protocol: str
    root: str
    user: tuple[str, str] | None
    options: dict[str, str]
    secrets: Secrets


def parse(url: str) -> Address:
    """Take a URL apart.

    Raises:
        InvalidStoreURL: it cannot be understood.
    """
    masked = mask_url(url)
    scheme = scheme_of(url)
    protocol = scheme.removeprefix("fsspec+")
    place, _, query = url[len(scheme) :].removeprefix(":").partition("?")
    if scheme == "fsspec":
        raise InvalidStoreURL(masked, "it names no file system", "write fsspec+PROTOCOL://…")
    if not place.startswith("//"):
        raise InvalidStoreURL(masked, f"{scheme}: is not followed by //", "see kharvest-fsspec's README for URLs")
    root = place[2:]
    user = None
    if found := _USER.match(root):
        user = unquote(found["name"]), unquote(found["secret"])
        root = root[found.end() :]
    return Address(masked, protocol, root, user, dict(parse_qsl(query, keep_blank_values=True)), Secrets(url))
