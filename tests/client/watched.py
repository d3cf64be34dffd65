"""A client at work on real files, and what a real server has recorded of them."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import Pod

from kharvest.client import Client, ClientConfig

SETTLE_SECONDS = 0.1
PATIENCE_SECONDS = 15.0
REMOVED = bytes(16)


def md5(content: bytes) -> bytes:
    return hashlib.md5(content).digest()


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def config(server: str, paths: Sequence[Path | str] = (), **settings: Any) -> ClientConfig:
    """A configuration that is quick, and rescans so seldom that only events help."""
    fast = {"settle_seconds": SETTLE_SECONDS, "rescan_seconds": 600.0, "spread_seconds": 0.2, "pod": "web-1"}
    return ClientConfig(server=server, paths=tuple(str(path) for path in paths), **{**fast, **settings})


class Watched:
    """A client that watches paths, and the eyes of the server on its pod."""

    def __init__(self, server: str, *paths: Path, pod: str, **settings: Any) -> None:
        self.client = Client(config(server, paths, pod=pod, namespace="shop", **settings))
        self._pod = pod
        self._reader = Pod(server, "reader")

    def __enter__(self) -> Self:
        self.client.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        faults = 0 if kind is not None else self.client.status().faults
        self.client.close()
        self._reader.__exit__(None, None, None)
        assert faults == 0, "the client met unexpected errors: see its log"

    def history(self, path: Path) -> list[bytes]:
        """The MD5 of every version recorded of this pod's path, oldest first; REMOVED for removals."""
        return [one.file.md5 for one in self._reader.references(path=str(path), pod=self._pod)]

    def newest(self) -> dict[str, bytes]:
        """The MD5 of the newest version of every path of this pod."""
        return {one.file.path: one.file.md5 for one in self._reader.references(pod=self._pod, latest=True)}

    def wait_for(self, path: Path, content: bytes | None) -> None:
        """Until the newest that is recorded of the path is this content, or its removal."""
        wanted = REMOVED if content is None else md5(content)
        until(lambda: self.history(path)[-1:] == [wanted], f"{path} to be recorded as {content!r:.60}")

    def wait_until_quiet(self) -> None:
        """Until all that is there is acknowledged."""
        assert self.client.flush(PATIENCE_SECONDS), self.client.status()


class Volume:
    """A volume as the kubelet writes it: files are links through `..data`, which is swapped by a rename."""

    def __init__(self, directory: Path, **contents: str) -> None:
        self.directory = directory
        self._swaps = 0
        self._current: Path | None = None
        self.swap(**contents)
        for name in contents:
            (directory / name).symlink_to(f"..data/{name}")

    def swap(self, **contents: str) -> None:
        self._swaps += 1
        new = self.directory / f"..2026_11_23.{self._swaps}"
        new.mkdir()
        for name, content in contents.items():
            (new / name).write_text(content)
        (self.directory / "..data_tmp").symlink_to(new.name)
        (self.directory / "..data_tmp").replace(self.directory / "..data")
        if self._current is not None:
            shutil.rmtree(self._current)
        self._current = new
