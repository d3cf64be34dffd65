"""The times of leases: all of them are the caller's."""

from __future__ import annotations

import time

from kharvest.spi import MAX_TIME_NS, Store
from kharvest_conformance._clauses import clause
from kharvest_conformance.suite._base import Base

KEY = b"key"
HOUR_NS = 3600 * 10**9
TODAY_NS = 1_795_651_200_123_456_789
"""In November 2026: what callers' clocks show, to the nanosecond."""
MOMENTS = (
    *(1, 999, 10**6, 10**9 - 1, 2**31 - 1, 2**32 - 1, 2**53 - 1, 2**53, 2**53 + 1),
    *(TODAY_NS, TODAY_NS + 1, 2**62 + 1, MAX_TIME_NS - 3),
)
AWAY = (-40 * HOUR_NS, -HOUR_NS, -(10**9), -1, 0, 10**9, 60 * 10**9, HOUR_NS, 40 * HOUR_NS)
"""How far from what a real clock shows a lease ends."""
CALLERS = "The times are the caller's: they may be far from the store's clock, differ between callers, and go back."


class LeasingTests(Base):
    """Of the times in `ReferenceStore.claim`."""

    @clause("ReferenceStore.claim", "until `until_ns`, exclusive")
    def test_a_lease_ends_at_its_end(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "second", 199, 300) == set()
        assert store.claim([KEY], "second", 200, 300) == {KEY}
        assert store.claim([KEY], "first", 201, 400) == set()
        assert store.claim([KEY], "first", 300, 400) == {KEY}

    @clause("ReferenceStore.claim", "whose lease has not ended at `now_ns`")
    def test_each_nanosecond_counts_at_any_time(self, store: Store) -> None:
        for at_ns in MOMENTS:
            key = b"%d" % at_ns
            assert store.claim([key], "first", at_ns, at_ns + 1) == {key}, f"at {at_ns}"
            assert store.claim([key], "second", at_ns, at_ns + 2) == set(), f"at {at_ns} it is held for 1 ns more"
            assert store.claim([key], "second", at_ns + 1, at_ns + 2) == {key}, f"at {at_ns + 1} it has ended"
            assert store.claim([key], "first", at_ns + 1, at_ns + 3) == set(), f"at {at_ns + 1} the second has it"
            assert store.claim([key], "first", at_ns + 2, at_ns + 3) == {key}, f"at {at_ns + 2} it has ended"
        store.claim([b"last"], "first", 1, MAX_TIME_NS)
        assert store.claim([b"last"], "second", MAX_TIME_NS, MAX_TIME_NS) == {b"last"}, "it has ended"
        store.claim([b"first"], "first", 1, 0)
        assert store.claim([b"first"], "second", 0, 1) == {b"first"}, "it has ended"

    @clause("ReferenceStore.claim", "whose lease has not ended at `now_ns`")
    def test_each_second_counts_at_any_time(self, store: Store) -> None:
        for at_ns in MOMENTS[:-1]:
            key, end_ns = b"%d" % at_ns, at_ns + 2 * 10**9
            assert store.claim([key], "first", at_ns, end_ns) == {key}, f"at {at_ns}"
            for now_ns in (at_ns + 1, at_ns + 10**9 + 1, end_ns - 1):
                assert store.claim([key], "second", now_ns, end_ns + 1) == set(), (
                    f"at {now_ns} it is held until {end_ns}"
                )
            assert store.claim([key], "second", end_ns, end_ns + 1) == {key}, f"at {end_ns} it has ended"

    @clause("ReferenceStore.claim", "until `until_ns`, exclusive")
    def test_leases_are_of_any_length(self, store: Store) -> None:
        assert store.claim([b"1"], "first", 0, MAX_TIME_NS) == {b"1"}
        assert store.claim([b"1"], "second", MAX_TIME_NS - 1, MAX_TIME_NS) == set()
        for number, length_ns in enumerate((1, 10**3, 10**6, 10**9, HOUR_NS, 24 * HOUR_NS, 365 * 24 * HOUR_NS)):
            key = b"of length %d" % number
            end_ns = TODAY_NS + length_ns
            assert store.claim([key], "first", TODAY_NS, end_ns) == {key}
            assert store.claim([key], "second", end_ns - 1, end_ns + 1) == set(), f"{length_ns} ns, less one"
            assert store.claim([key], "second", end_ns, end_ns + 1) == {key}, f"{length_ns} ns"

    @clause("store", "Times are passed in: nothing but `now_ns` reads a clock.")
    def test_leases_go_by_the_time_that_is_passed_in(self, store: Store) -> None:
        assert store.claim([b"early"], "first", 0, 1) == {b"early"}
        assert store.claim([b"early"], "second", 0, 5) == set()
        assert store.claim([b"early"], "second", 1, 5) == {b"early"}
        for clock, real_ns in (("this machine", time.time_ns()), ("the store", store.now_ns())):
            for away_ns in AWAY:
                for step_ns in (1, 10**9, HOUR_NS, 36 * HOUR_NS):
                    key, end_ns = f"{clock} {away_ns} {step_ns}".encode(), real_ns + away_ns
                    what = f"it ends {away_ns} ns from now by the clock of {clock}, and is asked for {step_ns} ns away"
                    assert store.claim([key], "first", end_ns - 2 * step_ns, end_ns) == {key}, what
                    assert store.claim([key], "second", end_ns - step_ns, end_ns + step_ns) == set(), what
                    assert store.claim([key], "second", end_ns, end_ns + step_ns) == {key}, what
                    assert store.claim([key], "first", end_ns + step_ns - 1, end_ns + step_ns) == set(), what
                    store.release([key], "second")
        late = MAX_TIME_NS
        assert store.claim([b"late"], "first", late - 2, late - 1) == {b"late"}
        assert store.claim([b"late"], "second", late - 2, late) == set()
        assert store.claim([b"late"], "second", late - 1, late) == {b"late"}

    @clause("ReferenceStore.claim", CALLERS)
    def test_a_time_that_goes_back_is_taken_as_it_is(self, store: Store) -> None:
        store.claim([KEY], "first", TODAY_NS, TODAY_NS + 100)
        store.claim([b"far away"], "third", MAX_TIME_NS - 1, MAX_TIME_NS)
        assert store.claim([KEY], "second", TODAY_NS + 99, TODAY_NS + 200) == set(), "a later time was seen, elsewhere"
        assert store.claim([KEY], "second", TODAY_NS - HOUR_NS, TODAY_NS + 200) == set()
        assert store.claim([KEY], "second", 0, TODAY_NS + 200) == set()
        assert store.claim([KEY], "first", 0, 10) == {KEY}
        assert store.claim([KEY], "second", 9, 20) == set()
        assert store.claim([KEY], "second", 10, 20) == {KEY}, "times before those that were seen count as any"
        assert store.claim([KEY], "first", 19, 30) == set()
        assert store.claim([b"far away"], "first", 100, 200) == set()

    @clause("ReferenceStore.claim", CALLERS)
    def test_callers_whose_clocks_differ_each_go_by_their_own(self, store: Store) -> None:
        behind_ns, ahead_ns = TODAY_NS, TODAY_NS + HOUR_NS
        assert store.claim([b"1", b"2"], "behind", behind_ns, behind_ns + 1000) == {b"1", b"2"}
        assert store.claim([b"1"], "ahead", ahead_ns, ahead_ns + 1000) == {b"1"}, "to that clock, the lease has ended"
        assert store.claim([b"1", b"2"], "behind", behind_ns + 1, behind_ns + 2000) == {b"2"}
        assert store.claim([b"1"], "behind", ahead_ns + 999, ahead_ns + 2000) == set()
        assert store.claim([b"1"], "behind", ahead_ns + 1000, ahead_ns + 2000) == {b"1"}
        # What ended long ago by another's clock is held still by this one's.
        assert store.claim([b"2"], "third", behind_ns + 1999, behind_ns + 3000) == set()
        assert store.claim([b"2"], "third", behind_ns + 2000, behind_ns + 3000) == {b"2"}

    @clause("ReferenceStore.claim", "The holder extends its lease by claiming again")
    def test_the_holder_extends_its_lease_by_claiming_again(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "first", 150, 400) == {KEY}
        assert store.claim([KEY], "second", 399, 500) == set()
        assert store.claim([KEY], "second", 400, 500) == {KEY}

    @clause("ReferenceStore.claim", "and may so end it earlier")
    def test_the_holder_ends_its_lease_earlier_by_claiming_again(self, store: Store) -> None:
        store.claim([b"1", b"2"], "first", 100, 900)
        assert store.claim([b"1"], "first", 150, 200) == {b"1"}
        assert store.claim([b"1"], "second", 199, 300) == set()
        assert store.claim([b"1", b"2"], "second", 200, 300) == {b"1"}
        store.claim([b"2"], "first", 250, 120)  # it ends before now
        assert store.claim([b"2"], "second", 119, 300) == set()
        assert store.claim([b"2"], "second", 120, 300) == {b"2"}, "by a clock that is behind"
        store.claim([b"2"], "second", 260, 0)  # at the beginning of time
        assert store.claim([b"2"], "third", 260, 300) == {b"2"}

    @clause("ReferenceStore.claim", "also after it has ended")
    def test_the_holder_extends_its_lease_after_it_has_ended(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "first", 200, 300) == {KEY}
        assert store.claim([KEY], "second", 299, 400) == set()
        assert store.claim([KEY], "first", 500, 600) == {KEY}
        assert store.claim([KEY], "second", 500, 700) == set()
        assert store.claim([KEY], "second", 600, 700) == {KEY}

    @clause("ReferenceStore.claim", "Lease each of `keys` (1 to 64 bytes) to `holder`")
    def test_each_key_of_a_holder_has_a_lease_of_its_own(self, store: Store) -> None:
        for number in range(1, 4):
            key = b"%d" % number
            assert store.claim([key], "first", 100 + number, 100 * (number + 1)) == {key}
        keys = [b"1", b"2", b"3"]
        assert store.claim(keys, "second", 199, 900) == set()
        assert store.claim(keys, "second", 200, 900) == {b"1"}
        assert store.claim(keys, "second", 300, 900) == {b"1", b"2"}
        assert store.claim(keys, "first", 350, 500) == {b"3"}
        assert store.claim(keys, "second", 499, 900) == {b"1", b"2"}

    @clause("ReferenceStore.claim", "is not taken and left as it is")
    def test_a_failed_claim_does_not_lengthen_the_lease(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "second", 150, 900) == set()
        assert store.claim([KEY], "third", 200, 300) == {KEY}

    @clause("ReferenceStore.claim", "is not taken and left as it is")
    def test_a_failed_claim_does_not_shorten_the_lease(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 500)
        assert store.claim([KEY, b"free"], "second", 150, 160) == {b"free"}
        assert store.claim([KEY], "third", 160, 900) == set()
        assert store.claim([KEY], "third", 499, 900) == set()
        assert store.claim([KEY], "first", 499, 900) == {KEY}

    @clause("ReferenceStore.release", "End the leases that `holder` holds on `keys`")
    def test_a_released_key_is_free_at_any_time(self, store: Store) -> None:
        for number, at_ns in enumerate((0, 50, 150, TODAY_NS, MAX_TIME_NS - 1)):
            key = b"%d" % number
            store.claim([key], "first", 100, MAX_TIME_NS)
            store.release([key], "first")
            assert store.claim([key], "second", at_ns, MAX_TIME_NS) == {key}, f"at {at_ns}"
            store.release([key], "first")
            assert store.claim([key], "third", at_ns, MAX_TIME_NS) == set(), "it is the second one's"
            store.release([key], "second")
            assert store.claim([key], "first", at_ns, at_ns + 1) == {key}, "it had it before"

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_a_late_release_leaves_the_lease_of_the_next_holder(self, store: Store) -> None:
        store.claim([b"1", b"2"], "first", 100, 200)
        assert store.claim([b"1"], "second", 200, 300) == {b"1"}
        store.release([b"1", b"2"], "first")
        assert store.claim([b"1", b"2"], "third", 200, 300) == {b"2"}
        assert store.claim([b"1", b"2"], "first", 299, 400) == set()
        assert store.claim([b"1", b"2"], "second", 299, 400) == {b"1"}
