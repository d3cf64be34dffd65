"""What a store costs by itself: recording, and pages of every query at a short and at a long history.

    python benchmarks/store.py sqlite:////tmp/bench.db
    python benchmarks/store.py --references 1000000 postgresql://postgres@127.0.0.1/test

The store must be empty at the start; what is written stays there.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time

from kharvest.registry import open_store
from kharvest.spi import Content, Metadata, Order, Pod, Query, Reference, Signature, Store, Timeline

PODS = 1000
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
    arguments = parser.parse_args()
    store = open_store(arguments.url)
    contents = [store_content(store, version) for version in (0, 1)]

    short = record(store, contents, 0, SHORT)
    at_short = {name: page_ms(store, query) for name, query in queries().items()}
    long = record(store, contents, SHORT, arguments.references)
    at_long = {name: page_ms(store, query) for name, query in queries().items()}

    print(f"| newest + record, {BATCH_PODS} pods x {FILES} files a batch | references/s |\n| --- | --- |")
    print(f"| the first {SHORT:,} | {short:,.0f} |")
    print(f"| from there to {arguments.references:,} | {long:,.0f} |\n")
    print(
        f"| page of {PAGE}, by | ms at {SHORT:,} | ms at {arguments.references:,} | ratio |\n| --- | --- | --- | --- |"
    )
    for name, milliseconds in at_short.items():
        print(f"| {name} | {milliseconds:.2f} | {at_long[name]:.2f} | {at_long[name] / milliseconds:.2f} |")
    store.close()


def store_content(store: Store, version: int) -> Content:
    """One of two contents that all files alternate between."""
    data = b"%d" % version
    content = Content(hashlib.sha256(data).digest(), hashlib.md5(data, usedforsecurity=False).digest(), len(data))
    store.put(content, [data])
    return content


def record(store: Store, contents: list[Content], start: int, end: int) -> float:
    """Record references until there are `end`; references per second."""
    started = time.perf_counter()
    number = start
    while number < end:
        references = []
        for one in range(number, min(end, number + BATCH_PODS * FILES)):
            pod, path = (one // FILES) % PODS, f"/etc/config/service-{one % FILES}/application.properties"
            content = contents[(one // (FILES * PODS)) % 2]
            metadata = Metadata({"app": f"app-{pod % 10}", "pod": str(pod)})
            references.append(Reference(Signature(path, content.md5), Pod("bench", f"pod-{pod}"), metadata, one + 1))
        store.newest({Timeline(reference.pod, reference.signature.path) for reference in references})
        by_md5 = {content.md5: content for content in contents}
        files = {reference.signature: by_md5[reference.signature.md5] for reference in references}
        store.record(files, references)
        number += len(references)
    return (end - start) / (time.perf_counter() - started)


def queries() -> dict[str, Query]:
    """A page of every kind of question."""
    path = "/etc/config/service-7/application.properties"
    return {
        "time": Query(limit=PAGE, order=Order.NEWEST_FIRST),
        "pod": Query(limit=PAGE, namespace="bench", pod="pod-7"),
        "path": Query(limit=PAGE, path=path),
        "path, newest first": Query(limit=PAGE, path=path, order=Order.NEWEST_FIRST),
        "metadata pair": Query(limit=PAGE, metadata=Metadata({"app": "app-7"})),
        "latest by path": Query(limit=PAGE, path=path, latest=True),
        "latest by metadata pair": Query(limit=PAGE, metadata=Metadata({"app": "app-7"}), latest=True),
    }


def page_ms(store: Store, query: Query) -> float:
    """The median time of a first page, in milliseconds."""
    store.references(query)
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        store.references(query)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    main()
