"""Faults of stores that take a short hash of a string for the string."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from functools import reduce

from kharvest.spi import Metadata, Pod
from kharvest_zoo.fault import caught_by
from kharvest_zoo.faults.likenesses import Key, KeyedStore
from kharvest_zoo.plain import PlainStore

SUMMED = "test_strings_of_one_checksum_stay_apart"


@caught_by(SUMMED)
class InternsMetadataByTheirCrc(KeyedStore):
    """Keeps each set of pairs once, under a CRC-32 of what it writes."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return zlib.crc32(repr(metadata).encode())


@caught_by(SUMMED)
class IndexesAChecksumOfThePath(KeyedStore):
    """Has an index on a checksum of the path, which is too long for one, and looks no further."""

    def path_key(self, path: str) -> Key:
        return zlib.adler32(path.encode())


@caught_by(SUMMED)
class FindsPodsByTheHashOfJava(KeyedStore):
    """Cuts pods into parts by a hash, and takes what has the hash of another for the other."""

    def pod_key(self, pod: Pod) -> Key:
        return tuple(
            reduce(lambda found, one: (31 * found + ord(one)) % 2**32, part, 0) for part in (pod.namespace, pod.name)
        )


@caught_by(SUMMED)
class LocksByAHash(PlainStore):
    """Takes advisory locks, whose names are numbers, and remembers leases by them."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        numbers = {key: zlib.crc32(key).to_bytes(4) for key in keys}
        held = super().claim(set(numbers.values()), holder, now_ns, until_ns)
        return {key for key, number in numbers.items() if number in held}

    def release(self, keys: Collection[bytes], holder: str) -> None:
        super().release([zlib.crc32(key).to_bytes(4) for key in keys], holder)
