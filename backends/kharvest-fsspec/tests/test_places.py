"""URLs, and what may be wrong with the places that they name: told clearly, with what to do, and no password."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness.buckets import X, record, seen
from harness.real import RealServers
from harness.real.s3 import S3
from harness.stores import content_of

from kharvest.spi import Capability, InvalidStoreURL, Query, StoreDenied, StoreUnavailable, UnknownContent
from kharvest_fsspec._address import parse
from kharvest_fsspec._opening import open_store
from kharvest_fsspec.plugin import kharvest_backend

BOTH = frozenset({Capability.DURABLE, Capability.SHARED})


@pytest.fixture
def s3(real_servers: RealServers) -> S3:
    server = real_servers.get("s3")
    assert isinstance(server, S3)
    return server


def told_by(error: BaseException | None) -> str:
    """All that an error and its causes say."""
    said = []
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    return " ".join(said)


def test_the_plugin_serves_its_schemes_and_loads_no_file_system() -> None:
    for scheme in ("file", "s3", "gs", "az"):
        backend = kharvest_backend(scheme)
        assert backend is not None
        assert backend.capabilities == BOTH
    for scheme, capabilities in (("fsspec", frozenset()), ("fsspec+sftp", frozenset()), ("fsspec+s3a", BOTH)):
        other = kharvest_backend(scheme)
        assert other is not None
        assert other.capabilities == capabilities
    assert kharvest_backend("s3a") is None
    assert kharvest_backend("memory") is None
    code = "import sys, kharvest_fsspec.plugin; sys.exit(bool({'fsspec', 'sqlalchemy', 's3fs'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_opened_store_has_what_its_scheme_declares(url: str, directory: Path) -> None:
    for one in (url, f"fsspec+file://{directory}", "fsspec+memory://place"):
        backend = kharvest_backend(one.partition(":")[0])
        assert backend is not None
        with closing(open_store(one)) as store:
            assert store.capabilities >= backend.capabilities


def test_a_directory_needs_no_fsspec(directory: Path) -> None:
    code = """
import sys
from kharvest_fsspec._opening import open_store
open_store(sys.argv[1]).close()
sys.exit("fsspec" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code, f"file://{directory}"], check=False).returncode == 0


@pytest.mark.parametrize("secret", ["plain", "with/slash+plus", "with@at", "quoted%2Fslash"])
def test_a_url_may_carry_a_key_that_is_masked(secret: str) -> None:
    address = parse(f"s3://KEY:{secret}@bucket/some/prefix?region=eu-west-1")
    assert address.user == ("KEY", secret.replace("%2F", "/"))
    assert (address.root, address.options) == ("bucket/some/prefix", {"region": "eu-west-1"})
    assert address.masked == "s3://KEY:***@bucket/some/prefix?region=eu-west-1"


BAD = {
    "file:relative": "not followed by //",
    "file://relative/directory": "no directory from the root on",
    "file:///nowhere/at/all": "there is no directory /nowhere/at",
    "file:///etc/passwd": "is no directory",
    "file:///tmp?colour=blue": "no option colour",
    "s3://": "names no bucket",
    "s3://bucket/prefix?colour=blue": "no option colour",
    "fsspec:nothing": "names no file system",
    "fsspec+nosuch://x": "no protocol nosuch",
    "gs://user:secret@bucket": "gcsfs|cannot name a user",
}


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_cannot_be_understood_is_told(url: str) -> None:
    with pytest.raises(InvalidStoreURL, match=BAD[url]) as caught:
        open_store(url)
    assert "secret" not in told_by(caught.value)


def test_a_file_system_that_is_not_installed_is_told_with_what_to_install() -> None:
    code = """
import sys
sys.modules["s3fs"] = None
from kharvest.spi import InvalidStoreURL
from kharvest_fsspec._opening import open_store
try:
    open_store("s3://bucket/prefix")
except InvalidStoreURL as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'kharvest[s3]'" in found.stdout


def test_a_missing_bucket_is_named(s3: S3) -> None:
    with pytest.raises(StoreDenied, match=r"no-such-bucket.*create it, or correct the URL"):
        open_store(s3.url("no-such-bucket/prefix"))


@pytest.mark.slow
@pytest.mark.parametrize("user", [(S3.owner[0], "wrong-secret"), ("nobody", "hunter2-secret")])
def test_wrong_keys_are_told_without_showing_them(s3: S3, user: tuple[str, str]) -> None:
    with s3.place() as url:
        bucket = parse(url).root
        with pytest.raises(StoreDenied, match="correct the credentials") as caught:
            open_store(s3.url(bucket, user))
        assert user[1] not in told_by(caught.value)


@pytest.mark.slow
def test_a_bucket_that_may_only_be_read_is_refused_when_it_is_opened(s3: S3) -> None:
    with s3.place() as url:
        with closing(open_store(url)) as store:
            record(store, 1)
        with pytest.raises(StoreDenied, match="give this user the right to") as caught:
            open_store(s3.url(parse(url).root, s3.reader))
        assert s3.reader[1] not in told_by(caught.value)


@pytest.mark.slow
def test_a_wrong_clock_is_told_and_nothing_written(s3: S3) -> None:
    # The client is real, in a process whose wall clock is two hours behind, for all that it signs.
    code = """
