"""The five reads of the original user API, and more, are fillings of one query."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from harness import Pod, ServerThread, removal

from kharvest.query import QueryClient
from kharvest.wire import v2_pb2 as v2


@pytest.fixture
def fleet(server: ServerThread) -> ServerThread:
    """Two pods of `app=web`, one of `app=api`; one web pod's file changed, the api pod's was removed."""
    with (
        Pod(server.address, "web-1", metadata={"app": "web", "zone": "a"}) as web_1,
        Pod(server.address, "web-2", metadata={"app": "web", "zone": "b"}) as web_2,
        Pod(server.address, "api-1", "bank", metadata={"app": "api"}) as api,
    ):
        for pod in (web_1, web_2, api):
            pod.harvest_files(
                {"/etc/app.conf": b"one", "/etc/app/extra.conf": b"extra", "/var/log": pod.pod.name.encode()}
            )
        web_2.harvest_files({"/etc/app.conf": b"two"})
        api.announce(removal("/etc/app.conf"))
    return server


def rows(references: list[v2.Reference]) -> set[tuple[str, str, int]]:
    return {(reference.pod.name, reference.file.path, reference.file.size) for reference in references}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param(
            {"namespace": "bank"},
            {("api-1", "/etc/app.conf", 3), ("api-1", "/etc/app/extra.conf", 5), ("api-1", "/var/log", 5)}
            | {("api-1", "/etc/app.conf", 0)},
            id="what a namespace held",
        ),
        pytest.param(
            {"pod": "web-2", "namespace": "shop", "latest": True},
            {("web-2", "/etc/app.conf", 3), ("web-2", "/etc/app/extra.conf", 5), ("web-2", "/var/log", 5)},
            id="what a pod holds",
        ),
        pytest.param(
            {"metadata": {"app": "web", "zone": "a"}, "path": "/var/log"},
            {("web-1", "/var/log", 5)},
            id="what carries this metadata",
        ),
        pytest.param({"metadata": {"app": "web", "zone": "c"}}, set(), id="all pairs must match"),
        pytest.param(
            {"path_glob": "/etc/*.conf", "latest": True},
            {("web-1", "/etc/app.conf", 3), ("web-2", "/etc/app.conf", 3), ("api-1", "/etc/app.conf", 0)},
            id="a star stays within a segment",
        ),
        pytest.param(
            {"path_glob": "/etc/**/*.conf", "pod": "web-1"},
            {("web-1", "/etc/app.conf", 3), ("web-1", "/etc/app/extra.conf", 5)},
            id="two stars cross segments",
        ),
        pytest.param({"path_glob": "/var/l[ao]g", "pod": "web-1"}, {("web-1", "/var/log", 5)}, id="a set"),
        pytest.param({"path_glob": "/var/log", "pod": "web-1"}, {("web-1", "/var/log", 5)}, id="a glob without stars"),
        pytest.param({"path": "/etc/*.conf"}, set(), id="a path is no glob"),
        pytest.param({"md5": bytes(16)}, {("api-1", "/etc/app.conf", 0)}, id="removals"),
        pytest.param({"until": Timestamp(seconds=1)}, set(), id="before everything"),
    ],
)
def test_a_filter_gives_what_it_says(fleet: ServerThread, filters: Any, expected: set[tuple[str, str, int]]) -> None:
    with Pod(fleet.address) as reader:
        assert rows(reader.references(**filters)) == expected


def test_a_time_frame_includes_its_start_and_excludes_its_end(fleet: ServerThread) -> None:
    with Pod(fleet.address) as reader:
        everything = reader.references()
        times = [reference.observed_at for reference in everything]
        inside = reader.references(since=times[2], until=times[-1])
        assert inside == [one for one in everything if times[2].ToNanoseconds() <= one.observed_at.ToNanoseconds()][:-1]


def test_latest_until_a_time_tells_what_was_held_then(fleet: ServerThread) -> None:
    with Pod(fleet.address) as reader:
        changed = reader.references(path="/etc/app.conf", pod="web-2")[-1]
        (before,) = reader.references(path="/etc/app.conf", pod="web-2", latest=True, until=changed.observed_at)
        assert before.file.md5 != changed.file.md5


def test_files_count_the_pods_on_each_version(fleet: ServerThread) -> None:
    with Pod(fleet.address) as reader:
        ever = {(file.file.path, file.file.size, file.pods) for file in reader.files(path_glob="/etc/**")}
        assert ever == {("/etc/app.conf", 3, 3), ("/etc/app.conf", 3, 1), ("/etc/app/extra.conf", 5, 3)}
        now = [(file.pods, file.file.sha256) for file in reader.files(path="/etc/app.conf", latest=True)]
        assert sorted(pods for pods, _ in now) == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("order", [v2.OLDEST_FIRST, v2.NEWEST_FIRST])
@pytest.mark.parametrize("glob", [None, "/etc/**"])
def test_pages_give_everything_once_in_order(fleet: ServerThread, order: v2.Order.ValueType, glob: str | None) -> None:
    with Pod(fleet.address) as reader:
        filters = v2.Filter(path_glob=glob)
        whole = reader.query.References(v2.ReferencesRequest(filter=filters, order=order), timeout=10).references
        paged: list[v2.Reference] = []
        request = v2.ReferencesRequest(filter=filters, order=order, limit=2)
        while True:
            reply = reader.query.References(request, timeout=10)
            assert len(reply.references) <= 2
            paged += reply.references
            if not reply.next_cursor:
                break
            request.cursor = reply.next_cursor
        assert paged == list(whole)
        times = [one.observed_at.ToNanoseconds() for one in paged]
        assert times == sorted(times, reverse=order == v2.NEWEST_FIRST)


def test_a_content_can_be_read_from_an_offset(fleet: ServerThread) -> None:
    with Pod(fleet.address) as reader:
        (file,) = reader.files(path="/etc/app/extra.conf")
        assert reader.content(file.file.sha256, 2) == b"tra"
        assert reader.content(file.file.sha256, 5) == b""


def test_the_python_client_pages_by_itself(fleet: ServerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kharvest.query._client._PAGE", 2)
    with QueryClient(fleet.address) as client:
        assert len(list(client.references())) == 11
        assert len(list(client.references(limit=5))) == 5
        assert len(list(client.files())) == 6
        newest = next(client.references(newest_first=True))
        assert newest.is_removal
        assert newest.size is None
        assert list(client.references(since=newest.observed_at_ns)) == [newest]
        (extra,) = client.files(path="/etc/app/extra.conf")
        assert b"".join(client.content(extra.sha256)) == b"extra"
