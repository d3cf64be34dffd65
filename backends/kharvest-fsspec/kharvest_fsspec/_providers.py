"""What is particular to the object stores: how their file systems are named, set up, and made to create exclusively."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An object store with conditional writes.

    Attributes:
        protocol: fsspec's name for it.
        extra: the extra of `kharvest` that installs its file system.
        user: the options that stand for the name and the secret of a URL's user; empty if a URL cannot have one.
        renamed: options by another name, as a path into nested options.
        defaults: options where the URL says nothing.
        renew: has the file system read its credentials anew, if it does not do so by itself.
        whole: arguments to read an object in one request, without asking for its size first.
        part_bytes: the size of an upload's parts, some of which are in memory.
    """

    protocol: str
    extra: str
    user: tuple[str, ...] = ()
    renamed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    renew: Callable[[Any], Coroutine[Any, Any, Any]] | None = None
    whole: Mapping[str, Any] = field(default_factory=dict)
    part_bytes: int = 5 * 2**20


PROVIDERS = {
    one.protocol: one
    for one in (
        Provider(
            protocol="s3",
            extra="s3",
            user=("key", "secret"),
            renamed={"region": ("client_kwargs", "region_name")},
            # s3fs tries again by itself; botocore within it would multiply that. A connection that the network forgot
            # is given up so soon that the request is sent once more before it has taken too long; and by then, those
            # that were idle meanwhile, which may be lost too, are not used again.
            defaults={
                "config_kwargs": {
                    "retries": {"total_max_attempts": 1},
                    "connect_timeout": 3,
                    "read_timeout": 4,
                    "connector_args": {"keepalive_timeout": 4},
                }
            },
            renew=lambda files: files.set_session(refresh=True),
            whole={"max_concurrency": 1},
            part_bytes=5 * 2**20,  # the least that S3 takes. It takes 10,000 of them: 50 GB
        ),
        Provider(protocol="gs", extra="gcs"),
        Provider(protocol="az", extra="azure", user=("account_name", "account_key"), part_bytes=2**20),
    )
}
ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az", "adl": "az"}
