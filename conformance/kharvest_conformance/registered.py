"""Stores that are registered with the core: a URL is enough. The one module of the suite that knows the registry."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kharvest.registry import open_store, places_beside
from kharvest.spi import ENTRY_POINT_GROUP, KharvestError, Store, mask_url, scheme_of
from kharvest_conformance._emptying import empty, is_empty
from kharvest_conformance._room import size_at
from kharvest_conformance.harness import Harness

_FROM_ENVIRONMENT = "env:"


class StoreNotEmpty(KharvestError):
    """The store holds data, which the suite would destroy.

    Attributes:
        store: the masked URL.
    """

    def __init__(self, store: str) -> None:
        super().__init__(
            f"{store} is not empty, and the suite destroys what a store holds; name an empty store, "
            "or have this one emptied with --destroy-data (--kharvest-destroy-data in pytest)"
        )
        self.store = store


def registered(url: str, contents_url: str | None = None) -> RegisteredHarness:
    """The harness for a URL, or two.

    `env:NAME` stands for the value of an environment variable: unlike arguments, `ps` does not show it.

    Raises:
        KharvestError: such a variable is not set, or a URL has no scheme.
    """
    harness = RegisteredHarness(_resolved(url), _resolved(contents_url) if contents_url else None)
    for one in filter(None, (harness.url, harness.contents_url)):
        scheme_of(one)
    return harness


def _resolved(argument: str) -> str:
    if not argument.startswith(_FROM_ENVIRONMENT):
        return argument
    name = argument.removeprefix(_FROM_ENVIRONMENT)
    if name not in os.environ:
        raise KharvestError(f"the environment variable {name} is not set; set it to the URL of the store")
    return os.environ[name]


def size_on_disk(url: str) -> int | None:
    """How many bytes the store of a URL takes, whose path is a file's or a directory's here; None if it is not."""
    parts = urlsplit(url)
    if parts.netloc or not parts.path:
        return None
    absolute = Path(unquote(parts.path))
    sizes = [size_at(path) for path in (absolute, Path(unquote(parts.path).removeprefix("/")))]
    return next((size for size in sizes if size is not None), None)


@dataclass(repr=False)
class RegisteredHarness(Harness):
    """A store by its URL, or by two: references in one, contents in another.

    There is one place, and each test starts on it when it is empty: destroying it means to forget and discard all
    that the store shows.

    Attributes:
        at: where the store is instead, for tests that run beside others; reports show the first two.
    """

    url: str
    contents_url: str | None = None
    at: tuple[str, str | None] | None = None
    _seen_empty: bool = field(default=False, init=False)

    def __repr__(self) -> str:  # no password
        return f"{type(self).__name__}({self.name!r})"

    @property
    def reuses_place(self) -> bool:
        return True

    @property
    def _urls(self) -> tuple[str, str | None]:
        return self.at or (self.url, self.contents_url)

    @property
    def name(self) -> str:
        contents = f" with contents in {mask_url(self.contents_url)}" if self.contents_url else ""
        return mask_url(self.url) + contents

    @property
    def version(self) -> str:
        schemes = [scheme_of(url) for url in (self.url, self.contents_url) if url]
        found = [entry.dist for scheme in schemes for entry in entry_points(group=ENTRY_POINT_GROUP, name=scheme)]
        return ", ".join(f"{dist.name} {dist.version}" for dist in found if dist is not None)

    def create(self) -> str:
        """Check that the place is empty, the first time; later, `destroy` has seen to it.

        Raises:
            StoreNotEmpty: it is not.
        """
        if not self._seen_empty:
            with contextlib.closing(open_store(*self._urls)) as store:
                if not is_empty(store):
                    raise StoreNotEmpty(self.name)
            self._seen_empty = True
        return self.name

    def open(self, address: str) -> Store:  # noqa: ARG002  # there is one
        return open_store(*self._urls)

    def destroy(self, address: str) -> None:  # noqa: ARG002
        """Forget every reference and discard every content.

        Raises:
            StoreNotEmpty: there is something left.
        """
        with contextlib.closing(open_store(*self._urls)) as store:
            if not empty(store, {}):
                raise StoreNotEmpty(self.name)

    def size(self, address: str) -> int | None:  # noqa: ARG002
        sizes = [size_on_disk(url) for url in self._urls if url]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def opening(self, address: str) -> str:  # noqa: ARG002
        contents = f", {mask_url(self.contents_url)!r}" if self.contents_url else ""
        return f"from kharvest.registry import open_store\nstore = open_store({mask_url(self.url)!r}{contents})"

    def has_places_beside(self) -> bool:
        """Whether `beside` can be asked for one.

        Raises:
            KharvestError: there is no backend for a URL.
        """
        return places_beside(self.url, self.contents_url) is not None

    @contextlib.contextmanager
    def beside(self, label: str) -> Iterator[RegisteredHarness]:
        """The same store at a new place, which is removed at the end. Reports call it as they call this one.

        Raises:
            KharvestError: no such place can be made.
        """
        make = places_beside(self.url, self.contents_url)
        if make is None:
            raise KharvestError(f"{self.name} has no places beside it; run one test at a time")
        with make(label) as urls:
            yield replace(self, at=urls)

    def as_named(self, text: str) -> str:
        """A text of a report, with the place that the user has named for the one beside it."""
        for named, at in zip((self.url, self.contents_url), self.at or (), strict=False):
            if named and at:
                for one in (mask_url, _path_of, _name_of):
                    if one(at):
                        text = text.replace(one(at), one(named))
        return text


def _path_of(url: str) -> str:
    return unquote(urlsplit(url).path)


def _name_of(url: str) -> str:
    """What a path ends with: a text that is too long is shown in part, often without what is before."""
    return _path_of(url).rpartition("/")[2]
