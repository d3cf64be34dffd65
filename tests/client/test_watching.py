"""Whatever happens to a file, the server ends up with its final content, and with nothing that never was.

Every test ends with the same question: is what the server has newest of each path what is on the disk?
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ServerThread
from watchdog.observers.inotify_c import InotifyEvent

from client.watched import REMOVED, SETTLE_SECONDS, Volume, Watched, md5, until
from kharvest.client._watch import inotify


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "watched"
    path.mkdir()
    return path


@pytest.fixture
def watched(harvest_server: ServerThread, directory: Path, pod_name: str) -> Iterator[Watched]:
    """A client that watches `file` in a directory, which has the content `first`."""
    (directory / "file").write_bytes(b"first")
    with Watched(harvest_server.address, directory / "file", pod=pod_name) as running:
        running.wait_for(directory / "file", b"first")
        yield running


def replace_by_rename(file: Path, content: bytes) -> None:
    """The atomic save of editors and libraries."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)


def test_an_atomic_save_is_recorded_once(watched: Watched, directory: Path) -> None:
    replace_by_rename(directory / "file", b"second")
    watched.wait_for(directory / "file", b"second")
    assert watched.history(directory / "file") == [md5(b"first"), md5(b"second")]


def test_truncating_and_rewriting_records_no_empty_file(watched: Watched, directory: Path) -> None:
    with (directory / "file").open("r+b", buffering=0) as file:
        file.truncate(0)
        for part in (b"sec", b"ond"):
            file.write(part)
    watched.wait_for(directory / "file", b"second")
    assert watched.history(directory / "file") == [md5(b"first"), md5(b"second")]


def test_a_slow_append_is_recorded_when_it_rests(watched: Watched, directory: Path) -> None:
    pauses = threading.Event()
    content = b"first"
    with (directory / "file").open("ab", buffering=0) as file:
        for number in range(20):
            file.write(b"%d" % number)
            content += b"%d" % number
            pauses.wait(SETTLE_SECONDS / 2)  # a writer that takes its time; nobody waits for it here
    watched.wait_for(directory / "file", content)
    assert watched.history(directory / "file") == [md5(b"first"), md5(content)]


