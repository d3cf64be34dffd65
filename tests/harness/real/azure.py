"""Azure's blob storage: Azurite, from npm."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient

from harness.real.server import CannotRun, OwnServer, listens

VERSION = "3.35.0"
"""The last one that runs on Node 20."""
_INSTALLED = Path(__file__).parents[3] / ".tools" / f"azurite-{VERSION}"
_INSTALL_SECONDS = 240
_SYSTEMS_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
"""What Debian trusts. Node trusts what it brings along only, which does not do behind a proxy with a certificate of its
own; then npm waits for ever."""
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite"""


class Azure(OwnServer):
    """`azurite-blob`, installed by npm into an ignored folder of the tree the first time."""

    kind = "azure"

    @property
    def connection_string(self) -> str:
        """What Azure's own tools are told."""
        endpoint = f"http://127.0.0.1:{self.port}/{_ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint};"

    def answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            with BlobServiceClient.from_connection_string(self.connection_string, retry_total=0) as client:
                client.get_service_properties()
        except AzureError:
            return False
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        program = _INSTALLED / "node_modules" / ".bin" / "azurite-blob"
        if not program.exists():
            _install()
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        options = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        network = ["--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        return self.spawn([program, "--location", data, *network, *options])

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)  # killed, it loses what it took in its last seconds: it is no real Azure

    @contextmanager
    def place(self) -> Iterator[str]:
        name = f"kharvest-test-{secrets.token_hex(4)}"
        with BlobServiceClient.from_connection_string(self.connection_string) as client:
            client.create_container(name)
            try:
                yield f"az://{name}/some/prefix?connection_string={quote(self.connection_string, safe='')}"
            finally:
                client.delete_container(name)


def _install() -> None:
    """Install it beside its place, and move it there whole: other processes install it at the same time."""
    npm = shutil.which("npm")
    if npm is None:
        raise CannotRun("npm is not installed, which installs Azurite")
    _INSTALLED.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    if _SYSTEMS_CERTIFICATES.exists():
        environment.setdefault("NODE_EXTRA_CA_CERTS", str(_SYSTEMS_CERTIFICATES))
    with TemporaryDirectory(dir=_INSTALLED.parent) as folder:
        whole = Path(folder) / _INSTALLED.name
        command: list[str | Path] = [npm, "install", "--silent", "--no-save", "--prefix", whole, f"azurite@{VERSION}"]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS, env=environment
            )
        except subprocess.TimeoutExpired:
            raise CannotRun(f"npm cannot install Azurite within {_INSTALL_SECONDS} s") from None
        if ended.returncode != 0:
            raise CannotRun(f"npm cannot install Azurite: {ended.stderr[-500:]}")
        with suppress(OSError):  # it is there by now: another process was faster
            whole.rename(_INSTALLED)
