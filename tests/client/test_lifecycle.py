"""`kharvest client` as a process: how it starts, how it ends, and what it tells while it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Pod, ServerThread

from client.watched import PATIENCE_SECONDS, config, md5, until
from kharvest.client import Client, ConfigurationError, Health

COMMAND = [sys.executable, "-m", "kharvest", "client", "--settle-seconds", "0.1"]


@contextmanager
def running(*arguments: Path | str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The client's process; what it writes to stderr can be read."""
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def names(reader: Pod, pod: str) -> set[str]:
    return {Path(one.file.path).name for one in reader.references(pod=pod)}


def test_on_sigterm_what_was_written_just_before_is_brought_to_the_server(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    environment = {
        "KHARVEST_SERVER": harvest_server.address,
        "POD_NAME": pod_name,
        "KHARVEST_DIRECTORIES": f"{tmp_path}",
    }
    with Pod(harvest_server.address) as reader:
        (tmp_path / "first").touch()
        with running(**environment) as process:
            until(lambda: names(reader, pod_name) == {"first"}, "the start")
            for number in range(100):
                (tmp_path / f"last {number}").write_text(str(number))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0
        assert len(names(reader, pod_name)) == 101


def test_on_sigterm_a_server_that_is_away_is_waited_for_no_longer_than_the_grace_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with running("--server", "127.0.0.1:1", "--grace", "0.5", tmp_path / "file") as process:
        assert process.stderr is not None
        assert "Connection refused" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
        assert "the time was over before everything was acknowledged" in process.stderr.read()


def test_check_config_tells_what_would_be_watched_or_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.conf").touch()
    good = tmp_path / "good.yaml"
    good.write_text(f"pod: web-1\nmetadata: {{app: web}}\nfiles: [{{glob: '{tmp_path}/*.conf'}}, /etc/hosts]")
    checked = subprocess.run([*COMMAND, "--check-config", "--config", good], capture_output=True, text=True, check=True)
    assert "default/web-1" in checked.stdout
    assert "app=web" in checked.stdout
    assert f"{tmp_path}/*.conf   1 files now" in checked.stdout
    good.write_text("pod: web-1\nfiles: 3x")
    checked = subprocess.run(
        [*COMMAND, "--check-config", "--config", good], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 2
    assert f"{good}:2: files" in checked.stderr


def get(address: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_health_address_tells_that_it_lives_and_how_it_is_though_the_server_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Client(config("127.0.0.1:1", [tmp_path / "file"])) as client, Health(client, "127.0.0.1:0") as health:
        address = health.address
        assert get(health.address, "/live") == (200, "ok\n")
        until(lambda: json.loads(get(health.address, "/status")[1])["failure"] is not None, "the failure to be told")
        code, body = get(health.address, "/status")
        assert code == 200
        status = json.loads(body)
        assert (status["connected"], status["watched"], status["pending"]) == (False, 1, 1)
        assert get(health.address, "/else")[0] == 404
        client.close(0)
        assert get(health.address, "/live")[0] == 503
    with pytest.raises(urllib.error.URLError):
        get(address, "/live")


@pytest.mark.parametrize(
    ("listened", "asked"),
    [(":0", ["127.0.0.1", "[::1]"]), ("[::]:0", ["127.0.0.1", "[::1]"]), ("[::1]:0", ["[::1]"])],
)
def test_the_health_address_may_be_of_ipv6_or_of_both_kinds(tmp_path: Path, listened: str, asked: list[str]) -> None:
    """A kubelet asks the pod's address, and clusters have either kind, or both."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with Client(config("127.0.0.1:1", [tmp_path / "file"])) as client, Health(client, listened) as health:
        host, _, port = health.address.rpartition(":")
        assert host in ("[::]", "[::1]")
        for one in asked:
            assert get(f"{one}:{port}", "/live") == (200, "ok\n")
        if len(asked) == 1:
            with pytest.raises(urllib.error.URLError):
                get(f"127.0.0.1:{port}", "/live")


def test_where_there_is_no_ipv6_the_health_address_is_of_ipv4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with Client(config("127.0.0.1:1", [tmp_path / "file"])) as client, Health(client, ":0") as health:
        assert health.address.startswith("0.0.0.0:")
        assert get(health.address, "/live")[0] == 200


def test_a_health_address_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    client = Client(config("127.0.0.1:1", [tmp_path / "file"]))
    for address in ("nowhere", "127.0.0.1:99999", "192.0.2.1:80"):
        with pytest.raises(ConfigurationError, match=re.escape(address)), Health(client, address):
            pass


def test_the_process_answers_on_its_health_address(harvest_server: ServerThread, tmp_path: Path, pod_name: str) -> None:
    (tmp_path / "file").write_text("x")
    server = ("--server", harvest_server.address)
    with running(*server, "--pod", pod_name, "--health", "127.0.0.1:0", tmp_path / "file") as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        with Pod(harvest_server.address) as reader:
            until(lambda: [one.file.md5 for one in reader.references(pod=pod_name)] == [md5(b"x")], "the file")
        assert get(address, "/live") == (200, "ok\n")
