"""What runs in the cluster in small: one server, and a client in every pod, as processes of their own."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness import Pod

from cluster.network import Network, Node

PORT = 50051
STOP_SECONDS = 30.0
PATIENCE_SECONDS = 45.0
SETTLE_SECONDS = 0.2

# What Kubernetes mounts: the downward API's volume, at the place where the client looks for it. `ip netns exec` gives a
# mount namespace of its own, so the machine's /etc stays as it was.
WITH_PODINFO = """
mount -t overlay overlay -o lowerdir="$1/mountpoints:/etc" /etc && mount --bind "$1/podinfo" /etc/podinfo || exit 1
shift
exec "$@"
"""


def until(condition: Callable[[], bool], what: str, *logs: Path) -> None:
    """Wait until the condition holds; if it does not, show the ends of the logs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        told = "\n".join(f"--- {log}\n{log.read_text()[-1500:]}" for log in logs)
        assert time.monotonic() < deadline, f"waited in vain for {what}\n{told}"
        time.sleep(0.02)


class Process:
    """A kharvest command in a node, whose stderr is in a file; stopped in the end."""

    def __init__(self, node: Node, log: Path, *arguments: str, before: tuple[str, ...] = (), **variables: str) -> None:
        self.log = log
        self._log: IO[bytes] = log.open("ab")
        environment = [f"{name}={value}" for name, value in variables.items()]
        command = ["env", *environment, *before, sys.executable, "-m", "kharvest", *arguments]
        self.process = subprocess.Popen(node.command(*command), stdout=subprocess.PIPE, stderr=self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            code = self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        assert kind is not None or code in (0, -signal.SIGKILL), f"exit code {code}\n{self.log.read_text()[-3000:]}"

    def stop(self) -> int:
        """SIGTERM, as from a kubelet, and its exit code."""
        self.process.terminate()
        return self._gone()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self._gone()

    def _gone(self) -> int:
        code = self.process.wait(STOP_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code


class Cluster:
    """A network, the folder of everything in it, and how to start a server and clients."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self._folder = folder
        self._address = f"{network.back_door}:{PORT}"

    def reader(self) -> Pod:
        """The eyes of the test, by the back door."""
        return Pod(self._address, "reader")

    def server(self, **seconds: int) -> Process:
        """A server on the cluster's one SQLite file, once it listens."""
        settings = [f"--{name.replace('_', '-')}={value}" for name, value in seconds.items()]
        started = Process(
            self.network.server,
            self._folder / "server.log",
            "server",
            f"--listen=0.0.0.0:{PORT}",
            f"--store=sqlite:///{self._folder}/store.db",
            *settings,
        )
        assert started.process.stdout is not None
        line = started.process.stdout.readline()
        if line != f"listening on 0.0.0.0:{PORT}\n".encode():
            started.kill()
            raise AssertionError(f"the server did not start: {started.log.read_text()}")
        return started

    def root(self, pod: int) -> Path:
        """Where a pod's files are, as if it were the root."""
        return self._folder / f"pod-{pod}" / "root"

    def write(self, pod: int, path: str, content: bytes) -> None:
        """Write a pod's file, as its application would: aside, then renamed."""
        file = self.root(pod) / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}.new")
        aside.write_bytes(content)
        aside.rename(file)

    def client(self, pod: int, *paths: str) -> Process:
        """A client in a pod, with what a kubelet would tell it."""
        home = self._folder / f"pod-{pod}"
        (home / "mountpoints/podinfo").mkdir(parents=True, exist_ok=True)
        (home / "podinfo").mkdir(exist_ok=True)
        (home / "podinfo/labels").write_text('app="web"\npod-template-hash="5d7f8"\n')
        return Process(
            self.network.pods[pod],
            home / "client.log",
            "client",
            f"--server={self.network.server.address}:{PORT}",
            f"--root={self.root(pod)}",
            f"--settle-seconds={SETTLE_SECONDS}",
            "--spread-seconds=0.5",
            *(str(self.root(pod) / path.lstrip("/")) for path in paths),
            before=("sh", "-c", WITH_PODINFO, "pod", str(home)),
            POD_NAME=f"web-{pod}",
            POD_NAMESPACE="shop",
            NODE_NAME="node-1",
        )

    def logs(self) -> list[Path]:
        """What all have written."""
        return sorted(self._folder.rglob("*.log"))


def newest(reader: Pod, path: str) -> Mapping[str, bytes]:
    """The MD5 that each pod has at a path now."""
    return {one.pod.name: one.file.md5 for one in reader.references(path=path, latest=True)}


def md5(content: bytes) -> bytes:
    """What names a version of a file."""
    return hashlib.md5(content).digest()
