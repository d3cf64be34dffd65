"""Faults in the times of leases."""

from __future__ import annotations

import time
from collections.abc import Collection

from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


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


@caught_by("test_leases_go_by_the_time_that_is_passed_in")
class ReadsTheClock(PlainStore):
    """Has now() in the statement."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, holder, time.time_ns(), until_ns)


@caught_by("test_each_nanosecond_counts_at_any_time")
class KeepsSeconds(PlainStore):
    """Keeps times in a double, as seconds."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or until / 1e9 <= now_ns / 1e9


@caught_by("test_each_nanosecond_counts_at_any_time")
class KeepsDoubles(PlainStore):
    """Keeps times in a double, as nanoseconds: exact in each test that its author had."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or float(until) <= float(now_ns)


@caught_by("test_each_nanosecond_counts_at_any_time")
class KeepsMicroseconds(PlainStore):
    """Keeps times as a timestamp of the database, which has microseconds."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or until // 1000 <= now_ns // 1000


@caught_by("test_leases_are_of_any_length")
class LimitsLeases(PlainStore):
    """Gives no lease for more than a day."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(keys, holder, now_ns, min(until_ns, now_ns + 24 * 3600 * 10**9))


@caught_by("test_leases_are_of_any_length")
class KeepsLengthsInMilliseconds(PlainStore):
    """Keeps a lease's length in milliseconds: whoever leases for less than one has none."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        length_ms = (until_ns - now_ns) // 10**6
        return super().claim(keys, holder, now_ns, now_ns + length_ms * 10**6)


@caught_by("test_a_time_that_goes_back_is_taken_as_it_is")
class NeverGoesBack(PlainStore):
    """Goes by the latest time that it was ever told."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.newest_ns = 0

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        self.newest_ns = max(self.newest_ns, now_ns)
        return super().claim(keys, holder, self.newest_ns, until_ns)


@caught_by("test_a_time_that_goes_back_is_taken_as_it_is")
class SweepsEndedLeases(PlainStore):
    """Deletes the leases that have ended at each claim, whoever makes it."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            for key in [key for key, lease in state.leases.items() if lease[1] <= now_ns]:
                del state.leases[key]
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by("test_callers_whose_clocks_differ_each_go_by_their_own")
class SweepsLongEndedLeases(PlainStore):
    """Deletes the leases that ended a minute ago for whoever claims: those of callers whose clock is behind, too."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            for key in [key for key, lease in state.leases.items() if lease[1] <= now_ns - 60 * 10**9]:
                del state.leases[key]
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by("test_the_holder_ends_its_lease_earlier_by_claiming_again")
class NeverShortens(PlainStore):
    """Takes the later of both ends: to extend is to extend."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            ends = {key: state.leases[key][1] for key in keys if state.leases.get(key, ("", 0))[0] == holder}
            held = super().claim(keys, holder, now_ns, until_ns)
            for key, end in ends.items():
                if end > now_ns:
                    state.leases[key] = (holder, max(end, until_ns))
            return held


@caught_by("test_the_holder_extends_its_lease_after_it_has_ended")
class RefusesAFormerHolder(PlainStore):
    """Takes a lease that its holder let end for lost to it."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, ("", 0))
        return super().is_free(state, key, holder, now_ns) and not (owner == holder and until <= now_ns)


@caught_by("test_the_holder_extends_its_lease_after_it_has_ended")
class ExtendsOnlyWhatLasts(PlainStore):
    """Says yes to the former holder, and updates WHERE until_ns > now."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            ended = {key: one for key, one in state.leases.items() if one[0] == holder and one[1] <= now_ns}
            held = super().claim(keys, holder, now_ns, until_ns)
            state.leases |= ended
            return held


@caught_by("test_each_key_of_a_holder_has_a_lease_of_its_own")
class LeasesHolders(PlainStore):
    """Keeps one end for each holder, as a session of etcd has it."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            held = super().claim(keys, holder, now_ns, until_ns)
            if held:
                for key, (owner, _until) in list(state.leases.items()):
                    if owner == holder:
                        state.leases[key] = (holder, until_ns)
            return held


@caught_by("test_each_key_of_a_holder_has_a_lease_of_its_own")
class HoldsOneBatchAtATime(PlainStore):
    """Gives up what a holder had when it claims something else."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            mine = [key for key, lease in state.leases.items() if lease[0] == holder and key not in keys]
            super().release(mine, holder)
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by("test_a_failed_claim_does_not_shorten_the_lease")
class ShortensTheLeaseOfAnother(PlainStore):
    """Updates the end with LEAST before it looks at the holder."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        free = super().is_free(state, key, holder, now_ns)
        if not free:
            owner, until = state.leases[key]
            state.leases[key] = (owner, min(until, now_ns + 10))
        return free


@caught_by("test_a_released_key_is_free_at_any_time")
class EndsReleasedLeasesNow(PlainStore):
    """Sets the end of a released lease to the time of this machine."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            for key in keys:
                owner, until = state.leases.get(key, ("", 0))
                if owner == holder:
                    state.leases[key] = (holder, min(until, time.time_ns()))


@caught_by("test_a_late_release_leaves_the_lease_of_the_next_holder")
class ReleasesWhatItEverHeld(PlainStore):
    """Notes who has ever held a key, and lets each of them release it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.holders: dict[bytes, set[str]] = {}

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = super().claim(keys, holder, now_ns, until_ns)
        for key in held:
            self.holders.setdefault(key, set()).add(holder)
        return held

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.session() as state:
            for key in keys:
                if holder in self.holders.get(key, ()):
                    state.leases.pop(key, None)


@caught_by("test_the_holder_ends_its_lease_earlier_by_claiming_again")
class TakesTimeZeroForNever(PlainStore):
    """Has 0 for a lease that never ends."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or 0 < until <= now_ns
