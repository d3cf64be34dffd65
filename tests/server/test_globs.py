"""A glob costs a server bounded work, whatever the pattern and the paths: the others are served meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from harness import Pod, ServerThread, announced
from harness.pods import details_of
from harness.stores import content_of, files_of, reference

from kharvest.registry import open_store
from kharvest.wire import v2_pb2 as v2

DEEP = "/a" * 1_300
COSTLY = "/**" + "/*" * 90 + "/b"
"""With a path of 1,300 segments it takes some 100,000 comparisons."""


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[ServerThread]:
    """A server whose store has a page full of deep paths."""
    url = f"sqlite:///{tmp_path}/store.db"
    many = [reference(number, f"{DEEP}/{number}") for number in range(5_000)]
    with closing(open_store(url)) as store:
        store.put(content_of(b"x"), [b"x"])
        for start in range(0, len(many), 500):
            store.record(files_of(*many[start : start + 500]), many[start : start + 500])
    with ServerThread(url, grace_seconds=0.1) as server:
        yield server


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["/**/a/**/a/**/a/**/b", "/**" + "/a/**" * 98 + "/b", "/" + "*a" * 99 + "b"])
def test_many_wildcards_and_a_deep_path_are_answered(server: ServerThread, pattern: str) -> None:
    with Pod(server.address) as pod:
        pod.harvest_files({f"{'/a' * 2_000}/c": b"deep", f"/{'a' * 4_000}": b"wide"})
        assert pod.references(path_glob=pattern) == []
        assert len(pod.references(path_glob="/**/a/**/a/**/a/**/c")) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_glob_that_costs_too_much_is_refused_with_what_to_do(deep: ServerThread) -> None:
    with Pod(deep.address) as pod:
        with pytest.raises(grpc.RpcError) as refusal:
            pod.query.References(v2.ReferencesRequest(filter=v2.Filter(path_glob=COSTLY), limit=10_000), timeout=100)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "literal text" in details_of(refusal.value)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_search_ends_when_its_caller_has_gone(deep: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """The searches of as many callers as there are threads would go on for minutes; then nobody else could search."""
    monkeypatch.setattr("kharvest.server._query.MATCH_SECONDS", float("inf"))
    costly = v2.FilesRequest(filter=v2.Filter(path_glob=COSTLY), limit=10_000)
    with Pod(deep.address) as pod, Pod(deep.address, "web-2") as other:
        calls = [pod.query.Files.future(costly, timeout=100) for _ in range(4)]
        for call in calls:
            with pytest.raises(grpc.FutureTimeoutError):
                call.exception(timeout=1)
            call.cancel()
        assert other.files(path=f"{DEEP}/0")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_server_stops_while_it_searches(deep: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kharvest.server._query.MATCH_SECONDS", float("inf"))
    with Pod(deep.address) as pod:
        call = pod.query.Files.future(v2.FilesRequest(filter=v2.Filter(path_glob=COSTLY), limit=10_000), timeout=100)
        with pytest.raises(grpc.FutureTimeoutError):
            call.exception(timeout=1)
        deep.stop()
        assert call.exception(timeout=10) is not None


@pytest.mark.parametrize("pattern", ["/etc/[a", "/" + "*" * 101, "/" + "a" * 4_096, "/\\"])
def test_a_glob_that_cannot_be_understood_is_refused(server: ServerThread, pattern: str) -> None:
    with Pod(server.address) as pod:
        pod.answers(announced("/etc/a", b"a"))
        with pytest.raises(grpc.RpcError) as refusal:
            pod.references(path_glob=pattern)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert details_of(refusal.value).startswith("path glob: ")
