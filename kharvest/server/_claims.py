"""The claims in the store, which make an election unique over all servers of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from concurrent.futures import Executor
from contextlib import suppress

from kharvest.server._clock import SECOND_NS, StoreClock
from kharvest.spi import MAX_BATCH, KharvestError, Store


class Claims:
    """The claims of this server. Used on one event loop; calls the store on a worker thread.

    Leases go by the store's clock. Claims that are not needed any more are ended together.
    """

    def __init__(self, store: Store, executor: Executor, clock: StoreClock) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._unneeded: dict[str, set[bytes]] = {}

    async def extend(self, keys: Collection[bytes], holder: str, seconds: float) -> set[bytes]:
        """Make or extend claims; the keys that the holder has now.

        Raises:
            StoreError: some may have been made, some not.
        """

        def extend() -> set[bytes]:
            now_ns = self._clock.now_ns()
            until_ns = now_ns + int(seconds * SECOND_NS)
            held: set[bytes] = set()
            for some in _batches(keys):
                held |= self._store.claim(some, holder, now_ns, until_ns)
            return held

        return await asyncio.get_running_loop().run_in_executor(self._executor, extend)

    def drop(self, key: bytes, holder: str) -> None:
        """The claim is not needed any more: the next `release` ends it."""
        self._unneeded.setdefault(holder, set()).add(key)

    async def release(self) -> None:
        """End the claims that are not needed any more."""
        loop = asyncio.get_running_loop()
        while self._unneeded:
            holder, keys = self._unneeded.popitem()
            for some in _batches(keys):
                with suppress(KharvestError):  # the guard has counted and logged it; the lease ends by itself
                    await loop.run_in_executor(self._executor, self._store.release, some, holder)


def _batches(keys: Collection[bytes]) -> Iterator[list[bytes]]:
    """The keys, as many at a time as a store is given in one call."""
    left = list(keys)
    for start in range(0, len(left), MAX_BATCH):
        yield left[start : start + MAX_BATCH]
