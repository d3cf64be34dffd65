"""What a store's URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from kharvest.spi import InvalidStoreURL, StoreUnavailable, mask_url, scheme_of
from kharvest_fsspec.bucket import Bucket
from kharvest_fsspec.local import LocalBucket

_USER = re.compile(r"(?P<name>[^:/@]*):(?P<secret>.*)@", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, taken apart.

    Attributes:
        masked: the URL as it may be shown.
        protocol: fsspec's name of the file system: `file`, `s3`, `gs`, `az`, or what is behind `fsspec+`.
        root: what is behind `://`, without user and options.
        user: the name and the secret before an `@`.
        options: those behind `?`.
    """

    masked: str
    protocol: str
    root: str
    user: tuple[str, str] | None
    options: dict[str, str]


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
    return Address(masked, protocol, root, user, dict(parse_qsl(query, keep_blank_values=True)))


def bucket_at(url: str) -> Bucket:
    """The place that a URL names.

    Raises:
        InvalidStoreURL: it cannot be understood, or its file system is not installed.
        StoreUnavailable: it cannot be reached.
    """
    address = parse(url)
    if address.protocol in {"file", "local"}:
        return _directory(address)
    raise InvalidStoreURL(address.masked, "?", "?")


def _directory(address: Address) -> LocalBucket:
    if address.options:
        name = next(iter(address.options))
        raise InvalidStoreURL(address.masked, f"a directory has no option {name}", "leave it out")
    root = Path(unquote(address.root.removeprefix("localhost")))
    if not root.is_absolute():
        raise InvalidStoreURL(address.masked, "it names no directory from the root on", "write file:///directory")
    if root.exists() and not root.is_dir():
        raise InvalidStoreURL(address.masked, f"{root} is no directory", "name a directory")
    if not root.parent.is_dir():
        raise InvalidStoreURL(address.masked, f"there is no directory {root.parent}", "create it")
    try:
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{root}: {error.strerror}", "give this user the right to make it") from error
    bucket = LocalBucket(root)
    bucket.remove_leftovers()
    return bucket
