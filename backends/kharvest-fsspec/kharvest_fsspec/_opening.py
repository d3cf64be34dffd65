"""Opening a store: find or make it, load its newest state, and put the parts together."""

from __future__ import annotations

from contextlib import ExitStack

from kharvest.spi import mask_url
from kharvest_fsspec import _marker as marker
from kharvest_fsspec._bucket import Bucket
from kharvest_fsspec._checkpoints import Checkpoints
from kharvest_fsspec._connecting import bucket_at
from kharvest_fsspec._index import Index
from kharvest_fsspec._log import RETENTION_SECONDS, TRUST_SECONDS, Log, boot_clock
from kharvest_fsspec._scratch import scratch_folder
from kharvest_fsspec._store import FsspecStore
from kharvest_fsspec._upkeep import Upkeep, sweep

_NS = 10**9


def open_store(url: str) -> FsspecStore:
    """Open the store on a URL, and create what is missing of it.

    Raises:
        InvalidStoreURL, StoreUnavailable, StoreCorrupt, IncompatibleSchema
        Unsupported: the place cannot hold a store, or is in use and cannot be shared.
    """
    return open_bucket(bucket_at(url), mask_url(url))


def open_bucket(
    bucket: Bucket,
    name: str,
    *,
    retention_seconds: float = RETENTION_SECONDS,
    trust_seconds: float = TRUST_SECONDS,
) -> FsspecStore:
    """Open the store in a bucket, which the store closes, called `name` in errors; for the rest see `log`."""
    opened = ExitStack()
    try:
        opened.callback(bucket.close)
        return _opened(bucket, name, opened, retention_ns=int(retention_seconds * _NS), trust_seconds=trust_seconds)
    except BaseException:
        opened.close()
        raise


def _opened(bucket: Bucket, name: str, opened: ExitStack, *, retention_ns: int, trust_seconds: float) -> FsspecStore:
    store = marker.find_or_create(bucket, name)
    bucket.prepare()
    folder = opened.enter_context(scratch_folder())
    index = Index(folder)
    opened.callback(index.close)
    checkpoints = Checkpoints(bucket, store, retention_ns)
    began = boot_clock()
    loaded = checkpoints.fetch(folder)
    if loaded is None:
        index.start()
    else:
        index.start(loaded.index)
        checkpoints.remember(index, loaded.checkpoint)

    def newest_checkpoint() -> int:
        newest = checkpoints.newest()
        return 0 if newest is None else newest.number

    def reload() -> None:
        again = checkpoints.fetch(folder)
        if again is not None:
            index.restart(again.index)
            again.index.unlink()

    log = Log(
        bucket,
        store,
        index,
        newest_checkpoint=newest_checkpoint,
        reload=reload,
        seen=began,
        trust_seconds=trust_seconds,
    )
    log.refresh()
    upkeep = Upkeep(
        log,
        lambda since: checkpoints.make(index, since, folder),
        lambda now_ns: sweep(bucket, log, index, now_ns, retention_ns),
        covered=0 if loaded is None else loaded.checkpoint.number,
        checkpoint_bytes=0 if loaded is None else loaded.size,
    )
    log.wrote = upkeep.wrote
    return FsspecStore(bucket, log, index, upkeep, opened)
