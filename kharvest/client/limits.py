"""The limits of what a client may say of itself.

They are the contract's (`kharvest.spi.values`), told again because a sidecar must not pay for loading that; a test
keeps the two in step. What is said of files is checked by the server, which refuses file by file.
"""

from __future__ import annotations

from collections.abc import Mapping

from kharvest.client.errors import ConfigurationError

MAX_NAMESPACE_BYTES = 63
MAX_POD_BYTES = 253
MAX_METADATA_PAIRS = 64
MAX_METADATA_KEY_BYTES = 317
MAX_METADATA_VALUE_BYTES = 4096


def check_text(field: str, text: str, max_bytes: int) -> None:
    """Require valid Unicode without NUL, of at most `max_bytes` of UTF-8.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConfigurationError(field, f"{text!r} is not valid Unicode", "give it in UTF-8") from None
    if size > max_bytes:
        raise ConfigurationError(field, f"{size} bytes ({text[:40]!r}…), at most {max_bytes} are allowed", "shorten it")
    if "\0" in text:
        raise ConfigurationError(field, f"{text!r} holds a NUL", "remove it")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Require metadata that a server accepts.

    Raises:
        ConfigurationError: it would be refused.
    """
    if len(metadata) > MAX_METADATA_PAIRS:
        problem = f"{len(metadata)} pairs, at most {MAX_METADATA_PAIRS} are allowed"
        raise ConfigurationError("metadata", problem, "choose fewer")
    for key, value in metadata.items():
        check_text("metadata key", key, MAX_METADATA_KEY_BYTES)
        check_text(f"metadata {key!r}", value, MAX_METADATA_VALUE_BYTES)
