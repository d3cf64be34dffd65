"""Lost connections, emptied buckets, replaced keys: every call ends, says why, and shows no secret."""

from __future__ import annotations

import http.server
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from harness.buckets import X, record, seen
from harness.network import Proxy
from harness.real import RealServers
from harness.real.azure import Azure
from harness.real.s3 import S3
from harness.real.server import OwnServer
from harness.stores import content_of

from kharvest.spi import KharvestError, Query, StoreDenied, StoreUnavailable
from kharvest_fsspec._address import parse
from kharvest_fsspec._connecting import _merged
from kharvest_fsspec._opening import open_store
from kharvest_fsspec._patience import TookTooLong, within
from kharvest_fsspec._providers import PROVIDERS
from kharvest_fsspec._store import FsspecStore

ENDS_SECONDS = 30.0
"""What `patience` allows for, and more; before, calls took minutes."""


@pytest.fixture
def s3(real_servers: RealServers) -> S3:
    server = real_servers.get("s3")
    assert isinstance(server, S3)
    return server


@contextmanager
def behind_a_proxy(server: OwnServer) -> Iterator[tuple[FsspecStore, Proxy]]:
    with (
        server.place() as url,
        Proxy(server.port) as proxy,
        closing(open_store(url.replace(str(server.port), str(proxy.port)))) as store,
    ):
        yield store, proxy


@pytest.mark.slow
def test_connections_that_the_network_forgot_fail_no_call_on_s3(s3: S3) -> None:
    with behind_a_proxy(s3) as (store, proxy):
        record(store, 1)
        store._bucket.get_some([f"log/{number}" for number in range(8)])  # so that there are several
        proxy.lose_open_connections()
        assert store.known([seen(1).signature]) == {seen(1).signature: X}
        proxy.lose_open_connections()
        record(store, 2)


@pytest.mark.slow
def test_connections_that_the_network_forgot_are_not_used_for_long_on_azure(real_servers: RealServers) -> None:
    server = real_servers.get("azure")
    assert isinstance(server, Azure)
    with behind_a_proxy(server) as (store, proxy):
        record(store, 1)
        proxy.lose_open_connections()
        began = time.monotonic()
        while True:
            try:
                record(store, 2)
                break
            except StoreUnavailable:
                assert time.monotonic() - began < 2 * ENDS_SECONDS
        assert {one.observed_at_ns for one in store.references(Query()).items} == {1, 2}


@pytest.mark.slow
def test_every_call_ends_while_nothing_answers_and_so_does_closing(s3: S3) -> None:
    large = content_of(bytes(12_000_000))

    with behind_a_proxy(s3) as (store, proxy):
        record(store, 1)

        def chunks() -> Iterator[bytes]:
            yield bytes(6_000_000)
            proxy.lose_everything()
            yield bytes(6_000_000)

        calls: list[Callable[[], object]] = [
            lambda: store.put(large, chunks()),
            lambda: store.record({}, [seen(2)]),
            lambda: store.references(Query()),
        ]
        for call in calls:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                call()
            assert time.monotonic() - began < ENDS_SECONDS
        began = time.monotonic()
        store.close()
        assert time.monotonic() - began < 5


def test_work_that_takes_too_long_is_given_up_and_its_errors_are_passed_on() -> None:
    ends = threading.Event()
    with pytest.raises(TookTooLong, match="no answer"):
        within(0.01, lambda: ends.wait(30))
    ends.set()
    assert within(30, lambda: 5) == 5
    with pytest.raises(KeyError):
        within(30, lambda: {"y": 1}["x"])


def test_closing_does_not_wait_for_upkeep_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kharvest_fsspec._upkeep._CLOSE_SECONDS", 0.01)
    hangs, ends = threading.Event(), threading.Event()

    def hang(_since: int) -> None:
        hangs.set()
        assert ends.wait(30)

    store = open_store(f"file://{tmp_path}/store")
    store._upkeep._make_checkpoint = hang
    for number in range(20):
        record(store, number)
    assert hangs.wait(30)
    store.close()
    assert not ends.is_set()
    ends.set()
    store._upkeep.wait()


@contextmanager
def bucket_of(s3: S3) -> Iterator[tuple[str, Any, str]]:
    """A place for a store, a client, and the name of the bucket, which may be removed."""
    with s3.place() as url, s3._client() as client:
        bucket = parse(url).root.partition("/")[0]
        try:
            yield url, client, bucket
        finally:
            if bucket not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=bucket)  # for `place` to remove


