"""What is secret in a store's URL is in no message, no chained error, no log line, no metric, and not in `ps`."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import ServerProcess
from harness.real import RealServers
from harness.real.fixtures import real_servers
from harness.stores import content_of

from kharvest.registry import BackendFailed, Secrets
from kharvest.registry._guarded import GuardedStore
from kharvest.registry._secrets import Masked
from kharvest.spi import Content, KharvestError, Query, StoreUnavailable
from kharvest_memory._store import MemoryStore

__all__ = ["real_servers"]

SECRET = "hunter2"
"""Stands in every URL here, in plain or within a longer secret."""

FAILING = (
    "nosuch://me:hunter2@db/x",
    "postgresql:/me:hunter2@db",
    "memory:?password=hunter2",
    "memory://me:hunter2@db",
    "sqlite://me:hunter2@db/x",
    "sqlite:////nowhere/x.db?password=hunter2",
    "postgresql://me:hunter2@127.0.0.1:1/db",
    "postgresql://me:hunter2@nowhere.invalid/db",
    "postgresql://me:hunter2@127.0.0.1:1/db?colour=blue",
    "postgresql://127.0.0.1:1/db?user=me&password=hunter2",
    "postgresql://127.0.0.1:1/db?sslpassword=hunter2&sslmode=hunter2",
    "postgresql://me:hunter2/@127.0.0.1:1/db",
    "postgresql://me:my@hunter2:x@127.0.0.1:1/db",
    "postgresql://me:hunter2?@127.0.0.1:1/db",
    "postgresql+nosuch://me:hunter2@127.0.0.1:1/db",
    "mysql://me:hunter2@127.0.0.1:1/db",
    "mysql://me:hunter2@nowhere.invalid/db",
    "mariadb://me:hunter2@127.0.0.1:1/db?colour=blue",
    "mariadb://127.0.0.1:1/db?ssl_key=/nowhere/hunter2",
    "mongodb://me:hunter2@127.0.0.1:1/db?serverSelectionTimeoutMS=300",
    "mongodb://me:hunter2@nowhere.invalid/db?serverSelectionTimeoutMS=300",
    "mongodb://me:hunter2@127.0.0.1:1/db?maxPoolSize=hunter2",
    "mongodb://me:hunter2/@127.0.0.1:1/db",
    "mongodb://me:hunter2:x@127.0.0.1:1/db",
    "mongodb://me:hunter2%@127.0.0.1:1/db",
    "mongodb://me:hunter2@127.0.0.1:1/db?authMechanism=hunter2",
    "mongodb://127.0.0.1:1/db?tlsCertificateKeyFile=/nowhere/hunter2.pem&serverSelectionTimeoutMS=300",
    "mongodb+srv://me:hunter2@nowhere.invalid/db",
    "file:///nowhere/x?password=hunter2",
    "file://me:hunter2@/nowhere/x",
    "s3://KEY:hunter2@bucket/x?endpoint_url=http://127.0.0.1:1&retries=0",
    "s3://bucket/x?key=KEY&secret=hunter2&colour=blue",
    "s3://bucket/x?key=KEY&secret=hunter2&endpoint_url=hunter2",
    "s3://hunter2@bucket/x?anon=1&colour=blue",
    "az://account:hunter2@box/x",
    "az://box/x?connection_string=AccountName%3Dme%3BAccountKey%3Dhunter2",
    "gs://bucket/x?token=hunter2",
    "gs://me:hunter2@bucket/x",
    "fsspec+nosuch://me:hunter2@host/x",
    "fsspec+http://me:hunter2@127.0.0.1:1/x",
    "fsspec+https://hunter2@127.0.0.1:1/x",
    "fsspec+http://me:hunter2@nowhere.invalid/x?colour=blue",
    "fsspec+ftp://me:hunter2@127.0.0.1:1/x",
    "fsspec+simplecache::http://me:hunter2@127.0.0.1:1/x",
    "fsspec+zip://a.zip::http://me:hunter2@127.0.0.1:1/x",
    "fsspec+memory://x?password=hunter2",
)

OPEN = """
import json, logging, sys, traceback
from kharvest.cli.logs import configure_logs
from kharvest.registry import Secrets, open_store
from kharvest.spi import KharvestError
stores = json.load(sys.stdin)
configure_logs(sys.argv[1], "debug", Secrets(*(url for store in stores for url in store)))
for store in stores:
    logging.debug("opening %s", store, extra={"url": store[0]})
    try:
        open_store(*store).close()
        print("opened")
    except KharvestError as error:
        logging.exception("it failed", extra={"error": str(error), "attributes": vars(error)})
        print(type(error).__name__, vars(error))
        while error is not None:
            print(error, repr(error), *traceback.format_exception(error))
            error = error.__cause__
    print("---")
