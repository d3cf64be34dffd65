"""Faults in how the keys and holders of claims are kept and compared."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Collection

from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_keys_are_exact")
class KeepsKeysAsText(PlainStore):
    """Keeps keys in a column of text, and replaces what is not UTF-8."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        named = {key: key.decode(errors="replace").encode() for key in keys}
        held = super().claim(set(named.values()), holder, now_ns, until_ns)
        return {key for key, name in named.items() if name in held}


@caught_by("test_keys_are_exact")
class KeepsKeysAsNumbers(PlainStore):
    """Has a column whose affinity is numeric: what looks like a number becomes one."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        named = {key: self.number(key) for key in keys}
        held = super().claim(set(named.values()), holder, now_ns, until_ns)
        return {key for key, name in named.items() if name in held}

    def number(self, key: bytes) -> bytes:
        try:
            return str(float(key)).encode()
        except ValueError:
            return key


@caught_by("test_keys_are_exact")
class HashesKeys(PlainStore):
    """Keeps a CRC of each key: a short column makes a small index."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        named = {key: zlib.crc32(key).to_bytes(4) for key in keys}
        held = super().claim(set(named.values()), holder, now_ns, until_ns)
        return {key for key, name in named.items() if name in held}

    def release(self, keys: Collection[bytes], holder: str) -> None:
        super().release({zlib.crc32(key).to_bytes(4) for key in keys}, holder)


@caught_by("test_the_keys_that_are_released_are_exact")
class ReleasesByPrefix(PlainStore):
    """Releases with LIKE 'key%'."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            super().release([key for key in state.leases if key.startswith(tuple(keys))], holder)


@caught_by("test_the_keys_that_are_released_are_exact")
class ReleasesWithoutCase(PlainStore):
    """Compares keys in the collation of the column when it releases, and as binary when it claims."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        folded = {key.lower() for key in keys}
        with self.session() as state:
            super().release([key for key in state.leases if key.lower() in folded], holder)


@caught_by("test_the_keys_that_are_released_are_exact")
class ReleasesAllOfAHolder(PlainStore):
    """Deletes by holder: it has one batch at a time, doesn't it?"""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            super().release([key for key, lease in state.leases.items() if lease[0] == holder], holder)


@caught_by("test_holders_are_exact")
class FoldsHolders(PlainStore):
    """Compares holders as the database's collation does."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, unicodedata.normalize("NFC", holder), now_ns, until_ns)


@caught_by("test_holders_are_exact")
class TrimsHolders(PlainStore):
    """Strips holders, as it strips all that comes from outside."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, holder.rstrip(" ") or holder, now_ns, until_ns)


@caught_by("test_the_holder_that_releases_is_exact")
class ReleasesForHoldersThatLookAlike(PlainStore):
    """Claims with =, and releases with LIKE, which folds case."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            for key in keys:
                if state.leases.get(key, ("", 0))[0].casefold() == holder.casefold():
                    state.leases.pop(key, None)


@caught_by("test_key_and_holder_do_not_run_together")
class JoinsKeyAndHolder(PlainStore):
    """Keeps `key/holder` in one column, and splits it at the last stroke."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        lease = state.leases.get(key)
        if lease is None:
            return True
        joined = f"{key.hex()}/{lease[0]}"
        return joined.endswith(f"/{holder}") or lease[1] <= now_ns


@caught_by("test_key_and_holder_do_not_run_together")
class JoinsHolderAndEnd(PlainStore):
    """Keeps `holder:end` in one value, and reads the end from where the first colon is."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner.partition(":")[0] == holder.partition(":")[0] or until <= now_ns
