"""Faults in strings that are nearly one, at their limits, or joined."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from kharvest.spi import Content, FileSummary, Metadata, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

LIMITS = "test_strings_at_their_limits_are_asked_for_exactly"
APART = "test_timelines_and_files_at_the_limits_stay_apart"
JOINED = "test_names_that_are_alike_when_joined_are_different_timelines"
PAIRS = "test_metadata_is_asked_for_by_exact_keys_and_values"
PREFIX = "test_a_prefix_ends_at_any_character"
ORDER = "test_files_are_in_code_point_order_at_every_length"


@caught_by(LIMITS)
class IndexesTheFirstCharacters(PlainStore):
    """Compares what its index has of a string: 250 characters."""

    def same(self, stored: str, asked: str) -> bool:
        return stored[:250] == asked[:250]


@caught_by(LIMITS)
class ComparesWithoutBlanksAtTheEnd(PlainStore):
    """Has a collation that pads."""

    def same(self, stored: str, asked: str) -> bool:
        return stored.rstrip(" ") == asked.rstrip(" ")


@caught_by(LIMITS)
class CutsValuesAtAKilobyte(PlainStore):
    """Indexes the first kilobyte of a metadata value."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return all(reference.metadata.get(key, "\0")[:1024] == value[:1024] for key, value in query.metadata.items())


@caught_by(LIMITS)
class CutsKeysAt255(PlainStore):
    """Has metadata keys in a column of 255 characters."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        stored = {(key[:255], value) for key, value in reference.metadata.items()}
        return all((key[:255], value) in stored for key, value in query.metadata.items())


class GroupsTimelines(PlainStore):
    """Tells timelines apart by what `key` makes of them."""

    def key(self, reference: Reference) -> object:
        return reference.timeline

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest = {self.key(reference): reference for reference in ranked}
        return [reference for reference in ranked if newest[self.key(reference)] is reference]


@caught_by(APART)
class GroupsByTheStartOfThePath(GroupsTimelines):
    """Groups by a generated column with the first 768 characters of a path."""

    def key(self, reference: Reference) -> object:
        return reference.pod, reference.signature.path[:768]


@caught_by(APART)
class GroupsByNormalForm(GroupsTimelines):
    """Normalises names before it groups by them."""

    def key(self, reference: Reference) -> object:
        pod, path = reference.pod, reference.signature.path
        return tuple(unicodedata.normalize("NFC", text) for text in (pod.namespace, pod.name, path))


@caught_by(JOINED)
class JoinsNamesBySlashes(GroupsTimelines):
    """Has namespace/pod/path for the key of a timeline."""

    def key(self, reference: Reference) -> object:
        return f"{reference.pod}{reference.signature.path}"


@caught_by(JOINED)
class JoinsNamesByAControlCharacter(GroupsTimelines):
    """Joins them by a character that never is in a name."""

    def key(self, reference: Reference) -> object:
        return "\x1f".join((reference.pod.namespace, reference.pod.name, reference.signature.path))


@caught_by(JOINED)
class CountsPodsByTheirText(PlainStore):
    """Counts different texts of namespace/name."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        exact = super().summary(state, signature, references)
        texts = {str(reference.pod) for reference in references}
        return FileSummary(signature, exact.content, len(texts), exact.first_seen_ns, exact.last_seen_ns)


@caught_by(PAIRS)
class SearchesPairsAsText(PlainStore):
    """Indexes key=value."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        stored = {f"{key}={value}" for key, value in reference.metadata.items()}
        return all(f"{key}={value}" in stored for key, value in query.metadata.items())


@caught_by(PAIRS)
class SearchesKeysAndValuesApart(PlainStore):
    """Has an index of keys and one of values, and finds a value under another key."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        keys, values = set(query.metadata), set(query.metadata.values())
        return keys <= set(reference.metadata) and values <= set(reference.metadata.values())


@caught_by(PAIRS)
class ChecksSixteenPairs(PlainStore):
    """Joins once for each pair, and stops where the planner becomes slow."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return all(reference.metadata.get(key) == value for key, value in [*query.metadata.items()][:16])


@caught_by(PAIRS)
class TakesEmptyValuesForAny(PlainStore):
    """Asks for the key alone where the value is empty."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        pairs = query.metadata.items()
        return all(key in reference.metadata and value in ("", reference.metadata[key]) for key, value in pairs)


@caught_by(PREFIX)
class EndsPrefixesBeforeEmoji(PlainStore):
    """Has everything between the prefix and the prefix with U+FFFF."""

    def starts(self, path: str, prefix: str) -> bool:
        return prefix <= path <= f"{prefix}\uffff"


@caught_by(PREFIX)
class CutsPrefixes(PlainStore):
    """Compares what its index has of a path."""

    def starts(self, path: str, prefix: str) -> bool:
        return path.startswith(prefix[:255])


@caught_by(PREFIX)
class EndsPrefixesAtTheNextByte(PlainStore):
    """Counts up the last byte of the prefix, and decodes that: U+007F and others have no such successor."""

    def starts(self, path: str, prefix: str) -> bool:
        if not prefix:
            return True
        start = prefix.encode()
        end = (start[:-1] + bytes([start[-1] + 1])).decode(errors="ignore")
        return prefix <= path < end


@caught_by(ORDER)
class SortsByTheStartOfThePath(PlainStore):
    """Sorts by what the index has of a path, and then by MD5."""

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        return sorted(
            super().summarise(state, references), key=lambda one: (one.signature.path[:768], one.signature.md5)
        )


class SortsBy(PlainStore):
    """Sorts files by what `order` makes of their paths."""

    order: Callable[[str], str] = staticmethod(str)

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        found = super().summarise(state, references)
        return sorted(found, key=lambda one: (type(self).order(one.signature.path), one.signature.path))


@caught_by(ORDER)
class SortsWithoutCase(SortsBy):
    """Has a collation for people."""

    order = staticmethod(str.casefold)


@caught_by(ORDER)
class SortsByNormalForm(SortsBy):
    """Has a collation of Unicode, in which é is beside e."""

    order = staticmethod(lambda path: unicodedata.normalize("NFD", path))


@caught_by("test_strings_that_look_alike_stay_apart")
class DecodesWhatIsAskedFor(PlainStore):
    """Asks by a URL, whose parts are decoded once more than they were encoded."""

    def same(self, stored: str, asked: str) -> bool:
        return stored == unquote(asked)


@caught_by("test_strings_that_look_alike_stay_apart")
class ReplacesWhatIsNoCharacter(PlainStore):
    """Writes XML, which has no U+FFFE and no U+FFFF."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        pairs = {key: value.translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}) for key, value in reference.metadata.items()}
        super().add(state, files, replace(reference, metadata=Metadata(pairs)))
