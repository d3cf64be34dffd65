"""What is hard about one file concerns that file: loops, dead mounts, deep trees, sizes and times that lie."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import Pod, ServerThread

from client.watched import PATIENCE_SECONDS, SETTLE_SECONDS, Volume, Watched, config, md5, until
from kharvest.client import Client, harvest_once
from kharvest.client._config.rules import Rule
from kharvest.client._errors import Changed, Unreadable
from kharvest.client._send.sender import Sender
from kharvest.client._watch import search
from kharvest.client._watch.content import READ_BYTES, Reading, ReadLimits, read_version
from kharvest.client._watch.location import Location
from kharvest.client._watch.search import Found, find


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "watched"
    path.mkdir()
    (path / "good").write_bytes(b"first")
    return path


def never() -> bool:
    return False


def problems(watched: Watched) -> set[tuple[str, str]]:
    """The names of what is not harvested as it is, and why."""
    return {(Path(problem.path).name, problem.reason) for problem in watched.client.status().problems}


# One path never stops the others.


def make_deep(directory: Path, levels: int) -> None:
    """A chain of folders with a file at its end, made step by step as paths have their limits."""
    program = (
        "import os, sys\nfor _ in range(int(sys.argv[1])):\n os.mkdir('a'); os.chdir('a')\nopen('deep', 'w').close()"
    )
    subprocess.run([sys.executable, "-c", program, str(levels)], cwd=directory, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1_100, 2_200])
def test_a_chain_of_a_thousand_folders_is_searched_as_far_as_paths_go(
    harvest_server: ServerThread, directory: Path, pod_name: str, levels: int, caplog: pytest.LogCaptureFixture
) -> None:
    with Watched(harvest_server.address, pod=pod_name, directories=(str(directory),)) as watched:
        watched.wait_for(directory / "good", b"first")
        make_deep(directory, levels)
        try:
            is_found = len(str(directory)) + 2 * levels + 5 < 4096
            if is_found:
                until(lambda: any(path.endswith("/deep") for path in watched.newest()), "the deep file", patience=60)
            else:
                until(lambda: "its path is longer than" in caplog.text, "the limit to be told", patience=60)
            (directory / "good").write_bytes(b"second")
            until(lambda: watched.history(directory / "good")[-1:] == [md5(b"second")], "the change", patience=60)
            assert caplog.text.count("its path is longer than") == (0 if is_found else 1)
        finally:
            subprocess.run(["rm", "-rf", str(directory / "a")], check=True)


def test_links_in_a_circle_stop_nothing_and_are_said_once(
    harvest_server: ServerThread, directory: Path, pod_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Watched(harvest_server.address, pod=pod_name, directories=(str(directory),), rescan_seconds=0.2) as watched:
        (directory / "loop").symlink_to("loop")
        (directory / "a").symlink_to("b/x")
        (directory / "b").symlink_to("a/x")
        for content in (b"second", b"third"):
            (directory / "good").write_bytes(content)
            watched.wait_for(directory / "good", content)
        circles = {("loop", "IO_ERROR"), ("a", "IO_ERROR"), ("b", "IO_ERROR")}
        until(lambda: problems(watched) == circles, "the circles to be told, and nothing else")
        for name in ("loop", "a", "b"):
            (directory / name).unlink()
            (directory / name).write_text(name)
            watched.wait_for(directory / name, name.encode())
        assert caplog.text.count("Too many levels of symbolic links") == 3


@contextmanager
def dead_file_system(mountpoint: Path) -> Iterator[None]:
    """A FUSE mount whose server is gone: whatever is asked of it, the endpoint is not connected."""
    library = ctypes.CDLL(None, use_errno=True)
    mountpoint.mkdir()
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    mounted = library.mount(b"dead", os.fsencode(mountpoint), b"fuse", 0, options)
    os.close(device)
    if mounted:
        pytest.skip("needs the right to mount")
    try:
        yield
    finally:
        library.umount2(os.fsencode(mountpoint), 2)


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_a_dead_file_system_stops_nothing_and_is_looked_at_again(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    dead = directory / "dead"
    settings = {"directories": (str(directory),), "rescan_seconds": 0.3}
    with Watched(harvest_server.address, dead / "named", pod=pod_name, **settings) as watched:
        with dead_file_system(dead):
            (directory / "link").symlink_to("dead/file")
            (directory / "beyond").symlink_to("dead")
            (directory / "good").write_bytes(b"second")
            watched.wait_for(directory / "good", b"second")
            until(
                lambda: {"dead", "link"} <= {Path(problem.path).name for problem in watched.client.status().problems},
                "what is dead to be told",
            )
        for name in ("file", "named"):
            (dead / name).write_text(name)
            watched.wait_for(dead / name, name.encode())
        watched.wait_for(directory / "link", b"file")


# Links.


def test_a_link_that_leads_out_of_a_watched_directory_is_not_harvested_and_it_is_said_how_it_would_be(
    harvest_server: ServerThread, directory: Path, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/token").write_text(f"a secret of {pod_name}")
    (directory / "absolute").symlink_to(tmp_path / "outside/token")
    (directory / "relative").symlink_to("../outside/token")
    (directory / "folder").symlink_to("../outside")
    (directory / "inside").symlink_to(directory / "good")
    settings: dict[str, Any] = {"pod": pod_name, "globs": (f"{directory}/*", f"{directory}/folde[r]/*")}
    summary = harvest_once(config(harvest_server.address, **settings), timeout=30)
    with Pod(harvest_server.address) as reader:
        found = {Path(one.file.path).name: one.file.md5 for one in reader.references(pod=pod_name)}
    assert found == {"good": md5(b"first"), "inside": md5(b"first")}
    assert {(Path(failure.path).name, failure.reason) for failure in summary.failures} == {
        ("absolute", "LEADS_OUT"),
        ("relative", "LEADS_OUT"),
        ("folder", "LEADS_OUT"),
    }
    assert all("name it as a path" in failure.message for failure in summary.failures)
    named = config(harvest_server.address, [directory / "absolute"], pod=pod_name, directories=(str(directory),))
    assert ("absolute", "LEADS_OUT") not in {
        (Path(failure.path).name, failure.reason) for failure in harvest_once(named, timeout=30).failures
    }


def test_a_link_that_comes_to_lead_out_is_not_followed(
    harvest_server: ServerThread, directory: Path, tmp_path: Path, pod_name: str
) -> None:
    (tmp_path / "token").write_text(f"a secret of {pod_name}")
    (directory / "link").symlink_to("good")
    with Watched(harvest_server.address, pod=pod_name, directories=(str(directory),)) as watched:
        watched.wait_for(directory / "link", b"first")
        (directory / "new").symlink_to(tmp_path / "token")
        (directory / "new").replace(directory / "link")
        until(
            lambda: problems(watched) == {("link", "LEADS_OUT")},
            "the link to be refused",
        )
        assert watched.history(directory / "link") == [md5(b"first")]


@pytest.mark.parametrize("how", ["paths", "directories"])
def test_a_confined_client_reads_a_config_map_and_no_link_that_was_slipped_in(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str, how: str
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    volume = Volume(mount, one="one 0")
    (tmp_path / "token").write_text(f"a secret of {pod_name}")
    (mount / "slipped").symlink_to(tmp_path / "token")
    paths = [mount / "one", mount / "slipped"] if how == "paths" else []
    settings = {"directories": (str(mount),)} if how == "directories" else {}
    with Watched(harvest_server.address, *paths, pod=pod_name, confine=True, **settings) as watched:
        watched.wait_for(mount / "one", b"one 0")
        volume.swap(one="one 1")
        watched.wait_for(mount / "one", b"one 1")
        until(lambda: problems(watched) == {("slipped", "LEADS_OUT")}, "the link to be refused, and nothing else")
        assert "set confine to false" in watched.client.status().problems[0].message
        assert watched.newest().keys() == {str(mount / "one")}


def test_below_a_root_the_application_s_files_are_harvested_and_none_of_ours(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    root = tmp_path / "mnt"
    (root / "etc/app").mkdir(parents=True)
    (root / "etc/app/v1").write_text("v1")
    (root / "etc/app/v2").write_text("v2")
    (root / "etc/app/current").symlink_to("/etc/app/v1")
    (root / "etc/hostname").write_text("the application's")
    (root / "etc/app/hostname").symlink_to("/etc/hostname")
    (root / f"etc/app/{tmp_path.name}").symlink_to(tmp_path / "token")
    (tmp_path / "token").write_text("the sidecar's")
    settings = {"root": str(root), "directories": (f"{root}/etc/app",)}
    with Watched(harvest_server.address, root / "etc/app/hostname", pod=pod_name, **settings) as watched:
        until(lambda: len(watched.newest()) == 4, "the files")
        assert watched.newest() == {
            "/etc/app/v1": md5(b"v1"),
            "/etc/app/v2": md5(b"v2"),
            "/etc/app/current": md5(b"v1"),
            "/etc/app/hostname": md5(b"the application's"),
        }
        (root / "etc/hostname").write_text("changed behind the link")  # which no event tells but of the right directory
        watched.wait_for(Path("/etc/app/hostname"), b"changed behind the link")
        (root / "etc/app/new").symlink_to("/etc/app/v2")
        (root / "etc/app/new").replace(root / "etc/app/current")
        watched.wait_for(Path("/etc/app/current"), b"v2")


@pytest.mark.parametrize("path", ["/{file}", "{directory}/./good", "{directory}//good", "{directory}/x/../good"])
def test_paths_are_announced_as_they_are_written_normally(
    harvest_server: ServerThread, directory: Path, pod_name: str, path: str
) -> None:
    given = path.format(file=str(directory / "good"), directory=directory)
    assert harvest_once(config(harvest_server.address, [given], pod=pod_name), timeout=30).acknowledged == 1
    with Pod(harvest_server.address) as reader:
        assert [one.file.path for one in reader.references(pod=pod_name)] == [str(directory / "good")]


# Sizes.


def test_a_file_whose_size_is_told_wrongly_is_read_to_its_end() -> None:
    for path in ("/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/kallsyms"):
        content = Path(path).read_bytes()
        reading = read_version(Location(path), never)
        assert reading.version.size == len(content) != reading.stamp.size
        assert reading.version.md5 == hashlib.md5(content).digest()


def test_a_file_of_proc_is_harvested(harvest_server: ServerThread, directory: Path, pod_name: str) -> None:
    proc = Path("/proc/version")
    summary = harvest_once(config(harvest_server.address, [proc, directory / "good"], pod=pod_name), timeout=30)
    assert (summary.acknowledged, summary.failures) == (2, ())
    with Pod(harvest_server.address) as reader:
        [reference] = reader.references(pod=pod_name, path=str(proc))
        assert reader.content(reference.file.sha256) == proc.read_bytes()


def test_a_file_without_end_is_read_up_to_the_limit() -> None:
    with pytest.raises(Unreadable, match="more than 100000 bytes"):
        read_version(Location("/proc/kallsyms"), never, ReadLimits(content=100_000))


def test_a_sparse_file_is_left_out_and_one_that_only_occupies_little_is_not(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    (directory / "dense").write_bytes(os.urandom(3_000_000))
    with (directory / "sparse").open("wb") as sparse:
        sparse.write(b"begins")
        sparse.truncate(20 << 30)
    with (directory / "few holes").open("wb") as few:
        few.truncate(1_000_000)
    settings: dict[str, Any] = {"pod": pod_name, "directories": (str(directory),), "max_hole_bytes": 2_000_000}
    summary = harvest_once(config(harvest_server.address, **settings), timeout=60)
    assert summary.acknowledged == 3
    [failure] = summary.failures
    assert (failure.path, failure.reason) == (str(directory / "sparse"), "SPARSE")
    assert "raise max_hole_bytes" in failure.message
    assert summary.uploaded_bytes < 5_000_000


# Growth.


class Appender:
    """Appends lines to a file all the time, in the order of their numbers, and keeps it open."""

    def __init__(self, file: Path, pause: float) -> None:
        self._file = file
        self._pause = pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with self._file.open("ab", buffering=0) as file:
            while not self._stopped.wait(self._pause):
                file.write(b"line\n")


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.002, 2 * SETTLE_SECONDS])
def test_a_large_log_that_never_rests_has_versions_which_were_there(
    harvest_server: ServerThread, directory: Path, pod_name: str, pause: float
) -> None:
    log = directory / "log"
    log.write_bytes(os.urandom(30_000_000))
    with Watched(harvest_server.address, log, pod=pod_name, settle_max_seconds=0.5) as watched:
        with Appender(log, pause):
            until(lambda: len(watched.history(log)) >= 3, "versions of a log that never rests", patience=60)
        watched.wait_for(log, log.read_bytes())
        whole = hashlib.md5(log.read_bytes()[:30_000_000])
        prefixes = {whole.digest()}
        for _ in range((log.stat().st_size - 30_000_000) // 5):
            whole.update(b"line\n")
            prefixes.add(whole.digest())
        assert set(watched.history(log)) <= prefixes


def write_at(file: Path, offset: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(content)


def grow(file: Path) -> None:
    write_at(file, 4 * READ_BYTES, b"more")


def rewrite_behind_the_reader(file: Path) -> None:
    write_at(file, 0, b"x")


def rewrite_on_both_sides_of_the_reader(file: Path) -> None:
    write_at(file, 0, b"x")
    write_at(file, 3 * READ_BYTES, b"x")


def truncate(file: Path) -> None:
    os.truncate(file, 10)


def truncate_and_fill_again(file: Path) -> None:
    os.truncate(file, 0)
    write_at(file, 5 * READ_BYTES, b"x")


def rotate(file: Path) -> None:
    content = file.read_bytes()
    file.rename(file.with_name("rotated"))
    file.write_bytes(content + b"more")


def read_while(file: Path, change: Callable[[Path], None]) -> Reading:
    """Read a file that changes after the second part of it was read."""
    calls = iter(range(1_000))

    def stopped() -> bool:
        if next(calls) == 1:
            change(file)
        return False

    return read_version(Location(str(file)), stopped, is_growing=True)


def test_what_a_growing_file_began_with_is_a_version(tmp_path: Path) -> None:
    file = tmp_path / "file"
    before = os.urandom(4 * READ_BYTES)
    file.write_bytes(before)
    reading = read_while(file, grow)
    assert reading.is_beginning
    assert reading.version.sha256 == hashlib.sha256(before).digest()


@pytest.mark.parametrize(
    "change",
    [rewrite_behind_the_reader, rewrite_on_both_sides_of_the_reader, truncate, truncate_and_fill_again, rotate],
)
def test_what_no_reader_could_have_seen_is_no_version(tmp_path: Path, change: Callable[[Path], None]) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 * READ_BYTES))
    with pytest.raises(Changed):
        read_while(file, change)


def test_a_file_that_does_not_rest_is_told_by_once(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    log = directory / "log"
    settings: dict[str, Any] = {"pod": pod_name, "directories": (str(directory),), "settle_max_seconds": 0.5}
    with Appender(log, SETTLE_SECONDS / 10):
        until(log.exists, "the log")
        summary = harvest_once(config(harvest_server.address, **settings))
    assert (summary.acknowledged, summary.given_up) == (2, None)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [(str(log), "NOT_AT_REST")]


# Times.


def test_a_change_that_no_time_tells_of_is_found_by_the_round(harvest_server: ServerThread, pod_name: str) -> None:
    memory = Path("/dev/shm") / pod_name
    memory.mkdir()
    try:
        file = memory / "file"
        file.write_bytes(b"a" * 8192)
        with Watched(harvest_server.address, file, pod=pod_name, rehash_seconds=1.0) as watched:
            watched.wait_for(file, b"a" * 8192)
            with file.open("r+b") as opened:
                mapped = mmap.mmap(opened.fileno(), 8192)
            for letter in (b"b", b"c"):  # after the first write the page is mapped: no fault, no time, no event
                before = file.stat()
                mapped[:] = letter * 8192
                if letter == b"c":
                    assert (before.st_mtime_ns, before.st_ctime_ns) == (
                        file.stat().st_mtime_ns,
                        file.stat().st_ctime_ns,
                    )
                watched.wait_for(file, letter * 8192)
            mapped.close()
            assert watched.history(file) == [md5(letter * 8192) for letter in (b"a", b"b", b"c")]
    finally:
        shutil.rmtree(memory)


def test_the_end_of_a_mapping_is_seen_at_once(harvest_server: ServerThread, pod_name: str) -> None:
    memory = Path("/dev/shm") / pod_name
    memory.mkdir()
    try:
        file = memory / "file"
        file.write_bytes(b"a" * 8192)
        with Watched(harvest_server.address, file, pod=pod_name) as watched:
            watched.wait_for(file, b"a" * 8192)
            # A mapping keeps a descriptor of its own in Python: the program's end is what closes all of it.
            program = (
                "import mmap, os, sys\n"
                "opened = os.open(sys.argv[1], os.O_RDWR)\n"
                "mapped = mmap.mmap(opened, 8192)\n"
                "os.close(opened)\n"
                "mapped[:] = b'b' * 8192"
            )
            subprocess.run([sys.executable, "-c", program, str(file)], check=True)
            watched.wait_for(file, b"b" * 8192)
    finally:
        shutil.rmtree(memory)


def test_the_round_takes_no_more_than_its_share_and_leaves_what_is_unchanged_alone(
    harvest_server: ServerThread, directory: Path, pod_name: str
) -> None:
    with Watched(harvest_server.address, directory / "good", pod=pod_name, rehash_seconds=0.05) as watched:
        watched.wait_for(directory / "good", b"first")
        (directory / "good").write_bytes(b"second")
        watched.wait_for(directory / "good", b"second")
        assert watched.client.flush(PATIENCE_SECONDS)
        assert watched.history(directory / "good") == [md5(b"first"), md5(b"second")]


def test_a_client_that_fails_again_and_again_is_not_ready_until_it_does_its_work_again(
    harvest_server: ServerThread, directory: Path, pod_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_broken = threading.Event()

    def broken(rule: Rule) -> Found:
        if is_broken.is_set():
            raise RuntimeError("a bug")
        return find(rule)

    monkeypatch.setattr(search, "find", broken)
    settings = config(harvest_server.address, pod=pod_name, directories=(str(directory),))
    with Client(settings) as client:
        until(lambda: client.status().acknowledged == 1, "the file")
        assert client.status().ready
        is_broken.set()
        (directory / "new").write_text("new")
        until(lambda: not client.status().ready, "the client not to be ready")
        is_broken.clear()
        until(lambda: client.status().acknowledged == 2, "the new file")
        assert client.status().ready


def test_what_was_read_when_an_unexpected_error_came_is_announced(
    harvest_server: ServerThread, directory: Path, pod_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = Sender.observe
    errors: list[str] = []

    def broken_once(sender: Sender, path: str, reading: Reading | None, *, is_watched: bool) -> None:
        if not errors:
            errors.append(path)
            raise RuntimeError("a bug")
        observe(sender, path, reading, is_watched=is_watched)

    for number in range(3):
        (directory / str(number)).write_text(str(number))
    monkeypatch.setattr(Sender, "observe", broken_once)
    with Client(config(harvest_server.address, pod=pod_name, directories=(str(directory),))) as client:
        until(lambda: client.status().acknowledged == 4, "the files")
        assert client.status().faults == 1
