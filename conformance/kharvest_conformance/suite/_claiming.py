"""`claim` and `release`: which keys, which holders, in which batches."""

from __future__ import annotations

from hypothesis import strategies as st

from kharvest.spi import MAX_BATCH, Query, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._depth import Depth
from kharvest_conformance._dressing import OwnList
from kharvest_conformance._model import Model
from kharvest_conformance._place import Places
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._given import collections_of
from kharvest_conformance.suite._holding import harvest, has_data, listing

KEY = b"key"
EXACT_KEYS = (
    *(b"a", b"A", b"b", b"aa", b"ab", b"ba"),
    *(b"a\0", b"a\0\0", b"\0a", b"\0", b"\0\0"),
    *(b"a ", b" a", b"a\n", b"a\r\n", b"a\t", b"\n", b" "),
    *(b"1", b"01", b"1.0", b"1e0", b"+1", b" 1", b"0x1", b"1\n"),
    *(b"61", b"0x61", b"%61", b"YQ==", b"\\x61", b"b'a'", b"'a'", b'"a"'),
    *(b"%", b"_", b"a%", b"a_", b"*", b"?", b"\\", b"'", b"/", b"a/", b"a/a", b":", b"null", b"None"),
    *(b"\xff", b"\xfe", b"\x80", b"\xc3\xa9", b"\xe9", b"e\xcc\x81", b"\xef\xbb\xbfa", b"\xed\xa0\x80"),
    *(bytes(range(start, start + 64)) for start in range(0, 256, 64)),
    *(b"k" * 63, b"k" * 64, b"k" * 63 + b"1", b"k" * 63 + b"2", b"k" * 63 + b"K", b"1" + b"k" * 63, b"2" + b"k" * 63),
    *(
        b"k" * 63 + b"\0",
        b"k" * 63 + b" ",
        b"k" * 62 + b"\0",
        b"k" * 31 + b"1" + b"k" * 32,
        b"k" * 31 + b"2" + b"k" * 32,
    ),
    *(b"plumless", b"buckeroo"),  # of one CRC-32
)
"""Keys that are different, though many a way to keep them would make two of them one."""
EXACT_HOLDERS = (
    *("a", "A", "b", "aa", "a ", " a", "a\n", "a\t", "\n", " "),
    *("1", "01", "1.0", "1e0", "0x1", "%", "_", "a%", "a_", "*", "'", '"', "\\", "a'b", "null", "None", "true"),
    *(
        "caf\u00e9",
        "cafe\u0301",
        "caf\u00c9",
        "cafe",
        "\u00df",
        "ss",
        "\u0131",
        "i",
        "I",
        "\ufeffa",
        "\u200ba",
        "a\u00a0",
    ),
    *("\ufb01", "fi", "\uff41", "\u4e2d", "\U0001f600", "\U0001f601", "\ud7ff", "\uffff", "\U0010ffff"),
    *("h" * 512, "h" * 511, "h" * 511 + "1", "h" * 511 + "2", "h" * 511 + " ", "1" + "h" * 511, "h" * 255, "h" * 256),
    *("\U0001f600" * 128, "\U0001f600" * 127 + "\U0001f601", "\u4e2d" * 170, "\u4e2d" * 169 + "\u4e2e"),
    *("plumless", "buckeroo"),
)
"""Holders that are different, though many a way to keep them would make two of them one."""
SEPARATORS = ("/", ":", "|", ",", " ", "\n", "-", "\x1f", "")


def long_keys(count: int, name: bytes = b"key") -> list[bytes]:
    """Keys of 64 bytes that differ at their end."""
    return [(b"%s/%d" % (name, number)).rjust(64, b"-") for number in range(count)]


