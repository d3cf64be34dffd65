"""Places beside those that URLs name: for tests, which run side by side there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from kharvest.registry._errors import BackendBroken
from kharvest.registry._plugins import load
from kharvest.registry._secrets import Secrets
from kharvest.spi import KharvestError, scheme_of

Beside = Callable[[str], AbstractContextManager[tuple[str, str | None]]]
"""Given a label, makes new, empty places beside a store's, of one URL or two, and removes them at the end."""


def places_beside(url: str, contents_url: str | None = None) -> Beside | None:
    """What makes places beside those that the URLs name, see `Backend.beside`; None if a backend has none.

    No error shows what is secret in the URLs.

    Raises:
        KharvestError: there is no backend for a URL.
    """
    makers = [load(scheme_of(one)).backend.beside for one in (url, contents_url) if one is not None]
    if None in makers:
        return None

    @contextmanager
    def beside(label: str) -> Iterator[tuple[str, str | None]]:
        secrets = Secrets(url, contents_url)
        with ExitStack() as places:
            try:
                found = _entered(url, f"{label}r", places)
                contents = None if contents_url is None else _entered(contents_url, f"{label}c", places)
            except BaseException as error:
                secrets.mask_error(error)
                raise
            yield found, contents

    return beside


def _entered(url: str, label: str, places: ExitStack) -> str:
    plugin = load(scheme_of(url))
    if plugin.backend.beside is None:
        raise BackendBroken(scheme_of(url), plugin.distribution, "it has lost its places beside others")
    try:
        return places.enter_context(plugin.backend.beside(url, label))
    except KharvestError:
        raise
    except Exception as error:  # a bug in somebody else's backend
        raise BackendBroken(scheme_of(url), plugin.distribution, f"{type(error).__name__}: {error}") from error
