"""`credfresh ensure`, the command that a job runs first."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asking import connect, received
from credfresh.control import protocol
from credfresh.simulator import faults
from host import COMMAND, Host, life, running, wait_until


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    """Raise the limit of open files for a thousand clients in one process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ensure_returns_at_once_if_credentials_last_long_enough(host: Host, socket: Path) -> None:
    """STS is not called, and the life that is left is printed."""
    running(host)
    calls = host.sts.count("AssumeRole")
    done = host.command("ensure", "production", "--valid-for", "45m", "--socket", str(socket))

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("production: valid for 59m")
    assert calls == host.sts.count("AssumeRole")


def test_ensure_renews_credentials_that_do_not_last_long_enough(host: Host, socket: Path) -> None:
    """`ensure` returns only once the file has the new credentials."""
    host.sts.grant_seconds = 120
    running(host)
    before = host.sections()["production"]["aws_access_key_id"]
    wait_until(lambda: life(host, "production") < 113, "a few seconds")
    done = host.command(
        "ensure", "production", "--valid-for", "114s", "--json", "--socket", str(socket)
    )
    answer = json.loads(done.stdout)

    assert 0 == done.returncode, done.stderr
    assert answer["reached"]
    assert before != answer["access_key_id"]
    assert host.sections()["production"]["aws_access_key_id"] == answer["access_key_id"]
    assert 4 == host.sts.count("AssumeRole")


@pytest.mark.usefixtures("_many_descriptors")
def test_a_thousand_jobs_at_once_cost_one_call(host: Host, socket: Path) -> None:
    """Each of a thousand connections gets its answer from the same renewal."""
    host.sts.grant_seconds = 120
    running(host)
    wait_until(lambda: life(host, "production") < 113, "a few seconds")
    calls = host.sts.count("AssumeRole")
    request = protocol.encode_request(protocol.Ensure("production", 114, 60))
    jobs = [connect(socket) for _ in range(1000)]
    for job in jobs:
        job.sendall(request)
    answers = [json.loads(received(job)) for job in jobs]
    for job in jobs:
        job.close()

    assert [True] * 1000 == [answer["answer"]["reached"] for answer in answers]
    assert 1 == len({answer["answer"]["access_key_id"] for answer in answers})
    assert calls + 1 == host.sts.count("AssumeRole")


def test_ensure_fails_at_once_beyond_what_a_renewal_brings(host: Host, socket: Path) -> None:
    """The exit status is 5, and the error says how much is possible."""
    running(host)
    done = host.command("ensure", "production", "--valid-for", "2h", "--socket", str(socket))

    assert 5 == done.returncode
    assert "at most 59m5" in done.stderr
    assert "hint: " in done.stderr


def test_ensure_tells_the_last_error(host: Host, socket: Path) -> None:
    """A refusal by AWS is reported after one attempt instead of at the timeout."""
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    running(host)
    done = host.command("ensure", "preproduction", "--valid-for", "45m", "--socket", str(socket))

    assert 5 == done.returncode
    assert 1 == done.stderr.count("AccessDenied")


def test_ensure_waits_out_an_outage_until_its_timeout(host: Host, socket: Path) -> None:
    """`ensure` fails at its timeout, or succeeds if STS works again before."""
    injection = host.sts.inject(faults.internal_error(), times=1000)
    host.start("run").wait_for("control_opened")
    short = host.command(
        "ensure", "production", "--valid-for", "45m", "--timeout", "2s", "--socket", str(socket)
    )
    assert 5 == short.returncode
    assert "not in time" in short.stderr
    waiting = subprocess.Popen(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--socket", str(socket)],
        env=host.environment,
        stdout=subprocess.DEVNULL,
    )
    injection.withdraw()
    assert 0 == waiting.wait(60)


def test_ensure_judges_by_the_file_when_the_daemon_ends(host: Host, socket: Path) -> None:
    """When the daemon ends, a waiting job judges by the file: 69 without credentials in it."""
    host.sts.inject(faults.internal_error(), times=1000)
    daemon = host.start("run")
    daemon.wait_for("control_opened")
    waiting = subprocess.Popen(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--socket", str(socket)],
        env=host.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: host.sts.count("AssumeRole") > 6 or waiting.poll() is not None, "retries")
    assert 0 == daemon.stop()
    _, said = waiting.communicate(timeout=30)
    assert 69 == waiting.returncode, said


def test_ensure_without_a_daemon_judges_the_file(host: Host) -> None:
    """Without a daemon the exit status is 0 if the file suffices, otherwise 69."""
    assert 0 == host.start("once").wait()
    nobody = str(host.root / "nobody")
    for valid_for, profile, status, said in (
        ("45m", "production", 0, ""),
        ("2h", "production", 69, "production has 59m"),
        ("1s", "staging", 69, "credfresh has written no section [staging] there\n"),
    ):
        done = host.command(
            "ensure", profile, "--valid-for", valid_for,
            "--socket", nobody, "--config", str(host.config),
        )  # fmt: skip
        assert status == done.returncode, done.stderr
        assert said in done.stderr


def test_expired_credentials_fail_every_ensure(host: Host) -> None:
    """Expired credentials fail even a job that asks for 0 s."""
    host.sts.grant_seconds = 2
    host.start("once").wait()
    wait_until(lambda: life(host, "production") <= 0, "the expiration")

    done = host.command(
        "ensure", "production", "--valid-for", "0s",
        "--socket", str(host.root / "nobody"), "--config", str(host.config),
    )  # fmt: skip

    assert 69 == done.returncode
    assert "has 0s left" in done.stderr


def test_ensure_without_daemon_and_configuration_judges_the_file_of_the_sdks(host: Host) -> None:
    """Without daemon and configuration, the file in AWS_SHARED_CREDENTIALS_FILE is judged."""
    assert 0 == host.start("once").wait()
    done = subprocess.run(
        [COMMAND, "ensure", "production", "--valid-for", "45m", "--json"],
        env=host.environment
        | {
            "AWS_SHARED_CREDENTIALS_FILE": str(host.credentials),
            "CREDFRESH_SOCKET": str(host.root / "nobody"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    assert {"from": "file", "reached": True}.items() <= json.loads(done.stdout).items()


def test_the_hint_to_a_job_that_cannot_read_the_configuration_names_what_suffices(
    host: Host,
) -> None:
    """Where no daemon answers the socket alone does not: it takes the file, too."""
    done = host.command(
        "ensure", "production", "--valid-for", "45m",
        "--socket", str(host.root / "nobody"), "--config", str(host.root / "none.yaml"),
    )  # fmt: skip

    assert 78 == done.returncode
    assert "--socket and AWS_SHARED_CREDENTIALS_FILE" in done.stderr
