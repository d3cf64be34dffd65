"""A file is looked at again whenever something happened after it was last read."""

from __future__ import annotations

import time
from pathlib import Path

from kharvest.client.files import REMOVAL, Version
from kharvest.client.inbox import Inbox
from kharvest.client.observing import Observer
from kharvest.client.rules import path_rule
from kharvest.client.tracks import Track


def test_a_removal_right_after_the_reading_is_not_overlooked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    inbox = Inbox()
    observed: list[Version | None] = []
    observer = Observer(
        inbox, settle_seconds=0.0, settle_max_seconds=0.0, observed=lambda track: observed.append(track.version)
    )
    track = Track(str(file), path_rule(str(file)), announced=True)
    try:
        observer.touch(track, at_once=True)
        observer.turn(time.monotonic())
        assert track.reading
        mail = inbox.take(10)  # it was read
        file.unlink()
        observer.touch(track)  # and only now is the event seen, before what was read
        mail.work.popleft()()
        deadline = time.monotonic() + 10
        while observed[-1:] != [REMOVAL]:
            assert time.monotonic() < deadline, observed
            observer.turn(time.monotonic())
            for work in inbox.take(0.01).work:
                work()
    finally:
        observer.close()
