"""The right state in the end where watching is hard: floods, no watches left, no permission, huge files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Pod, ServerProcess, ServerThread

from client.watched import PATIENCE_SECONDS, REMOVED, Watched, md5, until

# A client that waits when its standard input tells it to: what a test cannot do to its own process is done to this.
CLIENT = """
import logging, sys
from kharvest.client import Client, ClientConfig
logging.basicConfig(stream=sys.stderr)
directory, server, pod, poll = sys.argv[1:5]
config = ClientConfig(server=server, pod=pod, directories=(directory,), settle_seconds=0.1, rescan_seconds=600,
                      poll_seconds=float(poll))
with Client(config) as client:
    print(client.flush(60), flush=True)
    for line in sys.stdin:
        print(client.flush(60) if line == "flush\\n" else getattr(client.status(), line.strip()), flush=True)
"""


def run_client(server: str, directory: Path, pod: str, *, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", CLIENT, str(directory), server, pod, "0.2"]
    pipe = subprocess.PIPE
    client = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "True\n"
    return client


def ask(client: subprocess.Popen[str], question: str) -> str:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{question}\n")
    client.stdin.flush()
    return client.stdout.readline().strip()


@pytest.mark.slow
def test_a_flood_of_files_that_overflows_the_kernel_s_queue_ends_complete(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    files = 20_000
    assert files > int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()), "more files make it overflow"
    with run_client(harvest_server.address, tmp_path, pod_name) as client:
        client.send_signal(signal.SIGSTOP)  # nobody reads the queue
        for number in range(files):
            (tmp_path / str(number)).write_text(str(number % 50))
        client.send_signal(signal.SIGCONT)
        until(lambda: ask(client, "acknowledged") == str(files), f"{files} files", patience=100)
        client.send_signal(signal.SIGSTOP)
        for number in range(0, files, 2):
            (tmp_path / str(number)).unlink()
        client.send_signal(signal.SIGCONT)
        until(lambda: ask(client, "watched") == str(files // 2), "the removals", patience=100)
        _out, err = client.communicate(timeout=PATIENCE_SECONDS)
    assert "queue overflowed" in err
    with Pod(harvest_server.address) as reader:
        for number in (1, 9_999, 19_999):
            references = reader.references(pod=pod_name, path=str(tmp_path / str(number)))
            assert [one.file.md5 for one in references] == [md5(str(number % 50).encode())]
        for number in (0, 19_998):
            references = reader.references(pod=pod_name, path=str(tmp_path / str(number)))
            assert [one.file.md5 for one in references] == [md5(str(number % 50).encode()), REMOVED]


def newest_of(server: str, pod: str, path: Path) -> bytes | None:
    with Pod(server) as reader:
        found = reader.references(pod=pod, path=str(path), latest=True)
        return found[0].file.md5 if found else None


def limited(kind: str, most: int) -> tuple[str, ...]:
    """What to put before a command so that it may have no more inotify instances or watches than that."""
    script = f'echo {most} > /proc/sys/user/max_inotify_{kind} && exec "$@"'
    return ("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")


CAN_LIMIT = subprocess.run([*limited("instances", 0), "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not CAN_LIMIT, reason="needs a user namespace (unshare) to limit inotify for one process only")
@pytest.mark.parametrize(
    ("kind", "most", "said"),
    [
        ("instances", 0, "no inotify instance is left: raise fs.inotify.max_user_instances"),
        ("watches", 1, "no inotify watch is left: raise fs.inotify.max_user_watches"),
    ],
)
def test_where_nothing_is_left_of_inotify_files_are_polled_and_it_is_said(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str, kind: str, most: int, said: str
) -> None:
    (tmp_path / "below").mkdir()
    with run_client(harvest_server.address, tmp_path, pod_name, prefix=limited(kind, most)) as client:
        assert ask(client, "polling") == "True"
        file = tmp_path / "below/file"
        file.write_text("polled")
        until(lambda: newest_of(harvest_server.address, pod_name, file) == md5(b"polled"), "a polled file")
        file.write_text("polled again")
        until(lambda: newest_of(harvest_server.address, pod_name, file) == md5(b"polled again"), "a polled change")
        file.unlink()
        until(lambda: newest_of(harvest_server.address, pod_name, file) == REMOVED, "a polled removal")
        _out, err = client.communicate(timeout=PATIENCE_SECONDS)
    assert said in err
    assert "it is polled" in err


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux) to give up root's rights")
def test_a_file_whose_permission_is_lost_is_no_removal_and_is_read_when_it_is_regained(
    harvest_server: ServerThread, tmp_path: Path, pod_name: str
) -> None:
    file = tmp_path / "file"
    file.write_text("first")
    without_rights = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    with run_client(harvest_server.address, tmp_path, pod_name, prefix=without_rights) as client:
        file.chmod(0)
        assert ask(client, "flush") == "False"
        assert newest_of(harvest_server.address, pod_name, file) == md5(b"first")
        file.chmod(0o600)
        wanted = md5(file.read_bytes())
        until(lambda: newest_of(harvest_server.address, pod_name, file) == wanted, "the file that can be read again")
        _out, err = client.communicate(timeout=PATIENCE_SECONDS)
    assert f"let user {os.geteuid()} read it" in err
    with Pod(harvest_server.address) as reader:
        assert REMOVED not in [one.file.md5 for one in reader.references(pod=pod_name)]


@pytest.mark.slow
def test_a_file_of_1_gb_that_appears_is_harvested_whole(tmp_path: Path, pod_name: str) -> None:
    core = tmp_path / "core"
    with (
        ServerProcess(f"sqlite:///{tmp_path}/store.db") as server,
        Watched(server.address, core, pod=pod_name) as watched,
        core.open("wb") as file,
    ):
        for number in range(1000):
            file.write(number.to_bytes(4, "big") * 250_000)
        file.flush()
        until(lambda: len(watched.history(core)) == 1, "the file", patience=120)
        with Pod(server.address) as reader:
            [reference] = reader.references(path=str(core))
            assert reference.file.size == 1_000_000_000