"""


def outputs(stores: Iterable[Collection[str]], log_format: str) -> tuple[list[str], str]:
    """What opening stores tells: of each what its errors say, and all that is logged."""
    run = subprocess.run(
        [sys.executable, "-c", OPEN, log_format],
        input=json.dumps(list(map(list, stores))),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split("---\n")[:-1], run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_store_that_cannot_be_opened_tells_no_secret(log_format: str) -> None:
    told, logged = outputs([(url,) for url in FAILING], log_format)
    assert len(told) == len(FAILING)
    assert {url: text for url, text in zip(FAILING, told, strict=True) if SECRET in text} == {}
    assert {url for url, text in zip(FAILING, told, strict=True) if text.startswith("opened")} <= {
        "fsspec+memory://x?password=hunter2"
    }
    assert logged.count("it failed") >= len(FAILING) - 1
    assert SECRET not in logged


@pytest.mark.slow
def test_contents_that_cannot_be_opened_tell_no_secret() -> None:
    stores = [("memory:", "postgresql://me:hunter2@127.0.0.1:1/db"), ("memory:", "fsspec+nosuch://me:hunter2@x/y")]
    told, logged = outputs(stores, "json")
    assert SECRET not in "".join(told) + logged


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "s3"])
def test_a_server_that_refuses_the_password_is_not_told_with_it(real_servers: RealServers, kind: str) -> None:
    with real_servers.get(kind).place() as url:
        scheme, _, rest = url.partition("://")
        wrong = f"{scheme}://nobody:{SECRET}@{rest.rpartition('@')[2]}"
        told, logged = outputs([(wrong,)], "text")
    assert told[0].partition(" ")[0] in {"StoreDenied", "CredentialsRefused"}
    assert SECRET not in told[0] + logged


@pytest.mark.slow
@pytest.mark.parametrize("given", ["environment", "file"])
def test_a_server_that_runs_shows_no_password(tmp_path: Path, real_servers: RealServers, given: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        page = f"127.0.0.1:{free.getsockname()[1]}"
    log = tmp_path / "log"
    more = ["--metrics", page, "--log-level", "debug"]
    with real_servers.get("postgresql").place() as place:
        # The server trusts this machine, so any password will do.
        url = re.sub(r"//([^:@/]*)(:[^@/]*)?@", rf"//\1:{SECRET}@", place)
        assert SECRET in url
        (tmp_path / "url").write_text(url)
        if given == "file":
            more += ["--store-file", str(tmp_path / "url")]
        with ServerProcess("" if given == "file" else url, *more, log=log) as server:
            with urllib.request.urlopen(f"http://{page}/metrics", timeout=10) as reply:
                metrics = reply.read().decode()
            command = Path(f"/proc/{server.process.pid}/cmdline").read_text()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
    assert "listening" in log.read_text()
    assert SECRET not in log.read_text() + metrics + command


class DriverError(Exception):
    """Keeps what it says where nobody can change it."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = secret

    def __str__(self) -> str:
        return f"cannot connect to http://me:{self._secret}@db"


class Failing(MemoryStore):
    """Fails as it is told to."""

    def __init__(self, fail: Callable[[], None]) -> None:
        super().__init__()
        self.fail = fail

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        self.fail()
        return super().present(sha256s)

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        yield from super().read(sha256, offset)
        self.fail()


def unavailable() -> None:
    try:
        driver_fails()
    except DriverError as error:
        raise StoreUnavailable(f"{error}") from error


def driver_fails() -> None:
    raise DriverError(SECRET) from ExceptionGroup("both", [ValueError(f"{SECRET!r} is wrong")])


def handled() -> None:
    try:
        driver_fails()
    except DriverError:
        raise KeyError(f"me:{SECRET}@db")  # noqa: B904 - as others write it


