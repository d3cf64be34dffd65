"""Operations as bytes: JSON, in which what a batch repeats is written once. Compression does the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar

from kharvest.spi import Content, Metadata, Order, Pod, Query, Reference, Signature
from kharvest_fsspec._operations import Append, Claim, Discard, Forget, Operation, Publish, Record, Release, Sweep

K = TypeVar("K", bound=Hashable)


def encode(operation: Operation) -> bytes:
    return json.dumps(_encoded(operation), ensure_ascii=False, separators=(",", ":")).encode()


def body_of(encoded: Sequence[bytes]) -> bytes:
    """The body of a segment, from operations that are encoded each by itself."""
    return b"[" + b",".join(encoded) + b"]"


def decode(body: bytes) -> list[Operation]:
    """The operations of a segment.

    Raises:
        ValueError, KeyError, TypeError: it was written by something else.
    """
    return [_DECODERS[kind](*arguments) for kind, *arguments in json.loads(body)]


class _Numbered(Generic[K]):
    """Distinct things in the order in which they came, and the number of each."""

    def __init__(self) -> None:
        self._numbers: dict[K, int] = {}

    def number(self, thing: K) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))

    def listed(self, encoded: Callable[[K], object]) -> list[object]:
        return [encoded(thing) for thing in self._numbers]


def _encoded(operation: Operation) -> list[object]:
    match operation:
        case Record(files, references):
            return ["record", *_encoded_batch(files, references)]
        case Append(files, references):
            return ["append", *_encoded_batch(files, references)]
        case Forget(query):
            return ["forget", _encoded_query(query)]
        case Claim(keys, holder, now_ns, until_ns):
            return ["claim", [key.hex() for key in keys], holder, now_ns, until_ns]
        case Release(keys, holder):
            return ["release", [key.hex() for key in keys], holder]
        case Publish(content, object_name):
            return ["publish", _encoded_content(content), object_name]
        case Discard(sha256s):
            return ["discard", [digest.hex() for digest in sha256s]]
        case Sweep(object_names, at_ns):
            return ["sweep", list(object_names), at_ns]


def _encoded_batch(files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[object]:
    signatures, pods, sets = _Numbered[Signature](), _Numbered[Pod](), _Numbered[Metadata]()
    numbered_files = [(signatures.number(signature), content) for signature, content in files.items()]
    numbered = [
        (one.observed_at_ns, signatures.number(one.signature), pods.number(one.pod), sets.number(one.metadata))
        for one in references
    ]
    return [
        signatures.listed(lambda signature: [signature.path, signature.md5.hex()]),
        pods.listed(lambda pod: [pod.namespace, pod.name, pod.uid]),
        sets.listed(lambda metadata: list(metadata.items())),
        [[number, *_encoded_content(content)] for number, content in numbered_files],
        numbered,
    ]


def _decoded_batch(
    signatures: list[Any], pods: list[Any], sets: list[Any], files: list[Any], references: list[Any]
) -> tuple[dict[Signature, Content], list[Reference]]:
    by_signature = [Signature(path, bytes.fromhex(md5)) for path, md5 in signatures]
    by_pod = [Pod(*pod) for pod in pods]
    by_set = [Metadata(dict(pairs)) for pairs in sets]
    return (
        {by_signature[number]: _decoded_content(content) for number, *content in files},
        [
            Reference(by_signature[signature], by_pod[pod], by_set[metadata], at_ns)
            for at_ns, signature, pod, metadata in references
        ],
    )


def _encoded_content(content: Content) -> list[object]:
    return [content.sha256.hex(), content.md5.hex(), content.size]


def _decoded_content(content: list[Any]) -> Content:
    sha256, md5, size = content
    return Content(bytes.fromhex(sha256), bytes.fromhex(md5), size)


def _encoded_query(query: Query) -> dict[str, object]:
    return {
        **{field.name: getattr(query, field.name) for field in fields(query)},  # all of them: none may be left out
        "md5": None if query.md5 is None else query.md5.hex(),
        "metadata": list(query.metadata.items()),
        "order": query.order.value,
    }


def _decoded_query(encoded: dict[str, Any]) -> Query:
    md5 = encoded["md5"]
    return Query(
        **{
            **encoded,
            "md5": None if md5 is None else bytes.fromhex(md5),
            "metadata": Metadata(dict(encoded["metadata"])),
            "order": Order(encoded["order"]),
        }
    )


def _bytes_of(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


_DECODERS: dict[str, Callable[..., Operation]] = {
    "record": lambda *batch: Record(*_decoded_batch(*batch)),
    "append": lambda *batch: Append(*_decoded_batch(*batch)),
    "forget": lambda query: Forget(_decoded_query(query)),
    "claim": lambda keys, holder, now_ns, until_ns: Claim(_bytes_of(keys), holder, now_ns, until_ns),
    "release": lambda keys, holder: Release(_bytes_of(keys), holder),
    "publish": lambda content, object_name: Publish(_decoded_content(content), object_name),
    "discard": lambda sha256s: Discard(_bytes_of(sha256s)),
    "sweep": Sweep,
}