def attempts(store: FsspecStore) -> list[Callable[[], object]]:
    return [
        lambda: store.known([seen(1).signature]),
        lambda: store.newest([seen(1).timeline]),
        lambda: store.references(Query()),
        lambda: store.put(content_of(b"y"), [b"y"]),
        lambda: store.record({}, [seen(2)]),
        lambda: store.forget(Query()),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_bucket_that_was_emptied_acknowledges_nothing_and_says_why(s3: S3, is_made_anew: bool) -> None:
    with bucket_of(s3) as (url, client, bucket), closing(open_store(url)) as store:
        record(store, 1)
        client.delete_bucket(Bucket=bucket)
        client.create_bucket(Bucket=bucket)
        if is_made_anew:
            with closing(open_store(url)) as other:
                record(other, 9)
        before = client.list_objects_v2(Bucket=bucket).get("Contents")
        for attempt in attempts(store):
            with pytest.raises(StoreUnavailable, match=r"removed or replaced.*restart the server"):
                attempt()
        assert client.list_objects_v2(Bucket=bucket).get("Contents") == before, "nothing is left there"


def test_a_bucket_that_was_removed_acknowledges_nothing_and_says_why(s3: S3) -> None:
    with bucket_of(s3) as (url, client, bucket), closing(open_store(url)) as store:
        record(store, 1)
        client.delete_bucket(Bucket=bucket)
        for attempt in attempts(store):
            with pytest.raises(StoreDenied, match=r"bucket.*create it"):
                attempt()


@pytest.mark.slow
def test_keys_that_were_replaced_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "credentials"

    def write(secret: str) -> None:
        keys.write_text(f"[default]\naws_access_key_id = {S3.owner[0]}\naws_secret_access_key = {secret}\n")

    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    server = S3()
    try:
        server.start()
        write(server.owner[1])
        with server._client() as client:
            client.create_bucket(Bucket="keys")
        with closing(open_store(f"s3://keys/prefix?endpoint_url={server.endpoint}")) as store:
            record(store, 1)
            server.owner = (S3.owner[0], "another-secret")
            with server.away():
                pass
            with pytest.raises(StoreDenied, match="correct the credentials"):
                store.references(Query())
            write(server.owner[1])
            with pytest.raises(StoreDenied):
                store.references(Query())  # had no reason yet to look for new ones
            record(store, 2)
            assert {one.observed_at_ns for one in store.references(Query()).items} == {1, 2}
    finally:
        server.close()


def test_options_of_the_url_win_one_by_one() -> None:
    options = {"config_kwargs": {"read_timeout": 60}}
    merged = _merged(PROVIDERS["s3"].defaults, options)["config_kwargs"]
    assert (merged["read_timeout"], merged["connect_timeout"]) == (60, 3)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Answers nothing but errors, in which it repeats what it was asked."""

    def do_GET(self) -> None:
        self.send_error(500, explain=f"cannot serve {self.path}")

    do_HEAD = do_GET  # noqa: N815  named by the library

    def log_message(self, *_arguments: object) -> None:
        pass


SECRET = "hunter2/se+cret=="


@pytest.mark.parametrize(
    "url",
    [
        f"fsspec+http://user:{SECRET}@127.0.0.1:{{port}}/place",
        f"s3://KEY:{SECRET}@bucket/prefix?endpoint_url=http://127.0.0.1:{{port}}",
        "s3://bucket/prefix?key=KEY&secret=hunter2%2Fse%2Bcret%3D%3D&endpoint_url=http://127.0.0.1:{port}",
        "s3://bucket/prefix?key=KEY&secret=hunter2%2Fse%2Bcret%3D%3D&endpoint_url=nonsense",
        pytest.param(
            "az://bucket/prefix?connection_string=AccountName%3Dme%3BAccountKey%3Dhunter2%2Fse%2Bcret%3D%3D",
            marks=pytest.mark.slow,
        ),
        "az://bucket/prefix?account_name=me&account_key=hunter2/se%2Bcret",
        pytest.param(
            "az://bucket/prefix?account_name=me&sas_token=hunter2/se%2Bcret&account_host=127.0.0.1:{port}",
            marks=pytest.mark.slow,
        ),
        f"fsspec+ftp://user:{SECRET}@127.0.0.1:1/place",
        f"fsspec+github://user:{SECRET}@127.0.0.1/place",
    ],
)
def test_no_error_shows_a_secret_of_the_url(url: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        with pytest.raises(Exception) as caught:  # noqa: PT011  whatever it is
            open_store(url.format(port=server.server_address[1]))
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    said = "".join(traceback.format_exception(caught.value))
    assert isinstance(caught.value, KharvestError), said
    assert "hunter2" not in "\n".join(line for line in said.splitlines() if not line.startswith("    ")), said


def test_what_botocore_is_told_of_time(s3: S3) -> None:
    assert botocore.session  # it is what s3fs hands the options to
    with s3.place() as url, closing(open_store(f"{url}&config_kwargs.read_timeout=60")) as store:
        store.references(Query())
        config = store._bucket._files._s3.meta.config  # type: ignore[attr-defined]
        assert (config.read_timeout, config.connect_timeout) == (60, 3)
