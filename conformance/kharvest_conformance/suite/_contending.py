"""Claims and releases that come at once: each key has one holder, and each call its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from kharvest.spi import Capability, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._depth import Depth
from kharvest_conformance._place import Place
from kharvest_conformance._tasks import Claim, Release, Task
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import at_once
from kharvest_conformance.suite._rounds import round_by_round, rounds_of

HOLDERS = 4
PROCESSES = 3
KEYS = 40
FEW = 10
ROUNDS = 15
RELEASES = 40
SOME_TIME_NS = 100
ONE_WINS = "Of several takers exactly one wins."


@thorough
class ContendingTests(Base):
    """Of `ReferenceStore.claim` and `release` at once."""

    @clause("ReferenceStore.claim", ONE_WINS)
    def test_of_several_takers_at_once_exactly_one_wins(self, store: Store) -> None:
        keys = [b"race/%d" % number for number in range(KEYS)]
        store.claim(keys[::2], "the one before", 0, 100)

        def take(holder: str) -> set[bytes]:
            return {key for key in keys if store.claim([key], holder, 100, 200)}

        held = at_once(*(lambda holder=f"holder {number}": take(holder) for number in range(HOLDERS)))
        assert sorted(key for keys_of_one in held for key in keys_of_one) == sorted(keys)

    @clause("ReferenceStore.claim", "Each key is decided for itself")
    def test_overlapping_batches_of_claims_at_once_share_the_keys_out(self, store: Store, depth: Depth) -> None:
        _assert_shared_out([store] * HOLDERS, depth.seed)

    @clause("ReferenceStore.claim", "Each key is decided for itself", needs=Capability.SHARED)
    def test_overlapping_batches_of_claims_by_several_handles_share_the_keys_out(
        self, place: Place, depth: Depth
    ) -> None:
        _assert_shared_out([place.open() for _holder in range(HOLDERS)], depth.seed)

    @clause("ReferenceStore.release", "End the leases that `holder` holds on `keys`; all others are left as they are.")
    def test_a_late_release_beside_the_claim_of_the_next_holder_changes_nothing(self, store: Store) -> None:
        _assert_late_releases_change_nothing(store, store)

    @clause(
        "ReferenceStore.release",
        "End the leases that `holder` holds on `keys`; all others are left as they are.",
        needs=Capability.SHARED,
    )
    def test_a_late_release_beside_the_claim_of_another_handle_changes_nothing(self, place: Place) -> None:
        _assert_late_releases_change_nothing(place.open(), place.open())

    @clause("ReferenceStore.claim", "A key that somebody else holds, whose lease has not ended at `now_ns`")
    def test_an_extension_beside_the_claims_of_others_succeeds(self, store: Store) -> None:
        keys = [b"%d" % number for number in range(KEYS)]
        assert store.claim(keys, "first", 0, SOME_TIME_NS) == set(keys)
        for start_ns in range(0, ROUNDS * SOME_TIME_NS, SOME_TIME_NS):
            end_ns = start_ns + SOME_TIME_NS
            others = [
                lambda holder=f"holder {number}", now_ns=end_ns - 1: store.claim(keys[::-1], holder, now_ns, 10**9)
                for number in range(HOLDERS - 1)
            ]
            extension = lambda now_ns=end_ns - 1, end_ns=end_ns: store.claim(  # noqa: E731  # it is one of many
                keys, "first", now_ns, end_ns + SOME_TIME_NS
            )
            answers = at_once(extension, *others)
            assert answers == [set(keys), *[set[bytes]()] * (HOLDERS - 1)], "1 ns before its lease ends"

    @clause("ReferenceStore.claim", ONE_WINS, needs=Capability.SHARED)
    def test_of_several_processes_exactly_one_takes_a_claim(self, place: Place) -> None:
        keys = [b"race/%d" % number for number in range(ROUNDS)]
        place.open().claim(keys[::2], "the one before", 0, 100)
        holders = [f"process {number}" for number in range(PROCESSES)]
        rounds = [[Claim([key], holder, 100, 200) for holder in holders] for key in keys]
        # Batches in opposite orders come at once, too.
        batches = [[b"batch/%d/%d" % (number, one) for one in range(KEYS)] for number in range(FEW)]
        rounds += [
            [Claim(batch[:: (-1) ** number], holder, 100, 200) for number, holder in enumerate(holders)]
            for batch in batches
        ]
        for tasks, held in zip(rounds, rounds_of(place, rounds), strict=True):
            taken = sorted(key for one in held for key in _keys(one))
            assert taken == sorted(tasks[0].keys), "taken by several, or by none"

    @clause(
        "ReferenceStore.release",
        "End the leases that `holder` holds on `keys`; all others are left as they are.",
        needs=Capability.SHARED,
    )
    def test_a_late_release_beside_the_claim_of_another_process_changes_nothing(self, place: Place) -> None:
        keys = [b"%d" % number for number in range(KEYS)]
        store = place.open()
        rounds: list[list[Task]] = [
            [
                Release(keys, f"holder {number}"),
                Claim(keys[::-1], f"holder {number + 1}", SOME_TIME_NS * (number + 1), SOME_TIME_NS * (number + 2)),
            ]
            for number in range(ROUNDS)
        ]
        store.claim(keys, "holder 0", 0, SOME_TIME_NS)
        for number, (_nothing, held) in enumerate(round_by_round(place, rounds)):
            assert _keys(held) == set(keys), "the leases had ended"
            assert store.claim(keys, "another", SOME_TIME_NS * (number + 2) - 1, 10**9) == set(), "they are taken"


def _keys(answer: object) -> set[bytes]:
    assert isinstance(answer, set)
    return answer


def _assert_shared_out(stores: Sequence[Store], seed: int) -> None:
    """Each of several holders claims the same keys at once, in another order; those before them take part.

    To the last of them, whose clock is behind, the leases before have not ended: it gets nothing, and stops nobody.
    """
    random = Random(seed)  # noqa: S311  # an order, not a secret
    keys = [b"%d" % number for number in range(KEYS)]
    late = len(stores) - 1
    stores[0].claim(keys, "the one before", 0, SOME_TIME_NS)
    for number in range(1, ROUNDS):
        start_ns = SOME_TIME_NS * number
        batches = [keys, keys[::-1], *(random.sample(keys, KEYS) for _more in stores[2:])]

        def claim(which: int, keys: Sequence[bytes], start_ns: int = start_ns) -> Callable[[], set[bytes]]:
            now_ns = start_ns - 1 if which == late else start_ns
            return lambda: stores[which].claim(keys, f"holder {which}", now_ns, start_ns + SOME_TIME_NS)

        # Who comes last to the start is often the first to run: each of them in turn.
        order = [(which + number) % len(stores) for which in range(len(stores))]
        held = dict(zip(order, at_once(*(claim(which, batches[which]) for which in order)), strict=True))
        taken = sorted(key for one in held.values() for key in one)
        assert taken == sorted(keys), "a key has two holders, or none though its lease has ended"
        assert held[late] == set(), "to its clock, the leases of others had not ended"
        again = {which: claim(which, keys)() for which in order}
        assert again == held, "who asks again holds what it was told to hold"


def _assert_late_releases_change_nothing(releasing: Store, claiming: Store) -> None:
    keys = [b"%d" % number for number in range(KEYS)]
    claiming.claim(keys, "holder 0", 0, SOME_TIME_NS)
    for number in range(RELEASES):
        before, holder, start_ns = f"holder {number}", f"holder {number + 1}", SOME_TIME_NS * (number + 1)
        batches = [[key] for key in keys[:FEW]] if number % 2 else [keys]

        def release(before: str = before, batches: Sequence[Sequence[bytes]] = batches) -> set[bytes]:
            for batch in batches:
                releasing.release(batch, before)
            return set()

        def claim(
            holder: str = holder,
            start_ns: int = start_ns,
            batches: Sequence[Sequence[bytes]] = batches,
            number: int = number,
        ) -> set[bytes]:
            for _call in range(number % 5):  # so that the release is ahead by more or less
                claiming.claim([], holder, start_ns, start_ns + 1)
                claiming.release([b"another key"], holder)
            return {
                key
                for batch in batches
                for key in claiming.claim(batch[::-1], holder, start_ns, start_ns + SOME_TIME_NS)
            }

        # Who comes last to the start is often the first to run.
        answers = at_once(release, claim) if number // 2 % 2 else at_once(claim, release)
        assert set().union(*answers) == {key for batch in batches for key in batch}, (
            "the leases had ended: who claims gets each of the keys"
        )
        asked = {key for batch in batches for key in batch}
        claiming.claim(set(keys) - asked, holder, start_ns, start_ns + SOME_TIME_NS)  # not those: they may be lost
        another = releasing.claim(keys, "another", start_ns + SOME_TIME_NS - 1, start_ns + 10 * SOME_TIME_NS)
        assert another == set(), "the next holder has them"
