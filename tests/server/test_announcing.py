"""What a pod announces ends as references, each content moves once, and history holds changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harness import Pod, ServerThread, announced, removal
from harness.waiting import wait_until_held

from kharvest.wire import v2_pb2 as v2


def test_an_unknown_content_is_asked_for_and_then_acknowledged(server: ServerThread) -> None:
    with Pod(server.address, metadata={"app": "web"}) as pod:
        file = announced("/etc/app.conf", b"one\n")
        assert pod.answers(file) == [v2.UPLOAD]
        assert not pod.upload(file, b"one\n").already_stored
        assert pod.answers(file) == [v2.ACKNOWLEDGED]
        (reference,) = pod.references()
        assert reference.file == file
        assert reference.pod == pod.pod
        assert dict(reference.metadata) == {"app": "web"}
        assert pod.content(file.sha256) == b"one\n"


def test_a_known_content_is_acknowledged_at_once_for_every_other_pod(server: ServerThread) -> None:
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        first.harvest_files({"/etc/app.conf": b"one\n"})
        assert second.answers(announced("/etc/app.conf", b"one\n")) == [v2.ACKNOWLEDGED]
        assert {reference.pod.name for reference in second.references()} == {"web-1", "web-2"}


def test_a_known_content_under_another_path_is_not_moved_again(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"equal"})
        assert pod.answers(announced("/etc/b", b"equal")) == [v2.ACKNOWLEDGED]
        assert [file.file.path for file in pod.files()] == ["/etc/a", "/etc/b"]


def test_of_two_paths_with_one_content_in_one_call_one_is_asked_for(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        first, second = announced("/etc/a", b"equal"), announced("/etc/b", b"equal")
        reply = pod.announce(first, second)
        assert list(reply.answers) == [v2.UPLOAD, v2.PENDING]
        pod.upload(first, b"equal")
        assert pod.answers(first, second) == [v2.ACKNOWLEDGED, v2.ACKNOWLEDGED]


def test_announcing_everything_again_records_nothing_new(server: ServerThread) -> None:
    files = {"/etc/a": b"a", "/etc/b": b"b"}
    with Pod(server.address) as pod:
        pod.harvest_files(files)
        for _ in range(3):
            assert pod.harvest_files(files) == 0
        assert len(pod.references()) == 2


def test_history_tells_a_change_and_a_change_back(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        for content in (b"one", b"two", b"one"):
            pod.harvest_files({"/etc/a": content})
        assert [reference.file.size for reference in pod.references()] == [3, 3, 3]
        assert len({reference.file.md5 for reference in pod.references()}) == 2


def test_changed_metadata_is_a_change(server: ServerThread) -> None:
    with Pod(server.address, metadata={"app": "web"}) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        pod.metadata = {"app": "api"}
        assert pod.answers(announced("/etc/a", b"a")) == [v2.ACKNOWLEDGED]
        assert [dict(reference.metadata) for reference in pod.references()] == [{"app": "web"}, {"app": "api"}]
        assert len(pod.references(metadata={"app": "api"}, latest=True)) == 1
        assert pod.references(metadata={"app": "web"}, latest=True) == []


def test_a_pod_that_is_made_anew_under_a_name_starts_anew(server: ServerThread) -> None:
    with Pod(server.address) as old, Pod(server.address) as new:
        old.pod.uid, new.pod.uid = "first", "second"
        old.harvest_files({"/etc/a": b"a", "/etc/b": b"b"})
        assert new.harvest_files({"/etc/a": b"a"}) == 0
        assert new.harvest_files({"/etc/a": b"a"}) == 0
        assert [(one.pod.uid, one.file.path) for one in new.references()] == [
            ("first", "/etc/a"),
            ("first", "/etc/b"),
            ("second", "/etc/a"),
        ]
        assert [one.pod for one in new.references(uid="second", latest=True)] == [new.pod]
        assert [one.pods for one in new.files(path="/etc/a")] == [2]


def test_a_removal_is_recorded_once_and_has_no_content(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        for _ in range(2):
            assert pod.answers(removal("/etc/a")) == [v2.ACKNOWLEDGED]
        _first, gone = pod.references()
        assert gone.file == removal("/etc/a")
        assert pod.references(latest=True, md5=bytes(16)) == [gone]
        assert [file.pods for file in pod.files(latest=True)] == []
        assert [file.pods for file in pod.files()] == [1]


def test_an_empty_file_is_a_file(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        assert pod.harvest_files({"/etc/empty": b""}) == 1
        (file,) = pod.files()
        assert file.file.size == 0
        assert pod.content(file.file.sha256) == b""


def test_an_announcement_is_held_until_the_other_pod_has_uploaded(server: ServerThread) -> None:
    file = announced("/etc/a", b"a")
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        assert first.answers(file) == [v2.UPLOAD]
        with ThreadPoolExecutor(1) as threads:
            held = threads.submit(second.answers, file)
            wait_until_held(server, 1)
            assert not held.done()
            first.upload(file, b"a")
            assert held.result(10) == [v2.ACKNOWLEDGED]


def test_a_held_announcement_answers_pending_before_its_deadline(server: ServerThread) -> None:
    file = announced("/etc/a", b"a")
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        assert first.answers(file) == [v2.UPLOAD]
        reply = second.announce(file, timeout=1.3)
        assert list(reply.answers) == [v2.PENDING]
        assert reply.retry_after_ms > 0


def test_a_pod_with_something_to_upload_is_not_held_for_the_rest(server: ServerThread) -> None:
    shared, own = announced("/etc/shared", b"shared"), announced("/etc/own", b"own")
    with Pod(server.address, "web-1") as first, Pod(server.address, "web-2") as second:
        assert first.answers(shared) == [v2.UPLOAD]
        assert second.answers(shared, own) == [v2.PENDING, v2.UPLOAD]


def test_a_pod_whose_answer_was_lost_is_asked_again(server: ServerThread) -> None:
    file = announced("/etc/a", b"a")
    with Pod(server.address) as pod:
        assert pod.answers(file) == [v2.UPLOAD]
        assert pod.answers(file) == [v2.UPLOAD]


def test_an_announcement_of_nothing_is_answered(server: ServerThread) -> None:
    with Pod(server.address) as pod:
        assert pod.answers() == []


def test_more_announcements_than_may_be_held_are_answered_pending(store_url: str) -> None:
    file = announced("/etc/a", b"a")
    with (
        ServerThread(store_url, max_held=1) as server,
        Pod(server.address, "web-1") as first,
        Pod(server.address, "web-2") as second,
        Pod(server.address, "web-3") as third,
        ThreadPoolExecutor(1) as threads,
    ):
        assert first.answers(file) == [v2.UPLOAD]
        held = threads.submit(second.answers, file)
        wait_until_held(server, 1)
        assert third.answers(file) == [v2.PENDING]
        first.upload(file, b"a")
        assert held.result(10) == [v2.ACKNOWLEDGED]
