"""No password is shown, and a cursor serves its own query only."""

from __future__ import annotations

import pytest

from kharvest.spi import InvalidCursor, InvalidStoreURL, Query, decode_cursor, encode_cursor, mask_url, scheme_of


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hunter2@db:5432/kharvest", "postgresql://me:***@db:5432/kharvest"),
        ("postgresql://me@db/kharvest?sslmode=require", "postgresql://me@db/kharvest?sslmode=require"),
        ("mysql://db/x?password=hunter2&charset=utf8", "mysql://db/x?password=***&charset=utf8"),
        ("mongodb://me:hunter%402@a,b/x", "mongodb://me:***@a,b/x"),
        ("s3://bucket/prefix?secret=hunter2", "s3://bucket/prefix?secret=***"),
        ("az://box/prefix?connection_string=AccountKey%3Dx", "az://box/prefix?connection_string=***"),
        ("sqlite:////var/lib/kharvest.db", "sqlite:////var/lib/kharvest.db"),
        ("memory:", "memory:"),
        ("postgresql://me:hun/ter@2@[bad?x=1", "postgresql://me:***@[bad?x=1"),
        ("postgresql://me:hunter?2@db/x", "postgresql://me:***@db/x"),
        ("postgresql:/me:hunter2@db/x", "postgresql:/me:***@db/x"),
        ("postgresql://:hunter2@db/x", "postgresql://:***@db/x"),
        ("postgresql://db:5432/x?application_name=a@b", "postgresql://db:5432/x?application_name=a@b"),
        ("mysql://db/x?pass%77ord=hunter2", "mysql://db/x?pass%77ord=***"),
        ("mongodb+srv://me@h/x", "mongodb+srv://me@h/x"),
        ("fsspec+http://me:hunter2@h/x", "fsspec+http://me:***@h/x"),
        ("fsspec+https://hunter2@h/x", "fsspec+https://***@h/x"),
        ("fsspec+simplecache::http://me:hunter2@h/x", "fsspec+simplecache::http://me:***@h/x"),
        ("fsspec+zip://a.zip::http://me:hunter2@h/x", "fsspec+zip://a.zip::http://me:***@h/x"),
        ("s3://hunter2@bucket/x", "s3://***@bucket/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("s3://bucket?endpoint_url=http://me:hunter2@h:1&x=1", "s3://bucket?endpoint_url=http://me:***@h:1&x=1"),
        ("file:///a/b@c", "file:///a/b@c"),
    ],
)
def test_a_password_is_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert "hunter" not in mask_url(url)


def test_a_url_without_a_scheme_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidStoreURL) as refusal:
        scheme_of("/me:hunter2@nowhere")
    assert "hunter2" not in str(refusal.value)


def test_a_cursor_tells_its_position_for_its_query_whatever_the_limit() -> None:
    query = Query(namespace="shop", limit=10)
    cursor = encode_cursor(query, 5, "here")
    assert decode_cursor(Query(namespace="shop", limit=99, cursor=cursor)) == (5, "here")
    assert decode_cursor(query) is None


@pytest.mark.parametrize("damage", ["", "x", "!", "WzFd", "bnVsbA", "e30"])
def test_a_damaged_cursor_is_refused(damage: str) -> None:
    cursor = encode_cursor(Query(), 5)[: -len(damage) or None] + damage if damage != "" else "bm9uc2Vuc2U"
    with pytest.raises(InvalidCursor):
        decode_cursor(Query(cursor=cursor))


def test_a_cursor_of_another_query_is_refused() -> None:
    cursor = encode_cursor(Query(namespace="shop"), 5)
    with pytest.raises(InvalidCursor):
        decode_cursor(Query(namespace="bank", cursor=cursor))
