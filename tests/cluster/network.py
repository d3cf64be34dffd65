"""Network namespaces on a bridge, whose links can be counted, cut, slowed, and made to lose packets."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

COMMAND_SECONDS = 20.0
STATISTICS = Path("/sys/class/net")


def run(*command: str | Path, given: str = "") -> str:
    """Run a command of the machine's, which must succeed, and return what it prints."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr or done.stdout}"
    return done.stdout


def cannot(reason: str) -> NoReturn:
    """Skip for a reason that lies in the machine. In CI, where namespaces are allowed to root, it is a failure."""
    if os.environ.get("CI") == "true" and os.geteuid() == 0:
        pytest.fail(f"the cluster in small must run in CI: {reason}")
    pytest.skip(f"the cluster in small needs more than this machine allows: {reason}")


def require(*tools: str) -> None:
    """Skip where a tool is missing."""
    packages = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
    for tool in tools:
        if shutil.which(tool) is None:
            cannot(f"there is no `{tool}`: apt-get install {packages[tool]}")


class Node:
    """A namespace, and its link to the bridge."""

    def __init__(self, namespace: str, link: str, address: str) -> None:
        self.namespace = namespace
        self.address = address
        self._link = link  # the end of the cable that is on the bridge

    def command(self, *command: str | Path) -> list[str]:
        """A command that runs in this namespace, in the process that is started with it."""
        return ["ip", "netns", "exec", self.namespace, *map(str, command)]

    def sent_bytes(self) -> int:
        """What has left this node: bytes of whole Ethernet frames."""
        return self._statistic("rx_bytes")

    def crossed_bytes(self) -> int:
        """What has crossed this node's interface, in both directions: bytes of whole Ethernet frames."""
        return self._statistic("rx_bytes") + self._statistic("tx_bytes")

    def cut(self) -> None:
        """Pull the cable: both ends keep what they were about to send, and nobody is told."""
        run("ip", "link", "set", self._link, "down")

    def heal(self) -> None:
        """Plug it in again."""
        run("ip", "link", "set", self._link, "up")

    def slow_down(self, bytes_per_second: int) -> None:
        """Let no more than so much leave this node in a second."""
        rate = f"{bytes_per_second * 8}bit"
        run(
            *self.command("tc", "qdisc", "add", "dev", "eth0", "root", "tbf"),
            "rate",
            rate,
            "burst",
            "32kb",
            "latency",
            "1s",
        )

    def lose(self, percent: int) -> None:
        """Drop so many of a hundred packets that arrive here, at random."""
        rule = f'iifname "eth0" numgen random mod 100 < {percent} counter drop'
        table = f"table inet loss {{\nchain arriving {{\ntype filter hook input priority 0\n{rule}\n}}\n}}\n"
        run(*self.command("nft", "-f", "-"), given=table)

    def lost_packets(self) -> int:
        """How many packets were dropped here so far."""
        told = run(*self.command("nft", "list", "table", "inet", "loss"))
        counted = re.search(r"counter packets (\d+)", told)
        assert counted, told
        return int(counted[1])

    def _statistic(self, name: str) -> int:
        return int((STATISTICS / self._link / "statistics" / name).read_text())


class Network:
    """A server's node and pods' nodes on one bridge. The server's has a second cable, to us, which nobody counts."""

    def __init__(self, server: Node, pods: Sequence[Node], back_door: str) -> None:
        self.server = server
        self.pods = pods
        self.back_door = back_door


@contextmanager
def network(pods: int) -> Iterator[Network]:
    """A network of so many pods, under names of its own, gone afterwards. Skips where there can be none."""
    require("ip")
    token = f"kh{secrets.token_hex(3)}"
    # 198.18.0.0/15 is kept for tests of networks (RFC 2544): nobody else's address is taken.
    subnet, third = f"198.18.{secrets.randbelow(256)}", secrets.randbelow(256)
    with ExitStack() as undo:
        _add(undo, f"link add {token} type bridge", f"link del {token}")
        run("ip", "link", "set", token, "up")
        nodes = []
        for number in range(pods + 1):
            namespace, link = f"{token}-{number}", f"{token}.{number}"
            _add(undo, f"netns add {namespace}", f"netns del {namespace}")
            _add(undo, f"link add {link} type veth peer name eth0 netns {namespace}", None)
            address = f"{subnet}.{number + 1}"
            # Packets as they are on a wire: without this, 64 KB would cross as one, and be counted with one header.
            _batch("", f"link set {link} gso_max_segs 1 master {token} up")
            _batch(
                namespace,
                f"addr add {address}/24 dev eth0",
                "link set eth0 gso_max_segs 1 up",
                "link set lo up",
            )
            nodes.append(Node(namespace, link, address))
        server, *rest = nodes
        ours, back_door = f"{token}.us", f"198.19.{third}.2"
        _add(undo, f"link add {ours} type veth peer name back netns {server.namespace}", None)
        _batch("", f"addr add 198.19.{third}.1/30 dev {ours}", f"link set {ours} up")
        _batch(server.namespace, f"addr add {back_door}/30 dev back", "link set back up")
        yield Network(server, rest, back_door)


def _add(undo: ExitStack, command: str, undoing: str | None) -> None:
    done = subprocess.run(
        ["ip", *command.split()], capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
    )
    if done.returncode != 0:
        cannot(f"ip {command}: {done.stderr.strip()}")
    if undoing is not None:
        undo.callback(run, "ip", *undoing.split())


def _batch(namespace: str, *commands: str) -> None:
    where = ["-netns", namespace] if namespace else []
    run("ip", *where, "-batch", "-", given="\n".join(commands))
