"""`credfresh renew` and `credfresh withdraw`, which return once it is done on disk."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from host import ENVIRONMENTS, Host, running, wait_until


def test_renew_returns_with_new_credentials_on_disk(host: Host, socket: Path) -> None:
    """`renew` renews one profile or all; repeated too soon, it makes no call, and says so."""
    running(host)
    before = host.sections()
    done = host.command("renew", "production", "--socket", str(socket))
    after = host.sections()
    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("production: renewed, valid until 2")
    assert {"production"} == {n for n in before if before[n] != after[n]}
    calls = host.sts.count("AssumeRole")
    again = host.command("renew", "production", "--socket", str(socket))
    assert 0 == again.returncode
    assert again.stdout == done.stdout.replace("renewed", "renewed moments ago")
    assert "STS was not asked again" in again.stderr
    assert "" == done.stderr
    assert calls == host.sts.count("AssumeRole")

    done = host.command("renew", "--json", "--socket", str(socket))
    outcomes = json.loads(done.stdout)["profiles"]
    assert {n: n == "production" for n in ENVIRONMENTS} == {
        each["profile"]: each["earlier"] for each in outcomes
    }
    assert after["development"] != host.sections()["development"]
    assert calls + 2 == host.sts.count("AssumeRole")


def test_renew_says_what_failed(host: Host, socket: Path) -> None:
    """The exit status is 3, the others are renewed, and the old credentials stay."""
    running(host)
    before = host.sections()["preproduction"]
    host.sts.remove_role("arn:aws:iam::222222222222:role/preproduction")
    done = host.command("renew", "--socket", str(socket))

    assert 3 == done.returncode
    assert "preproduction: not renewed: AccessDenied" in done.stderr
    assert 2 == len(done.stdout.splitlines())
    assert before == host.sections()["preproduction"]


def test_renew_says_once_what_to_do_about_several_profiles(host: Host, socket: Path) -> None:
    """The profiles that failed for the same reason are named in front of the hint."""
    running(host)
    for number, name in enumerate(ENVIRONMENTS, 1):
        host.sts.remove_role(f"arn:aws:iam::{str(number) * 12}:role/{name}")
    done = host.command("renew", "--socket", str(socket))

    assert 3 == done.stderr.count("not renewed: AccessDenied")
    assert 1 == done.stderr.count("hint: ")
    assert "hint: development, preproduction, production: check" in done.stderr


def test_withdraw_leaves_nothing_of_ours_and_all_of_theirs(host: Host, socket: Path) -> None:
    """The file is then as before the daemon, and only `renew` by name brings profiles back."""
    foreign = "# mine\n[mine]\naws_access_key_id = AKIAMINE\n"
    host.credentials.write_text(foreign)
    host.credentials.chmod(0o600)
    daemon = running(host)
    done = host.command("withdraw", "production", "--socket", str(socket))
    assert 0 == done.returncode, done.stderr
    assert {"mine", "development", "preproduction"} == set(host.sections())
    daemon.signal(signal.SIGUSR1)
    daemon.wait_for("credentials_renewed", len(ENVIRONMENTS) + 2)
    assert {"mine", "development", "preproduction"} == set(host.sections())
    assert 0 == host.command("withdraw", "--socket", str(socket)).returncode
    assert foreign == host.credentials.read_text()
    assert [1, 3] == [e["profiles"] for e in daemon.events("profiles_withdrawn")]

    assert 5 == host.command(
        "ensure", "production", "--valid-for", "1m", "--socket", str(socket)
    ).returncode  # fmt: skip
    nothing = host.command("renew", "--socket", str(socket))
    assert (0, True) == (
        nothing.returncode,
        nothing.stdout.startswith("nothing to renew; a profile"),
    )
    assert foreign == host.credentials.read_text()
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert {"mine", "production"} == set(host.sections())


def test_a_withdrawn_profile_comes_back_to_a_section_that_kept_a_setting(
    host: Host, socket: Path
) -> None:
    """A setting of somebody else stays, with the header; it is not in the way of `renew`."""
    running(host)
    last = list(host.sections())[-1]
    with host.credentials.open("a") as file:
        file.write("output = json\n")
    assert 0 == host.command("withdraw", last, "--socket", str(socket)).returncode
    assert host.credentials.read_text().endswith(f"[{last}]\noutput = json\n")

    done = host.command("renew", last, "--socket", str(socket))
    assert 0 == done.returncode, done.stderr
    section = host.sections()[last]
    assert {"aws_session_token", "output"} <= section.keys()


def test_withdraw_takes_the_twins_too(host: Host, socket: Path) -> None:
    """No file holds the credentials any more, and renewing brings section and twin back."""
    directory = host.root / "run" / "process"
    host.configure(extra=f"control:\n  socket: {socket}\nprocess_dir: {directory}\n")
    running(host)
    token = host.sections()["production"]["aws_session_token"]

    def holders() -> list[Path]:
        files = [path for path in host.root.rglob("*") if path.is_file()]
        return [path for path in files if token.encode() in path.read_bytes()]

    assert {"credentials", "production.json"} <= {path.name for path in holders()}
    done = host.command("withdraw", "production", "--socket", str(socket))
    assert 0 == done.returncode, done.stderr
    wait_until(lambda: [] == holders(), "the end of what was replaced")
    assert "production" not in host.sections()
    assert not (directory / "production.json").exists()
    assert (directory / "development.json").exists()
    assert 0 == host.command("renew", "production", "--socket", str(socket)).returncode
    assert (directory / "production.json").exists()
