"""What goes wrong on purpose, so that real programs print what the pages on trouble quote.

Each function is a scene: it gets an empty folder, and returns everything that was printed and logged in it.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest
from harness import Pod, ServerProcess, ServerThread, announced
from harness.disks import small_disk
from harness.stores import content_of, reference
from harness.waiting import wait_until

from kharvest.client import Client, Settings
from kharvest.registry import open_store
from kharvest.wire import v2_pb2 as v2
from kharvest_conformance._samples import COLLIDING

Scene = Callable[[Path], str]
HOUR_NS = 3600 * 10**9


class Log(logging.Handler):
    """What our loggers in this process say."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if record.exc_info and record.exc_info[1] is not None:
            self.lines.append(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")

    def has(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))


@contextmanager
def logged() -> Iterator[Log]:
    log, ours = Log(), logging.getLogger("kharvest")
    before = ours.level
    ours.addHandler(log)
    ours.setLevel(logging.INFO)
    try:
        yield log
    finally:
        ours.removeHandler(log)
        ours.setLevel(before)


def kharvest(*arguments: str | Path, prefix: tuple[str, ...] = (), **variables: str) -> str:
    """Run a command to its end; returns what it printed and, as the last line, its exit code."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "kharvest", *map(str, arguments)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return f"{done.stdout}exit code {done.returncode}\n"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def files(folder: Path) -> str:
    """Files of every kind that is not harvested."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux) to give up root's rights")
    volume = folder / "volume"
    volume.mkdir()
    (volume / "link").symlink_to("/etc/hosts")
    (volume / "loop").symlink_to("loop")
    (volume / "large").write_text("12345678901")
    (volume / "secret").write_text("x")
    (volume / "secret").chmod(0)
    (volume / "closed").mkdir()
    (volume / "closed").chmod(0)
    with (volume / "disk.img").open("wb") as sparse:
        sparse.truncate(3 << 30)
    Path(os.fsdecode(bytes(volume / "") + b"/caf\xe9")).write_text("x")
    os.mkfifo(folder / "pipe")
    config = folder / "kharvest.yaml"
    config.write_text(
        f"files:\n- directory: {volume}\n- glob: {volume}/large*\n  max_bytes: 10\n- {folder}/missing.conf\n"
        f"- {folder}/pipe\n- {volume}\n- directory: {folder}/absent\n- directory: /etc/hosts\n"
    )
    config.write_text(config.read_text().replace("files:\n", f"files:\n- path: {volume}/large\n  max_bytes: 10\n"))
    without_rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    with ServerThread("memory:") as server:
        return kharvest(
            *("client", "--once", "--server", server.address, "--pod", "web-1", "--config", config),
            prefix=without_rights,
        )


def large_for_server(folder: Path) -> str:
    """A file that is larger than the server takes."""
    (folder / "small").write_bytes(b"x")
    with logged() as log, ServerThread("memory:", max_content_bytes=1000) as server:
        given = {"server": server.address, "pod": "web-1", "directories": (str(folder),)}
        with Client(Settings(given)) as client:
            assert client.flush(30)  # now it knows the limit
            (folder / "core").write_bytes(bytes(2000))
            wait_until(lambda: log.has("core"))
    return "\n".join(log.lines)


def restless(folder: Path) -> str:
    """A file that somebody writes to without rest."""
    log = folder / "app.log"
    script = "import sys\nwith open(sys.argv[1], 'ab', 0) as f:\n    while True: f.write(b'x')"
    with ServerThread("memory:") as server:
        writer = subprocess.Popen([sys.executable, "-c", script, str(log)])
        try:
            wait_until(log.exists)
            return kharvest(
                *("client", "--once", "--server", server.address, "--pod", "web-1", log, "--settle-max-seconds", "0.5")
            )
        finally:
            writer.kill()
            writer.wait()


def no_server(folder: Path) -> str:
    """Nobody listens at the server's address."""
    (folder / "a").write_text("a")
    return kharvest(
        *("client", "--once", "--server", closed_port(), "--pod", "web-1", "--timeout", "1", folder / "a")
    ) + kharvest("files", "--server", closed_port())


def other_program(folder: Path) -> str:
    """A gRPC server that does not know our protocol, as the original kharvest is."""
    (folder / "a").write_text("a")
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            address = ("--server", f"127.0.0.1:{port}")
            return kharvest("client", "--once", *address, "--pod", "web-1", folder / "a") + kharvest("files", *address)
        finally:
            server.stop(None).wait()


