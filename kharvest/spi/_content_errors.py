"""The errors that carry contents and signatures: see `errors` for the whole tree."""

from __future__ import annotations

from kharvest.spi._errors import StoreError
from kharvest.spi._values import Content, Signature


class UnknownContent(StoreError):
    """Content that was asked for, or that a file refers to, is not in the store; nothing was changed.

    Attributes:
        sha256s: all the digests that are not there; empty when only the signatures are known.
        signatures: all the signatures whose content is unknown; empty when content was asked for by digest.
    """

    def __init__(self, sha256s: frozenset[bytes] = frozenset(), signatures: frozenset[Signature] = frozenset()) -> None:
        named = [digest.hex() for digest in sorted(sha256s)[:3]]
        named += [f"{one.path} (MD5 {one.md5.hex()})" for one in sorted(signatures)[:3]]
        more = len(sha256s) + len(signatures) - len(named)
        tail = f" and {more} more" if more else ""
        super().__init__(f"content not in the store: {', '.join(named)}{tail}; put it first")
        self.sha256s = sha256s
        self.signatures = signatures


class ContentMismatch(StoreError):
    """Bytes are not the content they were said to be; nothing of them is visible.

    Attributes:
        field: what differs: `size`, `sha256` or `md5`.
        expected: the content as it was said to be.
        actual: the value that was found in `field`, digests as hex.
    """

    def __init__(self, expected: Content, field: str, actual: str) -> None:
        value = getattr(expected, field)
        said = value.hex() if isinstance(value, bytes) else str(value)
        super().__init__(
            f"the bytes of content {expected.sha256.hex()} have {field} {actual}, announced was {said}; "
            "read the file again and announce what it is now"
        )
        self.expected = expected
        self.field = field
        self.actual = actual


class Conflict(StoreError):
    """A signature that is known with one content was recorded with another; nothing was changed.

    Two contents with one MD5 do not happen by accident: MD5 collisions are made.

    Attributes:
        signature: the signature.
        stored: the content it has.
        offered: the content it was recorded with now.
    """

    def __init__(self, signature: Signature, stored: Content, offered: Content) -> None:
        super().__init__(
            f"{signature.path} with MD5 {signature.md5.hex()} is known with SHA-256 {stored.sha256.hex()}, "
            f"not {offered.sha256.hex()}; somebody made an MD5 collision: find out who wrote this file"
        )
        self.signature = signature
        self.stored = stored
        self.offered = offered
