"""What the manifests ask for is what kharvest needs, measured here.

The figures of docs/how-to/deploy-the-server.md and docs/how-to/run-a-sidecar.md come from

    pytest tests/deploy/test_resources.py --log-cli-level=INFO
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import LegacyPod, Pod, ServerProcess, announced, content_of
from harness.real.server import free_port
from harness.servers import resident_bytes

from deploy.manifests import DEPLOY, Manifest, in_bytes, ours, render
from kharvest.wire import v2_pb2 as v2

logger = logging.getLogger(__name__)

MIB = 2**20
PATIENCE_SECONDS = 60.0
# The fleet of docs' figures: pods that announce together, and contents that are uploaded together.
PODS, FILES, UPLOADS, UPLOAD_BYTES = 500, 20, 16, 16 * MIB
OLD_STORES, OLD_BYTES = 4, 64 * MIB
WATCHED = 100


def deployed(overlay: str) -> Manifest:
    """The one container of ours."""
    ((_, container),) = ours(render(DEPLOY / overlay))
    return container


def started(container: Manifest, store: str, original: str = "") -> ServerProcess:
    """A server with the limits that the manifest gives it; its ports are other ones."""
    limits = [argument for argument in container["args"] if argument.startswith("--max-")]
    return ServerProcess(store, *limits, *([f"--listen-original={original}"] if original else []))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fleet(server: ServerProcess) -> None:
    """Many pods announce the same files, and some upload large ones at once."""

    def announce(number: int) -> None:
        with Pod(server.address, f"web-{number}", metadata={"app": "web"}) as pod:
            pod.harvest_files({f"/etc/app/{file}.conf": content_of(file, 1000) for file in range(FILES)})

    def upload(number: int) -> None:
        body = content_of(1000 + number, UPLOAD_BYTES)
        with Pod(server.address, f"dump-{number}") as pod:
            file = announced("/var/dump", body)
            assert pod.answers(file) == [v2.UPLOAD]
            pod.upload(file, body)

    with ThreadPoolExecutor(UPLOADS) as uploads, ThreadPoolExecutor(32) as announcements:
        list(announcements.map(announce, range(PODS)))
        list(uploads.map(upload, range(UPLOADS)))


@pytest.mark.slow
def test_the_server_asks_for_the_memory_that_a_fleet_takes(tmp_path: Path) -> None:
    container = deployed("server/sqlite")
    resources = container["resources"]
    with started(container, f"sqlite:///{tmp_path}/store.db") as server:
        idle = server.resident_bytes()
        fleet(server)
        loaded, peak = server.resident_bytes(), server.resident_bytes(peak=True)
        logger.info(
            "server: idle %d MiB, after the fleet %d MiB, peak %d MiB", *(n // MIB for n in (idle, loaded, peak))
        )
    assert peak < in_bytes(resources["requests"]["memory"])
    assert 1.5 * peak < in_bytes(resources["limits"]["memory"])


@pytest.mark.slow
def test_the_server_is_allowed_what_files_in_one_message_take(tmp_path: Path) -> None:
    """The original protocol holds a whole file in one message."""
    container = deployed("examples/sqlite-original-names")
    resources = container["resources"]
    address = f"127.0.0.1:{free_port()}"
    with started(container, f"sqlite:///{tmp_path}/store.db", original=address) as server:

        def store(number: int) -> None:
            body = content_of(number, OLD_BYTES)
            with LegacyPod(address, f"old-{number}") as old:
                old.notify(f"/var/core-{number}", body)
                old.store(f"/var/core-{number}", body)

        with ThreadPoolExecutor(OLD_STORES) as stores:
            list(stores.map(store, range(OLD_STORES)))
        peak = server.resident_bytes(peak=True)
        logger.info("server: peak with %d files of 64 MiB by the original protocol %d MiB", OLD_STORES, peak // MIB)
    assert 1.5 * peak < in_bytes(resources["limits"]["memory"])


@contextmanager
def client(server: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A client with the sidecar's kind of configuration."""
    config = folder / "client.yaml"
    config.write_text(f"server: {server}\nfiles: [{{directory: {folder / 'watched'}}}]\n")
    command = [sys.executable, "-m", "kharvest", "client", "--config", str(config), "--health", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "POD_NAME": "web-1"}) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.slow
def test_the_sidecar_asks_for_the_memory_that_it_takes(tmp_path: Path) -> None:
    resources = deployed("examples/web")["resources"]
    (tmp_path / "watched").mkdir()
    for number in range(WATCHED):
        (tmp_path / f"watched/{number}.conf").write_text(f"{number}\n")
    with (
        ServerProcess("memory:") as server,
        Pod(server.address, "reader") as reader,
        client(server.address, tmp_path) as one,
    ):
        until(lambda: len(reader.references(pod="web-1")) == WATCHED)
        idle = resident_bytes(one.pid)
        (tmp_path / "watched/dump").write_bytes(content_of(1, 128 * MIB))
        until(lambda: len(reader.references(pod="web-1")) == WATCHED + 1)
        peak = resident_bytes(one.pid, peak=True)
        logger.info(
            "client: idle with %d files %d MiB, peak with an upload of 128 MiB %d MiB",
            WATCHED,
            idle // MIB,
            peak // MIB,
        )
        assert idle < in_bytes(resources["requests"]["memory"])
        assert peak < in_bytes(resources["limits"]["memory"])
