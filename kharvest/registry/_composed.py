"""One store made of two: references in one system, contents in another."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from kharvest.spi import (
    Capability,
    Content,
    ContentStore,
    FileSummary,
    Page,
    Query,
    Reference,
    ReferenceStore,
    Signature,
    Timeline,
    UnknownContent,
)


class ComposedStore:
    """A store of two halves. It has the capabilities that both have, and owns both: closing it closes them."""

    def __init__(self, references: ReferenceStore, contents: ContentStore) -> None:
        self._references = references
        self._contents = contents
        self.capabilities: frozenset[Capability] = references.capabilities & contents.capabilities

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        return self._contents.put(content, chunks)  # as it is, for the conformance suite to see

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return self._contents.read(sha256, offset)

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return self._contents.present(sha256s)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return self._contents.contents(after)

    def discard(self, sha256s: Collection[bytes]) -> None:
        return self._contents.discard(sha256s)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        """As the contract says. The reference half cannot see contents, so their presence is checked here."""
        self._check_present(files)
        self._references.record(files, references)

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        """As the contract says. The presence of contents is checked here, as for `record`."""
        self._check_present(files)
        return self._references.append(files, references)

    def _check_present(self, files: Mapping[Signature, Content]) -> None:
        wanted = {content.sha256 for content in files.values()}
        absent = wanted - self._contents.present(wanted).keys() if wanted else wanted
        if absent:
            raise UnknownContent(sha256s=frozenset(absent))

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        return self._references.known(signatures)

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return self._references.newest(timelines)

    def references(self, query: Query) -> Page[Reference]:
        return self._references.references(query)

    def files(self, query: Query) -> Page[FileSummary]:
        return self._references.files(query)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return self._references.claim(keys, holder, now_ns, until_ns)

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self._references.release(keys, holder)

    def now_ns(self) -> int:
        return self._references.now_ns()

    def forget(self, query: Query) -> int:
        return self._references.forget(query)

    def close(self) -> None:
        try:
            self._references.close()
        finally:
            self._contents.close()
