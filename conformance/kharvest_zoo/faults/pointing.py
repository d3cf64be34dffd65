"""Faults in what keeps references from pointing at content that is not there, and in what else no other test holds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from kharvest.spi import Content, FileSummary, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

POINTS = "test_no_reference_ever_points_at_content_that_is_not_there"
ANY_ORDER = "test_what_is_asked_for_and_named_comes_in_any_order"
NAMELESS = "test_pods_without_a_namespace_or_a_name_are_pods_like_others"
OUTLIVE = "test_leases_outlive_the_handle_that_took_changed_or_ended_them"


@caught_by(POINTS)
class AppendsWhateverIsNamed(PlainStore):
    """Checks contents in `record`; `append` came later."""

    appends = False

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.lock:
            self.appends = True
            try:
                return super().append(files, references)
            finally:
                self.appends = False

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        if not self.appends:
            super().check_contents(state, files)


@caught_by(POINTS)
class LooksForTheFirstContent(PlainStore):
    """Takes one content of the batch for all."""

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        super().check_contents(state, dict(list(files.items())[:1]))


@caught_by(POINTS)
class RemembersWhatWasPut(PlainStore):
    """Keeps the digests that it has seen, to save a question, and forgets to drop what is discarded."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.seen: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        self.seen.add(content.sha256)

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        super().check_contents(state, {key: one for key, one in files.items() if one.sha256 not in self.seen})


@caught_by(POINTS)
class TrustsAnUploadThatBegan(PlainStore):
    """Notes a content when its upload begins."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.begun: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        self.begun.add(content.sha256)
        super().put(content, chunks)
        self.begun.remove(content.sha256)

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        super().check_contents(state, {key: one for key, one in files.items() if one.sha256 not in self.begun})


@caught_by(POINTS)
class TrustsPathsThatItKnows(PlainStore):
    """Asks for the content of new paths alone: of others there was one."""

    def check_contents(self, state: State, files: Mapping[Signature, Content]) -> None:
        paths = {signature.path for signature in state.files}
        super().check_contents(state, {key: one for key, one in files.items() if key.path not in paths})


@caught_by(ANY_ORDER)
class LooksUpInOneSweep(PlainStore):
    """Goes through the index and the question side by side, as both were sorted when it was tried."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found = super().present(sha256s)
        at, swept = b"", {}
        for sha256 in sha256s:
            if sha256 >= at and sha256 in found:
                at, swept[sha256] = sha256, found[sha256]
        return swept


@caught_by(ANY_ORDER)
class AnswersByPlace(PlainStore):
    """Selects in the order of the paths, and takes the rows for the answers to the question's items."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        found = super().known(signatures)
        rows = [found[one] for one in sorted(found, key=lambda one: one.path)]
        return dict(zip(found, rows, strict=True))


@caught_by(ANY_ORDER)
class DiscardsUpwards(PlainStore):
    """Discards in one sweep of the index."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        at, swept = b"", []
        for sha256 in sha256s:
            if sha256 >= at:
                at = sha256
                swept.append(sha256)
        super().discard(swept)


@caught_by(ANY_ORDER)
class ReleasesUpwards(PlainStore):
    """Stops at the first key that is smaller than the one before: the rest can't be there."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        swept: list[bytes] = []
        for key in keys:
            if swept and key < swept[-1]:
                break
            swept.append(key)
        super().release(swept, holder)


@caught_by(NAMELESS)
class HasNoNewestOfNamelessPods(PlainStore):
    """Asks `if name` where it should ask for None."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return {one: found for one, found in super().newest(timelines).items() if one.pod.name or one.pod.namespace}


@caught_by(NAMELESS)
class CountsNamedPods(PlainStore):
    """Counts names, and an empty one is NULL, which is not counted."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        return replace(found, pods=len({one.pod for one in references if one.pod.name}))


@caught_by(NAMELESS)
class ForgetsNoNameless(PlainStore):
    """Guards against forgetting everything by mistake."""

    def forget(self, query: Query) -> int:
        return 0 if query.pod == "" and query.namespace == "" else super().forget(query)


@caught_by(OUTLIVE)
class EndsLeasesWhenItCloses(FiledStore):
    """Tidies up: who closes needs nothing any more."""

    def close(self) -> None:
        with self.session() as state:
            state.leases.clear()
        super().close()


@caught_by(OUTLIVE)
class KeepsChangesOfLeasesInMemory(FiledStore):
    """Writes who took a key, and keeps how long the holder has extended it: that changes so often."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.ends: dict[tuple[bytes, str], int] = {}

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            held = {key for key in keys if self.is_free(state, key, holder, now_ns)}
            for key in held:
                if state.leases.get(key, ("", 0))[0] == holder:
                    self.ends[key, holder] = until_ns
                else:
                    state.leases[key] = (holder, until_ns)
            return held

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        owner, until = state.leases.get(key, (holder, 0))
        return owner == holder or self.ends.get((key, owner), until) <= now_ns
