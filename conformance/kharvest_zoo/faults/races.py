"""Faults in claims and releases that come at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

from kharvest.spi import StoreUnavailable
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore

_PROCESS_LOCK = threading.Lock()


@caught_by("test_of_several_takers_at_once_exactly_one_wins")
class ClaimsTwice(PlainStore):
    """Looks, then takes, with nothing to hold the two together."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = {key for key in keys if self.is_free(self.state, key, holder, now_ns)}
        time.sleep(0.001)  # the round trip
        for key in held:
            self.state.leases[key] = (holder, until_ns)
        return held


@caught_by("test_overlapping_batches_of_claims_at_once_share_the_keys_out")
class LocksKeysInTheirOrder(PlainStore):
    """Locks row after row in the order of the batch, and takes a deadlock for an error of the caller."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.rows: set[bytes] = set()

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        locked: list[bytes] = []
        try:
            for key in keys:
                with self.lock:
                    if key in self.rows:
                        raise StoreUnavailable("deadlock detected")
                    self.rows.add(key)
                locked.append(key)
                time.sleep(0.0001)  # the round trip
            return super().claim(keys, holder, now_ns, until_ns)
        finally:
            with self.lock:
                self.rows -= set(locked)


@caught_by("test_overlapping_batches_of_claims_at_once_share_the_keys_out")
class GivesUpWhereOthersClaim(PlainStore):
    """Skips rows that are locked: SKIP LOCKED, against deadlocks."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.rows: set[bytes] = set()

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.lock:
            mine = set(keys) - self.rows
            self.rows |= mine
        try:
            time.sleep(0.001)  # the round trip
            return super().claim(mine, holder, now_ns, until_ns)
        finally:
            with self.lock:
                self.rows -= mine


@caught_by("test_overlapping_batches_of_claims_by_several_handles_share_the_keys_out")
class LocksWithinAHandle(FiledStore):
    """Looks at the leases in one transaction and writes them in the next: a lock of the handle is between them."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.lock:
            with self.session() as state:
                held = {key for key in keys if self.is_free(state, key, holder, now_ns)}
            time.sleep(0.001)  # the round trip
            with self.session() as state:
                for key in held:
                    state.leases[key] = (holder, until_ns)
            return held


@caught_by("test_a_late_release_beside_the_claim_of_the_next_holder_changes_nothing")
class ReleasesWhatItSaw(PlainStore):
    """Looks which leases are the holder's, then deletes them by key."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            ours = [key for key in keys if state.leases.get(key, ("", 0))[0] == holder]
        time.sleep(0.0005)  # the round trip
        with self.session() as state:
            for key in ours:
                state.leases.pop(key, None)


@caught_by("test_a_late_release_beside_the_claim_of_the_next_holder_changes_nothing")
class TakesOverOnlyWhatIsThere(PlainStore):
    """Takes ended leases over by an update, which finds none where a release came first."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            there = {key for key in keys if key in state.leases}
            held = super().claim(set(keys) - there, holder, now_ns, until_ns)
        time.sleep(0.0005)  # the round trip
        with self.session() as state:
            return held | super().claim({key for key in there if key in state.leases}, holder, now_ns, until_ns)


@caught_by("test_a_late_release_beside_the_claim_of_another_handle_changes_nothing")
class ReleasesByKeyUnderItsLock(FiledStore):
    """Looks which leases are the holder's, then deletes them by key; its lock is for threads of one handle."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.lock:
            with self.session() as state:
                ours = [key for key in keys if state.leases.get(key, ("", 0))[0] == holder]
            time.sleep(0.002)  # the round trip
            with self.session() as state:
                for key in ours:
                    state.leases.pop(key, None)


@caught_by("test_an_extension_beside_the_claims_of_others_succeeds")
class DropsBeforeItExtends(PlainStore):
    """Extends a lease by deleting it and inserting it again."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        self.release(keys, holder)
        time.sleep(0.001)  # the round trip
        return super().claim(keys, holder, now_ns, until_ns)


@caught_by("test_a_late_release_beside_the_claim_of_another_process_changes_nothing")
class LocksWithinAProcess(FiledStore):
    """Has one lock for all handles of this process, and two transactions for a release."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with _PROCESS_LOCK:
            with self.session() as state:
                ours = [key for key in keys if state.leases.get(key, ("", 0))[0] == holder]
            time.sleep(0.005)  # the round trip
            with self.session() as state:
                for key in ours:
                    state.leases.pop(key, None)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with _PROCESS_LOCK:
            return super().claim(keys, holder, now_ns, until_ns)
