"""Values that tired engineers forget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_VALUE_BYTES,
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    MAX_TIME_NS,
    MAX_UID_BYTES,
    Metadata,
    Order,
    Pod,
    Query,
)
from kharvest_conformance._samples import BLOCK, Sample

LOOKALIKES = (
    ("app", "App", "APP"),  # case
    ("app", "app ", " app", "app\t", "app\n"),  # white space that is trimmed or padded away
    ("caf\u00e9", "cafe\u0301", "cafe"),  # composed, decomposed, bare
    ("stra\u00dfe", "strasse", "STRASSE"),  # case folding makes these one
    ("\u212a", "K", "k"),  # the Kelvin sign
    ("\u0130", "I", "i", "\u0131"),  # Turkish i
    ("\u01c6", "d\u017e", "\ufb01", "fi"),  # compatibility forms
    ("a\u200bb", "ab", "a\u00adb", "\ufeffab"),  # characters of no width
    ("100%", "100x", "100"),  # LIKE
    ("a_b", "axb", "a__b"),
    ("a*b", "ab", "a?b", "a[x]b", "a\\*b"),  # GLOB
    ("it's", "it''s", 'it"s', "it\\'s", "it`s"),  # quoting
    ("a\\b", "a\\\\b", "a\bb", "a/b"),  # escapes
    ("$where", "where", "a.b", "a", "$", "."),  # document stores
    ("1", "01", "1.0", "1e0", "+1"),  # numbers by mistake
    ("null", "NULL", "None", "nil", "undefined"),
    ("\uffee", "\U0001f600", "\U0010ffff"),  # UTF-16 and code points sort these differently
    ("\u05e9\u05dc", "\u202e\u05e9\u05dc", "\u05dc\u05e9"),  # right to left
    ("a\rb", "a\nb", "a\r\nb", "a b"),
    ("\x01", "\x02", "\x7f", "\x1f"),
    ("\ufffe", "\uffff", "\ufffd", "\ufdd0"),  # what is no character, and what is shown for it
    ("a%20b", "a+b", "a%2520b", "&amp;", "&", "\\u0026"),  # what a decoder too many makes one
)
"""Strings that are different, in groups that some system takes for equal or for a pattern of each other."""

NASTY = tuple(dict.fromkeys(text for group in LOOKALIKES for text in group))
VERSIONS = 7
"""How many contents files have whose paths are made of these: neighbours, which look alike, have different ones. With
one for each, most of the time would go into putting them."""

# All that UTF-8 can say; `codec="utf-8"` would say the same and takes seconds to find it out.
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")


def texts(max_bytes: int, min_size: int = 0) -> SearchStrategy[str]:
    """Any text the contract allows, mostly of nasty pieces."""
    pieces = st.lists(st.one_of(st.sampled_from(NASTY), st.text(_characters, max_size=8)), max_size=4).map("".join)
    return pieces.filter(lambda text: min_size <= len(text) and len(text.encode()) <= max_bytes)


paths = texts(MAX_PATH_BYTES - 1).map(lambda text: "/" + text)
pods = st.builds(Pod, texts(MAX_NAMESPACE_BYTES), texts(MAX_POD_BYTES), texts(MAX_UID_BYTES))
metadata = st.dictionaries(texts(MAX_METADATA_KEY_BYTES), texts(MAX_METADATA_VALUE_BYTES), max_size=5).map(Metadata)
times = st.one_of(st.sampled_from((0, 1, 2**31, 2**32, 2**53, 2**53 + 1, MAX_TIME_NS)), st.integers(0, MAX_TIME_NS))
samples = st.builds(
    Sample,
    st.one_of(st.sampled_from((0, 1, BLOCK - 1, BLOCK, BLOCK + 1)), st.integers(0, 300)),
    st.integers(0, 3),
)


def queries(
    *,
    paths: Sequence[str],
    prefixes: Sequence[str],
    md5s: Sequence[bytes],
    pods: Sequence[Pod],
    tags: Sequence[Metadata],
    times: Sequence[int],
    limits: Sequence[int] = (1000,),
) -> SearchStrategy[Query]:
    """Queries with three restrictions at most: with more, hardly anything matches, and nothing is learned."""
    at = st.sampled_from(times)
    spans = st.tuples(at, at).map(sorted)
    one: SearchStrategy[dict[str, object]] = st.one_of(
        st.sampled_from(paths).map(lambda path: {"path": path}),
        st.sampled_from(prefixes).map(lambda prefix: {"path_prefix": prefix}),
        st.sampled_from(md5s).map(lambda md5: {"md5": md5}),
        st.sampled_from(pods).map(lambda pod: {"namespace": pod.namespace}),
        st.sampled_from(pods).map(lambda pod: {"pod": pod.name}),
        st.sampled_from(pods).map(lambda pod: {"uid": pod.uid}),
        st.sampled_from(tags).map(lambda tag: {"metadata": tag}),
        spans.map(lambda span: {"since_ns": span[0]}),
        spans.map(lambda span: {"until_ns": span[1]}),
        spans.map(lambda span: {"since_ns": span[0], "until_ns": span[1]}),
    )
    several = st.lists(one, max_size=2).map(
        lambda chosen: {key: value for part in chosen for key, value in part.items()}
    )
    return st.builds(_query, several, latest=st.booleans(), order=st.sampled_from(Order), limit=st.sampled_from(limits))


def _query(restrictions: dict[str, Any], **others: Any) -> Query:
    if "path" in restrictions:
        restrictions = {key: value for key, value in restrictions.items() if key != "path_prefix"}
    if restrictions.get("since_ns", 0) > restrictions.get("until_ns", MAX_TIME_NS):
        restrictions = {key: value for key, value in restrictions.items() if key != "since_ns"}
    return Query(**restrictions, **others)
