"""Removing objects that nobody will publish: of killed processes, and those that outlived their discard."""

from __future__ import annotations

import re

from kharvest_fsspec._bucket import Bucket
from kharvest_fsspec._index import Index
from kharvest_fsspec._log import Log
from kharvest_fsspec._operations import Sweep

FOLDER = "contents"
_NAME = re.compile(rf"{FOLDER}/[0-9a-f]{{64}}-[0-9a-f]+")
_AT_ONCE = 1000


def sweep(bucket: Bucket, log: Log, index: Index, now_ns: int, age_ns: int) -> None:
    """Sweep, unless that was done within `age_ns` before `now_ns`, which is now by the clock of the place.

    What is older than `age_ns` and not published is condemned through the log: whichever comes first there, that or its
    publication, holds for everybody.
    """
    if now_ns - index.swept_at_ns() < age_ns:
        return
    for digit in "0123456789abcdef":  # so that a listing of very many contents is not in memory at once
        old = [one.name for one in bucket.entries(FOLDER, digit) if one.modified_ns <= now_ns - age_ns]
        ours = [name for name in old if _NAME.fullmatch(name)]
        left = sorted(set(ours) - index.published(ours))
        for first in range(0, len(left), _AT_ONCE):
            bucket.remove(log.write(Sweep(left[first : first + _AT_ONCE], 0)))
    log.write(Sweep((), now_ns))
