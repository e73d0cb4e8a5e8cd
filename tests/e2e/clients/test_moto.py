"""File and twin with moto as AWS: an STS and an S3 that other people wrote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sdk_clients
from aws_servers import moto_server
from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from disk import needs_root
from host import Host
from loopback import loopback_only
from s3_front import S3Front
from sdk_clients import Door
from sdk_matrix import Cell, Matrix
from twins import recipe

pytestmark = [needs_root, pytest.mark.timeout(180)]

CLIENTS = ("boto3", "js3", "cpp", "go2")
DOORS: tuple[Door, ...] = ("file", "twin")


def test_sessions_of_another_sts_work_with_another_s3(tmp_path: Path) -> None:
    """The daemon assumes roles at moto, and clients call moto with what it published."""
    tmp_path.chmod(0o700)
    (tmp_path / "home").mkdir()
    clients = [c for c in sdk_clients.ALL if c.name in CLIENTS and c.missing is None]
    cells = [Cell(client, door) for client in clients for door in DOORS]
    with loopback_only(), Simulator(clock) as unused, moto_server() as moto:
        host = Host(tmp_path, unused)
        profiles = "".join(
            f"  {cell.name}:\n    role_arn: arn:aws:iam::123456789012:role/{cell.name}\n"
            for cell in cells
        )
        host.configure(profiles, extra=f"process_dir: {host.root / 'process'}\n")
        moto.client("s3").create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        try:
            running = host.start("run", AWS_ENDPOINT_URL_STS=moto.url)
            running.wait_for("daemon_ready")
            front = S3Front(lambda *_: [], unused, clock)
            front.url = moto.url
            matrix = Matrix(cells, unused, front, tmp_path / "home")
            for cell in cells:
                cell.environment = environment(host, cell) | {"AWS_ENDPOINT_URL_STS": moto.url}
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(matrix.once, cells))
        finally:
            host.end()

    assert {cell.name: ["ok"] for cell in cells} == {cell.name: cell.answers for cell in cells}


def environment(host: Host, cell: Cell) -> dict[str, str]:
    """Return the variables of the recipe for a door."""
    process = host.root / "process"
    if cell.door == "twin":
        return recipe(process, cell.name)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(host.credentials),
        "AWS_CONFIG_FILE": str(process / "empty"),
        "AWS_PROFILE": cell.name,
    }
