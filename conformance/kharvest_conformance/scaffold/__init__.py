"""Makes the package of a new store: a store in memory that lacks one method, with all that belongs around it.

The files of a store whose author writes every method are in `native/`. One on an engine for `kharvest.records` has the
files in `engine/` in the place of those. Each has the ending `.template`, so that nobody takes it for a part of this
package. In their names and texts stand `@NAME@`, `@DISTRIBUTION@`, `@MODULE@`, `@CLASS@` and `@SPAN@`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from kharvest.spi import ENTRY_POINT_GROUP, InvalidValue, KharvestError
from kharvest_conformance import __version__

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_MAX_NAME_LENGTH = 30
_TAKEN = frozenset({"conformance", "env", "zoo"})
"""What kharvest uses itself: a distribution, and `env:NAME`, which stands for a URL from the environment."""
_ENDING = ".template"


def new_store(
    name: str, directory: Path | None = None, *, on_engine: bool = False, served: frozenset[str] = frozenset()
) -> Path:
    """Make the package `kharvest-NAME`, whose store has URLs that begin with `NAME:`; returns its directory.

    Args:
        name: lower-case letters and digits, with single hyphens between them.
        directory: where to make it; it may be there if it is empty. `kharvest-NAME` here, if not given.
        on_engine: whether references are kept by `kharvest.records`, on an engine that the author writes.
        served: schemes that stores of kharvest's own serve, whether they are installed or not.

    Raises:
        InvalidValue: there cannot be such a package, or the directory is not empty.
        KharvestError: the files cannot be written.
    """
    _check(name, served)
    folder = directory or Path(f"kharvest-{name}")
    major, minor = __version__.split(".")[:2]
    words = {
        "@NAME@": name,
        "@DISTRIBUTION@": f"kharvest-{name}",
        "@MODULE@": f"kharvest_{name.replace('-', '_')}",
        "@CLASS@": "".join(part.capitalize() for part in name.split("-")),
        "@SPAN@": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InvalidValue(str(folder), "it is there already", "name another one with --directory, or remove it")
        templates = dict(_templates(files(__package__) / "native", PurePosixPath()))
        if on_engine:
            templates |= _templates(files(__package__) / "engine", PurePosixPath())
        for path, text in templates.items():
            file = folder / _filled(str(path), words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_filled(text, words), encoding="utf-8")
    except OSError as error:
        raise KharvestError(
            f"{folder} cannot be written ({error.strerror}); name another place with --directory"
        ) from error
    return folder


def _check(name: str, served: frozenset[str]) -> None:
    if name.startswith("kharvest-"):
        raise InvalidValue(
            name, "the package gets kharvest- before its name", f"write {name.removeprefix('kharvest-')}"
        )
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME_LENGTH:
        raise InvalidValue(
            name or "NAME",
            "it is to be the scheme of a URL and a part of a package's name",
            f"give lower-case letters and digits, a letter first, with hyphens between; at most {_MAX_NAME_LENGTH}",
        )
    if name in served | _TAKEN:
        raise InvalidValue(name, "kharvest has it itself", "choose another name")
    owners = {entry.dist.name for entry in entry_points(group=ENTRY_POINT_GROUP, name=name) if entry.dist is not None}
    if owners:
        raise InvalidValue(name, f"{', '.join(sorted(owners))} serves that scheme", "choose another, or uninstall it")
    try:
        distribution(f"kharvest-{name}")
    except PackageNotFoundError:
        return
    raise InvalidValue(name, f"a package kharvest-{name} is installed already", "choose another, or uninstall it")


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    """The templates below a folder: where each goes, and its text."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        elif entry.name.endswith(_ENDING):
            yield path / entry.name.removesuffix(_ENDING), entry.read_text(encoding="utf-8")


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
