"""Each kind of source, resolved for real: files, processes, metadata services, tokens."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import sys
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import fakes
from aws_servers import (
    Answer,
    AwsServer,
    Request,
    ScriptedServer,
    error_xml,
    grant_xml,
    scripted,
)
from credfresh.answers import MOST_ANSWER
from credfresh.cli.clock import clock
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.model import Grant
from credfresh.principals import (
    DefaultChain,
    Ec2Source,
    EcsSource,
    EnvironmentSource,
    FileSource,
    Principal,
    ProcessSource,
    ProfileSource,
    SystemdCredentialSource,
    WebIdentitySource,
)
from credfresh.settings import StsLimits
from credfresh.sts import StsProvider
from credfresh.sts.processes import MOST_OUTPUT, BoundedProcess
from programs import free_port

Provide = Callable[..., StsProvider]


@pytest.fixture
def sts() -> Iterator[ScriptedServer]:
    """An STS that grants whatever it is asked and remembers who signed."""
    with scripted(lambda _: Answer(body=grant_xml())) as server:
        yield server


@pytest.fixture
def provide(sts: ScriptedServer) -> Provide:
    """Make a provider with one source called `ci`."""

    def make(
        source: Principal,
        environ: Mapping[str, str] | None = None,
        issued: Callable[[str], bool] = lambda _: False,
    ) -> StsProvider:
        return StsProvider(
            {"ci": source},
            StsLimits(endpoint_url=sts.url, connect_timeout=2.0, read_timeout=2.0),
            clock=clock,
            issued=issued,
            environ=environ or {},
        )

    return make


def obtain(provider: StsProvider) -> Grant:
    """Renew one profile of the source."""
    return provider.obtain(fakes.profile(source="ci"), None)


def refused(provider: StsProvider, scope: Scope = Scope.SOURCE) -> RenewalError:
    """Return how the source fails; it is to blame, unless it is the endpoint that it asks."""
    with pytest.raises(RenewalError) as failed:
        obtain(provider)
    error = failed.value
    assert scope == error.scope
    assert error.code.startswith("source_")
    assert error.message.startswith("source ci: ")
    assert error.hint
    return error


def signers(sts: ScriptedServer) -> list[str]:
    """Return the key ids that signed, in order."""
    return [request.key_id for request in sts.requests]


def keys(name: str, key_id: str, token: str | None = None) -> str:
    """Return a section with static keys."""
    rest = f"aws_session_token = {token}\n" if token else ""
    return f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = s\n{rest}"


# --- files


@pytest.mark.parametrize("section", ["ci", "profile ci"])
def test_a_named_file_in_either_spelling(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, section: str
) -> None:
    """The file may be written as a credentials file or as a config file."""
    path = tmp_path / "source"
    path.write_text(keys(section, "AKIAFILE"))
    obtain(provide(FileSource(str(path), "ci")))
    assert ["AKIAFILE"] == signers(sts)


def test_a_rotated_file_is_read_again(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """New long-term keys in the file sign the next request, without a restart."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "AKIAOLD"))
    provider = provide(FileSource(str(path), "ci"))
    obtain(provider)
    other = tmp_path / "new"
    other.write_text(keys("ci", "AKIANEW"))
    other.rename(path)
    obtain(provider)
    path.unlink()
    gone = refused(provider)
    assert ("source_missing", True) == (gone.code, "no such file" in gone.message)
    path.write_text(keys("ci", "AKIABACK"))
    obtain(provider)
    assert ["AKIAOLD", "AKIANEW", "AKIABACK"] == signers(sts)


