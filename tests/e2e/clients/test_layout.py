"""What real clients make of other layouts of the file, which is why ours looks as it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest

import sdk_clients
from credfresh.cli.clock import clock
from credfresh.simulator import Simulator
from disk import needs_root
from loopback import loopback_only
from s3_front import s3_front
from sdk_matrix import Cell, Matrix

pytestmark = [needs_root, pytest.mark.long, pytest.mark.timeout(300)]

READERS = ("boto3", "cli1", "cli2", "js3", "js2", "cpp", "rust", "crt", "go2", "go1", "ruby")
"""The clients that read the file in AWS_SHARED_CREDENTIALS_FILE."""

OURS = (
    "[{name}]\n# credfresh v=1 instance=x role=x key={id}\naws_access_key_id = {id}\n"
    "aws_secret_access_key = {secret}\naws_session_token = {token}\nregion = us-east-1\n"
    "x_security_token_expires = 2026-11-24T13:00:00Z\n"
)

Change = Callable[[str], str]

OTHERS: Mapping[str, tuple[Change, frozenset[str]]] = {
    "ours": (lambda text: text, frozenset()),
    "no spaces": (lambda text: text.replace(" = ", "="), frozenset()),
    "another order": (
        lambda text: "\n".join([*text.splitlines()[:2], *text.splitlines()[:1:-1], ""]),
        frozenset(),
    ),
    "an indented comment": (lambda text: text.replace("\n# c", "\n  # c"), frozenset({"cpp"})),
    "a comment behind a value": (
        lambda text: text.replace("{id}\naws_s", "{id} # ours\naws_s"),
        frozenset({"boto3", "cli1"}),
    ),
    "upper-case keys": (
        lambda text: text.replace("aws_access_key_id", "AWS_ACCESS_KEY_ID"),
        frozenset({"js3", "cpp"}),
    ),
    "a colon": (lambda text: text.replace(" = ", ": "), frozenset({"js3", "cpp", "ruby"})),
    "quotes": (
        lambda text: text.replace("= {id}", '= "{id}"'),
        frozenset({"boto3", "js3", "cpp"}),
    ),
    "indented keys": (lambda text: text.replace("\naws_", "\n  aws_"), frozenset({"cpp"})),
}
"""Each layout, and some of the clients that cannot read it (there may be more)."""


@pytest.mark.parametrize("layout", OTHERS)
def test_every_client_reads_our_layout_and_some_cannot_read_the_others(
    layout: str, tmp_path: Path
) -> None:
    """All clients read our layout, and each layout that some cannot read is not ours."""
    change, lost = OTHERS[layout]
    clients = [c for c in sdk_clients.ALL if c.name in READERS and c.missing is None]
    expected = lost & {client.name for client in clients}
    if lost and not expected:
        pytest.skip(f"none of the clients that cannot read it is here: {' '.join(sorted(lost))}")
    cells = [Cell(client, "file") for client in clients]
    empty, file = tmp_path / "empty", tmp_path / "credentials"
    empty.touch()
    with loopback_only(), Simulator(clock) as sts, s3_front(sts, clock) as s3:
        file.write_text("".join(change(OURS).format(**keys(sts, cell.name)) for cell in cells))
        matrix = Matrix(cells, sts, s3, tmp_path)
        for cell in cells:
            cell.environment = {
                "AWS_SHARED_CREDENTIALS_FILE": str(file),
                "AWS_CONFIG_FILE": str(empty),
                "AWS_PROFILE": cell.name,
            }
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(matrix.once, cells))

        refusing = {cell.client.name for cell in cells if not served(matrix, cell)}

    assert expected <= refusing if lost else refusing == set(), [c.answers for c in cells]


def served(matrix: Matrix, cell: Cell) -> bool:
    """Say whether the client's call was accepted with its own keys."""
    return cell.answers == ["ok"] and bool(matrix.keys(cell))


def keys(sts: Simulator, name: str) -> dict[str, str]:
    """Return the name and session credentials of a new role."""
    user = sts.add_user(f"arn:aws:iam::111111111111:user/{name}")
    role = sts.add_role(f"arn:aws:iam::111111111111:role/{name}", trusts={user.arn})
    client = boto3.client(
        "sts",
        endpoint_url=sts.url,
        region_name="us-east-1",
        aws_access_key_id=user.access_key_id,
        aws_secret_access_key=user.secret_access_key,
    )
    given = client.assume_role(RoleArn=role.arn, RoleSessionName="layout")["Credentials"]
    return {
        "name": name,
        "id": given["AccessKeyId"],
        "secret": given["SecretAccessKey"],
        "token": given["SessionToken"],
    }