def test_a_file_that_never_rests_is_recorded_nevertheless(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    log = directory / "log"
    log.touch()
    stopped = threading.Event()

    def write() -> None:
        with log.open("ab", buffering=0) as file:
            while not stopped.wait(SETTLE_SECONDS / 5):
                file.write(b"line\n")

    writer = threading.Thread(target=write)
    with Watched(harvest_server.address, log, pod=pod_name, settle_max_seconds=0.5) as watched:
        writer.start()
        until(lambda: len(watched.history(log)) > 3, "versions of a file that never rests")
        stopped.set()
        writer.join()
        watched.wait_for(log, log.read_bytes())
        whole = log.read_bytes()
        prefixes = {md5(whole[:size]) for size in range(0, len(whole) + 1, 5)}
        assert set(watched.history(log)) <= prefixes


def test_of_two_versions_at_once_the_last_one_counts(watched: Watched, directory: Path) -> None:
    for number in range(20):
        for version in ("a", "b"):  # of one size, and within one tick of the file system's clock
            (directory / "file").write_text(f"{version}{number:03}")
        watched.wait_for(directory / "file", f"b{number:03}".encode())


def test_a_version_written_right_after_another_was_read_is_seen_though_its_stamp_is_the_same(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    file = directory / "file"
    file.write_bytes(b"first")
    with Watched(harvest_server.address, file, pod=pod_name, settle_seconds=0.0, settle_max_seconds=0.0) as watched:
        for number in range(50):
            file.write_text(f"version {number:03}")
        watched.wait_for(file, b"version 049")


@pytest.mark.parametrize("how", ["paths", "directories", "globs"])
def test_ten_swaps_of_a_config_map_in_a_row_end_with_the_last(
    harvest_server: ServerThread, directory: Path, pod_name: str, how: str
) -> None:
    volume = Volume(directory, one="one 0", two="two 0")
    files = [directory / "one", directory / "two"]
    paths = files if how == "paths" else []
    settings = {"directories": (str(directory),)} if how == "directories" else {}
    settings |= {"globs": (f"{directory}/**",)} if how == "globs" else {}
    with Watched(harvest_server.address, *paths, pod=pod_name, **settings) as watched:
        for swap in range(1, 11):
            volume.swap(one=f"one {swap}", two=f"two {swap}")
        for file in files:
            watched.wait_for(file, f"{file.name} 10".encode())
        volume.swap(one="one 11", two="two 10")
        watched.wait_for(files[0], b"one 11")
        watched.wait_until_quiet()
        assert watched.newest().keys() == {str(file) for file in files}
        possible = {md5(f"{name} {swap}".encode()) for name in ("one", "two") for swap in range(12)}
        assert {version for file in files for version in watched.history(file)} <= possible


def test_a_symbolic_link_that_is_pointed_elsewhere_is_followed(
    harvest_server: ServerThread, directory: Path, tmp_path: Path, pod_name: str
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "target").write_text(name)
    link = directory / "link"
    link.symlink_to(tmp_path / "a/target")
    with Watched(harvest_server.address, link, pod=pod_name) as watched:
        watched.wait_for(link, b"a")
        (directory / "new").symlink_to(tmp_path / "b/target")
        (directory / "new").replace(link)
        watched.wait_for(link, b"b")
        (tmp_path / "b/target").write_text("b, changed behind the link")
        watched.wait_for(link, b"b, changed behind the link")
        link.unlink()
        watched.wait_for(link, None)


def test_a_file_whose_directories_come_to_be_later_is_found(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    file = directory / "not/there/yet/file"
    with Watched(harvest_server.address, file, pod=pod_name) as watched:
        until(lambda: watched.client.status().watched == 1, "the start")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"there")
        watched.wait_for(file, b"there")


def test_a_directory_that_is_removed_and_created_again_is_watched_again(watched: Watched, directory: Path) -> None:
    file = directory / "file"
    for round_ in range(3):
        shutil.rmtree(directory)
        watched.wait_for(file, None)
        directory.mkdir()
        file.write_text(f"round {round_}")
        watched.wait_for(file, f"round {round_}".encode())
    assert watched.history(file).count(REMOVED) == 3


def test_a_directory_that_is_replaced_in_one_go_is_watched_again(watched: Watched, directory: Path) -> None:
    other = directory.with_name("other")
    other.mkdir()
    (other / "file").write_bytes(b"other")
    directory.rename(directory.with_name("old"))
    other.rename(directory)
    watched.wait_for(directory / "file", b"other")
    (directory / "file").write_bytes(b"changed")
    watched.wait_for(directory / "file", b"changed")


@pytest.mark.parametrize("how", ["paths", "directories", "globs"])
def test_a_directory_far_above_that_is_renamed_takes_its_files_along(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str, how: str
) -> None:
    top, file = tmp_path / "top", tmp_path / "top/a/b/c/file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"first")
    settings = {
        "paths": {},
        "directories": {"directories": (str(file.parent),)},
        "globs": {"globs": (f"{file.parent}/*",)},
    }[how]
    with Watched(harvest_server.address, *([file] if how == "paths" else []), pod=pod_name, **settings) as watched:
        watched.wait_for(file, b"first")
        top.rename(tmp_path / "away")
        watched.wait_for(file, None)
        (tmp_path / "away/a/b/c/file").write_bytes(b"elsewhere")
        (tmp_path / "away").rename(top)
        watched.wait_for(file, b"elsewhere")
        other = tmp_path / "other/a/b/c"
        other.mkdir(parents=True)
        (other / "file").write_bytes(b"other")
        top.rename(tmp_path / "old")  # replaced in one go
        (tmp_path / "other").rename(top)
        watched.wait_for(file, b"other")
        file.write_bytes(b"changed")
        watched.wait_for(file, b"changed")


def test_a_busy_directory_far_above_does_not_wake_the_client(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[bytes] = []
    on_event = inotify._Watch.on_event

    def counted(watch: inotify._Watch, event: InotifyEvent) -> None:
        events.append(event.name)
        on_event(watch, event)

    monkeypatch.setattr(inotify._Watch, "on_event", counted)
    file = tmp_path / "a/b/file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"first")
    with Watched(harvest_server.address, file, pod=pod_name) as watched:
        watched.wait_for(file, b"first")
        for number in range(100):
            (tmp_path / f"busy {number}").touch()
            (tmp_path / "a" / f"busy {number}").touch()
        file.write_bytes(b"second")
        watched.wait_for(file, b"second")
    assert b"file" in events
    assert not [name for name in events if name.startswith(b"busy")]


def test_a_removal_is_recorded_once(watched: Watched, directory: Path) -> None:
    file = directory / "file"
    file.unlink()
    watched.wait_for(file, None)
    watched.wait_until_quiet()
    assert watched.history(file) == [md5(b"first"), REMOVED]
    file.write_bytes(b"first")
    watched.wait_for(file, b"first")


def test_renaming_away_is_a_removal_and_renaming_back_brings_it_back(watched: Watched, directory: Path) -> None:
    file = directory / "file"
    file.rename(directory / "elsewhere")
    watched.wait_for(file, None)
    (directory / "elsewhere").rename(file)
    watched.wait_for(file, b"first")
    assert watched.history(file) == [md5(b"first"), REMOVED, md5(b"first")]


def test_renaming_away_and_back_at_once_is_nothing(watched: Watched, directory: Path) -> None:
    (directory / "file").rename(directory / "elsewhere")
    (directory / "elsewhere").rename(directory / "file")
    watched.wait_until_quiet()
    assert watched.history(directory / "file") == [md5(b"first")]


def test_a_file_that_is_written_through_a_hard_link_elsewhere_is_seen_by_the_rescan(
    harvest_server: ServerThread, directory: Path, tmp_path: Path, pod_name: str
) -> None:
    file = directory / "file"
    file.write_bytes(b"first")
    with Watched(harvest_server.address, file, pod=pod_name, rescan_seconds=0.5) as watched:
        watched.wait_for(file, b"first")
        (tmp_path / "hard").hardlink_to(file)
        (tmp_path / "hard").write_bytes(b"second")  # no event of the watched directory tells of it
        watched.wait_for(file, b"second")
        (directory / "link").write_bytes(b"third")
        (directory / "link").replace(file)
        watched.wait_for(file, b"third")


def test_log_rotation_ends_with_both_files_as_they_are(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    log, rotated = directory / "log", directory / "log.1"
    log.write_bytes(b"old")
    with Watched(harvest_server.address, log, rotated, pod=pod_name) as watched:
        watched.wait_for(log, b"old")
        for number in range(3):
            log.replace(rotated)
            log.write_text(f"new {number}")
            watched.wait_for(log, f"new {number}".encode())
        watched.wait_for(rotated, b"new 1")
        with log.open("r+b") as file:  # copytruncate
            file.truncate(0)
        watched.wait_for(log, b"")


def test_what_is_no_file_any_more_is_a_removal_until_it_is_one_again(watched: Watched, directory: Path) -> None:
    file = directory / "file"
    file.unlink()
    file.mkdir()
    watched.wait_for(file, None)
    file.rmdir()
    os.mkfifo(file)
    assert not watched.client.flush(10)
    file.unlink()
    file.write_bytes(b"a file again")
    watched.wait_for(file, b"a file again")
    assert watched.history(file).count(REMOVED) == 1


def test_files_below_a_directory_come_and_go_with_their_directories(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    with Watched(harvest_server.address, pod=pod_name, directories=(str(directory),), exclude=("*.tmp",)) as watched:
        until(lambda: watched.client.status().connected, "the start")
        deep = directory / "a/b/c"
        deep.mkdir(parents=True)
        (deep / "file").write_bytes(b"deep")
        (deep / "file.tmp").write_bytes(b"excluded")
        (directory / ".hidden").write_bytes(b"hidden")
        watched.wait_for(deep / "file", b"deep")
        watched.wait_for(directory / ".hidden", b"hidden")
        (directory / "a").rename(directory / "z")
        watched.wait_for(directory / "z/b/c/file", b"deep")
        watched.wait_for(deep / "file", None)
        (directory / "z/b/c/file").write_bytes(b"changed")
        watched.wait_for(directory / "z/b/c/file", b"changed")
        shutil.rmtree(directory / "z")
        watched.wait_for(directory / "z/b/c/file", None)
        until(lambda: watched.client.status().watched == 1, "paths that are gone to be forgotten")
        assert str(deep / "file.tmp") not in watched.newest()


def test_a_name_that_is_not_utf_8_is_skipped_and_said_once(
    harvest_server: ServerThread, directory: Path, pod_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / os.fsdecode(b"caf\xe9")).touch()
    with Watched(harvest_server.address, pod=pod_name, directories=(str(directory),)) as watched:
        for name in ("one", "two"):
            (directory / name).write_text(name)
            watched.wait_for(directory / name, name.encode())
    said = [record.message for record in caplog.records if "not UTF-8" in record.message]
    assert len(said) == 1
    assert "caf\\udce9" in said[0]


def test_a_change_is_acknowledged_within_the_settle_time_and_a_second(watched: Watched, directory: Path) -> None:
    (directory / "file").write_bytes(b"second")
    until(
        lambda: watched.history(directory / "file")[-1:] == [md5(b"second")], "the change", patience=SETTLE_SECONDS + 1
    )


def test_a_busy_neighbour_of_a_watched_file_does_not_wake_the_client(watched: Watched, directory: Path) -> None:
    neighbour = directory / "neighbour"
    neighbour.touch()
    for number in range(1000):
        neighbour.write_text(f"{number}")
    (directory / "file").write_bytes(b"second")
    watched.wait_for(directory / "file", b"second")
    assert watched.client.status().watched == 1


@pytest.mark.slow
def test_a_large_file_keeps_no_small_one_waiting(harvest_server: ServerThread, directory: Path, pod_name: str) -> None:
    large, small = directory / "core", directory / "small"
    with Watched(harvest_server.address, large, small, pod=pod_name) as watched:
        until(lambda: watched.client.status().connected, "the start")
        with large.open("wb") as file:
            file.truncate(300_000_000)
        small.write_bytes(b"small")
        watched.wait_for(small, b"small")
        until(lambda: len(watched.history(large)) == 1, "the large file", patience=60)
