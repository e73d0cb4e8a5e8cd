"""A hub's secrets read by the engine's own agent, with the shipped configuration."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bao import BINARY, POLICIES, PREFIX, Bao
from credfresh.simulator import Simulator
from fleet import Fleet, follow
from host import wait_until


@pytest.fixture(name="bao")
def _bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    yield server
    server.end()


def test_an_agent_with_the_shipped_template_writes_usable_credentials(
    bao: Bao, sts: Simulator, tmp_path: Path
) -> None:
    """`config/vault/agent.hcl`, with other paths, writes the JSON of `credential_process`."""
    tmp_path.chmod(0o700)
    fleet = Fleet(tmp_path, sts, bao, PREFIX)
    bao.admin.sys.enable_auth_method("approle")
    bao.admin.auth.approle.create_or_update_approle("host", token_policies=["host"])
    role = bao.admin.auth.approle.read_role_id("host")["data"]["role_id"]
    secret = bao.admin.auth.approle.generate_secret_id("host")["data"]["secret_id"]
    (tmp_path / "role-id").write_text(role)
    (tmp_path / "secret-id").write_text(secret)
    config = (POLICIES / "agent.hcl").read_text()
    config = config.replace("https://bao.example.com:8200", bao.address)
    config = config.replace("/etc/credfresh", str(tmp_path)).replace(
        "/run/bao-agent", str(tmp_path)
    )
    (tmp_path / "agent.hcl").write_text(config)
    written = tmp_path / "production.json"
    try:
        follow(fleet.hub("hub", delete_expired=False))
        log = (tmp_path / "agent.log").open("wb")
        agent = subprocess.Popen(
            [str(BINARY), "agent", f"-config={tmp_path}/agent.hcl"],
            env={
                "BAO_CACERT": str(bao.certificates.ca),
                "HOME": str(tmp_path),
                "PATH": "/usr/bin:/bin",
            },
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            wait_until(written.exists, "the agent has written", 60.0)
        except TimeoutError:
            raise AssertionError((tmp_path / "agent.log").read_text()) from None
        finally:
            log.close()
            agent.kill()
            agent.wait()
        document = json.loads(written.read_text())
        section = fleet.all[0].sections()["production"]
    finally:
        fleet.end()

    assert {"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"} == set(
        document
    )
    assert 1 == document["Version"]
    assert section["aws_access_key_id"] == document["AccessKeyId"]
    assert section["aws_session_token"] == document["SessionToken"]
    assert section["x_security_token_expires"] == document["Expiration"]
