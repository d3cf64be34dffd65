"""`claim` and `release`: one holder at a time."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from kharvest.spi import MAX_TIME_NS, Store
from kharvest_conformance.clauses import clause
from kharvest_conformance.depth import Depth
from kharvest_conformance.model import Model
from kharvest_conformance.place import Places
from kharvest_conformance.suite.base import Base
from kharvest_conformance.suite.holding import at_once

KEY = b"key"
EXACT_KEYS = (
    b"a",
    b"a\0",
    b"a\0\0",
    b"\0",
    b"A",
    b"a ",
    b"\xff",
    b"\xc3\xa9",
    b"\xe9",
    b"k" * 63 + b"1",
    b"k" * 63 + b"2",
    b"k" * 63,
)


class ClaimingTests(Base):
    """Of `ReferenceStore.claim` and `release`."""

    @clause("ReferenceStore.claim", "is not taken and left as it is")
    def test_what_somebody_else_holds_is_not_taken(self, store: Store) -> None:
        assert store.claim([KEY], "first", 100, 200) == {KEY}
        assert store.claim([KEY], "second", 150, 900) == set()
        assert store.claim([KEY], "second", 199, 900) == set()
        assert store.claim([KEY], "first", 150, 200) == {KEY}

    @clause("ReferenceStore.claim", "until `until_ns`, exclusive")
    def test_a_lease_ends_at_its_end(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "second", 199, 300) == set()
        assert store.claim([KEY], "second", 200, 300) == {KEY}
        assert store.claim([KEY], "first", 201, 400) == set()
        assert store.claim([KEY], "first", 300, 400) == {KEY}

    @clause("ReferenceStore.claim", "The holder extends its lease by claiming again.")
    def test_the_holder_extends_its_lease_by_claiming_again(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "first", 150, 400) == {KEY}
        assert store.claim([KEY], "second", 399, 500) == set()
        assert store.claim([KEY], "second", 400, 500) == {KEY}

    @clause("ReferenceStore.claim", "is not taken and left as it is")
    def test_a_failed_claim_does_not_lengthen_the_lease(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        assert store.claim([KEY], "second", 150, 900) == set()
        assert store.claim([KEY], "third", 200, 300) == {KEY}

    @clause("ReferenceStore.claim", "return those that it holds now")
    def test_of_a_batch_those_that_are_free_are_taken(self, store: Store) -> None:
        store.claim([b"1", b"2"], "first", 100, 200)
        store.claim([b"3"], "second", 100, 200)
        assert store.claim([b"1", b"2", b"3", b"4"], "second", 150, 300) == {b"3", b"4"}
        assert store.claim([b"1", b"2", b"3", b"4"], "first", 160, 300) == {b"1", b"2"}
        assert store.claim([b"1", b"2", b"3", b"4"], "third", 250, 300) == set()

    @clause("ReferenceStore.claim", "Lease each of `keys` (1 to 64 bytes) to `holder`")
    def test_keys_are_exact(self, store: Store) -> None:
        for number, key in enumerate(EXACT_KEYS):
            assert store.claim([key], f"holder {number}", 100, 200) == {key}, key
        for number, key in enumerate(EXACT_KEYS):
            assert store.claim(EXACT_KEYS, f"holder {number}", 150, 200) == {key}

    @clause("ReferenceStore.claim", "`holder` is 1 to 512 bytes of UTF-8.")
    @pytest.mark.parametrize(
        ("holder", "other"),
        [
            ("a", "A"),
            ("a", "a "),
            ("caf\u00e9", "cafe\u0301"),
            ("h" * 511 + "1", "h" * 511 + "2"),
            ("\U0001f600" * 128, "\U0001f600" * 127 + "\U0001f601"),
        ],
    )
    def test_holders_are_exact(self, store: Store, holder: str, other: str) -> None:
        assert store.claim([KEY], holder, 100, 200) == {KEY}
        assert store.claim([KEY], other, 150, 200) == set()
        store.release([KEY], other)
        assert store.claim([KEY], other, 150, 200) == set()
        assert store.claim([KEY], holder, 150, 200) == {KEY}

    @clause("store", "It reads no clock: times are passed in.")
    def test_leases_go_by_the_time_that_is_passed_in(self, store: Store) -> None:
        assert store.claim([b"early"], "first", 0, 1) == {b"early"}
        assert store.claim([b"early"], "second", 0, 5) == set()
        assert store.claim([b"early"], "second", 1, 5) == {b"early"}
        late = MAX_TIME_NS
        assert store.claim([b"late"], "first", late - 2, late - 1) == {b"late"}
        assert store.claim([b"late"], "second", late - 2, late) == set()
        assert store.claim([b"late"], "second", late - 1, late) == {b"late"}

    @clause("ReferenceStore.release", "End the leases that `holder` holds on `keys`")
    def test_a_released_key_is_free_at_once(self, store: Store) -> None:
        store.claim([b"1", b"2"], "first", 100, 200)
        store.release([b"1"], "first")
        assert store.claim([b"1", b"2"], "second", 100, 200) == {b"1"}

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_release_leaves_the_leases_of_others(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        store.release([KEY, b"nobody's"], "second")
        assert store.claim([KEY], "second", 150, 300) == set()
        assert store.claim([KEY], "second", 200, 300) == {KEY}
        store.release([KEY], "first")
        assert store.claim([KEY], "first", 250, 300) == set()

    @clause("ReferenceStore.claim", "Of several takers exactly one wins.")
    def test_of_several_takers_at_once_exactly_one_wins(self, store: Store) -> None:
        keys = [b"race/%d" % number for number in range(40)]
        store.claim(keys[::2], "the one before", 0, 100)

        def take(holder: str) -> set[bytes]:
            return {key for key in keys if store.claim([key], holder, 100, 200)}

        held = at_once(*(lambda holder=f"holder {number}": take(holder) for number in range(4)))
        assert sorted(key for keys_of_one in held for key in keys_of_one) == sorted(keys)

    @clause("ReferenceStore.claim", "exclusive; return those that it holds now")
    def test_any_sequence_of_claims_has_one_holder_at_a_time(self, places: Places, depth: Depth) -> None:
        keys = st.lists(st.sampled_from((b"1", b"2", b"3")), min_size=1, max_size=3, unique=True)
        holders = st.sampled_from(("one", "two", "three"))
        steps = st.tuples(keys, holders, st.integers(0, 5), st.integers(0, 8), st.booleans())

        @depth.given(sequence=st.lists(steps, min_size=2, max_size=40))
        def check(sequence: list[tuple[list[bytes], str, int, int, bool]]) -> None:
            with places.fresh() as place:
                store, model, now = place.open(), Model(), 10
                for asked, holder, passed, length, release in sequence:
                    now += passed
                    if release:
                        store.release(asked, holder)
                        model.release(asked, holder)
                        continue
                    expected = model.claim(asked, holder, now, now + 1 + length)
                    assert store.claim(asked, holder, now, now + 1 + length) == expected

        check()
