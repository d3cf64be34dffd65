"""The object `kharvest-store`: it says that a place holds a store, of which format, and which one."""

from __future__ import annotations

import json
import secrets

from kharvest.spi import IncompatibleSchema, InvalidStoreURL, StoreCorrupt, Unsupported
from kharvest_fsspec._bucket import Bucket, Exists, Missing
from kharvest_fsspec._frames import FORMAT_VERSION

NAME = "kharvest-store"
_WRITTEN_BY = "kharvest-fsspec 0.1"
_STORE_BYTES = 16


def find_or_create(bucket: Bucket, masked_url: str) -> bytes:
    """What names the store in this place; a new one is made where there is nothing.

    Both ways it is tried to make the marker again, which must fail: so a user who may not write is told now, and a
    place that cannot make objects exclusively is refused before anybody relies on it. What such a place overwrites is
    the marker, with the same bytes.

    Raises:
        InvalidStoreURL: there is something else.
        StoreCorrupt, IncompatibleSchema: there is a store that we cannot read.
        Unsupported: the place does not make objects exclusively.
    """
    data = _read(bucket)
    if data is None:
        if not bucket.is_empty():
            data = _read(bucket)  # somebody else may have just made a store here
            if data is None:
                raise InvalidStoreURL(masked_url, "there is something else, and no store", "name an empty place")
        else:
            data = _create(bucket)
    store = _store_in(data)
    try:
        bucket.create(NAME, data)
    except Exists:
        return store
    raise Unsupported(
        "making an object exclusively",
        "this server ignores If-None-Match: upgrade it, or name another place",
    )


def _read(bucket: Bucket) -> bytes | None:
    try:
        return bucket.get(NAME)
    except Missing:
        return None


def _create(bucket: Bucket) -> bytes:
    fields = {"format": FORMAT_VERSION, "store": secrets.token_hex(_STORE_BYTES), "written_by": _WRITTEN_BY}
    data = json.dumps(fields).encode()
    try:
        bucket.create(NAME, data)
    except Exists:
        return bucket.get(NAME)
    return data


def _store_in(data: bytes) -> bytes:
    try:
        fields = json.loads(data)
        version, store = int(fields["format"]), bytes.fromhex(fields["store"])
    except (ValueError, KeyError, TypeError) as error:
        remedy = f"restore {NAME} from a backup, or name another place"
        raise StoreCorrupt(f"the object {NAME} cannot be read", remedy) from error
    if version != FORMAT_VERSION:
        raise IncompatibleSchema(found=version, supported=FORMAT_VERSION)
    return store
