"""What a store costs by itself: appending, and pages of every query at a short and at a long history.

    python benchmarks/store.py sqlite:////tmp/bench.db
    python benchmarks/store.py --references 1000000 postgresql://postgres@127.0.0.1/test
    python benchmarks/store.py --references 1000000 --pods 20000 sqlite:////tmp/bench.db

Any store's URL will do: it uses the store contract only. The store must be empty at the start; what is written stays
there. Each pod has metadata of its own (`pod`), some that a tenth of the pods have (`app`), and some that all have
(`cluster`).
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from kharvest.registry import open_store
from kharvest.spi import Content, Metadata, Order, Page, Pod, Query, Reference, Signature, Store, Timeline

T = TypeVar("T")

FILES = 20
BATCH_PODS = 50
SHORT = 10_000
PAGE = 100
ROUNDS = 15


def main() -> None:
    """Measure one store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--references", type=int, default=200_000, help="how long the long history is")
    parser.add_argument("--pods", type=int, default=1000, help="how many pods take turns in writing it")
    arguments = parser.parse_args()
    store = open_store(arguments.url)
    contents = [store_content(store, version) for version in (0, 1)]

    show(f"newest + append, {BATCH_PODS} pods x {FILES} files a batch", "references/s")
    show("---", "---")
    show(f"the first {SHORT:,}", f"{record(store, contents, arguments.pods, 0, SHORT):,.0f}")
    at_short = {name: page_ms(read) for name, read in pages(store, contents[0]).items()}
    long = record(store, contents, arguments.pods, SHORT, arguments.references)
    show(f"from there to {arguments.references:,}", f"{long:,.0f}")

    print()
    show(f"page of {PAGE}, by", f"ms at {SHORT:,}", f"ms at {arguments.references:,}", "ratio")
    show("---", "---", "---", "---")
    for name, read in pages(store, contents[0]).items():
        milliseconds = page_ms(read)
        show(name, f"{at_short[name]:.2f}", f"{milliseconds:.2f}", f"{milliseconds / at_short[name]:.2f}")
    store.close()


def show(*cells: str) -> None:
    """A row of a table, at once: a long run that fails has told what it found so far."""
    print(f"| {' | '.join(cells)} |", flush=True)


def store_content(store: Store, version: int) -> Content:
    """One of two contents that all files alternate between."""
    data = b"%d" % version
    content = Content(hashlib.sha256(data).digest(), hashlib.md5(data, usedforsecurity=False).digest(), len(data))
    store.put(content, [data])
    return content


def record(store: Store, contents: list[Content], pods: int, start: int, end: int) -> float:
    """Record references until there are `end`; references per second."""
    by_md5 = {content.md5: content for content in contents}
    started = time.perf_counter()
    number = start
    while number < end:
        references = []
        for one in range(number, min(end, number + BATCH_PODS * FILES)):
            pod, path = (one // FILES) % pods, f"/etc/config/service-{one % FILES}/application.properties"
            content = contents[(one // (FILES * pods)) % 2]
            metadata = Metadata({"app": f"app-{pod % 10}", "cluster": "bench", "pod": str(pod)})
            references.append(Reference(Signature(path, content.md5), Pod("bench", f"pod-{pod}"), metadata, one + 1))
        store.newest({Timeline(reference.pod, reference.signature.path) for reference in references})
        files = {reference.signature: by_md5[reference.signature.md5] for reference in references}
        store.append(files, references)
        number += len(references)
    return (end - start) / (time.perf_counter() - started)


def pages(store: Store, content: Content) -> dict[str, Callable[[], object]]:
    """What reads a page of every kind of question."""
    path = "/etc/config/service-7/application.properties"
    questions = {
        "time": Query(limit=PAGE, since_ns=SHORT // 2),
        "pod": Query(limit=PAGE, namespace="bench", pod="pod-7"),
        "path": Query(limit=PAGE, path=path),
        "file": Query(limit=PAGE, path=path, md5=content.md5),
        "metadata pair, of a tenth": Query(limit=PAGE, metadata=Metadata({"app": "app-7"})),
        "metadata pair, of all": Query(limit=PAGE, metadata=Metadata({"cluster": "bench"})),
        "latest by pod": Query(limit=PAGE, namespace="bench", pod="pod-7", latest=True),
        "latest by path": Query(limit=PAGE, path=path, latest=True),
        "latest by metadata pair, of a tenth": Query(limit=PAGE, metadata=Metadata({"app": "app-7"}), latest=True),
        "latest by metadata pair, of all": Query(limit=PAGE, metadata=Metadata({"cluster": "bench"}), latest=True),
        "latest": Query(limit=PAGE, latest=True),
    }
    reads: dict[str, Callable[[], object]] = {}
    for name, query in questions.items():
        reads[name] = partial(fill, store.references, query)
        reads[f"{name}, newest first"] = partial(fill, store.references, replace(query, order=Order.NEWEST_FIRST))
    reads["files"] = partial(fill, store.files, Query(limit=PAGE))
    reads["files of a pod"] = partial(fill, store.files, Query(limit=PAGE, namespace="bench", pod="pod-7"))
    return reads


def fill(read: Callable[[Query], Page[T]], query: Query) -> None:
    """Read a page's worth: a store may give less at once, and still have more."""
    wanted: Query | None = query
    while wanted is not None:
        page = read(wanted)
        left = wanted.limit - len(page.items)
        wanted = replace(wanted, limit=left, cursor=page.next_cursor) if left and page.next_cursor else None


def page_ms(read: Callable[[], object]) -> float:
    """The shortest time of several reads, in milliseconds: what else runs on the machine only makes them longer."""
    read()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        read()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


if __name__ == "__main__":
    main()
