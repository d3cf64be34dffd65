"""What a store does beside its calls, in a thread that runs only while there is need."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable

from kharvest.spi import StoreError
from kharvest.spi.pieces import lists_of
from kharvest_fsspec._bucket import Bucket
from kharvest_fsspec._checkpoints import Made
from kharvest_fsspec._index import Index
from kharvest_fsspec._log import Log
from kharvest_fsspec._operations import Sweep

FOLDER = "contents"
_NAME = re.compile(rf"{FOLDER}/[0-9a-f]{{64}}-[0-9a-f]+")
_REMOVED_AT_ONCE = 1000
_logger = logging.getLogger(__name__)

_SEGMENT_COST = 16 * 2**10
"""To open a store costs for each segment of the tail, whatever its size, about as much as for so many bytes of a
checkpoint."""
_LEAST_COST = 8 * _SEGMENT_COST
_CLOSE_SECONDS = 5.0
_SHARE = 2
"""The tail may cost half of what the checkpoint does: so opening costs at most half as much again, and all checkpoints
together about three times what was written."""


class Upkeep:
    """Looks after the log's length, and after leftovers, in the wake of the segments that this process makes.

    `make_checkpoint` is given the number from which on the log is our tail. `sweep` is given the time, by the clock of
    the place. `checkpoint_bytes` is the size of the checkpoint that the index began with, which covers `covered`. What
    fails here fails no call: it is logged, and tried again when the log has grown.
    """

    def __init__(
        self,
        log: Log,
        make_checkpoint: Callable[[int], Made | None],
        sweep: Callable[[int], None],
        covered: int,
        checkpoint_bytes: int,
    ) -> None:
        self._log = log
        self._make_checkpoint = make_checkpoint
        self._sweep = sweep
        self._checkpoint_bytes = checkpoint_bytes
        self._covered = covered
        self._covered_bytes = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def wrote(self) -> None:
        """See whether there is need, after a segment was made."""
        if self._is_due():
            with self._lock:
                if not self._is_closed and (self._thread is None or not self._thread.is_alive()):
                    self._thread = threading.Thread(target=self._run, name="kharvest-fsspec upkeep", daemon=True)
                    self._thread.start()

    def _is_due(self) -> bool:
        segments = self._log.number - self._covered
        cost = self._log.bytes_done - self._covered_bytes + segments * _SEGMENT_COST
        return cost >= max(_LEAST_COST, self._checkpoint_bytes // _SHARE)

    def _run(self) -> None:
        since, self._covered, self._covered_bytes = self._covered, self._log.number, self._log.bytes_done
        try:
            made = self._make_checkpoint(since)
            if made is not None:
                self._checkpoint_bytes = made.size
                self._sweep(made.made_at_ns)
        except StoreError as error:
            _logger.warning("upkeep of the store failed, and is tried again later: %s", error)
        except Exception:
            if not self._is_closed:  # else it may have been overtaken by the end of the store
                raise

    def wait(self, seconds: float | None = None) -> None:
        """Until nothing runs, but no longer than so many seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def close(self) -> None:
        """Begin nothing more, and wait for what runs, but not for long: what is left undone, others do."""
        with self._lock:
            self._is_closed = True
        self.wait(_CLOSE_SECONDS)


def sweep(bucket: Bucket, log: Log, index: Index, now_ns: int, age_ns: int) -> None:
    """Remove objects that nobody will publish: of killed processes, and those that outlived their discard.

    Not if that was done within `age_ns` before `now_ns`, which is now by the clock of the place.

    What is older than `age_ns` and not published is condemned through the log: whichever comes first there, that or its
    publication, holds for everybody.
    """
    if now_ns - index.swept_at_ns() < age_ns:
        return
    for digit in "0123456789abcdef":  # so that a listing of very many contents is not in memory at once
        old = [one.name for one in bucket.entries(FOLDER, digit) if one.modified_ns <= now_ns - age_ns]
        ours = [name for name in old if _NAME.fullmatch(name)]
        left = sorted(set(ours) - index.published(ours))
        for some in lists_of(_REMOVED_AT_ONCE, left):
            bucket.remove(log.write(Sweep(some, 0)))
    log.write(Sweep((), now_ns))
