"""The references half of a store, on an engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from kharvest.records import _claims as claims
from kharvest.records import _keys as keys
from kharvest.records import _querying as querying
from kharvest.records import _rows as rows
from kharvest.records import _summaries as summaries
from kharvest.records._commits import Commits
from kharvest.records._engine import Engine
from kharvest.records._forgetting import Forgetting
from kharvest.records._metadata import MetadataSets
from kharvest.records._recording import Batch
from kharvest.records._signatures import key_of
from kharvest.spi import (
    Capability,
    Content,
    FileSummary,
    IncompatibleSchema,
    Page,
    Query,
    Reference,
    Signature,
    StoreCorrupt,
    Timeline,
)
from kharvest.spi.recording import require_present

FORMAT_VERSION = 2
"""Counts changes of the keys and rows. Rows of another version are refused."""

Present: TypeAlias = Callable[[Collection[bytes]], dict[bytes, Content]]
"""`ContentStore.present`."""


class RecordStore:
    """A `ReferenceStore` on an engine, which it closes.

    With `present`, of the contents half of the same store, it refuses files whose content is not there. Without, it
    stands alone. Its attributes begin with two underscores: the other half may have any name for its own, in one class
    with this one.

    Raises:
        IncompatibleSchema: the rows in the engine are of another version.
    """

    def __init__(self, engine: Engine, present: Present | None = None) -> None:
        self.__engine = engine
        self.__present = present
        self.__commits = Commits(engine)
        self.__sets = MetadataSets()
        self._check_format()

    def _check_format(self) -> None:
        ours = b"%d" % FORMAT_VERSION
        self.__engine.commit({keys.FORMAT: None}, {keys.FORMAT: ours}, ())
        with self.__engine.view() as view:
            found = view.get([keys.FORMAT])[keys.FORMAT]
        if found != ours:
            if not found.isdigit():
                raise StoreCorrupt(f"the row of the format says {found!r}, which is no version")
            raise IncompatibleSchema(int(found), FORMAT_VERSION)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `Opened.capabilities`."""
        return self.__engine.capabilities

    def close(self) -> None:
        """See `Opened.close`."""
        self.__engine.close()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """See `ReferenceStore.record`."""
        require_present(files, self.__present)
        self.__commits.make(Batch(files, references).record)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        """See `ReferenceStore.append`."""
        require_present(files, self.__present)
        return self.__commits.make(Batch(files, references).append)

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        """See `ReferenceStore.known`."""
        wanted = {one: key_of(one) for one in signatures if not one.is_removal}
        with self.__engine.view() as view:
            found = view.get(wanted.values())
        contents = {one: rows.to_content(found[key]) for one, key in wanted.items() if key in found}
        return {one: content for one, content in contents.items() if content is not None}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        """See `ReferenceStore.newest`."""
        with self.__engine.view() as view:
            return querying.newest(view, list(timelines), self.__sets)

    def references(self, query: Query) -> Page[Reference]:
        """See `ReferenceStore.references`."""
        with self.__engine.view() as view:
            return querying.page(view, query, self.__sets)

    def files(self, query: Query) -> Page[FileSummary]:
        """See `ReferenceStore.files`."""
        with self.__engine.view() as view:
            return summaries.page(view, query, self.__sets)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        """See `ReferenceStore.claim`."""
        return self.__commits.make(lambda view: claims.claim(view, keys, holder, now_ns, until_ns))

    def release(self, keys: Collection[bytes], holder: str) -> None:
        """See `ReferenceStore.release`."""
        self.__commits.make(lambda view: claims.release(view, keys, holder))

    def now_ns(self) -> int:
        """See `ReferenceStore.now_ns`."""
        return self.__engine.now_ns()

    def forget(self, query: Query) -> int:
        """See `ReferenceStore.forget`."""
        return self.__commits.make(Forgetting(query, self.__sets).plan)
