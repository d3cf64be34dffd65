"""The kinds of real servers: ours, which tests may stop and start, and those that are there already."""

from __future__ import annotations

from collections.abc import Callable

from harness.real.azure import Azure
from harness.real.gcs import Gcs
from harness.real.mariadb import GivenMariaDB, MariaDB
from harness.real.mongodb import GivenMongo, MongoServer
from harness.real.postgresql import GivenPostgreSQL, PostgreSQL
from harness.real.s3 import S3, GivenS3
from harness.real.server import GivenServer, RealServer

OWN: dict[str, Callable[[], RealServer]] = {one.kind: one for one in (PostgreSQL, MariaDB, MongoServer, S3)}
GIVEN: dict[str, type[GivenServer]] = {one.kind: one for one in (GivenPostgreSQL, GivenMariaDB, GivenMongo, GivenS3)}
KINDS: dict[str, Callable[[], RealServer]] = {**OWN, **GIVEN, Azure.kind: Azure, Gcs.kind: Gcs}
