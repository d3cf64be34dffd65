"""What is particular to the memory store. The contract as a whole is the conformance suite's to test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from random import Random
from time import perf_counter

import pytest
from harness.queries import check_history
from harness.stores import content_of, record, reference

from kharvest.spi import InvalidStoreURL, Order, Query
from kharvest_memory._store import MemoryStore
from kharvest_memory.plugin import kharvest_backend


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    opened = MemoryStore()
    yield opened
    opened.close()


def test_every_open_is_a_new_empty_store() -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open is not None
    first, second = backend.open("memory:"), backend.open("MEMORY:")
    record(first, reference(1))
    assert second.references(Query()).items == ()
    assert first.capabilities == backend.capabilities == frozenset()


@pytest.mark.parametrize("url", ["memory:x", "memory:///", "memory:?a=b"])
def test_a_memory_url_with_more_behind_it_is_refused(url: str) -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open is not None
    with pytest.raises(InvalidStoreURL, match="write memory:"):
        backend.open(url)


def test_the_plugin_serves_no_other_scheme_and_loads_no_store() -> None:
    assert kharvest_backend("sqlite") is None
    code = "import sys, kharvest_memory.plugin; sys.exit('kharvest_memory._store' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_references_half_alone_knows_no_contents() -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open_references is not None
    half = backend.open_references("memory:")
    one = reference(1)
    half.record({one.signature: content_of(b"x")}, [one])
    assert half.references(Query()).items == (one,)


def seconds_for(action: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        start = perf_counter()
        action()
        best = min(best, perf_counter() - start)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"path": "/p7"}, {"path": "/p7", "latest": True}, {"latest": True}])
@pytest.mark.parametrize("order", Order)
def test_a_page_costs_the_same_however_long_the_history(
    store: MemoryStore, asked: dict[str, object], order: Order
) -> None:
    content = content_of(b"x")
    store.put(content, [b"x"])
    costs = []
    for size in (1_000, 50_000):
        batch = [reference(time, f"/p{time % 50}", f"web-{time // 50 % 20}", app="web") for time in range(size)]
        store.record({one.signature: content for one in batch}, batch)
        query = Query(limit=10, order=order, **asked)  # type: ignore[arg-type]
        costs.append(seconds_for(lambda query=query: store.references(query)))  # type: ignore[misc]
    assert costs[1] < 5 * costs[0] + 0.001


@pytest.mark.parametrize("seed", range(20))
def test_every_query_gives_what_the_contract_says(store: MemoryStore, seed: int) -> None:
    check_history(store, store, Random(seed))
