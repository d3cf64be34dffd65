"""Faults in claims."""

from __future__ import annotations

from collections.abc import Collection

from kharvest.spi import Query
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


@caught_by("test_what_somebody_else_holds_is_not_taken")
class GivesToTheLastToAsk(PlainStore):
    """Upserts the lease."""

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        return True


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


@caught_by("test_keys_come_in_any_collection")
class IndexesTheKeys(PlainStore):
    """Takes the keys of a batch by their number: it was tried with lists."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        ordered = [keys[number] for number in range(len(keys))]  # type: ignore[index]
        return super().claim(ordered, holder, now_ns, until_ns)


@caught_by("test_keys_come_in_any_collection")
class ReleasesWhatIsAList(PlainStore):
    """Takes anything but a list or a tuple for a single key."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        super().release(keys if isinstance(keys, (list, tuple, set, frozenset)) else [keys], holder)  # type: ignore[list-item]


@caught_by("test_keys_come_in_any_collection")
class SortsTheCallersList(PlainStore):
    """Sorts the keys where they are, so that rows are locked in one order."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        if isinstance(keys, list):
            keys.sort(reverse=True)
        super().release(keys, holder)


@caught_by("test_keys_come_in_any_collection")
class TakesKeysWithOperators(PlainStore):
    """Subtracts what is taken from the keys: what the server passes is a set."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            taken = {key for key in keys if not self.is_free(state, key, holder, now_ns)}
            free = keys - taken if hasattr(keys, "__sub__") else set(keys[:]) - taken  # type: ignore[index]
            return super().claim(free, holder, now_ns, until_ns)


@caught_by("test_what_is_named_twice_in_a_batch_counts_once")
class InsertsKeysTwice(PlainStore):
    """Inserts a row for each key of the batch, and the second of two equal ones finds the key taken."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        held = super().claim(keys, holder, now_ns, until_ns)
        return {key for key in held if list(keys).count(key) == 1}


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class AnswersWithAList(PlainStore):
    """Gives the rows as the driver gives them."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return frozenset(super().claim(keys, holder, now_ns, until_ns))  # type: ignore[return-value]


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class AnswersWithBuffers(PlainStore):
    """Gives keys as the driver's buffers, which equal bytes."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return {memoryview(key) for key in super().claim(keys, holder, now_ns, until_ns)}  # type: ignore[misc]


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class GivesItsOwnSetAway(PlainStore):
    """Keeps a set of keys for each holder, and answers with that when all of it was asked for."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.held: dict[str, set[bytes]] = {}

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owned = any(key in keys for owner, keys in self.held.items() if owner != holder)
        return not owned or super().is_free(state, key, holder, now_ns)

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        mine = self.held.setdefault(holder, set())
        held = super().claim(keys, holder, now_ns, until_ns)
        mine |= held
        return mine if held == mine else held


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class KeepsTheCallersList(PlainStore):
    """Remembers the batch that it was given, and extends that as one when it is claimed again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.batches: dict[str, Collection[bytes]] = {}

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        mine = self.batches.setdefault(holder, keys)
        held = super().claim(keys, holder, now_ns, until_ns)
        return held & set(mine) if set(keys) == held and len(held) == 3 else held


@caught_by("test_the_answer_of_claim_is_the_caller_s_own_set")
class CountsWhatItReleases(PlainStore):
    """Tells how many leases it has ended."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        super().release(keys, holder)
        return len(keys)  # type: ignore[return-value]


@caught_by("test_the_largest_batches_of_keys_are_one_batch")
class ClaimsAThousandAtOnce(PlainStore):
    """Cuts batches to what one statement can have, and forgets the rest."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        return super().claim(list(keys)[:4096], holder, now_ns, until_ns)


@caught_by("test_the_largest_batches_of_keys_are_one_batch")
class ReleasesAThousandAtOnce(PlainStore):
    """Deletes in pieces, and leaves the last one out when it is not full."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        every = list(keys)
        whole = len(every) if len(every) <= 4000 else len(every) - len(every) % 4000
        super().release(every[:whole], holder)


@caught_by("test_the_largest_batches_of_keys_are_one_batch")
class LimitsHolders(PlainStore):
    """Keeps the keys of a holder in one document, which holds 10,000."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            held = sum(lease[0] == holder for lease in state.leases.values())
            return super().claim(keys, holder, now_ns, until_ns) if held < 4900 or len(keys) > 1 else set()


@caught_by("test_leases_and_other_data_leave_each_other_alone")
class ForgetsLeasesToo(PlainStore):
    """Empties its tables when the last reference goes."""

    def forget(self, query: Query) -> int:
        forgotten = super().forget(query)
        with self.session() as state:
            if not state.references:
                state.leases.clear()
        return forgotten


@caught_by("test_leases_and_other_data_leave_each_other_alone")
class DiscardsLeasesToo(PlainStore):
    """Keeps claims on contents with the contents."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        with self.session() as state:
            for sha256 in sha256s:
                state.leases.pop(sha256, None)
