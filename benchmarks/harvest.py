"""What kharvest costs, beside what the machine can do: one run, figures and yardsticks side by side.

    python benchmarks/harvest.py            a few minutes
    python benchmarks/harvest.py --quick    less of everything, to see that it works

Everything runs on this machine, over loopback, bounded in count; stores are files in a temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from load import Load, announce, chunks, upload_all

from kharvest.client._send.uploads import MAX_BATCHES, MAX_FILES
from kharvest.server._config import CLIENT_UPLOADS, MAX_UPLOAD_BATCH_BYTES
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import HarvestStub

KB, MB, GB = 1000, 10**6, 10**9


@contextmanager
def server(*command: str) -> Iterator[tuple[str, int]]:
    """A server process: its address and its process id."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().decode().removeprefix("listening on ").strip(), process.pid
        finally:
            process.terminate()


def kharvest(store: str) -> tuple[str, ...]:
    """The command of a kharvest server."""
    return "-m", "kharvest", "server", "--store", store, "--listen", "127.0.0.1:0", "--log-level", "error"


def resident_mb(pid: int) -> float:
    """Resident memory, from proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS:")).split()[1]) * 1024 / MB


def row(*cells: str) -> None:
    """A row of a table in Markdown."""
    print(f"| {' | '.join(cells)} |", flush=True)


def heading(title: str, *columns: str) -> None:
    """The head of a table."""
    print(f"\n### {title}\n")
    row(*columns)
    row(*("---" for _ in columns))


def references(folder: Path, *, quick: bool) -> None:
    """References per second through Announce, on SQLite (fsync on), on memory, and on a server that does nothing."""
    heading("References per second", "files a call", "pods at once", "SQLite", "memory", "bare server", "SQLite / bare")
    # Enough calls to last a few seconds: small batches are bound by calls, large ones by references.
    wanted = {1: 8_000, 20: 80_000, 500: 200_000}
    for batch, total in wanted.items():
        for pods in (1, 64, 500):
            load = Load(pods, batch, max(2, total // (10 if quick else 1) // (pods * batch)))
            rates = []
            for store in (f"sqlite:///{folder}/references-{batch}-{pods}.db", "memory:", None):
                command = kharvest(store) if store else (str(Path(__file__).with_name("bare.py")),)
                with server(*command) as (address, _pid):
                    if store:
                        upload_all(address, batch)
                    announce(address, Load(min(pods, 8), batch, 2), round_=1)  # warm up
                    rates.append(announce(address, load))
            row(str(batch), str(pods), *(f"{rate:,.0f}" for rate in rates), f"{rates[0] / rates[2]:.2f}")


def uploads(folder: Path, *, quick: bool) -> None:
    """Upload speed of distinct contents, beside `cp` and `sync` of the same bytes onto the same disk."""
    heading("Uploads", "content", "count", "SQLite MB/s", "contents/s", "cp + sync MB/s", "SQLite / cp + sync")
    for size, count in ((KB, 1000), (100 * KB, 400), (GB, 1)):
        count = max(1, count // (10 if quick else 1))  # noqa: PLW2901
        with server(*kharvest(f"sqlite:///{folder}/uploads-{size}.db")) as (address, _pid):
            ours = upload(address, size // (10 if quick and size == GB else 1), count)
        theirs = copy(folder, size // (10 if quick and size == GB else 1), count)
        total = size * count / (10 if quick and size == GB else 1) / MB
        row(
            f"{size / KB:,.0f} KB",
            str(count),
            f"{total / ours:,.1f}",
            f"{count / ours:,.0f}",
            f"{total / theirs:,.1f}",
            f"{theirs / ours:.2f}",
        )


def upload(address: str, size: int, count: int) -> float:
    """Seconds to announce and upload so many contents, as many at a time as a client would."""
    contents = {}
    for number in range(count):
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for chunk in versions(size, number):
            sha256.update(chunk)
            md5.update(chunk)
        contents[f"/var/data/{number}"] = v2.File(
            path=f"/var/data/{number}", md5=md5.digest(), sha256=sha256.digest(), size=size
        )
    pod = v2.Pod(namespace="bench", name="uploader")
    with grpc.insecure_channel(address) as channel:
        stub = HarvestStub(channel)

        def requests(number: int, file: v2.File) -> Iterator[v2.UploadRequest]:
            yield v2.UploadRequest(header=v2.UploadHeader(pod=pod, file=file))
            for chunk in versions(size, number):
                yield v2.UploadRequest(chunk=chunk)

        def batch(part: list[tuple[int, v2.File]]) -> v2.UploadBatchRequest:
            whole = [v2.WholeContent(file=file, content=b"".join(versions(size, number))) for number, file in part]
            return v2.UploadBatchRequest(pod=pod, contents=whole)

        started = time.perf_counter()
        under_way: list[grpc.Future[Any]] = []
        numbered = list(enumerate(contents.values()))
        in_batch = min(MAX_FILES, MAX_UPLOAD_BATCH_BYTES // size)
        for start in range(0, count, MAX_FILES):
            part = numbered[start : start + MAX_FILES]
            stub.Announce(v2.AnnounceRequest(pod=pod, files=[file for _, file in part]))
            for first in range(0, len(part), max(1, in_batch)):
                if len(under_way) == (MAX_BATCHES if in_batch else CLIENT_UPLOADS):
                    under_way.pop(0).result()
                if in_batch:
                    under_way.append(stub.UploadBatch.future(batch(part[first : first + in_batch])))
                else:
                    under_way.append(stub.Upload.future(requests(*part[first])))
        for call in under_way:
            call.result()
        return time.perf_counter() - started


def versions(size: int, number: int) -> Iterator[bytes]:
    """The bytes of one of many contents of a size."""
    first = True
    for chunk in chunks(size):
        yield number.to_bytes(8) + chunk[8:] if first else chunk
        first = False


def copy(folder: Path, size: int, count: int) -> float:
    """Seconds that `cp` and `sync` take for so many files."""
    source, target = folder / "source", folder / "target"
    source.mkdir()
    target.mkdir()
    for number in range(count):
        with (source / str(number)).open("wb") as file:
            file.writelines(versions(size, number))
    os.sync()
    started = time.perf_counter()
    subprocess.run(["cp", "-r", source, target], check=True)
    subprocess.run(["sync", "-f", target], check=True)
    seconds = time.perf_counter() - started
    shutil.rmtree(source)
    shutil.rmtree(target)
    return seconds


def memory(folder: Path, *, quick: bool) -> None:
    """What the server's memory grows by with its history, and what a client needs when nothing happens."""
    heading("Memory", "what", "MB")
    with server(*kharvest(f"sqlite:///{folder}/memory.db")) as (address, pid):
        upload_all(address, 20)
        row("server, just started", f"{resident_mb(pid):.1f}")
        announce(address, Load(64, 20, 20), round_=1)
        row("server, after 25,600 references", f"{(before := resident_mb(pid)):.1f}")
        rounds = 1 if quick else 4
        for number in range(rounds):
            announce(address, Load(64, 20, 80), round_=2 + number)
        growth = (resident_mb(pid) - before) / rounds / 1.024
        row("server, growth for 100,000 references more", f"{growth:.1f}")
    (folder / "watched").mkdir()
    for number in range(100):
        (folder / "watched" / f"{number}.conf").write_text(f"{number}\n")
    paths = [str(path) for path in (folder / "watched").iterdir()]
    with server(*kharvest("memory:")) as (address, _pid):
        command = [sys.executable, "-m", "kharvest", "client", "--server", address, "--namespace", "b", "--pod", "p"]
        with subprocess.Popen([*command, *paths], stderr=subprocess.DEVNULL) as client:
            time.sleep(3 if quick else 10)  # settled, announced, and at rest
            row("client, idle, watching 100 files", f"{resident_mb(client.pid):.1f}")
            client.terminate()


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to put the stores (default: a temporary folder)")
    parts = {"references": references, "uploads": uploads, "memory": memory}
    parser.add_argument("--only", choices=parts, action="append", default=[], help="default: all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, part in parts.items():
            if not arguments.only or name in arguments.only:
                part(Path(folder), quick=arguments.quick)


if __name__ == "__main__":
    main()
