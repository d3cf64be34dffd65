"""File systems that others may change without an event are polled besides."""

from __future__ import annotations

import os
from pathlib import Path

from client.watched import until
from kharvest.client._config.rules import path_rule
from kharvest.client._events import EventQueue
from kharvest.client._watch.changes import Changes
from kharvest.client._watch.directories import Directories
from kharvest.client._watch.files import WatchedFile
from kharvest.client._watch.links import Entry
from kharvest.client._watch.mounts import Mounts

TABLE = """\
22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
31 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 31 0:50 / /data/with\\040space rw - nfs4 server:/export rw,vers=4.2
41 31 0:51 / /gcs rw master:3 shared:4 - fuse.gcsfuse bucket rw
42 31 0:52 / /csi rw - fuse driver rw
43 31 0:53 / /merged rw - overlay overlay rw,lowerdir=/lower,upperdir=/upper,workdir=/work
44 31 0:54 / /new rw - somefs none rw
45 31 0:55 / /memory rw - tmpfs tmpfs rw
"""


def test_the_type_of_a_file_system_that_does_not_tell_of_every_change_is_told(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    mounts = Mounts(table)
    assert mounts.silent_type(os.makedev(8, 1)) is None
    assert mounts.silent_type(os.makedev(0, 50)) == "nfs4"
    assert mounts.silent_type(os.makedev(0, 51)) == "fuse.gcsfuse"
    assert mounts.silent_type(os.makedev(0, 52)) == "fuse"
    assert mounts.silent_type(os.makedev(0, 53)) == "overlay"
    assert mounts.silent_type(os.makedev(0, 54)) == "somefs"
    assert mounts.silent_type(os.makedev(0, 55)) is None
    assert mounts.silent_type(os.makedev(0, 99)) is None
    assert Mounts(tmp_path / "nothing").silent_type(os.makedev(8, 1)) is None


def test_a_mount_that_came_later_is_known(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("")
    mounts = Mounts(table)
    assert mounts.silent_type(os.makedev(0, 7)) is None
    table.write_text(TABLE)
    assert mounts.silent_type(os.makedev(0, 50)) == "nfs4"


def test_a_directory_on_a_remote_file_system_is_watched_and_polled(tmp_path: Path) -> None:
    changes = Changes(EventQueue())
    directories = Directories(changes, Mounts(eventful=frozenset()))
    try:
        file = WatchedFile(str(tmp_path / "file"), path_rule(str(tmp_path / "file")))
        directories.follow([file])
        assert directories.is_polling
        assert directories.polled() == {file}
        (tmp_path / "file").touch()
        until(lambda: Entry(str(tmp_path), "file") in (changes.take() or {}), "the event")
    finally:
        directories.close()
