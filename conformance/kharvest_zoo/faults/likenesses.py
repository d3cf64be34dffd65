"""Faults in telling strings and digests apart: keys that are composed, cut, padded or folded."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from kharvest.spi import Content, Metadata, Pod, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

Key: TypeAlias = object

LIMITS = "test_strings_at_their_limits_that_differ_in_one_byte_stay_apart"
ALIKE = "test_strings_that_look_alike_stay_apart_in_every_use"
CUT = "test_what_is_cut_at_another_place_is_something_else"
DIGESTS = "test_digests_are_compared_whole_and_byte_by_byte"


class KeyedStore(PlainStore):
    """Correct: a base for stores that find timelines and references by a key that they make of them."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.keys: set[Key] = set()
        self.keyed_at = (0, 0)

    def pod_key(self, pod: Pod) -> Key:
        """What a pod is found by."""
        return pod

    def path_key(self, path: str) -> Key:
        """What a path is found by."""
        return path

    def metadata_key(self, metadata: Metadata) -> Key:
        """What metadata are found by."""
        return metadata

    def timeline_key(self, timeline: Timeline) -> Key:
        """What a timeline is found by."""
        return self.pod_key(timeline.pod), self.path_key(timeline.path)

    def reference_key(self, reference: Reference) -> Key:
        """What a reference is found by."""
        md5, at = reference.signature.md5, reference.observed_at_ns
        return self.timeline_key(reference.timeline), md5, self.metadata_key(reference.metadata), at

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        if self.keyed_at != (state.arrivals, len(state.references)):
            self.keys = {self.reference_key(one) for one in state.references}
        key = self.reference_key(reference)
        if key not in self.keys:
            super().add(state, files, reference)
            self.keys.add(key)
        self.keyed_at = (state.arrivals, len(state.references))

    def timed(self, state: State, references: Sequence[Reference]) -> list[Reference]:
        last: dict[Key, int] = {}
        for one in state.references:
            key = self.timeline_key(one.timeline)
            last[key] = max(last.get(key, -1), one.observed_at_ns)
        timed = []
        for one in references:
            key = self.timeline_key(one.timeline)
            last[key] = self.later(last.get(key, -1), one.observed_at_ns)
            timed.append(replace(one, observed_at_ns=last[key]))
        return timed

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            last = {self.timeline_key(one.timeline): one for one in self.matching(state, Query())}
            keys = {timeline: self.timeline_key(timeline) for timeline in timelines}
            return {timeline: last[key] for timeline, key in keys.items() if key in last}


@caught_by(CUT)
class JoinsPodsWithASlash(KeyedStore):
    """Finds pods as they are printed."""

    def pod_key(self, pod: Pod) -> Key:
        return f"{pod.namespace}/{pod.name}"


@caught_by(CUT)
class JoinsPodsWithASeparator(KeyedStore):
    """Takes a character that nobody uses."""

    def pod_key(self, pod: Pod) -> Key:
        return f"{pod.namespace}\x1f{pod.name}"


@caught_by(CUT)
class JoinsPodsWithNothing(KeyedStore):
    """Hashes one part after the other."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace + pod.name


@caught_by(CUT)
class CountsTheNamespaceOnly(KeyedStore):
    """Writes the length in front, and nothing behind it."""

    def pod_key(self, pod: Pod) -> Key:
        return f"{len(pod.namespace)}{pod.namespace}{len(pod.name)}{pod.name}"


@caught_by(CUT)
class EscapesTheSeparatorOnly(KeyedStore):
    """Escapes the slash, and not what it escapes with."""

    def pod_key(self, pod: Pod) -> Key:
        return "/".join(part.replace("/", "\\/") for part in (pod.namespace, pod.name))


@caught_by(CUT)
class QuotesAsAUrl(KeyedStore):
    """Quotes the slash, and not the percent sign."""

    def pod_key(self, pod: Pod) -> Key:
        return "/".join(part.replace("/", "%2F") for part in (pod.namespace, pod.name))


@caught_by(CUT)
class JoinsThePodWithThePath(KeyedStore):
    """Finds timelines by the path of a file in a folder for each pod."""

    def timeline_key(self, timeline: Timeline) -> Key:
        return f"{timeline.pod.namespace}/{timeline.pod.name}{timeline.path}"


@caught_by(CUT)
class TakesNoNamespaceForNone(KeyedStore):
    """Leaves empty parts out, as SQL's concat_ws does with NULL."""

    def pod_key(self, pod: Pod) -> Key:
        return "\0".join(filter(None, (pod.namespace, pod.name)))


@caught_by(CUT)
class SortsThePartsOfPods(KeyedStore):
    """Keeps a set of the parts."""

    def pod_key(self, pod: Pod) -> Key:
        return frozenset((pod.namespace, pod.name))


@caught_by(CUT)
class JoinsPairsAsLabels(KeyedStore):
    """Finds metadata by how a selector is written."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return ",".join(f"{key}={value}" for key, value in metadata.items())


@caught_by(CUT)
class JoinsPairsAsLines(KeyedStore):
    """Finds metadata by how a properties file is written."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return "\n".join(f"{key}={value}" for key, value in metadata.items())


@caught_by(CUT)
class WritesJsonByHand(KeyedStore):
    """Quotes strings, and not the quotes in them."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return ", ".join(f'"{key}": "{value}"' for key, value in metadata.items())


@caught_by(CUT)
class KeepsValuesOnly(KeyedStore):
    """Sorts all strings, and forgets which were keys."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return tuple(sorted(text for pair in metadata.items() for text in pair))


