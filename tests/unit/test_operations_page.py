"""docs/operations.md forgets no alert and no source, and its examples are what is shipped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import yaml
from botocore.config import Config

from credfresh.config.source_shapes import SOURCE_KINDS
from credfresh.errors import AlreadyRunningError
from credfresh.principals import SystemdCredentialSource
from credfresh.sts.clients import Clients
from credfresh.sts.lookups import Lookups

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = ROOT / "config" / "prometheus" / "alerts.yml"
DROP_IN = ROOT / "systemd" / "drop-ins" / "source-key.conf"


def first_cells(heading: str) -> list[str]:
    """Return the first cell of each row of the table whose header begins with `heading`."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"(?m)^\| ([^|]+) \|", table.partition("\n")[2])


def test_every_alert_has_its_row() -> None:
    """The rows are in the order of the rules, and there is no other."""
    rules = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"][0]["rules"]

    assert [rule["alert"] for rule in rules] == first_cells("alert")


def test_every_kind_of_source_says_how_its_key_is_rotated() -> None:
    """Each kind has one row, and so has the SDK's own chain."""
    named = [kind for cell in first_cells("source") for kind in re.findall(r"`(\w+)`", cell)]

    assert sorted([*SOURCE_KINDS, "default"]) == sorted(named)


def test_messages_that_the_page_quotes_are_messages_of_the_code() -> None:
    """A search of the page for the text of a message finds it."""
    seen = " ".join(first_cells("what you see"))
    said = {
        "another credfresh keeps this file": AlreadyRunningError("/x", holder="pid=1").message,
        "credential aws, but there is no $CREDENTIALS_DIRECTORY": Lookups(
            cast("Clients", None), Config(), {}
        )
        .of("ci", SystemdCredentialSource("aws", "ci-user"))
        .wanted,
    }

    for quoted, message in said.items():
        assert f"`{quoted}`" in seen
        assert quoted in message


def test_the_worked_example_fits_together() -> None:
    """The credential has the same name in the command, the drop-in and the configuration."""
    [path] = re.findall(r"systemd-creds encrypt --name=aws - (\S+)", PAGE)

    assert f"\nLoadCredentialEncrypted=aws:{path}\n" in DROP_IN.read_text("utf-8")
    assert f"drop-ins/{DROP_IN.name}" in PAGE
    assert "systemd_credential: aws\n    profile: ci-user" in PAGE
    assert "\n[ci-user]\n" in PAGE