def wrong_arguments(folder: Path) -> str:
    """Arguments that cannot be used."""
    return "".join(
        (
            kharvest("client", "--once", "--server", "http://kharvest:50051", "--pod", "web-1", "/etc/hosts"),
            kharvest("client", "--once", "--pod", "web-1"),
            kharvest("client", "--check-config", "--pod", "web-1", "--glob", folder / "[a-"),
            kharvest("server", KHARVEST_STORE=""),
            kharvest("server", "--store", "sqllite:///kharvest.db"),
        )
    )


def server_restarts(folder: Path) -> str:
    """A server that goes away, and another one at its address."""
    (folder / "a").write_text("a")
    store = f"sqlite:///{folder}/store.db"
    with logged() as log, ServerProcess(store) as server:
        given = {"server": server.address, "pod": "web-1", "paths": (str(folder / "a"),), "spread_seconds": 0.1}
        with Client(Settings(given)) as client:
            assert client.flush(30)
            server.kill()
            wait_until(lambda: log.has("connecting again"))
            (folder / "a").write_text("b")
            wait_until(lambda: log.has("trying again"))
            with ServerProcess(store, listen=server.address):
                assert client.flush(60)
    return "\n".join(log.lines)


def conflict(folder: Path) -> str:
    """Two contents with one MD5 at one path."""
    (folder / "1").mkdir()
    (folder / "2").mkdir()
    printed = ""
    with ServerThread("memory:") as server:
        for number, sample in enumerate(COLLIDING, 1):
            root = folder / str(number)
            (root / "app.conf").write_bytes(sample)
            printed += kharvest(
                *("client", "--once", "--server", server.address, "--pod", f"web-{number}", "--root", root),
                root / "app.conf",
            )
    return printed


def full_disk(folder: Path) -> str:
    """A store on a disk that is full."""
    (folder / "core").write_bytes(bytes(8_000_000))
    with (
        small_disk(folder / "disk", 6_000_000) as disk,
        ServerThread(f"sqlite:///{disk}/store.db") as server,
        logged() as log,
        Client(Settings({"server": server.address, "pod": "web-1", "paths": (f"{folder}/core",), "grace_seconds": 0})),
    ):
        wait_until(lambda: log.has("cannot be stored"))
        refused = server.metric("kharvest_refusals_total", reason="STORE_FULL")
    return "\n".join([*log.lines, f'kharvest_refusals_total{{reason="STORE_FULL"}} {refused}'])


