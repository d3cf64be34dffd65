"""Limits are part of the contract, and checked in the values; strings are exact."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kharvest.spi import (
    MAX_PAGE,
    MAX_TIME_NS,
    Content,
    InvalidValue,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
)

MD5 = b"m" * 16
SHA256 = b"s" * 32


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Signature("/" + "ä" * 2047 + "x", MD5), id="path of 4096 bytes"),
        pytest.param(lambda: Signature("/ trailing space ", MD5), id="spaces"),
        pytest.param(lambda: Signature("/\U0001f389\u202e\u0301", bytes(16)), id="all of Unicode"),
        pytest.param(lambda: Pod("n" * 63, "p" * 253), id="longest pod"),
        pytest.param(lambda: Pod("", ""), id="an original client that was not configured"),
        pytest.param(lambda: Metadata({"k" * 317: "v" * 4096}), id="longest pair"),
        pytest.param(lambda: Metadata({str(key): "" for key in range(64)}), id="most pairs"),
        pytest.param(lambda: Content(SHA256, MD5, 2**63 - 1), id="largest size"),
        pytest.param(lambda: Reference(Signature("/a", MD5), Pod("n", "p"), Metadata(), MAX_TIME_NS), id="latest time"),
        pytest.param(lambda: Query(since_ns=5, until_ns=5, limit=MAX_PAGE), id="an empty time frame"),
    ],
)
def test_what_is_within_the_limits_is_allowed(make: Callable[[], object]) -> None:
    assert make() == make()
    assert hash(make()) == hash(make())


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Signature("", MD5), "path"),
        (lambda: Signature("relative", MD5), "path"),
        (lambda: Signature("/a\0", MD5), "path"),
        (lambda: Signature("/\ud800", MD5), "path"),
        (lambda: Signature("/" + "ä" * 2048, MD5), "path"),
        (lambda: Signature("/a", b""), "md5"),
        (lambda: Pod("n" * 64, "p"), "namespace"),
        (lambda: Pod("n", "p" * 254), "pod"),
        (lambda: Metadata({"k" * 318: ""}), "metadata key"),
        (lambda: Metadata({"k": "v" * 4097}), "metadata value"),
        (lambda: Metadata({str(key): "" for key in range(65)}), "metadata"),
        (lambda: Content(b"", MD5, 0), "sha256"),
        (lambda: Content(SHA256, bytes(16), 0), "md5"),
        (lambda: Content(SHA256, MD5, -1), "size"),
        (lambda: Content(SHA256, MD5, 2**63), "size"),
        (lambda: Reference(Signature("/a", MD5), Pod("n", "p"), Metadata(), -1), "observed-at"),
        (lambda: Query(limit=0), "limit"),
        (lambda: Query(limit=MAX_PAGE + 1), "limit"),
        (lambda: Query(since_ns=2, until_ns=1), "since"),
        (lambda: Query(path="/a", path_prefix="/a"), "path prefix"),
        (lambda: Query(md5=b"short"), "md5"),
    ],
)
def test_what_is_not_is_refused_and_named(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        make()
    assert refusal.value.field == field
    assert refusal.value.problem in str(refusal.value)
    assert refusal.value.remedy in str(refusal.value)


def test_metadata_is_compared_by_its_pairs_whatever_their_order() -> None:
    assert Metadata({"a": "1", "b": "2"}) == Metadata({"b": "2", "a": "1"})
    assert hash(Metadata({"a": "1", "b": "2"})) == hash(Metadata({"b": "2", "a": "1"}))
    assert Metadata({"a": "1"}) != Metadata({"a": "2"})
    assert Metadata({"a": "1", "b": "2"}).matches(Metadata({"a": "1"}))
    assert not Metadata({"a": "1"}).matches(Metadata({"a": "1", "b": "2"}))
