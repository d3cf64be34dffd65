"""Who has a SQLite store open: told by locks on a file beside it, which end with the processes that hold them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from kharvest.spi.disks import told_as


class Users:
    """One user's part in the lock file: alone at first if nobody else is there, then one of many."""

    def __init__(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise told_as(error, path) from error
        self.alone = self._try_alone()

    def _try_alone(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_others_in(self) -> None:
        """Share the store from now on. Waits for one who is alone in it, which is while it opens it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        self.alone = False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