@pytest.mark.parametrize(
    ("fail", "kind"), [(unavailable, StoreUnavailable), (driver_fails, BackendFailed), (handled, BackendFailed)]
)
@pytest.mark.parametrize(
    "ask", [lambda store: store.present([]), lambda store: list(store.read(content_of(b"x").sha256))]
)
def test_an_error_of_an_open_store_tells_no_secret(
    fail: Callable[[], None], kind: type[KharvestError], ask: Callable[[GuardedStore], Any]
) -> None:
    url = f"acme://me:{SECRET}@db"
    told: list[KharvestError | None] = []
    inner = Failing(fail)
    inner.put(content_of(b"x"), [b"x"])
    store = GuardedStore(inner, "acme://me:***@db", Secrets(url), lambda _name, _time, error: told.append(error))
    with pytest.raises(kind) as failure:
        ask(store)
    shown = "".join(traceback.format_exception(failure.value))
    assert SECRET not in shown + str(vars(failure.value)) + str(told)
    assert "DriverError: cannot connect to http://me:***@db" in shown
    assert "in driver_fails" in shown
    assert told[-1] is failure.value


def test_an_error_without_a_secret_stays_as_it_is() -> None:
    def fail() -> None:
        raise StoreUnavailable("away") from cause

    cause = OSError(111, "refused")
    store = GuardedStore(Failing(fail), "acme://me:***@db", Secrets("acme://me:hunter2@db"), lambda *_: None)
    with pytest.raises(StoreUnavailable, match="acme://me:\\*\\*\\*@db: store unavailable: away") as failure:
        store.present([])
    assert failure.value.__cause__ is cause
    assert store.references(Query()).items == ()


def test_a_chain_that_is_a_circle_is_masked() -> None:
    one, other = DriverError(SECRET), DriverError(SECRET)
    one.__context__, other.__context__ = other, one
    error = StoreUnavailable("away")
    error.__cause__ = one
    Secrets("acme://me:hunter2@db").mask_error(error)
    assert isinstance(error.__cause__, Masked)
    assert SECRET not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("url", "text", "shown"),
    [
        ("a://me:hunter2@db", "hunter2, 'hunter2' and me:hunter2@db", "***, '***' and me:***@db"),
        ("a://me:p%40ss%2Fword@db", "p@ss/word p%40ss%2Fword p%40ss/word", "*** *** ***"),
        ("a://me:two+words@db", "two+words 'two words' two%20words", "*** '***' ***"),
        ("a://me:q\"u\\o'te1@db", json.dumps({"url": "q\"u\\o'te1"}), '{"url": "***"}'),
        ("a://me:gr\u00fcn\n@db", repr("gr\u00fcn\n") + json.dumps("gr\u00fcn\n"), "'***'\"***\""),
        ("a://me:post@db", "postgresql with post, %3Apost%40 and \\npost", "postgresql with ***, %3A***%40 and \\n***"),
        ("a://me:1234@db", "port 12345 is not 1234", "port 12345 is not ***"),
        ("a://me:x@db", "x://me:x@db x=x 'x' maximum x", "x://me:***@db x=*** '***' maximum x"),
        ("a://me:s3cr3t-and-long@db", "xs3cr3t-and-longx", "x***x"),
        ("http://token@host", "token@host", "***@host"),
        ("postgresql://postgres@host/db", "postgres is postgresql", "postgres is postgresql"),
        ("s3://b?endpoint_url=http%3A%2F%2Fu%3Ahunter2%40h", "http://u:hunter2@h", "http://u:***@h"),
        ("az://b?connection_string=AccountName%3Dme%3BAccountKey%3DaGk%3D%3D", "key aGk== of me", "key *** of me"),
        ("az://b?connection_string=AccountName%3Dme%3BAccountKey%3DaGkh%2FbG8h%3D%3D", "no host aGkh", "no host ***"),
        ("memory:", "memory", "memory"),
        ("postgresql://me:@db", "me", "me"),
    ],
)
def test_a_secret_is_found_in_a_text(url: str, text: str, shown: str) -> None:
    assert Secrets(url).mask(text) == shown
    assert Secrets("memory:", url).mask(text) == shown


def test_the_masks_of_two_urls_do_not_depend_on_their_order() -> None:
    urls = ("a://me:hunter2@db", "b://me:hunter2-and-more@db")
    assert {Secrets(*order).mask("hunter2-and-more") for order in (urls, urls[::-1])} == {"***"}
