"""File systems that others may change without an event are polled besides."""

from __future__ import annotations

import os
from pathlib import Path

from client.watched import until
from kharvest.client.inbox import Inbox
from kharvest.client.lookout import Lookout
from kharvest.client.mounts import Mounts
from kharvest.client.places import Place
from kharvest.client.rules import path_rule
from kharvest.client.tracks import Track

TABLE = """\
22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
31 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 31 0:50 / /data/with\\040space rw - nfs4 server:/export rw,vers=4.2
41 31 0:51 / /gcs rw master:3 shared:4 - fuse.gcsfuse bucket rw
"""


def test_the_type_of_a_remote_file_system_is_told(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    mounts = Mounts(table)
    assert mounts.remote_type(os.makedev(8, 1)) is None
    assert mounts.remote_type(os.makedev(0, 50)) == "nfs4"
    assert mounts.remote_type(os.makedev(0, 51)) == "fuse.gcsfuse"
    assert mounts.remote_type(os.makedev(0, 99)) is None
    assert Mounts(tmp_path / "nothing").remote_type(os.makedev(8, 1)) is None


def test_a_mount_that_came_later_is_known(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("")
    mounts = Mounts(table)
    assert mounts.remote_type(os.makedev(0, 7)) is None
    table.write_text(TABLE)
    assert mounts.remote_type(os.makedev(0, 50)) == "nfs4"


def test_a_directory_on_a_remote_file_system_is_watched_and_polled(tmp_path: Path) -> None:
    here = next(
        line.partition(" - ")[2].split()[0]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[2] == f"{os.major(tmp_path.stat().st_dev)}:{os.minor(tmp_path.stat().st_dev)}"
    )
    inbox = Inbox()
    lookout: Lookout[Track] = Lookout(inbox, Mounts(remote=frozenset({here})))
    try:
        track = Track(str(tmp_path / "file"), path_rule(str(tmp_path / "file")))
        lookout.place([track])
        assert lookout.is_polling
        assert lookout.polled() == {track}
        (tmp_path / "file").touch()
        until(lambda: Place(str(tmp_path), "file") in inbox.take(0.1).touched, "the event")
    finally:
        lookout.close()