def changed_tables(folder: Path) -> str:
    """A database whose tables somebody has removed."""
    (folder / "a").write_text("a")
    with logged() as log, ServerThread(f"sqlite:///{folder}/store.db") as server:
        with closing(sqlite3.connect(folder / "store.db")) as other:
            names = [name for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                if name.startswith("kharvest_") and name != "kharvest_store":
                    other.execute(f"DROP TABLE {name}")
        with Pod(server.address) as pod, pytest.raises(grpc.RpcError):
            pod.answers(announced("/etc/a", b"a"))
    return "\n".join(log.lines)


def inotify(folder: Path) -> str:
    """No inotify watch, and no inotify instance, for a client."""
    printed = ""
    (folder / "below").mkdir()
    for kind in ("watches", "instances"):
        script = f'echo {int(kind == "watches")} > /proc/sys/user/max_inotify_{kind} && exec "$@"'
        limited = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")
        if subprocess.run([*limited, "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs a user namespace (unshare) to limit inotify for one process only")
        command = [
            "client",
            "--pod",
            "web-1",
            "--server",
            closed_port(),
            "--grace-seconds",
            "0",
            "--directory",
            str(folder),
        ]
        client = subprocess.Popen(
            [*limited, sys.executable, "-m", "kharvest", *command], stderr=subprocess.PIPE, text=True
        )
        assert client.stderr is not None
        for line in client.stderr:
            printed += line
            if "it is polled" in line:
                client.send_signal(signal.SIGTERM)
        client.wait(30)
        client.stderr.close()
    return printed


def silent_file_system(_folder: Path) -> str:
    """A file on a file system that delivers no events."""
    with logged() as log, ServerThread("memory:") as server:
        given = {"server": server.address, "pod": "web-1", "paths": ("/proc/version",)}
        with Client(Settings(given)):
            wait_until(lambda: log.has("it is polled"))
    return "\n".join(log.lines)


def reloaded(folder: Path) -> str:
    """A configuration that is changed to one that cannot be used, and to one that takes effect later."""
    config = folder / "kharvest.yaml"
    config.write_text("files: [/etc/hosts]\n")
    podinfo = folder / "podinfo"
    podinfo.mkdir()
    (podinfo / "annotations").write_text('note="{}"\nshort="x"\n'.format("x" * 5000))
    with logged() as log, ServerThread("memory:") as server:
        given = {"server": server.address, "pod": "web-1", "annotations": ("*",)}
        with Client(Settings(given, config_file=config, environment={}, podinfo_directory=podinfo)):
            config.write_text("files: [/etc/hosts]\nmax_bytes: ten\n")
            wait_until(lambda: log.has("last good"))
            config.write_text("files: [/etc/hosts]\nroot: /\nnamespace: other\n")
            wait_until(lambda: log.has("next start"))
    return "\n".join(log.lines)


def starting(folder: Path) -> str:
    """Servers that cannot start."""
    store = folder / "store.db"
    with ServerThread(f"sqlite:///{store}") as server:
        taken = kharvest("server", "--store", "memory:", "--listen", server.address)
    with closing(sqlite3.connect(store)) as other, other:
        other.execute("UPDATE kharvest_store SET schema_version = 99")
    (folder / "text.db").write_text("this is no database, but a text of some length\n" * 50)
    away = f"postgresql://kharvest:word@{closed_port()}/kharvest"
    free = ("--listen", "127.0.0.1:0")
    return "".join(
        (
            taken,
            kharvest("server", "--store", f"sqlite:///{store}", *free),
            kharvest("server", "--store", f"sqlite:///{folder}/text.db", *free),
            kharvest("server", "--store", f"sqlite:///{folder}/absent/store.db", *free, "--start-seconds", "1"),
            kharvest("server", "--store", away, *free, "--start-seconds", "5"),
        )
    )


def not_durable(_folder: Path) -> str:
    """A server on a store that loses everything."""
    with logged() as log, ServerThread("memory:"):
        pass
    return "\n".join(log.lines)


def moved_store(folder: Path) -> str:
    """A store that is moved away under its server, and put back."""
    store = folder / "store.db"
    with logged() as log, ServerThread(f"sqlite:///{store}") as server, Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
        store.rename(folder / "elsewhere.db")
        with pytest.raises(grpc.RpcError):
            pod.answers(announced("/etc/b", b"b"))
        (folder / "elsewhere.db").rename(store)
        wait_until(lambda: log.has("the store is back"))
    return "\n".join(log.lines)


def silent_pod(_folder: Path) -> str:
    """A pod that is asked for a content, and does not upload it."""
    with logged() as log, ServerThread("memory:", ask_seconds=0.2) as server, Pod(server.address) as pod:
        assert pod.answers(announced("/etc/a", b"a")) == [v2.UPLOAD]
        wait_until(lambda: log.has("did not upload"))
    return "\n".join(log.lines)


def same_pod(folder: Path) -> str:
    """Two clients that speak for one pod."""
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "app.conf").write_text(name)
    with logged() as log, ServerThread("memory:") as server:
        given = {"server": server.address, "namespace": "shop", "pod": "web-1", "reannounce_seconds": 0.2}
        roots = [{**given, "root": str(folder / one), "paths": (f"{folder / one}/app.conf",)} for one in ("a", "b")]
        with Client(Settings(roots[0])), Client(Settings(roots[1])):
            wait_until(lambda: log.has("two clients announce"))
    return "\n".join(log.lines)


def late_clock(folder: Path) -> str:
    """A server whose clock is an hour behind that of the one before it."""
    url = f"sqlite:///{folder}/store.db"
    ahead = reference(time.time_ns() + HOUR_NS, "/etc/a", "web-1", b"a")
    with closing(open_store(url)) as store:
        store.put(content_of(b"a"), [b"a"])
        store.record({ahead.signature: content_of(b"a")}, [ahead])
    with logged() as log, ServerThread(url) as server, Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"changed"})
        wait_until(lambda: log.has("clock is"))
    return "\n".join(log.lines)


def nothing_found(_folder: Path) -> str:
    """Questions about what is not there."""
    with ServerThread("memory:") as server:
        return "".join(
            (
                kharvest("references", "--server", server.address),
                kharvest("cat", "/etc/app.conf", "--server", server.address),
                kharvest("references", "--server", server.address, "--path", "*.conf"),
            )
        )


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        *(files, large_for_server, restless, no_server, other_program, wrong_arguments, server_restarts, conflict),
        *(full_disk, changed_tables, inotify, silent_file_system, reloaded, starting, not_durable, moved_store),
        *(silent_pod, same_pod, late_clock, nothing_found),
    )
}
