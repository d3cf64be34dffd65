"""Faults in claims."""

from __future__ import annotations

import time
from collections.abc import Collection

from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_of_several_takers_at_once_exactly_one_wins")
class ClaimsTwice(PlainStore):
    """Looks, then takes, with nothing to hold the two together."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = {key for key in keys if self.is_free(self.state, key, holder, now_ns)}
        time.sleep(0.001)  # the round trip
        for key in held:
            self.state.leases[key] = (holder, until_ns)
        return held


@caught_by("test_what_somebody_else_holds_is_not_taken")
class GivesToTheLastToAsk(PlainStore):
    """Upserts the lease."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        return True


@caught_by("test_a_lease_ends_at_its_end")
class NeverEndsALease(PlainStore):
    """Forgets that leases end."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        return state.leases.get(key, (holder, 0))[0] == holder


@caught_by("test_a_lease_ends_at_its_end")
class EndsALeaseTooLate(PlainStore):
    """Has < for <=."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        return super().is_free(state, key, holder, now_ns - 1)


@caught_by("test_the_holder_extends_its_lease_by_claiming_again")
class DoesNotExtend(PlainStore):
    """Says yes to the holder, and leaves the lease as it is."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            mine = {key: state.leases[key] for key in keys if state.leases.get(key, ("", 0))[0] == holder}
            held = super().claim(keys, holder, now_ns, until_ns)
            state.leases |= {key: lease for key, lease in mine.items() if lease[1] > now_ns}
            return held


@caught_by("test_a_failed_claim_does_not_lengthen_the_lease")
class LengthensTheLeaseOfAnother(PlainStore):
    """Updates the end before it looks at the holder."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        free = super().is_free(state, key, holder, now_ns)
        if not free:
            owner, until = state.leases[key]
            state.leases[key] = (owner, until + 1000)
        return free


@caught_by("test_of_a_batch_those_that_are_free_are_taken")
class ClaimsAllOrNothing(PlainStore):
    """Rolls the whole batch back when one key is taken."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            if not all(self.is_free(state, key, holder, now_ns) for key in keys):
                return set()
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by("test_keys_are_exact")
class PadsKeys(PlainStore):
    """Keeps keys in a column that is padded with zeros."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        padded = {key: key.rstrip(b"\0") for key in keys}
        held = super().claim(padded.values(), holder, now_ns, until_ns)
        return {key for key, short in padded.items() if short in held}


@caught_by("test_holders_are_exact")
class CutsHolders(PlainStore):
    """Keeps the first 255 characters of a holder."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, holder[:255], now_ns, until_ns)


@caught_by("test_leases_go_by_the_time_that_is_passed_in")
class ReadsTheClock(PlainStore):
    """Has now() in the statement."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, holder, time.time_ns(), until_ns)


@caught_by("test_a_released_key_is_free_at_once")
class ReleasesWhenTheLeaseEnds(PlainStore):
    """Lets leases run out."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        pass


@caught_by("test_release_leaves_the_leases_of_others")
class ReleasesForAnybody(PlainStore):
    """Deletes by key."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            for key in keys:
                state.leases.pop(key, None)
