"""A wrong argument raises when the method is called, and names itself; it never yields a wrong or empty answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from harness import Pod, ServerThread

from kharvest.query import QueryClient, QueryFailed
from kharvest.query._times import format_time, parse_time
from kharvest.spi import InvalidValue


@pytest.fixture
def client() -> Iterator[QueryClient]:
    """A client of a server that is not there: a wrong argument is found without it."""
    with QueryClient("127.0.0.1:1") as client:
        yield client


def call(client: QueryClient, method: str, arguments: dict[str, Any]) -> object:
    return getattr(client, method)(**arguments)


@pytest.mark.parametrize("method", ["references", "files"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"namespce": "shop"}, "there is no filter 'namespce'; do you mean 'namespace'"),
        ({"namespace": None}, "namespace: None is of type NoneType"),
        ({"namespace": b"shop"}, "namespace: b'shop' is of type bytes, not str"),
        ({"pod": 5}, "pod: 5"),
        ({"path": b"/etc/hosts"}, "path: b'/etc/hosts'"),
        ({"path_glob": 5}, "path_glob: 5"),
        ({"md5": "0" * 32}, "md5: .* give the raw bytes"),
        ({"metadata": "app=web"}, "metadata: 'app=web'"),
        ({"metadata": {"n": 1}}, r"metadata\['n'\]: 1 is of type int, not str"),
        ({"metadata": {1: "n"}}, "metadata key: 1"),
        ({"since": None}, "since: None"),
        ({"since": time.time()}, "since: .* of type float"),
        ({"until": True}, "until: True"),
        ({"latest": "no"}, "latest: 'no'"),
        ({"limit": "5"}, "limit: '5'"),
        ({"limit": True}, "limit: True"),
    ],
)
def test_an_argument_of_the_wrong_type_is_a_type_error(
    client: QueryClient, method: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        call(client, method, arguments)


@pytest.mark.parametrize("method", ["references", "files"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"since": int(time.time())}, "since: .* nanoseconds is 1970-01-01T00:00:01.*another unit"),
        ({"since": int(time.time() * 1e3)}, "since: .*another unit"),
        ({"until": int(time.time() * 1e6)}, "until: .*another unit"),
        ({"since": -1}, "since: -1"),
        ({"since": 2**63}, "since: "),
        ({"since": datetime(2026, 1, 1)}, "since: .*no time zone"),  # noqa: DTZ001
        ({"since": "2026-01-01T00:00:00"}, "since: .*no time zone; write 2026-01-01T00:00:00Z"),
        ({"since": "1h", "until": "2h"}, "since: it is after until"),
        ({"path": "etc/hosts"}, "path: 'etc/hosts' is relative"),
        ({"path": ""}, "path: '' is relative"),
        ({"path": "/" + "x" * 4096}, "path: 4097 bytes"),
        ({"path_glob": "*.yaml"}, r"path_glob: '\*.yaml' is relative.*'\*\*/\*.yaml'"),
        ({"path_glob": "**.yaml"}, "path_glob: .* is relative"),
        ({"path_glob": "/*", "path": "/a"}, "path_glob: a path is given too"),
        ({"path": "/\ud800"}, "path: .*surrogate"),
        ({"md5": b"short"}, "md5: 5 bytes"),
        ({"namespace": "shop*"}, "namespace: 'shop\\*' is a pattern"),
        ({"pod": "web-?"}, "pod: 'web-\\?' is a pattern"),
        ({"metadata": {"k": "v\0"}}, "metadata value"),
        ({"limit": 0}, "limit: 0 is out of range"),
        ({"limit": -1}, "limit: -1"),
    ],
)
def test_a_value_that_could_match_nothing_is_a_value_error(
    client: QueryClient, method: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        call(client, method, arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"sha256": "00" * 32}, TypeError, "sha256: .* give the raw bytes"),
        ({"sha256": bytes(16)}, ValueError, "sha256: 16 bytes"),
        ({"sha256": bytes(32), "offset": -1}, ValueError, "offset: -1"),
        ({"sha256": bytes(32), "offset": 0.5}, TypeError, "offset: 0.5"),
    ],
)
def test_a_content_is_named_by_32_bytes_and_read_from_within(
    client: QueryClient, arguments: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        call(client, "content", arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"server": b"localhost"}, TypeError, "server: "),
        ({"server": ""}, ValueError, "server: "),
        ({"server": "a b"}, ValueError, "server: "),
        ({"server": "a:1", "timeout_seconds": "1"}, TypeError, "timeout_seconds: '1'"),
        ({"server": "a:1", "timeout_seconds": 0}, ValueError, "timeout_seconds: 0"),
        ({"server": "a:1", "timeout_seconds": float("nan")}, ValueError, "timeout_seconds: nan"),
    ],
)
def test_a_server_and_a_timeout_are_checked_when_the_client_is_made(
    arguments: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        QueryClient(**arguments)


def test_a_content_that_is_not_there_is_named_with_the_argument(server: ServerThread) -> None:
    with QueryClient(server.address) as client, pytest.raises(QueryFailed, match=f"sha256: .*{'ab' * 32}") as raised:
        list(client.content(bytes.fromhex("ab" * 32)))
    assert raised.value.reason == "UNKNOWN_CONTENT"


def test_a_time_is_one_thing_in_all_its_forms(server: ServerThread) -> None:
    with Pod(server.address) as pod, QueryClient(server.address) as client:
        pod.harvest_files({"/etc/a": b"a"})
        pod.harvest_files({"/etc/a": b"b"})
        first, second = client.references()
        shown = format_time(second.observed_at_ns)
        elsewhere = second.observed_at.astimezone(timezone(timedelta(hours=-5)))
        for since in (second.observed_at_ns, shown, shown.lower(), shown.replace("T", " ")):
            assert list(client.references(since=since)) == [second]
        assert second in list(client.references(since=second.observed_at))
        assert second in list(client.references(since=elsewhere))
        assert first in list(client.references(until=shown))
        assert list(client.references(since=0)) == [first, second]


def test_what_is_printed_means_the_same_when_it_is_read() -> None:
    for time_ns in (0, 1, 10**9, 1_790_000_000_123_456_789, 1_790_000_000_120_000_000, 2**63 - 1):
        assert parse_time(format_time(time_ns)) == time_ns


def test_rfc_3339_is_read_whatever_its_zone_and_precision() -> None:
    noon = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()) * 10**9
    for text in ("2026-01-31T12:00:00Z", "2026-01-31t12:00z", "2026-01-31 14:00:00+02:00", "2026-01-31T07:00:00-05:00"):
        assert parse_time(text) == noon
    assert parse_time("2026-01-31T12:00:00.000000001Z") == noon + 1
    assert parse_time("2026-01-31Z") == noon - 12 * 3600 * 10**9


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-31T25:00:00Z", "1790000000", "-2h", "2", "2hours", "99999999w"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="time: "):
        parse_time(text)


def test_a_duration_is_counted_back_from_now() -> None:
    before = time.time_ns()
    ago = parse_time("1h30m")
    assert before - 5400 * 10**9 <= ago <= time.time_ns() - 5400 * 10**9
