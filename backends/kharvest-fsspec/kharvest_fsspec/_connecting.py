"""From a store's URL to the bucket that it names."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kharvest.spi import InvalidStoreURL
from kharvest.spi.disks import told_as
from kharvest_fsspec._address import Address, parse
from kharvest_fsspec._bucket import Bucket, Missing
from kharvest_fsspec._local import LocalBucket
from kharvest_fsspec._providers import ALIASES, PROVIDERS, Provider


def bucket_at(url: str) -> Bucket:
    """The place that a URL names.

    Raises:
        InvalidStoreURL: it cannot be understood, or its file system is not installed.
        StoreUnavailable: it cannot be reached.
    """
    address = parse(url)
    protocol = ALIASES.get(address.protocol, address.protocol)
    if protocol in {"file", "local"}:
        return _directory(address)
    provider = PROVIDERS.get(protocol)
    return _other(address) if provider is None else _object_store(address, provider)


def _directory(address: Address) -> Bucket:
    if address.options:
        name = next(iter(address.options))
        raise InvalidStoreURL(address.masked, f"a directory has no option {name}", "leave it out")
    root = Path(unquote(address.root.removeprefix("localhost")))
    if address.user is not None or not root.is_absolute():
        raise InvalidStoreURL(address.masked, "it names no directory from the root on", "write file:///directory")
    try:
        if root.exists() and not root.is_dir():
            raise InvalidStoreURL(address.masked, f"{root} is no directory", "name a directory")
        if not root.parent.is_dir():
            raise InvalidStoreURL(address.masked, f"there is no directory {root.parent}", "create it")
        root.mkdir(exist_ok=True)
    except OSError as error:
        raise told_as(error, root) from error
    return LocalBucket(root)


def _object_store(address: Address, provider: Provider) -> Bucket:
    from kharvest_fsspec._remote import ObjectBucket  # noqa: PLC0415  fsspec costs a directory nothing

    kind = _file_system(address, provider.protocol, provider.extra)
    options = _options(address, kind, provider)
    if address.user is not None:
        if not provider.user:
            remedy = "give credentials as the provider's own tools take them"
            raise InvalidStoreURL(address.masked, "it cannot name a user", remedy)
        options |= dict(zip(provider.user, address.user, strict=True))
    root = address.root.strip("/")
    if not root:
        raise InvalidStoreURL(address.masked, "it names no bucket", f"write {address.protocol}://BUCKET/PREFIX")
    files = _connect(address, lambda: kind(**_merged(provider.defaults, options)))
    return ObjectBucket(files, root, provider, address.secrets)


def _other(address: Address) -> Bucket:
    from fsspec.core import url_to_fs  # noqa: PLC0415  as above

    from kharvest_fsspec._plain import PlainBucket  # noqa: PLC0415  as above

    kind = _file_system(address, address.protocol.partition("::")[0], "fsspec")
    options = _options(address, kind)
    user = "" if address.user is None else f"{address.user[0]}:{address.user[1]}@"
    url = f"{address.protocol}://{user}{address.root}"
    files, root = _connect(address, lambda: url_to_fs(url, **options))
    return PlainBucket(files, root.rstrip("/"), address.protocol, address.secrets)


def _file_system(address: Address, protocol: str, extra: str) -> Any:
    import fsspec  # noqa: PLC0415  as above

    try:
        return fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        raise InvalidStoreURL(address.masked, f"fsspec knows no protocol {protocol}", "correct it") from error
    except ImportError as error:
        remedy = f"run: pip install 'kharvest[{extra}]'" if extra != "fsspec" else "install it"
        raise InvalidStoreURL(address.masked, f"its file system is not installed ({error})", remedy) from error


def _connect(address: Address, connect: Any) -> Any:
    from kharvest_fsspec._failures import told  # noqa: PLC0415  as above
    from kharvest_fsspec._patience import REQUEST_SECONDS, within  # noqa: PLC0415  as above

    try:
        with told(address.root, address.secrets):
            return within(REQUEST_SECONDS, connect)
    except Missing:
        raise InvalidStoreURL(address.masked, "there is no such place", "correct it") from None
    except (TypeError, ValueError) as error:
        problem = f"its options are not understood: {address.secrets.hide(str(error))}"
        raise InvalidStoreURL(address.masked, problem, "correct them") from None


def _options(address: Address, kind: Any, provider: Provider | None = None) -> dict[str, Any]:
    """The options for a file system, which must know each of them."""
    constructors = [vars(one)["__init__"] for one in kind.__mro__[:-1] if "__init__" in vars(one)]
    known = {name for one in constructors for name in inspect.signature(one).parameters} - {"self", "args", "kwargs"}
    options: dict[str, Any] = {"use_listings_cache": False}
    for name, text in address.options.items():
        path = (provider.renamed.get(name) if provider else None) or tuple(name.split("."))
        if path[0] not in known:
            remedy = "correct it, or leave it out"
            raise InvalidStoreURL(address.masked, f"{kind.__name__} has no option {name}", remedy)
        inner = options
        for step in path[:-1]:
            inner = inner.setdefault(step, {})
        inner[path[-1]] = _value(text)
    return options


def _merged(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options, and the defaults of those that are not there, nested ones too."""
    merged = {**defaults, **options}
    for name, default in defaults.items():
        if isinstance(default, Mapping) and isinstance(options.get(name), Mapping):
            merged[name] = _merged(default, options[name])
    return merged


def _value(text: str) -> Any:
    """An option's value: a number, true, false or null as in JSON; else the text itself."""
    with suppress(ValueError):
        value = json.loads(text.lower())
        if value is None or isinstance(value, int | float):
            return value
    return text