@caught_by(CUT)
class LeavesOutEmptyValues(KeyedStore):
    """Takes an empty value for none, as Oracle does."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return tuple((key, value) for key, value in metadata.items() if value)


@caught_by(CUT)
class ReadsValuesAsJson(KeyedStore):
    """Stores what looks like JSON as JSON, which has no order and no blanks."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return tuple((key, self.read_json(value)) for key, value in metadata.items())

    def read_json(self, value: str) -> str:
        """A value as a JSON column gives it back."""
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return json.dumps(value)


@caught_by(LIMITS)
class CutsPathsInTheIndex(KeyedStore):
    """Has a column one byte too short, and a database that cuts without a word."""

    def path_key(self, path: str) -> Key:
        return path.encode()[:4095]


@caught_by(LIMITS)
class CutsNamespaces(KeyedStore):
    """Has a CHAR(62)."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace.encode()[:62], pod.name


@caught_by(LIMITS)
class CutsPodsAt250(KeyedStore):
    """Has a column that once was enough."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace, pod.name.encode()[:250]


@caught_by(LIMITS)
class TrimsLongPaths(KeyedStore):
    """Has a CHAR where a VARCHAR belongs: blanks at the end do not count."""

    def path_key(self, path: str) -> Key:
        return path.rstrip(" ") if len(path) > 255 else path


@caught_by(LIMITS)
class HashesTheFirstKilobyte(KeyedStore):
    """Hashes what fits into its buffer."""

    def path_key(self, path: str) -> Key:
        return len(path), hash(path[:1024])


@caught_by(LIMITS)
class CutsMetadataKeys(KeyedStore):
    """Has 316 bytes for a key."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return tuple((key.encode()[:316], value) for key, value in metadata.items())


@caught_by(LIMITS)
class CutsMetadataValues(KeyedStore):
    """Indexes 3,072 bytes of a value."""

    def metadata_key(self, metadata: Metadata) -> Key:
        return tuple((key, value.encode()[:3072]) for key, value in metadata.items())


@caught_by(LIMITS)
class FindsCutValues(PlainStore):
    """Compares values as far as its index goes when it is asked for them."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return all(reference.metadata.get(key, "")[:4000] == value[:4000] for key, value in query.metadata.items())


@caught_by(LIMITS)
class KnowsCutPaths(PlainStore):
    """Looks a signature up by what the index has of its path."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            cut = {(one.path[:4000], one.md5): content for one, content in state.files.items()}
        return {one: cut[one.path[:4000], one.md5] for one in signatures if (one.path[:4000], one.md5) in cut}


@caught_by(ALIKE)
class FoldsPathsOfTimelines(KeyedStore):
    """Was written on a system that folds case."""

    def path_key(self, path: str) -> Key:
        return path.lower()


@caught_by(ALIKE)
class TrimsPodsOfTimelines(KeyedStore):
    """Compares names as a CHAR."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace.rstrip(" "), pod.name.rstrip(" ")


@caught_by(ALIKE)
class StripsPathsOfTimelines(KeyedStore):
    """Reads paths line by line."""

    def path_key(self, path: str) -> Key:
        return path.strip()


@caught_by(ALIKE)
class ReadsPodsAsNumbers(KeyedStore):
    """Has a column without a type: what looks like a number is one."""

    def pod_key(self, pod: Pod) -> Key:
        return tuple(float(part) if part.isdecimal() else part for part in (pod.namespace, pod.name))


@caught_by(DIGESTS)
class CutsZerosOffDigests(PlainStore):
    """Has a BINARY column of a database that fills up, and cuts off again."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            cut = {(one.path, one.md5.rstrip(b"\0")): content for one, content in state.files.items()}
        found = {one: cut.get((one.path, one.md5.rstrip(b"\0"))) for one in signatures}
        found |= {one: cut.get((one.path, one.md5[:-1].rstrip(b"\0"))) for one in found if one.md5[-1:] == b" "}
        return {one: content for one, content in found.items() if content is not None}


@caught_by(DIGESTS)
class PadsDigestsWithBlanks(PlainStore):
    """Has a CHAR(16) for the MD5: blanks at the end do not count, and come back as zeros."""

    def file_of(self, state: State, signature: Signature) -> Content | None:
        trimmed = signature.md5.rstrip(b" \0")
        for one, content in state.files.items():
            if one.path == signature.path and one.md5.rstrip(b" \0") == trimmed:
                return content
        return None


@caught_by(DIGESTS)
class ComparesHalfADigest(PlainStore):
    """Has a BIGINT for the MD5."""

    def file_of(self, state: State, signature: Signature) -> Content | None:
        for one, content in state.files.items():
            if one.path == signature.path and one.md5[:8] == signature.md5[:8]:
                return content
        return None


@caught_by(DIGESTS)
class ReadsDigestsAsText(PlainStore):
    """Decodes the MD5 as text and passes over what is none."""

    def file_of(self, state: State, signature: Signature) -> Content | None:
        text = signature.md5.decode(errors="ignore")
        for one, content in state.files.items():
            if one.path == signature.path and one.md5.decode(errors="ignore") == text:
                return content
        return None


@caught_by(DIGESTS)
class FindsDigestsBySubstring(PlainStore):
    """Ignores the sign bit of each byte when it is asked."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        with self.session() as state:
            seven = {(one.path, bytes(b & 127 for b in one.md5)): content for one, content in state.files.items()}
        found = {one: seven.get((one.path, bytes(b & 127 for b in one.md5))) for one in signatures}
        return {one: content for one, content in found.items() if content is not None}
