"""The address of a server means the same to everything that connects to one."""

from __future__ import annotations

import pytest

from kharvest.wire.address import InvalidAddress, target


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost", "localhost:50051"),
        ("kharvest-server.kharvest.svc", "kharvest-server.kharvest.svc:50051"),
        ("10.0.0.1", "10.0.0.1:50051"),
        ("::1", "[::1]:50051"),
        ("[::1]", "[::1]:50051"),
        ("[fe80::1%eth0]", "[fe80::1%eth0]:50051"),
        ("dns:server", "dns:server:50051"),
        ("dns:///server", "dns:///server:50051"),
        ("dns://8.8.8.8/server", "dns://8.8.8.8/server:50051"),
    ],
)
def test_without_a_port_it_is_the_one_that_a_server_listens_on_by_default(address: str, expected: str) -> None:
    assert target(address) == expected


@pytest.mark.parametrize(
    "address",
    ["localhost:1", "[::1]:65535", "dns:///server:7", "unix:/run/k.sock", "unix:///run/k.sock", "ipv4:10.0.0.1:7"],
)
def test_an_address_that_says_all_stays_as_it_is(address: str) -> None:
    assert target(address) == address


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "'' is not an address; give HOST or HOST:PORT"),
        (" ", "is not an address"),
        (":50051", "is not an address"),
        ("a b", "is not an address"),
        ("host/path", "is not an address"),
        ("dns:", "is not an address"),
        ("unix:", "is not an address"),
        ("http://host:50051", "is a URL, not the address of a server"),
        ("host:", "has no port between 1 and 65535"),
        ("host:http", "has no port between 1 and 65535"),
        ("host:0", "has no port between 1 and 65535"),
        ("[::1]:65536", "has no port between 1 and 65535"),
        ("dns:///host:http", "has no port between 1 and 65535"),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(address: str, said: str) -> None:
    with pytest.raises(InvalidAddress) as raised:
        target(address)
    assert said in str(raised.value)