import datetime, os, sys
import botocore.auth
real = botocore.auth.get_current_datetime
botocore.auth.get_current_datetime = lambda *args, **kw: real(*args, **kw) - datetime.timedelta(hours=2)
from kharvest.spi import StoreUnavailable
from kharvest_fsspec._opening import open_store
try:
    open_store(os.environ["STORE"])
except StoreUnavailable as error:
    print(error)
"""
    with s3.place() as url:
        environment = {**os.environ, "STORE": url}
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
        )
        assert "the clock of this machine is wrong; set it" in found.stdout, found.stdout + found.stderr
        with closing(open_store(url)) as store:
            assert store._log.number == 0


def test_other_prefixes_of_a_bucket_are_left_alone(s3: S3) -> None:
    with s3.place() as url:
        root = parse(url).root
        with closing(open_store(s3.url(f"{root}/one"))) as one, closing(open_store(s3.url(f"{root}/two"))) as two:
            record(one, 1)
            assert two.references(Query()).items == ()
        with pytest.raises(InvalidStoreURL, match="something else"):
            open_store(s3.url(root))


@pytest.mark.slow
def test_a_server_that_goes_away_is_unavailable_and_its_store_works_again_when_it_is_back(s3: S3) -> None:
    large = content_of(bytes(7_000_000))

    def broken_off() -> Iterator[bytes]:
        yield bytes(6_000_000)
        s3.stop()
        yield bytes(1_000_000)

    with s3.place() as url, closing(open_store(url)) as store:
        record(store, 1)
        try:
            with pytest.raises(StoreUnavailable):
                store.put(large, broken_off())
            with pytest.raises(StoreUnavailable):
                store.record({}, [seen(2)])
            with pytest.raises(StoreUnavailable):
                store.references(Query())
            with pytest.raises(StoreUnavailable):
                open_store(url)
        finally:
            s3.start()
        store.record({}, [seen(3)])
        assert {one.observed_at_ns for one in store.references(Query()).items} >= {1, 3}
        assert store.present([large.sha256]) == {}
        store.put(large, [bytes(7_000_000)])
        assert sum(map(len, store.read(large.sha256))) == large.size


@pytest.mark.slow
def test_azure_that_goes_away_is_unavailable_and_its_store_works_again_when_it_is_back(
    real_servers: RealServers,
) -> None:
    server = real_servers.get("azure")
    with server.place() as url, closing(open_store(url)) as store:
        record(store, 1)
        with server.away():  # Azure's library goes on trying for more than a minute, and cannot be told otherwise
            with pytest.raises(StoreUnavailable):
                store.record({}, [seen(2)])
            with pytest.raises(StoreUnavailable):
                store.references(Query())
        store.record({}, [seen(3)])
        assert {one.observed_at_ns for one in store.references(Query()).items} >= {1, 3}


def test_an_upload_whose_chunks_fail_leaves_nothing_behind(url: str) -> None:
    class SourceFailed(Exception):
        pass

    def chunks(length: int) -> Iterator[bytes]:
        yield bytes(length)
        raise SourceFailed

    with closing(open_store(url)) as store:
        record(store, 1)
        for length in (10, 11 * 2**20):
            with pytest.raises(SourceFailed):
                store.put(content_of(bytes(length)), chunks(length))
        assert len(store._bucket.entries("contents")) == 1
        assert list(store.contents()) == [X]


def test_threads_of_one_process_use_a_store_at_once(url: str) -> None:
    failed: list[BaseException] = []
    with closing(open_store(url)) as store:
        record(store, 0)

        def work(number: int) -> None:
            try:
                data = b"%d" % number
                store.put(content_of(data), [data])
                for at_ns in range(5):
                    one = seen(at_ns, pod=f"web-{number}")
                    store.record({one.signature: X}, [one])
                assert b"".join(store.read(content_of(data).sha256)) == data
            except BaseException as error:  # noqa: BLE001  told of below, in the test's own thread
                failed.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert len(store.references(Query()).items) == 1 + 8 * 5 - 1


def test_reading_a_content_that_is_discarded_meanwhile_ends_in_unknown_content(url: str) -> None:
    large = content_of(bytes(3 * 2**20))
    with closing(open_store(url)) as store, closing(open_store(url)) as other:
        store.put(large, [bytes(large.size)])
        chunks = store.read(large.sha256)
        next(chunks)
        other.discard([large.sha256])
        with pytest.raises(UnknownContent):
            list(chunks)