def test_a_named_file_never_falls_back(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile without keys fails, though the environment and a container would have some."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
    path = tmp_path / "source"
    path.write_text("[ci]\nregion = eu-west-1\n")
    error = refused(provide(FileSource(str(path), "ci")))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert str(path) in error.message
    assert "profile ci" in error.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[other]\n", "source_missing"),
        ("[ci]\naws_access_key_id = AKIAHALF\n", "source_incomplete"),
        ("[ci\n", "source_incomplete"),
        ("[ci]\naws_access_key_id =\naws_secret_access_key =\n", "source_missing"),
        ("[ci]\nrole_arn = arn:aws:iam::1:role/r\nmfa_serial = m\nsource_profile = ci\n",
         "source_needs_mfa"),
        ("[ci]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=up\n[up]\nrole_arn=x\nmfa_serial=m\n",
         "source_needs_mfa"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_use(provide: Provide, tmp_path: Path, text: str, code: str) -> None:
    """No such profile, half a key, no INI, empty keys, a code to be typed: said, for a human."""
    path = tmp_path / "source"
    path.write_text(text)
    error = refused(provide(FileSource(str(path), "ci")))
    assert (code, Mend.HUMAN) == (error.code, error.mend)


@pytest.mark.parametrize("secret", ["one\n two", "one two", "\u00e9"])
def test_keys_that_cannot_be_sent_are_the_sources_fault(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, secret: str
) -> None:
    """A token that was pasted with its line ends: nothing is sent, no endpoint is to blame."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "AKIAFILE", token=secret))
    error = refused(provide(FileSource(str(path), "ci")))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert "one two" not in f"{error.message} {error.hint}"
    assert [] == sts.requests


def test_a_profile_of_the_sdks_own_files(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The files are those that the SDK's variables name; AWS_PROFILE has no say."""
    (tmp_path / "config").write_text("[profile build]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text(keys("build", "AKIAPROFILE", "tok"))
    environ = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PROFILE": "something-else",
    }
    obtain(provide(ProfileSource("build"), environ))
    assert ["AKIAPROFILE"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


def test_a_profile_that_assumes_a_role(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an SDK's profile can say works: here a role of its own, in one attempt."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
    path = tmp_path / "source"
    path.write_text(
        "[profile ci]\nrole_arn = arn:aws:iam::111111111111:role/hop\nsource_profile = base\n"
        + keys("profile base", "AKIABASE")
    )
    sts.script = lambda r: Answer(body=grant_xml(key_id=f"ASIAFROM{r.key_id}"))
    provider = provide(FileSource(str(path), "ci"))
    obtain(provider)
    obtain(provider)
    assert ["AKIABASE", "ASIAFROMAKIABASE", "ASIAFROMAKIABASE"] == signers(sts)


# --- systemd, environment, default chain


def test_a_systemd_credential(provide: Provide, sts: ScriptedServer, tmp_path: Path) -> None:
    """The credential is a shared credentials file in $CREDENTIALS_DIRECTORY."""
    (tmp_path / "aws").write_text(keys("ci", "AKIASYSTEMD"))
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    obtain(provide(SystemdCredentialSource("aws", "ci"), environ))
    assert ["AKIASYSTEMD"] == signers(sts)


def test_no_credentials_directory(provide: Provide) -> None:
    """Without the directory the hint names the unit's directive."""
    error = refused(provide(SystemdCredentialSource("aws", "ci")))
    assert "source_missing" == error.code
    assert "LoadCredential=aws:" in str(error.hint)


def test_the_environment(provide: Provide, sts: ScriptedServer) -> None:
    """The daemon's own variables, token included."""
    environ = {
        "AWS_ACCESS_KEY_ID": "AKIAENV",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "tok",
    }
    obtain(provide(EnvironmentSource(), environ))
    assert ["AKIAENV"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


def test_an_empty_and_a_half_environment(provide: Provide) -> None:
    """Nothing is missing, half of it is incomplete."""
    assert "source_missing" == refused(provide(EnvironmentSource())).code
    half = provide(EnvironmentSource(), {"AWS_ACCESS_KEY_ID": "AKIAENV"})
    assert "source_incomplete" == refused(half).code


def test_the_default_chain(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own chain, AWS_PROFILE included; a change of its files is noticed."""
    shared = tmp_path / "credentials"
    shared.write_text(keys("build", "AKIACHAIN"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    monkeypatch.setenv("AWS_PROFILE", "build")
    provider = provide(DefaultChain(), {"AWS_SHARED_CREDENTIALS_FILE": str(shared)})
    obtain(provider)
    shared.write_text(keys("build", "AKIACHAIN-NEXT"))
    obtain(provider)
    assert ["AKIACHAIN", "AKIACHAIN-NEXT"] == signers(sts)


def test_the_default_chain_finds_nothing(provide: Provide) -> None:
    """No credentials anywhere: said, with the advice to name a source."""
    error = refused(provide(DefaultChain()))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith("default chain: not found"), "no file was named to be missed"
    assert str(error.hint).startswith("name a source:")


def test_the_default_chain_is_led_astray(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables that say where the SDK looks are named with what they say, the others not."""
    shared = tmp_path / "credentials"
    shared.write_text(keys("build", "AKIACHAIN"))
    led = {"AWS_PROFILE": "biuld", "AWS_SHARED_CREDENTIALS_FILE": str(shared)}
    for name, value in led.items():
        monkeypatch.setenv(name, value)
    error = refused(provide(DefaultChain(), led))
    assert ("source_missing", Mend.HUMAN) == (error.code, error.mend)
    assert f"AWS_PROFILE=biuld, AWS_SHARED_CREDENTIALS_FILE={shared}" in str(error.hint)
    assert "AWS_CONFIG_FILE" not in str(error.hint)


def test_our_own_output_is_no_source(provide: Provide, tmp_path: Path, sts: ScriptedServer) -> None:
    """A key id that we issued means that the source reads what we write."""
    path = tmp_path / "source"
    path.write_text(keys("ci", "ASIAOURS", "tok"))
    error = refused(provide(FileSource(str(path), "ci"), issued={"ASIAOURS"}.__contains__))
    assert ("source_own_output", Mend.HUMAN) == (error.code, error.mend)
    assert "ASIAOURS" in error.message
    assert [] == sts.requests


# --- processes


def script(tmp_path: Path, text: str) -> tuple[str, ...]:
    """Return the argv of a Python script with a space in its path."""
    path = tmp_path / "a process.py"
    path.write_text(text)
    return (sys.executable, str(path), "it's $HOME; `x`")


PRINT = """
import json, os, sys
assert sys.argv[1] == "it's $HOME; `x`", "no shell has touched it"
assert "NOTIFY_SOCKET" not in os.environ
runs = open(__file__ + ".runs", "a"); runs.write("x"); runs.close()
print(json.dumps({"Version": 1, "AccessKeyId": "AKIAPROC", "SecretAccessKey": "s",
                  "Expiration": EXPIRATION}))
"""


def test_a_process_is_run_once_until_its_keys_expire(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """Argv reaches it untouched; static keys are kept; keys near expiry are asked for again."""
    environ = {"NOTIFY_SOCKET": "/run/x"}
    argv = script(tmp_path, PRINT.replace("EXPIRATION", "None"))
    provider = provide(ProcessSource(argv), environ)
    obtain(provider)
    obtain(provider)
    runs = Path(f"{argv[1]}.runs")
    assert "x" == runs.read_text()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))  # noqa: TID251 - the process's clock
    provider = provide(
        ProcessSource(script(tmp_path, PRINT.replace("EXPIRATION", repr(soon)))), environ
    )
    runs.unlink()
    obtain(provider)
    obtain(provider)
    assert 2 <= len(runs.read_text())
    assert {"AKIAPROC"} == set(signers(sts))


def test_expired_keys_of_a_process_are_called_expired(provide: Provide, tmp_path: Path) -> None:
    """Most likely out of a cache of the command's own: where to look is said."""
    argv = script(tmp_path, PRINT.replace("EXPIRATION", repr("2026-01-01T00:00:00Z")))
    error = refused(provide(ProcessSource(argv)))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert error.message.endswith("the keys that it gave have expired already")
    assert "cache" in str(error.hint)


def test_a_process_that_fails_is_not_quoted(provide: Provide, tmp_path: Path) -> None:
    """The exit status is told; what it printed may hold a secret and is not."""
    argv = script(tmp_path, "import sys; print('SECRET1'); sys.exit('SECRET2')")
    error = refused(provide(ProcessSource(argv)))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "exit status 1" in error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize("printed", ["", "SECRET not json", '{"Version": 2}', '{"Version": 1}'])
def test_a_process_that_prints_nonsense(provide: Provide, tmp_path: Path, printed: str) -> None:
    """What it printed is not repeated, whatever it was."""
    error = refused(provide(ProcessSource(script(tmp_path, f"print({printed!r})"))))
    assert "source_failed" == error.code
    assert "SECRET" not in error.message


def test_an_account_id_that_is_a_number_hinders_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """It signs nothing, and some write it so."""
    printed = (
        '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "AccountId": 111111111111}'
    )
    (tmp_path / "printed").write_text(printed)
    obtain(provide(ProcessSource(("/bin/cat", str(tmp_path / "printed")))))
    assert ["A"] == signers(sts)


def test_a_program_that_is_not_there(provide: Provide) -> None:
    """The missing program is named."""
    error = refused(provide(ProcessSource(("/no/such/program",))))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert "/no/such/program" in error.message


def ends(pid: Path) -> None:
    """See that the process whose id is in a file has ended; a zombie has."""
    began = time.monotonic()
    child = Path(f"/proc/{pid.read_text().strip()}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone: what is wanted
        while child.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() - began < 10.0, "it lives on"
            threading.Event().wait(0.01)


def test_the_process_of_a_profile_is_bounded_as_well(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """A profile of a file may name a command: started like any other, and held to the same."""
    path, argv = tmp_path / "source", script(tmp_path, PRINT.replace("EXPIRATION", "None"))
    path.write_text(f"[ci]\ncredential_process = {shlex.join(argv)}\n")
    obtain(provide(FileSource(str(path), "ci"), {"NOTIFY_SOCKET": "/run/x"}))
    assert ["AKIAPROC"] == signers(sts)

    path.write_text("[ci]\ncredential_process = /usr/bin/yes\n")
    error = refused(provide(FileSource(str(path), "ci")))
    assert f"printed more than {MOST_OUTPUT} bytes" in error.message


def test_the_process_of_a_source_profile_is_bounded_as_well(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The role of a profile may be assumed with what another profile's command prints."""
    path, argv = tmp_path / "source", script(tmp_path, PRINT.replace("EXPIRATION", "None"))
    role = "[profile ci]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = up\n[profile up]\n"
    path.write_text(f"{role}credential_process = {shlex.join(argv)}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        obtain(provide(FileSource(str(path), "ci"), {"NOTIFY_SOCKET": "/run/x"}))
    assert ["AKIAPROC", "ASIASTUB000000000001"] == signers(sts)

    path.write_text(f"{role}credential_process = /usr/bin/yes\n")
    error = refused(provide(FileSource(str(path), "ci")))
    assert f"printed more than {MOST_OUTPUT} bytes" in error.message


def test_a_process_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """The time limit holds for the whole group, though a child keeps the pipe open."""
    pid = tmp_path / "pid"
    argv = ("/bin/sh", "-c", f"sleep 60 & echo $! >{pid}; sleep 60")
    began = time.monotonic()
    with pytest.raises(RenewalError) as failed:
        BoundedProcess(argv, name="ci", environ={}, limit=1.0).communicate()
    assert ("source_timeout", Scope.SOURCE) == (failed.value.code, failed.value.scope)
    assert time.monotonic() - began < 10.0
    ends(pid)


def sh(text: str, limit: float = 30.0) -> BoundedProcess:
    """Start a shell script as a source's process."""
    return BoundedProcess(("/bin/sh", "-c", text), name="ci", environ=os.environ, limit=limit)


def test_output_without_end_is_bounded_in_time_and_in_memory(tmp_path: Path) -> None:
    """A little more than the limit is read; then its whole group is killed, and it is reaped."""
    process = sh(f"echo $$ >{tmp_path}/pid; sleep 60 & echo $! >{tmp_path}/child; yes", 20.0)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(RenewalError, match=f"printed more than {MOST_OUTPUT} bytes") as failed:
            process.communicate()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 10.0
    assert most < 8 * MOST_OUTPUT
    error = failed.value
    assert ("source_failed", Mend.HUMAN, Scope.SOURCE) == (error.code, error.mend, error.scope)
    assert "Version 1 JSON" in str(error.hint)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    ends(tmp_path / "child")


def test_too_much_output_is_a_failure_though_the_process_has_ended(tmp_path: Path) -> None:
    """The beginning of it alone is never taken for what it printed."""
    path = tmp_path / "long"
    path.write_bytes(b" " * (MOST_OUTPUT + 1))
    with pytest.raises(RenewalError, match="printed more than"):
        sh(f"cat {path}").communicate()


def test_exactly_the_limit_may_be_printed(tmp_path: Path) -> None:
    """All of it arrives."""
    path = tmp_path / "long"
    path.write_bytes(b"x" * (MOST_OUTPUT - 1) + b"y")
    assert (path.read_bytes(), b"") == sh(f"cat {path}").communicate()


def test_output_in_pieces_is_put_together() -> None:
    """As it comes, to the last piece."""
    pieces = sh("for i in 1 2 3; do printf $i; sleep 0.05; done; printf 4")
    assert b"1234" == pieces.communicate()[0]


def test_a_child_that_holds_the_output_open_delays_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The process has printed its keys and ended: they sign at once."""
    keys_of = '{"Version":1,"AccessKeyId":"AKIAFORK","SecretAccessKey":"s"}'
    argv = ("/bin/sh", "-c", f"sleep 60 & echo $! >{tmp_path}/child; echo '{keys_of}'")
    began = time.monotonic()
    try:
        obtain(provide(ProcessSource(argv), os.environ))
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)
    assert time.monotonic() - began < 10.0
    assert ["AKIAFORK"] == signers(sts)


def test_a_process_that_closes_its_output_is_killed_at_the_limit(tmp_path: Path) -> None:
    """What it printed does not count before it has ended."""
    process = sh(f"echo $$ >{tmp_path}/pid; echo done; exec >&- sleep 60", 0.5)
    began = time.monotonic()
    with pytest.raises(RenewalError, match=r"killed after 0\.5 s") as failed:
        process.communicate()
    assert "source_timeout" == failed.value.code
    assert 0.4 < time.monotonic() - began < 10.0
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_where_the_kernel_gives_no_descriptor_of_a_process_it_is_bounded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An old kernel, a filter of system calls, too many open files."""

    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "none")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert b"1" == sh("printf 1").communicate()[0]
    with pytest.raises(RenewalError, match=r"killed after 0\.2 s"):
        sh("sleep 60", 0.2).communicate()


# --- metadata services


def imds(request: Request) -> Answer:
    """Answer as IMDSv2 does: no credentials without a session token."""
    role_path = "/latest/meta-data/iam/security-credentials/"
    if request.method == "PUT" and request.path == "/latest/api/token":
        assert "x-aws-ec2-metadata-token-ttl-seconds" in request.headers
        return Answer(body="imds-token")
    if request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
        return Answer(401)
    if request.path == role_path:
        return Answer(body="build-host")
    return (
        Answer(body=container_json("ASIAIMDS"))
        if request.path.startswith(role_path)
        else Answer(404)
    )


def container_json(key_id: str, lifetime: float = 6 * 3600) -> str:
    """Return the JSON that both metadata services answer."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lifetime))  # noqa: TID251 - the server's clock
    return json.dumps(
        {"Code": "Success", "AccessKeyId": key_id, "SecretAccessKey": "s", "Token": "tok",
         "Expiration": at}
    )  # fmt: skip


def test_the_instance_profile_through_imdsv2(provide: Provide, sts: ScriptedServer) -> None:
    """A session token first, then the role, then its keys; asked once for two renewals."""
    with scripted(imds) as metadata:
        provider = provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url})
        obtain(provider)
        obtain(provider)
        assert ["PUT", "GET", "GET"] == [r.method for r in metadata.requests]
    assert ["ASIAIMDS", "ASIAIMDS"] == signers(sts)
    assert "tok" == sts.requests[0].headers["x-amz-security-token"]


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_instance_that_gives_no_token_is_not_asked_the_old_way(
    provide: Provide, status: int
) -> None:
    """IMDSv1 is never used: without a session token the source fails."""
    with scripted(lambda _: Answer(status)) as metadata:
        error = refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}))
        assert {"PUT"} == {r.method for r in metadata.requests}
    assert error.code in {"source_failed", "source_missing"}
    assert "hop limit" in str(error.hint)


def test_an_instance_without_a_profile(provide: Provide) -> None:
    """IMDS answers, but no role is attached."""

    def bare(request: Request) -> Answer:
        return Answer(body="t") if request.method == "PUT" else Answer(404)

    with scripted(bare) as metadata:
        error = refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url}))
    assert "source_missing" == error.code


def test_no_instance_metadata_at_all(provide: Provide) -> None:
    """Nobody listens there: bounded, and the source's fault."""
    url = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    refused(provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}))
    assert time.monotonic() - began < 5.0


def test_the_container_endpoint_with_its_token_file(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The authorization token is read from its file; keys are kept until near expiry."""
    (tmp_path / "token").write_text("Bearer pod")
    with scripted(lambda _: Answer(body=container_json("ASIAECS"))) as container:
        provider = provide(
            EcsSource(),
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{container.url}/creds",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            },
        )
        obtain(provider)
        obtain(provider)
        assert ["Bearer pod"] == [r.headers["authorization"] for r in container.requests]
    assert ["ASIAECS", "ASIAECS"] == signers(sts)


def test_keys_near_expiry_are_asked_for_again(provide: Provide, sts: ScriptedServer) -> None:
    """Container keys with a minute left are renewed before they sign again."""
    served = iter(["ASIAFIRST", "ASIASECOND", "ASIATHIRD"])
    lifetimes = iter([60.0, 6 * 3600.0])
    answers = (container_json(key, life) for key, life in zip(served, lifetimes, strict=False))
    with scripted(lambda _: Answer(body=next(answers))) as container:
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        obtain(provider)
        obtain(provider)
    assert "ASIASECOND" == signers(sts)[-1]


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({}, "source_missing"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/"}, "source_failed"),
    ],
)
def test_no_container_endpoint(provide: Provide, environ: dict[str, str], code: str) -> None:
    """No variable, or one that points off the host in the clear."""
    assert code == refused(provide(EcsSource(), environ)).code


@pytest.mark.parametrize(
    "body",
    ["null", "[]", '{"AccessKeyId": "ASIA"}', container_json("ASIA").replace("Z", "")],
    ids=["null", "list", "half", "no zone"],
)
def test_an_answer_of_the_container_endpoint_that_is_none(provide: Provide, body: str) -> None:
    """It is what was answered that is wrong, and not where it was asked."""
    with scripted(lambda _: Answer(body=body)) as container:
        error = refused(provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url}))
    assert "source_failed" == error.code
    assert "what it gave cannot be understood" in error.message


@pytest.mark.parametrize("place", ["container", "instance"])
def test_an_answer_of_the_surroundings_that_does_not_end_is_not_read(
    provide: Provide, place: str
) -> None:
    """Whatever listens at those addresses: it is the source that fails."""
    with scripted(lambda _: Answer(body="x" * (MOST_ANSWER + 1))) as server:
        error = refused(
            provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": server.url})
            if place == "container"
            else provide(Ec2Source(), {"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url})
        )
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "cannot be understood: it is longer than 1 MiB" in error.message


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", [EcsSource(), DefaultChain()], ids=["named", "default"])
def test_a_fifo_in_the_place_of_the_containers_token_holds_up_nothing(
    provide: Provide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Principal
) -> None:
    """To open it would wait for who writes, and cost a worker at each attempt."""
    monkeypatch.chdir(tmp_path)  # of long paths not all is told
    os.mkfifo("token")
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{free_port()}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "token",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    error = refused(provide(source, environ))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(": token: Not a regular file")


# --- web identity


def test_web_identity_rereads_its_token(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """The token goes unsigned to AssumeRoleWithWebIdentity; a new one is used at the next look."""
    token = tmp_path / "token"
    token.write_text("first")

    def answer(request: Request) -> Answer:
        if request.form["Action"] != "AssumeRoleWithWebIdentity":
            return Answer(body=grant_xml())
        assert not request.key_id, "nothing signs it"
        operation = "AssumeRoleWithWebIdentity"
        body = grant_xml(key_id=f"ASIA{request.form['WebIdentityToken']}", lifetime=60,
                         operation=operation)  # fmt: skip
        return Answer(body=body)

    sts.script = answer
    source = WebIdentitySource(str(token), "arn:aws:iam::111111111111:role/oidc", "runner")
    provider = provide(source)
    obtain(provider)
    token.write_text("second")
    obtain(provider)
    assert ["", "ASIAfirst"] == signers(sts)[:2]
    assert "ASIAsecond" == signers(sts)[-1]
    assert "runner" == sts.requests[0].form["RoleSessionName"]


def test_web_identity_refused(provide: Provide, sts: ScriptedServer, tmp_path: Path) -> None:
    """What STS says of the token is told, as the source's failure."""
    (tmp_path / "token").write_text("a.b.c")
    sts.script = lambda _: Answer(400, error_xml("InvalidIdentityToken", "Token audience is wrong"))
    error = refused(provide(WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")))
    assert ("source_refused", Mend.HUMAN) == (error.code, error.mend)
    assert "InvalidIdentityToken: Token audience is wrong" in error.message


def test_web_identity_fails_only_where_its_endpoint_does(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """Profiles of two endpoints share the source; each asks its own, before and after it is well.

    What is wrong with an endpoint is no fault of the source.
    """
    (tmp_path / "token").write_text("a.b.c")

    def answer(request: Request) -> Answer:
        return Answer(body=grant_xml(operation=request.form["Action"]))

    sts.script = answer
    other = f"http://127.0.0.1:{free_port()}"
    provider = provide(WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o"))
    elsewhere = replace(fakes.profile(source="ci"), endpoint_url=other)

    with pytest.raises(RenewalError) as failed:
        provider.obtain(elsewhere, None)
    assert ("source_unreachable", Scope.ENDPOINT) == (failed.value.code, failed.value.scope)
    assert "endpoint_url" in str(failed.value.hint)
    obtain(provider)
    with pytest.raises(RenewalError) as failed_again:
        provider.obtain(elsewhere, None)
    # The keys of the one are not the other's.
    assert "source_unreachable" == failed_again.value.code
    obtain(provider)

    asked = [request.form["Action"] for request in sts.requests]
    assert ["AssumeRoleWithWebIdentity", "AssumeRole", "AssumeRole"] == asked


@pytest.mark.parametrize("body", [
    "<html>",
    grant_xml(operation="AssumeRoleWithWebIdentity") + " " * MOST_ANSWER,
    grant_xml(expiration="1800000000000", operation="AssumeRoleWithWebIdentity"),
], ids=["no XML", "no end", "milliseconds"])  # fmt: skip
def test_an_answer_that_is_not_understood_is_not_held_against_the_token_file(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, body: str
) -> None:
    """Something other than STS may have answered: the file was read, and sent."""
    (tmp_path / "token").write_text("a.b.c")
    sts.script = lambda _: Answer(body=body)
    source = WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")
    error = refused(provide(source), Scope.ENDPOINT)
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "cannot be understood" in error.message
    assert "something other than STS" in str(error.hint)


def test_a_failed_lookup_logs_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Botocore would log the traceback, half an answer with its secret included."""
    (tmp_path / "token").write_text("a.b.c")
    half = grant_xml(secret="CANARY", operation="AssumeRoleWithWebIdentity")[:-40]
    sts.script = lambda _: Answer(body=half)
    source = WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::1:role/o")
    error = refused(provide(source), Scope.ENDPOINT)
    assert "CANARY" not in "".join(traceback.format_exception(error))
    assert [] == [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}]


def test_web_identity_without_its_token_file(provide: Provide, tmp_path: Path) -> None:
    """The missing file is named."""
    missing = str(tmp_path / "gone")
    error = refused(provide(WebIdentitySource(missing, "arn:aws:iam::111111111111:role/o")))
    assert ("source_unreadable", missing in error.message) == (error.code, True)


@pytest.mark.parametrize(
    ("content", "says", "mend"),
    [
        (b"", "is empty", Mend.TIME),
        (b" \n", "is empty", Mend.TIME),
        (b"abc", "fewer than 4 characters", Mend.TIME),
        (b"SECRET\xff\xfe", "is not text", Mend.HUMAN),
        (b"SECRET\x00\x01", "is not text", Mend.HUMAN),
        (b"SECRET " * 10_000, "more than 65536 bytes", Mend.HUMAN),
    ],
    ids=["empty", "blank", "short", "not UTF-8", "control characters", "long"],
)
def test_what_is_wrong_in_a_token_file_is_said_and_not_quoted(  # noqa: PLR0917 - a case is three
    provide: Provide, sts: ScriptedServer, tmp_path: Path, content: bytes, says: str, mend: Mend
) -> None:
    """Its path, what is wrong, and who must do something; STS is not asked."""
    token = tmp_path / "token"
    token.write_bytes(content)
    error = refused(provide(WebIdentitySource(str(token), "arn:aws:iam::1:role/o")))
    assert ("source_unreadable", mend) == (error.code, error.mend)
    assert f"{token} " in error.message.rpartition(": ")[2]
    assert says in error.message
    assert "the bare token as text" in str(error.hint)
    told = "".join(traceback.format_exception(error))
    assert not any(found in told for found in ("SECRET", "abc"))
    assert [] == sts.requests


@pytest.mark.parametrize("kind", ["a FIFO", "a directory", "a socket", "a device"])
def test_a_token_file_that_is_no_regular_file_is_refused_at_once(
    provide: Provide, tmp_path: Path, kind: str
) -> None:
    """To open a FIFO would wait for who writes, a device might never end."""
    path = "/dev/zero" if kind == "a device" else str(tmp_path / "token")
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "a FIFO":
            os.mkfifo(path)
        elif kind == "a directory":
            Path(path).mkdir()
        elif kind == "a socket":
            listening.bind(path)
        error = refused(provide(WebIdentitySource(path, "arn:aws:iam::1:role/o")))
    assert time.monotonic() - began < 10.0
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(f"{path} is {kind}, not a regular file")
    assert "regular file" in str(error.hint)


@pytest.mark.timeout(20)
def test_a_fifo_as_the_token_file_of_a_profile_is_refused_at_once(
    provide: Provide, tmp_path: Path
) -> None:
    """A profile, or the environment, may name one as well as the configuration."""
    os.mkfifo(tmp_path / "token")
    (tmp_path / "file").write_text(
        f"[oidc]\nrole_arn = arn:aws:iam::1:role/o\nweb_identity_token_file = {tmp_path}/token\n"
    )
    error = refused(provide(FileSource(str(tmp_path / "file"), "oidc")))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert error.message.endswith(f"{tmp_path}/token is a FIFO, not a regular file")


def test_web_identity_against_moto(moto: AwsServer, tmp_path: Path) -> None:
    """A server of other people grants both calls."""
    (tmp_path / "token").write_text("a.b.c")
    provider = StsProvider(
        {"ci": WebIdentitySource(str(tmp_path / "token"), "arn:aws:iam::111111111111:role/oidc")},
        StsLimits(endpoint_url=moto.url),
        clock=clock,
        environ={},
    )
    assert obtain(provider).credentials.access_key_id.startswith("ASIA")


# --- many at once


def test_a_source_is_looked_up_once_for_all_who_wait(provide: Provide, sts: ScriptedServer) -> None:
    """Sixteen attempts at once cost the metadata service one question."""

    def slow(_: Request) -> Answer:
        threading.Event().wait(0.2)
        return Answer(body=container_json("ASIASLOW"))

    with scripted(slow) as container:
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        with ThreadPoolExecutor(16) as pool:
            grants = list(pool.map(lambda _: obtain(provider), range(16)))
        assert 1 == len(container.requests)
    assert 16 == len(grants)
    assert {"ASIASLOW"} == set(signers(sts))


def test_a_broken_source_fails_for_all_who_wait_and_recovers(provide: Provide) -> None:
    """Those who waited share the failure; the next look finds what was mended."""
    broken = threading.Event()
    broken.set()

    def answer(_: Request) -> Answer:
        threading.Event().wait(0.2)
        return Answer(404) if broken.is_set() else Answer(body=container_json("ASIABACK"))

    with ExitStack() as stack:
        container = stack.enter_context(scripted(answer))
        provider = provide(EcsSource(), {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.url})
        with ThreadPoolExecutor(8) as pool:
            errors = list(pool.map(lambda _: refused(provider), range(8)))
        assert {"source_failed"} == {e.code for e in errors}
        broken.clear()
        obtain(provider)
        assert len(container.requests) <= 4, (
            "three tries of the SDK's in one look, then the mended one"
        )


HANGS_ONCE = """
import json, os, sys
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    open(sys.argv[2]).read()
    key = "AKIALATE"
else:
    key = "AKIANEXT"
print(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": "s"}))
"""


def test_a_lookup_that_hangs_is_written_off_and_its_late_answer_dropped(
    sts: ScriptedServer, tmp_path: Path
) -> None:
    """After a minute the next attempt looks for itself, and its answer stays."""
    clock = fakes.FakeClock()
    begun, fifo, path = tmp_path / "begun", tmp_path / "fifo", tmp_path / "source"
    os.mkfifo(fifo)
    (tmp_path / "p.py").write_text(HANGS_ONCE)
    path.write_text(
        f"[ci]\ncredential_process = {sys.executable} {tmp_path / 'p.py'} {begun} {fifo}\n"
    )
    provider = StsProvider(
        {"ci": FileSource(str(path), "ci")},
        StsLimits(endpoint_url=sts.url),
        clock=clock,
        environ={},
    )
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(obtain, provider)
        while not begun.exists():
            assert not hanging.done()
            threading.Event().wait(0.01)
        clock.advance(61)
        obtain(provider)
        fifo.write_text("go on")
        hanging.result(timeout=10)
    obtain(provider)
    assert ["AKIANEXT", "AKIALATE", "AKIANEXT"] == signers(sts)
