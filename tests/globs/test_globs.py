"""A glob matches what a plain reading of it says, in a number of steps that no pattern can make explode."""

from __future__ import annotations

import sys
from functools import cache
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kharvest.globs import MAX_BYTES, MAX_WILDCARDS, Glob, InvalidGlob


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/etc/*.conf", ["/etc/a.conf", "/etc/.conf"], ["/etc/a/b.conf", "/etc/a.config", "/ETC/a.conf"]),
        ("/etc/?", ["/etc/a", "/etc/.", "/etc/\n", "/etc/\N{PILE OF POO}"], ["/etc/", "/etc/ab", "/etc//"]),
        ("/etc/**", ["/etc/a", "/etc/a/b/c", "/etc/.a/.b"], ["/etc", "/etcetera", "/a/etc/b"]),
        ("/**/c", ["/c", "/a/c", "/a/b/c"], ["/a/bc", "c/d", "/c/d"]),
        ("**/c", ["c", "/c", "/a/b/c"], ["/a/bc", "/c/d"]),
        ("**", ["", "a", "/a/b"], []),
        ("/a/**/**/b/**/c", ["/a/b/c", "/a/x/b/y/z/c"], ["/a/c", "/a/b", "/a/b/c/d"]),
        ("/a**b", ["/ab", "/axb"], ["/a/b"]),
        ("/[a-cx]", ["/a", "/c", "/x"], ["/d", "/-", "/ab", "/"]),
        ("/[!a-c]", ["/d", "/!", "/^"], ["/a", "/", "//"]),
        ("/[^a]", ["/b", "/^"], ["/a"]),
        ("/[]a]", ["/]", "/a"], ["/b"]),
        ("/[!]a]", ["/b"], ["/]", "/a"]),
        ("/[a-]", ["/a", "/-"], ["/b"]),
        ("/[-a]", ["/a", "/-"], ["/b"]),
        (r"/[a\-c]", ["/a", "/-", "/c"], ["/b", "/\\"]),
        (r"/[\]\\]", ["/]", "/\\"], ["/a"]),
        ("/[[]", ["/["], ["/]"]),
        ("/[&&~|.$^]", ["/&", "/~", "/|", "/.", "/$", "/^"], ["/a"]),
        (r"/\*\?\[\\", ["/*?[\\"], ["/a?[\\"]),
        ("/]", ["/]"], ["/"]),
        ("/{a,b}", ["/{a,b}"], ["/a"]),
        ("/a", ["/a"], ["/a/", "a", "/ab"]),
        ("", [""], ["/", "a"]),
        ("/*a*b*", ["/ab", "/xaxbx", "/aabb"], ["/ba", "/a", "/b"]),
        ("/*ab", ["/ab", "/aab", "/abab"], ["/aba"]),
        ("/ab*ba", ["/abba", "/abxba"], ["/aba"]),
    ],
)
def test_a_pattern_matches_what_it_says(pattern: str, matching: list[str], others: list[str]) -> None:
    glob = Glob(pattern)
    assert [path for path in matching + others if glob.matches(path)] == matching


@pytest.mark.parametrize(
    ("pattern", "prefix", "is_literal"),
    [
        ("/etc/app.conf", "/etc/app.conf", True),
        (r"/etc/\*a/b*", "/etc/*a/b", False),
        ("/etc/**/a", "/etc/", False),
        ("/etc/**", "/etc/", False),
        ("/etc/[a]b", "/etc/", False),
        ("/etc/?/a", "/etc/", False),
        ("**/a", "", False),
        ("*", "", False),
    ],
)
def test_what_every_match_begins_with_is_known(pattern: str, prefix: str, is_literal: bool) -> None:
    assert (Glob(pattern).literal_prefix, Glob(pattern).is_literal) == (prefix, is_literal)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("/etc/[a", "has no ]"),
        ("/[a/b]", "has no ]"),
        ("[" * MAX_BYTES, "has no ]"),
        ("/[]", "empty set"),
        ("/[c-a]", "write a-c"),
        ("/a\\", "backslash"),
        ("/a\\/b", "backslash"),
        ("/" + "a" * MAX_BYTES, f"{MAX_BYTES} are allowed"),
        ("/\N{PILE OF POO}" * MAX_BYTES, f"{MAX_BYTES} are allowed"),
        ("?" * (MAX_WILDCARDS + 1), f"{MAX_WILDCARDS} are allowed"),
        ("/**" * (MAX_WILDCARDS + 1), f"{MAX_WILDCARDS} are allowed"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, told: str) -> None:
    with pytest.raises(InvalidGlob, match=told) as refusal:
        Glob(pattern)
    assert len(str(refusal.value)) < 500


