"""A small fleet harvests real files: what `make demo` shows.

Eight clients stand for the pods of two deployments. Each watches copies of configuration files of this machine. One
pod's file is changed and one is removed while the server is down, killed with SIGKILL; then it is started again. What
is printed in the end comes from queries to the server.

    python examples/demo/demo.py [FOLDER]        default: .demo, made anew each time
"""

from __future__ import annotations

import difflib
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kharvest.query import FoundReference, QueryClient, ServerUnavailable

PODS = {"web": 5, "api": 3}
NAMESPACE = "shop"
FILES = 6
MAX_FILE_BYTES = 100_000
PATIENCE_SECONDS = 30.0
KHARVEST = (sys.executable, "-m", "kharvest")


class Demo:
    """The fleet's folder, and the processes in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.log = folder / "log.txt"
        self.address = "127.0.0.1:0"

    def prepare(self) -> dict[str, list[str]]:
        """Copy configuration files of this machine into every pod; which paths each pod has."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        chosen = configuration_files()
        held = {}
        for deployment, count in PODS.items():
            # The two deployments have most files in common, and one each of their own.
            files = chosen[1:] if deployment == "web" else chosen[:-1]
            for number in range(count):
                pod = f"{deployment}-{number}"
                for path in files:
                    copy = self.local(pod, path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                held[pod] = files
        return held

    def local(self, pod: str, path: str) -> Path:
        """Where a pod's file is on this machine."""
        return self.folder / "pods" / pod / path.lstrip("/")

    @contextmanager
    def server(self) -> Iterator[subprocess.Popen[str]]:
        """A server on a SQLite file."""
        with self.log.open("a") as log:
            command = [*KHARVEST, "server", "--store", f"sqlite:///{self.store}", "--listen", self.address]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
                try:
                    assert process.stdout is not None
                    said = process.stdout.readline()
                    if not said.startswith("listening on "):
                        sys.exit(f"the server did not start; see {self.log}")
                    self.address = said.removeprefix("listening on ").strip()
                    yield process
                finally:
                    process.terminate()

    @contextmanager
    def client(self, pod: str, paths: list[str]) -> Iterator[None]:
        """A client that stands for a pod: what is below the pod's folder, it announces as if that were `/`."""
        root = self.folder / "pods" / pod
        command = [*KHARVEST, "client", "--server", self.address, "--namespace", NAMESPACE, "--pod", pod]
        command += ["--metadata", f"app={pod.rpartition('-')[0]}", "--root", str(root), "--spread-seconds", "1"]
        with (
            self.log.open("a") as log,
            subprocess.Popen([*command, *(str(self.local(pod, path)) for path in paths)], stderr=log) as process,
        ):
            try:
                yield
            finally:
                process.terminate()


def configuration_files() -> list[str]:
    """Some text files of /etc that everybody may read, the same ones in every run on one machine."""
    found = []
    for path in sorted(Path("/etc").glob("*")):
        try:
            if path.is_file() and not path.is_symlink() and 100 < path.stat().st_size < MAX_FILE_BYTES:
                path.read_text()
                if path.stat().st_mode & 0o004:
                    found.append(str(path))
        except (OSError, UnicodeDecodeError):
            continue
    if len(found) < FILES:
        sys.exit(f"/etc has only {len(found)} text files to show; the demo wants {FILES}")
    found.sort(key=lambda path: -Path(path).stat().st_size)
    return sorted(found[:FILES])


def say(text: str) -> None:
    """Tell what happens."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def wait_for(what: str, holds: Callable[[], bool]) -> float:
    """Ask the server until something holds; seconds that it took."""
    started = time.monotonic()
    while True:
        try:
            if holds():
                return time.monotonic() - started
        except ServerUnavailable:
            pass
        if time.monotonic() - started > PATIENCE_SECONDS:
            sys.exit(f"waited {PATIENCE_SECONDS:g} s for {what}")
        time.sleep(0.1)


def play(demo: Demo) -> None:
    """Run the fleet through a change, a removal and a crash."""
    held = demo.prepare()
    references = sum(map(len, held.values()))
    changed = ("web-3", held["web-3"][2])
    removed = ("api-1", held["api-1"][1])
    with ExitStack() as clients:
        with demo.server() as server:
            say(f"A server on {demo.store.name}, {len(held)} clients, each with {len(held['web-0'])} files of /etc …")
            for pod, paths in held.items():
                clients.enter_context(demo.client(pod, paths))
            with QueryClient(demo.address) as query:
                seconds = wait_for(
                    "all files", lambda: len(list(query.references(latest=True, limit=references))) == references
                )
            print(f"all {references} files are acknowledged ({seconds:.1f} s, most of it for the clients to start)")
            say("The server is killed with SIGKILL …")
            server.send_signal(signal.SIGKILL)
            server.wait()
        print(f"meanwhile {changed[0]} changes {changed[1]}, and {removed[0]} removes {removed[1]}")
        edit(demo.local(*changed))
        demo.local(*removed).unlink()
        say("… and started again on the same file.")
        with demo.server(), QueryClient(demo.address) as query:
            seconds = wait_for(
                "the changes",
                lambda: all(len(list(query.references(pod=pod, path=path))) > 1 for pod, path in (changed, removed)),
            )
            recorded = len(list(query.references()))
            print(f"{seconds:.1f} s later it has both changes: {recorded} references, {references} and the two")
            report(query)
        look_further(demo, changed)


def edit(file: Path) -> None:
    """What somebody does at night in one pod of many."""
    lines = file.read_text().splitlines(keepends=True)
    lines.insert(len(lines) // 2, "# a quick fix, to be cleaned up tomorrow\n")
    file.write_text("".join(lines))


def report(query: QueryClient) -> None:
    """Print what the server knows."""
    latest = list(query.references(latest=True))
    versions: dict[str, dict[bytes | None, list[FoundReference]]] = defaultdict(lambda: defaultdict(list))
    for reference in latest:
        versions[reference.path][reference.sha256].append(reference)

    say("The versions of each file, and the pods on each:")
    for path, by_content in sorted(versions.items()):
        print(f"  {path}")
        for sha256, holders in sorted(by_content.items(), key=lambda item: -len(item[1])):
            pods = " ".join(sorted(holder.pod for holder in holders))
            name = "removed" if sha256 is None else f"md5 {holders[0].md5.hex()[:12]}"
            print(
                f"    {name:<16}  {len(holders)} pods: {pods}"
                if len(holders) > 1
                else f"    {name:<16}  1 pod:  {pods}"
            )

    say("The odd pod out:")
    for path, by_content in sorted(versions.items()):
        contents = {sha256: holders for sha256, holders in by_content.items() if sha256 is not None}
        common, *odd = sorted(contents.items(), key=lambda item: -len(item[1]))
        for sha256, holders in odd:
            print(f"  {' '.join(holder.pod for holder in holders)} differs from {len(common[1])} others:")
            before, after = (text_of(query, one) for one in (common[0], sha256))
            for line in difflib.unified_diff(
                before, after, f"{path} ({common[1][0].pod})", f"{path} ({holders[0].pod})"
            ):
                print(f"    {line.rstrip()}")

    everything = list(query.references())
    moved = {reference.sha256: reference.size or 0 for reference in everything if reference.sha256 is not None}
    without = [reference.size or 0 for reference in everything if reference.size is not None]
    say("What crossed the network:")
    print(f"  with kharvest     {len(moved):>4} contents, {sum(moved.values()):>9,} bytes")
    print(f"  without kharvest  {len(without):>4} contents, {sum(without):>9,} bytes")


def text_of(query: QueryClient, sha256: bytes) -> list[str]:
    """The lines of a content."""
    return b"".join(query.content(sha256)).decode().splitlines(keepends=True)


def look_further(demo: Demo, changed: tuple[str, str]) -> None:
    """Print the commands to go on with."""
    kharvest = Path(sys.executable).with_name("kharvest")
    if kharvest.is_relative_to(Path.cwd()):
        kharvest = kharvest.relative_to(Path.cwd())
    pod, path = changed
    say("To look further, start the server again and ask it:")
    for arguments in (
        f"server --store sqlite:///{demo.store} &",
        f"files --path '{path}' --latest",
        f"references --pod {NAMESPACE}/{pod}",
        "references -l app=api --since 10m -o wide",
        f"cat {path} --pod {NAMESPACE}/{pod}",
    ):
        print(f"  {kharvest} {arguments}")


def main() -> None:
    """Play it."""
    play(Demo(Path(sys.argv[1] if len(sys.argv) > 1 else ".demo")))


if __name__ == "__main__":
    main()
