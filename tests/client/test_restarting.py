"""What goes away while no client runs is a removal, once one runs again; what cannot be seen is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import Pod, ServerThread

from client.scripted import Context, ScriptedServer, refuse
from client.watched import PATIENCE_SECONDS, config, md5, until
from kharvest.client import Client, harvest_once
from kharvest.wire import v2_pb2 as v2

REMOVED = bytes(16)


class Restarted:
    """A pod whose client runs, ends, and runs again."""

    def __init__(self, server: ServerThread, pod: str, **settings: Any) -> None:
        self.server = server
        self.pod = pod
        self.settings = {"pod": pod, "namespace": "shop", **settings}

    def run(self, **settings: Any) -> None:
        """Until all that is there is acknowledged."""
        with Client(config(self.server.address, **{**self.settings, **settings})) as client:
            assert client.flush(PATIENCE_SECONDS)

    def client(self, **settings: Any) -> Client:
        return Client(config(self.server.address, **{**self.settings, **settings}))

    def newest(self) -> dict[str, bytes]:
        with Pod(self.server.address) as reader:
            return {one.file.path: one.file.md5 for one in reader.references(pod=self.pod, latest=True)}


def write(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def test_what_went_away_meanwhile_is_removed_by_path_by_glob_and_by_directory(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    write(tmp_path, "path", "kept", "globbed/a.conf", "globbed/kept.conf", "below/deep/er/a", "below/kept")
    restarted = Restarted(
        harvest_server,
        pod_name,
        paths=[tmp_path / "path", tmp_path / "kept"],
        globs=(f"{tmp_path}/globbed/*.conf",),
        directories=(f"{tmp_path}/below",),
    )
    restarted.run()
    gone = ["path", "globbed/a.conf", "below/deep/er/a"]
    for name in gone:
        (tmp_path / name).unlink()
    (tmp_path / "below/deep/er").rmdir()
    (tmp_path / "below/deep").rmdir()
    expected = {f"{tmp_path}/{name}": md5(name.encode()) for name in ("kept", "globbed/kept.conf", "below/kept")}
    expected |= {f"{tmp_path}/{name}": REMOVED for name in gone}
    with restarted.client() as client:
        until(lambda: restarted.newest() == expected, "the removals")
        until(lambda: client.status().watched == 4, "what is gone to be forgotten, but for the path")
        assert client.flush(PATIENCE_SECONDS)
        assert client.status().problems == ()
    restarted.run()  # and it is one removal
    with Pod(harvest_server.address) as reader:
        assert len(reader.references(pod=pod_name, md5=REMOVED)) == 3


def test_harvesting_once_announces_removals_too(harvest_server: ServerThread, tmp_path: Path, pod_name: str) -> None:
    write(tmp_path, "etc/a", "etc/b")
    told = config(
        harvest_server.address, pod=pod_name, directories=(f"{tmp_path}/etc",), root=str(tmp_path), spread_seconds=60.0
    )
    assert harvest_once(told, timeout=30).acknowledged == 2
    (tmp_path / "etc/b").unlink()
    assert harvest_once(told, timeout=30).acknowledged == 1
    with Pod(harvest_server.address) as reader:
        newest = {one.file.path: one.file.md5 for one in reader.references(pod=pod_name, latest=True)}
    assert newest == {"/etc/a": md5(b"etc/a"), "/etc/b": REMOVED}


def test_what_is_not_configured_any_more_or_is_another_pod_s_is_no_removal(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    write(tmp_path, "d/a.tmp", "d/sub/b.tmp", "e/c", "d/gone")
    both = (f"{tmp_path}/d", f"{tmp_path}/e")
    Restarted(harvest_server, f"{pod_name}-other", directories=both).run()
    restarted = Restarted(harvest_server, pod_name, directories=both)
    restarted.run()
    before = restarted.newest()
    for name in ("d/a.tmp", "d/sub/b.tmp", "e/c", "d/gone"):
        (tmp_path / name).unlink()
    with restarted.client(directories=both[:1], exclude=("*.tmp",)):
        until(lambda: restarted.newest()[f"{tmp_path}/d/gone"] == REMOVED, "the removal")
    assert restarted.newest() == before | {f"{tmp_path}/d/gone": REMOVED}
    assert REMOVED not in Restarted(harvest_server, f"{pod_name}-other").newest().values()


def test_a_pod_that_is_made_anew_inherits_nothing(harvest_server: ServerThread, tmp_path: Path, pod_name: str) -> None:
    write(tmp_path, "d/kept", "d/gone")
    pod = Restarted(harvest_server, pod_name, directories=(f"{tmp_path}/d",))
    pod.run(uid="first")
    (tmp_path / "d/gone").unlink()
    pod.run(uid="second")
    with Pod(harvest_server.address) as reader:
        found = {
            uid: {Path(one.file.path).name: one.file.md5 for one in reader.references(pod=pod_name, uid=uid)}
            for uid in ("first", "second")
        }
    assert found == {
        "first": {name: md5(f"d/{name}".encode()) for name in ("kept", "gone")},
        "second": {"kept": md5(b"d/kept")},
    }


def test_a_directory_that_is_not_there_says_nothing_about_its_files(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    """It may not be mounted yet."""
    write(tmp_path, "volume/a", "volume/b", "config/path", "seen/gone")
    restarted = Restarted(
        harvest_server,
        pod_name,
        directories=(f"{tmp_path}/volume", f"{tmp_path}/seen"),
        paths=[tmp_path / "config/path"],
    )
    restarted.run()
    before = restarted.newest()
    (tmp_path / "volume").rename(tmp_path / "elsewhere")
    (tmp_path / "config").rename(tmp_path / "config elsewhere")
    (tmp_path / "seen/gone").unlink()
    with restarted.client() as client:
        until(lambda: restarted.newest()[f"{tmp_path}/seen/gone"] == REMOVED, "the removal that can be seen")
        assert client.flush(PATIENCE_SECONDS)
        (tmp_path / "elsewhere").rename(tmp_path / "volume")
        until(lambda: client.status().acknowledged == 2, "the files that are mounted now")
    assert restarted.newest() == before | {f"{tmp_path}/seen/gone": REMOVED}


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux) to give up root's rights")
def test_a_directory_that_may_not_be_listed_says_nothing_about_its_files(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    write(tmp_path, "closed/a", "seen/gone", "seen/here")
    folders = (f"{tmp_path}/closed", f"{tmp_path}/seen")
    restarted = Restarted(harvest_server, pod_name, directories=folders)
    restarted.run()
    before = restarted.newest()
    (tmp_path / "seen/gone").unlink()
    (tmp_path / "closed").chmod(0)
    command = [sys.executable, "-m", "kharvest", "client", "--once", "--server", harvest_server.address]
    command += ["--namespace", "shop", "--pod", pod_name, *(f"--directory={folder}" for folder in folders)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    try:
        subprocess.run(command, timeout=60, check=False)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert restarted.newest() == before | {f"{tmp_path}/seen/gone": REMOVED}


def test_more_than_a_page_of_it_is_asked_for(harvest_server: ServerThread, tmp_path: Path, pod_name: str) -> None:
    write(tmp_path, *(f"d/{number}" for number in range(1100)))
    restarted = Restarted(harvest_server, pod_name, directories=(f"{tmp_path}/d",))
    restarted.run()
    for file in (tmp_path / "d").iterdir():
        file.unlink()
    with restarted.client():
        until(lambda: set(restarted.newest().values()) == {REMOVED}, "all removals")


def test_a_server_that_is_away_at_the_start_is_asked_when_it_comes(tmp_path: Path, sqlite_url: str) -> None:
    write(tmp_path, "d/gone")
    with ServerThread(sqlite_url) as server:
        address = server.address
        Restarted(server, "web-1", directories=(f"{tmp_path}/d",)).run()
    (tmp_path / "d/gone").unlink()
    with Client(config(address, directories=(f"{tmp_path}/d",), namespace="shop")) as client:
        until(lambda: client.status().failure is not None, "the failure")
        with ServerThread(sqlite_url, listen=address) as server:
            newest = Restarted(server, "web-1").newest
            until(lambda: newest() == {f"{tmp_path}/d/gone": REMOVED}, "the removal", patience=60)


def test_a_server_that_does_not_tell_is_harvested_for_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, "file")

    def announce(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        if request.pod.name != "web-1":
            refuse(context, grpc.StatusCode.PERMISSION_DENIED)
        return v2.AnnounceReply(answers=[v2.ACKNOWLEDGED] * len(request.files))

    with ScriptedServer(announce) as server:  # it has no Query service
        assert harvest_once(config(server.address, [tmp_path / "file"]), timeout=30).acknowledged == 1
