"""`credfresh init` as installed: from a user's own AWS files to published credentials."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from host import COMMAND, Host


@pytest.fixture(name="aws")
def _aws(host: Host) -> Path:
    """Return the AWS files of a user with keys, two roles and one that needs MFA."""
    aws = host.root / ".aws"
    aws.mkdir(mode=0o700)
    (aws / "credentials").write_text(host.source.read_text().replace("[ci]", "[default]"))
    roles = "".join(
        f"[profile {name}]\nrole_arn = arn:aws:iam::{str(n) * 12}:role/{name}\n"
        "source_profile = default\n"
        for n, name in ((1, "development"), (3, "production"))
    )
    (aws / "config").write_text(
        f"[default]\nregion = eu-west-1\n{roles}"
        "[profile admin]\nrole_arn = arn:aws:iam::333333333333:role/admin\n"
        "source_profile = default\nmfa_serial = arn:aws:iam::111111111111:mfa/me\n"
    )
    return aws


def init(host: Host, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `credfresh init` as the host's user."""
    return subprocess.run(
        [COMMAND, "init", *arguments],
        env=host.environment | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.usefixtures("aws")
def test_from_aws_files_to_published_credentials(host: Host) -> None:
    """The starter is valid, and publishes as it is with another path of the file."""
    done = init(host, "--output", str(host.config) + ".new")
    assert 0 == done.returncode, done.stderr
    assert "" == done.stdout
    assert "left out: admin: mfa_serial" in done.stderr
    made = Path(f"{host.config}.new")
    assert 0 == host.command("check", "--config", str(made)).returncode
    host.config.write_text(
        made.read_text().replace("/run/credfresh/credentials", str(host.credentials))
    )
    assert 0 == host.start("once").wait()
    assert {"development", "production"} == set(host.sections())
    assert ":assumed-role/production/" in host.identity("production").stdout


@pytest.mark.usefixtures("aws")
def test_init_writes_to_stdout_and_copies_no_secret(host: Host) -> None:
    """Messages go to stderr, so that stdout can be piped."""
    done = init(host)
    assert 0 == done.returncode
    assert done.stdout.startswith("# A starter configuration")
    assert host.user.secret_access_key not in done.stdout + done.stderr
    assert host.user.access_key_id not in done.stdout + done.stderr


@pytest.mark.usefixtures("aws")
def test_init_overwrites_nothing(host: Host) -> None:
    """An existing file stays as it is."""
    before = host.config.read_bytes()
    done = init(host, "--output", str(host.config))
    assert 1 == done.returncode
    assert "is there already" in done.stderr
    assert before == host.config.read_bytes()


@pytest.mark.usefixtures("aws")
def test_init_leaves_no_file_that_is_not_whole(host: Host) -> None:
    """A full disk, or a limit: the next try finds nothing in its way."""
    output = host.root / "starter.yaml"
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", COMMAND, "init", "--output", str(output)],
        env=host.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert f"credfresh: {output}: cannot be written: file too large\n" == done.stderr
    assert not output.exists()


def test_init_reads_the_files_that_the_sdks_variables_name(host: Host, aws: Path) -> None:
    """AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE are used, as by an SDK."""
    moved = host.root / "moved"
    aws.rename(moved)
    nothing = init(host)
    assert 0 == nothing.returncode
    assert "no role found" in nothing.stderr
    found = init(
        host,
        AWS_CONFIG_FILE=str(moved / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(moved / "credentials"),
    )
    assert f"credentials_file: {moved}/credentials" in found.stdout


def test_init_names_a_file_that_cannot_be_read(host: Host, aws: Path) -> None:
    """The error has the file, and the line if there is one."""
    (aws / "config").write_text("role_arn = x\n")
    done = init(host)
    assert 1 == done.returncode
    assert f"{aws}/config:1: " in done.stderr
    (aws / "config").unlink()
    (aws / "config").mkdir()
    done = init(host)
    assert 1 == done.returncode
    assert "is a directory" in done.stderr


def test_init_sends_no_control_characters_of_an_aws_file_to_the_terminal(
    host: Host, aws: Path
) -> None:
    """Names and values there may hold anything; a terminal would obey it."""
    role = "role_arn = arn:aws:iam::111111111111:role/x\nsource_profile = k\x1b]0;title\x07\n"
    (aws / "config").write_text(f"[profile a\x7fb]\n{role}[profile a\x7fb]\n")
    done = init(host)

    assert 0 == done.returncode
    assert {"note: ", "left out: "} <= set(re.findall(r"^[a-z ]+: ", done.stderr, re.MULTILINE))
    assert done.stderr.replace("\n", "").isprintable()


def test_init_says_that_the_working_directory_is_gone(host: Host) -> None:
    """A shell may stand in a directory that was removed."""
    gone = host.root / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", COMMAND, "init"],
        cwd=gone,
        env=host.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 1 == done.returncode
    assert done.stderr.startswith("credfresh: the working directory is gone\nhint: ")
