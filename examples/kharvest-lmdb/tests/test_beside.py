"""Places beside a store's: new, and gone at the end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from kharvest_lmdb.plugin import kharvest_backend, open_store


def test_a_place_beside_is_new_and_gone_at_the_end(tmp_path: Path) -> None:
    backend = kharvest_backend("lmdb")
    assert backend is not None
    assert backend.beside is not None
    with backend.beside(f"lmdb://{tmp_path}/a%20store", "suite_1") as url:
        with closing(open_store(url)) as store:
            assert list(store.contents()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["suite_1-a store"]
    assert list(tmp_path.iterdir()) == []