class ClaimingTests(Base):
    """Of `ReferenceStore.claim` and `release`, time apart."""

    @clause("ReferenceStore.claim", "is not taken and left as it is")
    def test_what_somebody_else_holds_is_not_taken(self, store: Store) -> None:
        assert store.claim([KEY], "first", 100, 200) == {KEY}
        assert store.claim([KEY], "second", 150, 900) == set()
        assert store.claim([KEY], "second", 199, 900) == set()
        assert store.claim([KEY], "first", 150, 200) == {KEY}

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
            assert store.claim([key], f"holder {number}", 100, 200) == {key}, f"{key!r} was free"
        for number, key in enumerate(EXACT_KEYS):
            assert store.claim(EXACT_KEYS, f"holder {number}", 150, 200) == {key}, f"{key!r} is taken for another key"

    @clause("ReferenceStore.release", "End the leases that `holder` holds on `keys`")
    def test_the_keys_that_are_released_are_exact(self, store: Store) -> None:
        assert store.claim(EXACT_KEYS, "first", 100, 200) == set(EXACT_KEYS)
        for key in EXACT_KEYS:
            store.release([key], "first")
            assert store.claim(EXACT_KEYS, f"holder of {key!r}", 100, 200) == {key}, f"{key!r} alone was released"

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_releasing_other_keys_leaves_the_one_that_is_held(self, store: Store) -> None:
        for key in EXACT_KEYS:
            assert store.claim([key], "first", 100, 200) == {key}
            store.release([one for one in EXACT_KEYS if one != key], "first")
            assert store.claim([key], "second", 100, 200) == set(), f"{key!r} was released as another key"
            store.release([key], "first")

    @clause("ReferenceStore.claim", "`holder` is 1 to 512 bytes of UTF-8.")
    def test_holders_are_exact(self, store: Store) -> None:
        keys = [b"key of %d" % number for number in range(len(EXACT_HOLDERS))]
        for key, holder in zip(keys, EXACT_HOLDERS, strict=True):
            assert store.claim([key], holder, 100, 200) == {key}
        for key, holder in zip(keys, EXACT_HOLDERS, strict=True):
            assert store.claim(keys, holder, 150, 200) == {key}, f"{holder!r} is taken for another holder"

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_the_holder_that_releases_is_exact(self, store: Store) -> None:
        keys = [b"key of %d" % number for number in range(len(EXACT_HOLDERS))]
        for key, holder in zip(keys, EXACT_HOLDERS, strict=True):
            assert store.claim([key], holder, 100, 200) == {key}
        for key, holder in zip(keys, EXACT_HOLDERS, strict=True):
            store.release(keys, holder)
            taken = set(keys[: keys.index(key) + 1])
            assert store.claim(keys, "another", 100, 900) == taken, f"of those that {holder!r} has released"

    @clause("ReferenceStore.claim", "A key that somebody else holds")
    def test_key_and_holder_do_not_run_together(self, store: Store) -> None:
        for mark in SEPARATORS:
            pairs = [(f"x{mark}y{mark}z", "w"), (f"x{mark}y", f"z{mark}w"), ("x", f"y{mark}z{mark}w")]
            keys = [key.encode() for key, _holder in pairs] if mark else [b"xyz", b"xy", b"x"]
            for key, (_text, holder) in zip(keys, pairs, strict=True):
                assert store.claim([key], holder, 100, 200) == {key}, f"{key!r} was free"
            for key, (_text, holder) in zip(keys, pairs, strict=True):
                assert store.claim(keys, holder, 199, 200) == {key}, f"{key!r} of {holder!r}"
                assert store.claim([key], f"{holder}{mark}900", 199, 900) == set(), f"{key!r} of {holder!r}"
            for number, (_text, holder) in enumerate(pairs, 1):
                store.release(keys, holder)
                assert store.claim(keys, "another", 100, 900) == set(keys[:number]), f"{holder!r} has released its own"
            store.release(keys, "another")

    @thorough
    @clause("store", "It comes in any collection: a list, a tuple, a set, a view of a dictionary.")
    def test_keys_come_in_any_collection(self, store: Store) -> None:
        keys = [b"%d" % number for number in range(5)]
        for kind, given in collections_of(keys).items():
            before = list(given)
            assert store.claim(given, "first", 100, 200) == set(keys), kind
            assert store.claim(given, "second", 100, 200) == set(), kind
            assert store.claim(given, "first", 150, 200) == set(keys), kind
            store.release(given, "first")
            assert list(given) == before, f"{kind} was changed"
            assert store.claim(given, "second", 100, 200) == set(keys), kind
            store.release(given, "second")
        for kind, nothing in collections_of(list[bytes]()).items():
            assert store.claim(nothing, "first", 100, 200) == set(), kind
            store.release(nothing, "first")
        for kind, given in collections_of([b"twice", b"twice", b"once"]).items():
            assert store.claim(given, "first", 100, 200) == {b"twice", b"once"}, kind
            store.release(given, "first")
            assert store.claim(given, "second", 100, 200) == {b"twice", b"once"}, kind
            store.release(given, "second")

    @clause("store", "What a method returns is of the type that its signature says, and the caller's own.")
    def test_the_answer_of_claim_is_the_caller_s_own_set(self, store: Store) -> None:
        given = OwnList([b"1", b"2", b"3"])
        answer = store.claim(given, "first", 100, 200)
        assert type(answer) is set
        assert {type(key) for key in answer} == {bytes}
        assert type(store.claim(given, "second", 100, 200)) is set
        assert type(store.claim([], "second", 100, 200)) is set
        answer.clear()
        given.clear()
        assert store.claim([b"1", b"2", b"3"], "second", 100, 200) == set(), "the caller's own has changed the store"
        again = store.claim([b"1", b"2", b"3"], "first", 100, 200)
        assert again == {b"1", b"2", b"3"}, "what the caller did with its answer and its batch has changed the store"
        again.add(b"4")
        assert store.claim([b"1", b"4"], "second", 100, 200) == {b"4"}
        nothing: object = store.release([b"1"], "first")  # type: ignore[func-returns-value]
        assert nothing is None
        keys = {b"5", b"6"}
        for _again in range(2):  # all of them new, then all of them held
            given_set = set(keys)
            answer = store.claim(given_set, "first", 100, 200)
            assert answer == keys
            answer.clear()
            assert given_set == keys, "the answer is what the caller gave"
        refused = set(keys)
        assert store.claim(refused, "second", 100, 200) == set()
        assert refused == keys, "claim has changed the set that it was given"
        none_given: set[bytes] = set()
        store.claim(none_given, "first", 100, 200).add(b"7")
        assert none_given == set(), "the answer is what the caller gave"

    @clause("ReferenceStore.release", "End the leases that `holder` holds on `keys`")
    def test_a_released_key_is_free_at_once(self, store: Store) -> None:
        store.claim([b"1", b"2"], "first", 100, 200)
        store.release([b"1"], "first")
        assert store.claim([b"1", b"2"], "second", 100, 200) == {b"1"}
        store.release([b"1"], "second")
        assert store.claim([b"1", b"2"], "first", 100, 200) == {b"1", b"2"}

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_release_leaves_the_leases_of_others(self, store: Store) -> None:
        store.claim([KEY], "first", 100, 200)
        store.release([KEY, b"nobody's"], "second")
        assert store.claim([KEY], "second", 150, 300) == set()
        assert store.claim([KEY], "second", 200, 300) == {KEY}
        store.release([KEY], "first")
        assert store.claim([KEY], "first", 250, 300) == set()

    @thorough
    @clause("store", "A batch holds 0 to MAX_BATCH items")
    def test_the_largest_batches_of_keys_are_one_batch(self, store: Store) -> None:
        keys = long_keys(MAX_BATCH)
        assert store.claim(keys, "first", 100, 200) == set(keys)
        shifted = keys[100:] + long_keys(100, b"more")
        assert store.claim(set(shifted), "second", 100, 200) == set(shifted[-100:]), "of these, 100 were free"
        assert store.claim(keys, "first", 150, 300) == set(keys), "its own leases are extended"
        store.release(keys[::2], "first")
        assert store.claim(keys, "second", 299, 400) == set(keys[::2]), "every second one was released"
        store.release(shifted, "second")
        assert store.claim(keys, "third", 299, 400) == set(keys[100::2]), "of these, 4950 were the second one's"
        assert store.claim([b"one more"], "first", 299, 400) == {b"one more"}
        store.release([keys[1]], "first")
        assert store.claim(keys[:4], "third", 299, 400) == {keys[1]}

    @clause("ReferenceStore.release", "all others are left as they are")
    def test_leases_and_other_data_leave_each_other_alone(self, store: Store) -> None:
        file = File("/etc/app.conf", Sample(100))
        digest = file.content.sha256
        keys = [digest, file.content.md5, file.path.encode(), b"mine"]
        store.claim(keys, WEB.name, 100, 200)
        harvest(store, [file], [file.seen(1)])
        store.append({}, [removed(file.path, 5, OTHER)])
        assert store.claim(keys, OTHER.name, 150, 300) == set()
        store.release(keys[1:], WEB.name)
        assert listing(store) == [file.seen(1), removed(file.path, 5, OTHER)]
        assert has_data(store, file)
        assert store.forget(Query()) == 2
        store.discard([digest])
        assert store.claim(keys, OTHER.name, 150, 300) == set(keys[1:])
        assert store.claim(keys, WEB.name, 150, 300) == {digest}
        assert listing(store) == []
        assert list(store.contents()) == []

    @thorough
    @clause("ReferenceStore.claim", "exclusive; return those that it holds now")
    def test_any_sequence_of_claims_has_one_holder_at_a_time(self, places: Places, depth: Depth) -> None:
        keys = st.lists(st.sampled_from((b"1", b"2", b"3")), min_size=1, max_size=3, unique=True)
        holders = st.sampled_from(("one", "two", "three"))
        steps = st.tuples(keys, holders, st.integers(-5, 5), st.integers(0, 8), st.booleans())

        @depth.given(share=2, sequence=st.lists(steps, min_size=2, max_size=40))
        def check(sequence: list[tuple[list[bytes], str, int, int, bool]]) -> None:
            with places.fresh() as place:
                store, model, now = place.open(), Model(), 1000
                for asked, holder, passed, length, release in sequence:
                    now += passed
                    if release:
                        store.release(asked, holder)
                        model.release(asked, holder)
                        continue
                    expected = model.claim(asked, holder, now, now + 1 + length)
                    assert store.claim(asked, holder, now, now + 1 + length) == expected

        check()
