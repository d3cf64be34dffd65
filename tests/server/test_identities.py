"""Two clients under one identity are noticed, and said."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from harness import Pod, ServerThread, announced
from harness.waiting import wait_until

from kharvest.client import Client, ClientConfig


def test_two_clients_that_announce_as_one_pod_are_told_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ServerThread("memory:") as server:
        clients = []
        for number in range(2):
            root = tmp_path / str(number)
            (root / "etc").mkdir(parents=True)
            (root / "etc/app.conf").write_text(f"cluster {number}")
            config = ClientConfig(
                server=server.address,
                pod="web-0",
                root=str(root),
                paths=(str(root / "etc/app.conf"),),
                settle_seconds=0,
                reannounce_seconds=0.2,
            )
            clients.append(Client(config))
        with clients[0], clients[1]:
            wait_until(lambda: server.metric("kharvest_shared_identities_total") == 1)
    said = [record.getMessage() for record in caplog.records if "two clients announce as the pod" in record.message]
    assert len(said) == 1
    assert "default/web-0" in said[0]
    assert said[0].count("127.0.0.1") == 2


def test_a_client_that_is_restarted_again_and_again_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with ServerThread("memory:") as server, Pod(server.address) as pod:
        for session in ("a", "a", "b", "b", "c", "d", "d"):
            request = pod.request(announced("/etc/a", session.encode()))
            request.session = session
            pod.harvest.Announce(request, timeout=30)
        assert server.metric("kharvest_shared_identities_total") == 0
