"""What is inserted if absent and then locked, while another transaction removes it: every key gets an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from random import Random

from harness.real.locks import blocked, held
from harness.stores import content_of

from kharvest_sql._store import open_references, open_store


def literal(url: str, value: bytes) -> str:
    return rf"'\x{value.hex()}'::bytea" if url.startswith("postgresql") else f"X'{value.hex()}'"


def test_a_claim_beside_the_release_of_its_key_is_granted(server_url: str) -> None:
    keys = [b"a", b"b", b"c"]
    with closing(open_references(server_url)) as references:
        assert references.claim(keys, "gone", 0, 10) == set(keys)
        where = f"claim_key = {literal(server_url, b'b')}"
        with (
            held(server_url, f"SELECT holder FROM kharvest_claim WHERE {where} FOR UPDATE") as holder,
            blocked(server_url, lambda: references.claim(keys, "next", 20, 30)) as outcome,
        ):
            holder.exec_driver_sql(f"DELETE FROM kharvest_claim WHERE {where}")
            holder.commit()
        assert outcome == [set(keys)]
        assert references.claim(keys, "third", 25, 40) == set()


def test_a_small_put_beside_the_discard_of_its_content_leaves_it_there(server_url: str) -> None:
    content = content_of(b"small")
    with closing(open_store(server_url)) as store:
        store.put(content, [b"small"])
        where = f"sha256 = {literal(server_url, content.sha256)}"
        with (
            held(server_url, f"SELECT size FROM kharvest_content WHERE {where} FOR UPDATE") as holder,
            blocked(server_url, lambda: store.put(content, [b"small"])) as outcome,
        ):
            holder.exec_driver_sql(f"DELETE FROM kharvest_content WHERE {where}")
            holder.commit()
        assert outcome == [None]
        assert b"".join(store.read(content.sha256)) == b"small"


def test_a_large_put_beside_the_discard_of_its_content_leaves_it_there(server_url: str) -> None:
    data = Random(2).randbytes(6 * 2**20)
    content = content_of(data)
    where = f"sha256 = {literal(server_url, content.sha256)}"
    with closing(open_store(server_url)) as store:

        def chunks() -> Iterator[bytes]:
            yield data[: 5 * 2**20]
            store.put(content, [data])
            holder.exec_driver_sql(f"SELECT size FROM kharvest_content WHERE {where} FOR UPDATE")
            yield data[5 * 2**20 :]

        with (
            held(server_url, "SELECT 1") as holder,
            blocked(server_url, lambda: store.put(content, chunks())) as outcome,
        ):
            holder.exec_driver_sql(f"DELETE FROM kharvest_content WHERE {where}")
            holder.commit()
        assert outcome == [None]
        assert b"".join(store.read(content.sha256)) == data