# A pattern as what it means: segments of characters, where None is `*`, and a string is a set; `...` is `**`.
Characters = st.sampled_from("ab.")
Matchers = st.one_of(Characters, st.none(), st.sets(Characters, min_size=1).map(lambda one: "".join(sorted(one))))
Segments = st.one_of(st.just(...), st.lists(Matchers, max_size=5).map(tuple))
Meaning = tuple[Any, ...]


def written(meaning: Meaning) -> str:
    def one(matcher: str | None) -> str:
        if matcher is None:
            return "*"
        return f"\\{matcher}" if len(matcher) == 1 else f"[{matcher}]"

    return "/".join("**" if segment is ... else "".join(map(one, segment)) for segment in meaning)


def means(meaning: Meaning, path: str) -> bool:
    """Whether a path matches: every way to match it is tried."""

    @cache
    def segments(pattern: Meaning, names: tuple[str, ...]) -> bool:
        if not pattern:
            return not names
        if pattern[0] is ...:
            least = 1 if len(pattern) == 1 else 0
            return any(segments(pattern[1:], names[taken:]) for taken in range(least, len(names) + 1))
        return bool(names) and characters(pattern[0], names[0]) and segments(pattern[1:], names[1:])

    @cache
    def characters(pattern: Meaning, name: str) -> bool:
        if not pattern:
            return not name
        if pattern[0] is None:
            return any(characters(pattern[1:], name[taken:]) for taken in range(len(name) + 1))
        return bool(name) and name[0] in pattern[0] and characters(pattern[1:], name[1:])

    return segments(meaning, tuple(path.split("/")))


@given(st.lists(Segments, min_size=1, max_size=6).map(tuple), st.text("ab./", max_size=12))
@example((..., ("a",), ..., ("a", None)), "a/b/a/a")
@example((("a", None, "a", None, "a"),), "aaaa")
def test_every_pattern_matches_what_a_slow_and_plain_reading_matches(meaning: Meaning, path: str) -> None:
    # `***` is a segment with three asterisks, and `**` is written by two of them only where it is meant.
    spelled = tuple(segment if segment is ... or segment != (None, None) else (None, None, None) for segment in meaning)
    glob = Glob(written(spelled))
    assert glob.matches(path) == means(spelled, path)
    assert path.startswith(glob.literal_prefix) or not glob.matches(path)


def steps(glob: Glob, path: str) -> int:
    """How many functions are called to match a path, those of C included."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        glob.matches(path)
    finally:
        sys.setprofile(None)
    return counted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        pytest.param("/**" + "/a/**" * 3 + "/b", "/a" * 300 + "/c", id="three deep wildcards"),
        pytest.param("/**" + "/a/**" * 98 + "/b", "/a" * 2000 + "/c", id="as many as are allowed"),
        pytest.param("/**" + "/*/**" * 49 + "/b", "/a" * 2000 + "/c", id="each beside an asterisk"),
        pytest.param("/**" + "/*" * 98 + "/b", "/a" * 2000 + "/c", id="one block of asterisks"),
        pytest.param("/**" + "/a" * 2000 + "/b", "/a" * 2000 + "/c", id="a long block"),
        pytest.param("*a" * 99 + "b", "a" * 4096, id="asterisks in one segment"),
        pytest.param("*" + "[ab]" * 98 + "b", "a" * 4096, id="sets behind an asterisk"),
        pytest.param("/**/" + ("*a" * 19 + "b/") * 5, ("/" + "a" * 127) * 32, id="both"),
    ],
)
def test_the_steps_of_a_match_are_at_most_wildcards_times_segments(pattern: str, path: str) -> None:
    wildcards = pattern.count("*") + pattern.count("[")
    names = path.count("/") + 1
    assert 0 < steps(Glob(pattern), path) <= 4 * (wildcards + 4) * names


def test_no_expression_of_a_pattern_has_a_quantifier() -> None:
    """Characters and sets only: what one of them costs on a name is at most the product of their lengths."""
    glob = Glob(r"/**/a+(b|c){2}*?[!x-z]$^\*.*/*")
    pieces = [p for _, one in glob._wild for p in (one._first, one._last, *one._inner)]
    operations = {str(node[0]) for p in pieces for node in sre_parse(p.pattern.pattern)}
    assert operations <= {"LITERAL", "ANY", "IN", "NOT_LITERAL"}


def sre_parse(source: str) -> Any:
    from re import _parser  # type: ignore[attr-defined]  # noqa: PLC0415  the only place that tells what an expression is

    return _parser.parse(source)
