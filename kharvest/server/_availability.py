"""Notices when the store goes away and when it is back: says so once each, and lets health know."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Executor

from kharvest.server._metrics import Metrics
from kharvest.spi import IncompatibleSchema, KharvestError, Store, StoreCorrupt, StoreUnavailable

logger = logging.getLogger(__name__)

PROBE_SECONDS = 1.0
"""How often a store that is away is tried."""
_AWAY = (StoreUnavailable, StoreCorrupt, IncompatibleSchema)


class Availability:
    """Whether the store answers. `observe` is called from any thread; all else on the event loop that owns it.

    It is taken to be away from the first call that fails so until a probe succeeds, which writes and reads both halves:
    a database that only reads, as some do after a failover, is away too.
    """

    def __init__(self, metrics: Metrics, changed: Callable[[bool], None]) -> None:
        self._metrics = metrics
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._away_since: float | None = None
        self._failed = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    def observe(self, operation: str, seconds: float, error: KharvestError | None) -> None:
        """A call on the store ended."""
        self._metrics.observe_store(operation, seconds, error)
        if isinstance(error, _AWAY) and self._away_since is None:
            self._loop.call_soon_threadsafe(self._lost, error)

    def start(self, store: Store, executor: Executor) -> None:
        """Start to probe the store whenever it is away; `close` stops it."""
        self._probing = asyncio.create_task(self._watch(store, executor), name="availability")
        self._metrics.store_up(is_up=True)

    async def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _lost(self, error: KharvestError) -> None:
        if self._away_since is None:
            self._away_since = self._loop.time()
            logger.error("the store is away, trying it every %g s: %s", PROBE_SECONDS, error)
            self._metrics.store_up(is_up=False)
            self._changed(False)
            self._failed.set()

    async def _watch(self, store: Store, executor: Executor) -> None:
        while True:
            await self._failed.wait()
            await asyncio.sleep(PROBE_SECONDS)
            try:
                await self._loop.run_in_executor(executor, _probe, store)
            except KharvestError:
                continue
            if self._away_since is not None:
                logger.warning("the store is back after %.1f s", self._loop.time() - self._away_since)
            self._away_since = None
            self._failed.clear()
            self._metrics.store_up(is_up=True)
            self._changed(True)


def _probe(store: Store) -> None:
    key = secrets.token_bytes(16)
    store.claim([key], "probe", 0, 1)
    store.release([key], "probe")
    store.present([key + key])
