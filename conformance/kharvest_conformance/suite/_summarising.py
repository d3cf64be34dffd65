"""`files`: what the matching references say of each file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kharvest.spi import FileSummary, Metadata, Order, Pod, Query, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance._strategies import NASTY, VERSIONS
from kharvest_conformance._walks import walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

A, A2, B = File("/a", Sample(10, 1)), File("/a", Sample(10, 2)), File("/b", Sample(0))
TAG = Metadata({"app": "web"})
TWIN = Pod("elsewhere", WEB.name)
SCENE = (
    A.seen(10, WEB, TAG),
    A.seen(40, WEB),
    A.seen(30, OTHER, TAG),
    A.seen(20, TWIN),
    A2.seen(50, WEB, TAG),
    B.seen(60, OTHER),
    removed("/b", 70, OTHER),
    removed("/never", 5, WEB),
)


class SummarisingTests(Base):
    """Of `ReferenceStore.files`."""

    @pytest.fixture
    def changes(self, store: Store) -> Store:
        """A store in which pods had files, changed and removed them."""
        harvest(store, [A, A2, B], SCENE)
        return store

    @clause(
        "values.FileSummary", "A file, how many pods have a matching reference to it, and when it was first and last"
    )
    def test_a_summary_counts_pods_and_has_the_first_and_last_time(self, changes: Store) -> None:
        found = {one.signature: one for one in walk_files(changes, Query())}
        assert found == {
            A.signature: FileSummary(A.signature, A.content, 3, 10, 40),
            A2.signature: FileSummary(A2.signature, A2.content, 1, 50, 50),
            B.signature: FileSummary(B.signature, B.content, 1, 60, 60),
        }

    @clause("ReferenceStore.files", "Removals have no summary.")
    def test_removals_have_no_summary(self, changes: Store) -> None:
        assert walk_files(changes, Query(path="/never")) == []
        assert walk_files(changes, Query(md5=bytes(16))) == []
        assert walk_files(changes, Query(path="/b", latest=True)) == []

    @clause("values.FileSummary", "observed in those.")
    def test_a_summary_is_of_the_matching_references_only(self, changes: Store) -> None:
        everything = listing(changes)
        contents = {file.signature: file.content for file in (A, A2, B)}
        for query in (
            Query(metadata=TAG),
            Query(pod=WEB.name),
            Query(namespace="shop"),
            Query(since_ns=20),
            Query(until_ns=40),
            Query(since_ns=30, until_ns=60),
            Query(latest=True),
            Query(latest=True, until_ns=50),
            Query(latest=True, metadata=TAG),
            Query(path="/a", md5=A2.content.md5),
            Query(path_prefix="/b"),
        ):
            expected = summaries(matching(everything, query), contents)
            assert walk_files(changes, query) == expected, query

    @thorough
    @clause("ReferenceStore.files", "ascending by code point")
    def test_files_come_in_the_order_of_path_and_md5(self, store: Store) -> None:
        files = [File(f"/{text}", Sample(10, number % VERSIONS)) for number, text in enumerate(NASTY)]
        files += [File("/versions", Sample(10, number)) for number in range(8)]
        harvest(store, files, [file.seen() for file in files])
        found = [(one.signature.path, one.signature.md5) for one in walk_files(store, Query())]
        assert found == sorted((file.path, file.content.md5) for file in files)

    @clause("ReferenceStore.files", "`query.order` has no meaning here.")
    def test_the_order_of_a_query_does_not_matter_to_files(self, changes: Store) -> None:
        query = Query(limit=2)
        newest_first = replace(query, order=Order.NEWEST_FIRST)
        assert walk_files(changes, newest_first) == walk_files(changes, query)
