"""Objects on any other file system of fsspec, which promises no more than that files can be written and read back."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fsspec.spec import AbstractFileSystem

from kharvest.spi import Capability, StoreError, Unsupported
from kharvest_fsspec._address import NO_SECRETS, Secrets
from kharvest_fsspec._bucket import Exists, Missing
from kharvest_fsspec._patience import LISTING_SECONDS
from kharvest_fsspec._providers import Provider
from kharvest_fsspec._remote import ObjectBucket

_UPLOADS = "uploads"
_OPEN = "kharvest-open"
_KEEPS_NOTHING = frozenset({"memory"})


class PlainBucket(ObjectBucket):
    """A `Bucket` for one process at a time: it is told apart from others by an object that says who has it open.

    Files are written under a name in `uploads/`, then moved to their own; but not in this process's memory.
    """

    def __init__(self, files: AbstractFileSystem, root: str, protocol: str, secrets: Secrets = NO_SECRETS) -> None:
        super().__init__(files, root, Provider(protocol=protocol, extra=""), secrets)
        self._keeps_nothing = protocol in _KEEPS_NOTHING
        self.capabilities = frozenset() if self._keeps_nothing else frozenset({Capability.DURABLE})
        self._creating = threading.Lock()
        self._is_taken = False

    def prepare(self) -> None:
        """Take the place for this process.

        Raises:
            Unsupported: another one has it open, or this one.
        """
        with suppress(Missing):
            self._check_gone(self.get(_OPEN))
        with self._told(_OPEN):
            self._call("pipe_file", self._path(_OPEN), json.dumps(_myself()).encode())
        self._is_taken = True
        with self._told(_UPLOADS), suppress(FileNotFoundError):
            for path in self._call("find", self._path(_UPLOADS)):
                self._call("rm_file", path)

    def _check_gone(self, data: bytes) -> None:
        with suppress(ValueError):
            if _is_gone(json.loads(data)):
                return
        who = data.decode(errors="replace")
        path = self._secrets.hide(self._path(_OPEN))
        remedy = f"close it there; if that process is gone, remove {path}"
        raise Unsupported(f"sharing a file system without exclusive create (open by {who})", remedy)

    def create(self, name: str, data: bytes) -> None:
        with self._creating:
            with self._told(self._path(name)):
                if self._call("exists", self._path(name)):
                    raise Exists(name)
            self.upload(name, [data])

    def upload(self, name: str, parts: Iterable[bytes]) -> None:
        if self._keeps_nothing:
            self._upload_in_place(name, parts)
        else:
            self._upload_and_move(name, parts)

    def _upload_in_place(self, name: str, parts: Iterable[bytes]) -> None:
        """Where nothing outlives the process, no part of a file does either; and moving would copy it."""
        try:
            super().upload(name, parts)
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to tell of
                self._call("rm_file", self._path(name))
            raise

    def _upload_and_move(self, name: str, parts: Iterable[bytes]) -> None:
        begun = f"{_UPLOADS}/{secrets.token_hex(8)}"
        target = self._path(name)
        with self._told(self._path(name)):
            self._call("makedirs", self._path(_UPLOADS), exist_ok=True)
            self._call("makedirs", target.rpartition("/")[0], exist_ok=True)
        try:
            super().upload(begun, parts)
            with self._told(self._path(name)):
                self._call("mv", self._path(begun), target, seconds=LISTING_SECONDS)
        except BaseException:
            with suppress(Exception):  # the error that led here is the one to tell of
                self._call("rm_file", self._path(begun))
            raise

    def now_ns(self) -> int:
        return time.time_ns()  # nobody shares the place

    def is_empty(self) -> bool:
        """Whether there is nothing; empty folders of ours do not count."""
        with self._told(self._root), suppress(FileNotFoundError):
            return not self._call("find", self._root)
        return True

    def close(self) -> None:
        if self._is_taken:
            self._is_taken = False
            with suppress(StoreError):
                self.remove([_OPEN])


def _myself() -> dict[str, object]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "started": _started(pid)}


def _is_gone(who: dict[str, object]) -> bool:
    """Whether a process of this machine has ended; False for one of another machine, which nobody can tell."""
    if who.get("host") != socket.gethostname():
        return False
    pid = who.get("pid")
    return who.get("boot") != _boot() or not isinstance(pid, int) or _started(pid) != who.get("started")


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _started(pid: int) -> str | None:
    """When a process of this machine started, in ticks since the machine did; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[19]
