"""What a client costs beside an application: memory and processor when idle, and how long it takes to announce.

Starts a server and one client process after the other, and prints one line for each measurement:

    python benchmarks/client_footprint.py [--idle-seconds 60] [--files 100 10000]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import QueryStub

TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_SECONDS = 300.0


@contextmanager
def server(store: str) -> Iterator[str]:
    """A server's address."""
    command = [sys.executable, "-m", "kharvest", "server", "--store", store, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("listening on ").strip()
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A client at work."""

    pid: int
    health: str

    def acknowledged(self) -> int:
        """How many files it knows to be acknowledged."""
        with urllib.request.urlopen(f"http://{self.health}/status") as answer:
            return int(json.load(answer)["acknowledged"])


@contextmanager
def client(address: str, pod: str, directory: Path) -> Iterator[Sidecar]:
    """A client that watches a directory, as a sidecar does."""
    command = [sys.executable, "-m", "kharvest", "client", "--server", address, "--pod", pod]
    command += ["--health", "127.0.0.1:0", "--directory", str(directory)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield Sidecar(process.pid, process.stderr.readline().split()[-1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def resident_mb(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmRSS")


def cpu_seconds(pid: int) -> float:
    """Processor time that the process has used."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / TICKS


def wait_for(sidecar: Sidecar, files: int) -> None:
    """Until so many files are acknowledged."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sidecar.acknowledged() < files:
        if time.monotonic() > deadline:
            raise SystemExit(f"not all files were acknowledged within {PATIENCE_SECONDS:g} s")
        time.sleep(0.2)


def measure(address: str, query: QueryStub, directory: Path, files: int, idle_seconds: float) -> None:
    """Measure a client on so many files, for a first pod and for one whose contents are known already."""
    for number in range(files):
        (directory / f"file-{number}").write_text(f"{number}\n" * 20)
    for pod, what in ((f"first-{files}", "all contents new"), (f"second-{files}", "all contents known")):
        started = time.monotonic()
        with client(address, pod, directory) as sidecar:
            wait_for(sidecar, files)
            print(f"{files:>6} files  announced, {what:<20} {time.monotonic() - started:8.2f} s", flush=True)
            if pod.startswith("first"):
                continue
            latencies = [latency(query, pod, directory / f"file-{number}") for number in range(5)]
            print(f"{files:>6} files  change to acknowledged, median  {statistics.median(latencies):8.2f} s")
            time.sleep(3)
            before, since = cpu_seconds(sidecar.pid), time.monotonic()
            time.sleep(idle_seconds)
            share = (cpu_seconds(sidecar.pid) - before) / (time.monotonic() - since)
            print(f"{files:>6} files  idle: resident                  {resident_mb(sidecar.pid):8.1f} MB")
            print(f"{files:>6} files  idle: of a core over {idle_seconds:3g} s      {share * 100:8.3f} %", flush=True)


def latency(query: QueryStub, pod: str, file: Path) -> float:
    """From a change to its acknowledgement."""

    def versions() -> int:
        filter_ = v2.Filter(pod=pod, path=str(file))
        return len(query.References(v2.ReferencesRequest(filter=filter_, limit=100)).references)

    before = versions()
    started = time.monotonic()
    file.write_text(f"changed at {started}")
    while versions() == before:
        time.sleep(0.005)
    return time.monotonic() - started


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--files", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--store", default="memory:", help="the server's store")
    arguments = parser.parse_args()
    with server(arguments.store) as address, grpc.insecure_channel(address) as channel:
        for files in arguments.files:
            with tempfile.TemporaryDirectory() as directory:
                measure(address, QueryStub(channel), Path(directory), files, arguments.idle_seconds)


if __name__ == "__main__":
    main()
