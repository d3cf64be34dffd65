"""The address of a server: what people write, and the gRPC target that it means."""

from __future__ import annotations

import re

DEFAULT_PORT = 50051
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
_MAX_PORT = 65535
_SCHEME = re.compile(r"(dns|unix|unix-abstract|vsock|ipv4|ipv6|passthrough|xds):(.*)")
"""The target schemes of gRPC (https://grpc.github.io/grpc/core/md_doc_naming.html) that a user may need."""
_DNS = re.compile(r"((?://[^/]*/)?)(.+)")
_BRACKETED = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\])(?::(.*))?")
_FOREIGN = re.compile(r"[\s/@?#\[\]]")


class InvalidAddress(ValueError):
    """A text is not the address of a server.

    Attributes:
        address: the text.
        problem: what is wrong with it.
        remedy: what to write instead.
    """

    def __init__(self, address: str, problem: str, remedy: str = "give HOST or HOST:PORT") -> None:
        super().__init__(f"{address!r} {problem}; {remedy}")
        self.address = address
        self.problem = problem
        self.remedy = remedy


def target(address: str) -> str:
    """The gRPC target of an address: `HOST`, `HOST:PORT`, or a target as gRPC writes it (`unix:/run/kharvest.sock`).

    Where a host has no port, the port is `DEFAULT_PORT`; gRPC itself would take 443. An IPv6 address may go without
    brackets if it has no port.

    Raises:
        InvalidAddress: it is none of these.
    """
    scheme = _SCHEME.fullmatch(address)
    if scheme is None:
        return _host_and_port(address, address)
    if not scheme[2]:
        raise InvalidAddress(address, "is not an address")
    dns = _DNS.fullmatch(scheme[2]) if scheme[1] == "dns" else None
    return address if dns is None else f"dns:{dns[1]}{_host_and_port(address, dns[2])}"


def _host_and_port(address: str, text: str) -> str:
    if "://" in text:
        raise InvalidAddress(address, "is a URL, not the address of a server")
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        host, port = bracketed[1], bracketed[2]
    elif text.count(":") > 1:
        host, port = f"[{text}]", None
    else:
        host, colon, digits = text.partition(":")
        port = digits if colon else None
    if not host or _FOREIGN.search(host.removeprefix("[").removesuffix("]")):
        raise InvalidAddress(address, "is not an address")
    if port is None:
        return f"{host}:{DEFAULT_PORT}"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _MAX_PORT):
        raise InvalidAddress(address, f"has no port between 1 and {_MAX_PORT}")
    return f"{host}:{port}"
