"""Keys that a command prints: it runs without a shell, within bounds, and is never quoted."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from aws_servers import Answer, ScriptedServer, error_xml, grant_xml
from credfresh.errors import Mend, RenewalError, Scope
from credfresh.principals import FileSource, ProcessSource
from credfresh.sts.processes import MOST_OUTPUT, BoundedProcess
from sources import Provide, denied, obtain, refused, signers


def script(tmp_path: Path, text: str) -> tuple[str, ...]:
    """Write a Python script whose path has a space; return its argv."""
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


PRINTED = '{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "s"}'


def test_a_process_is_run_once_until_its_keys_expire(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """Arguments arrive unchanged; keys without expiration are kept, others asked for in time."""
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


@pytest.mark.parametrize("code", ["AccessDenied", "SignatureDoesNotMatch"])
def test_a_process_that_printed_the_wrong_keys_is_asked_again(
    provide: Provide, sts: ScriptedServer, tmp_path: Path, code: str
) -> None:
    """Another user's, or a mistyped secret, without an end: nothing else would ever replace them.

    What it cannot give again stays: it may be good for other profiles.
    """
    sts.script = lambda request: (
        Answer(body=grant_xml()) if request.key_id == "AKIARIGHT" else Answer(403, error_xml(code))
    )
    printed = tmp_path / "printed"
    printed.write_text(PRINTED % "AKIAWRONG")
    provider = provide(ProcessSource(("/bin/cat", str(printed))))
    denied(provider, code)
    printed.rename(tmp_path / "away")
    denied(provider, code)
    printed.write_text(PRINTED % "AKIARIGHT")
    obtain(provider)
    assert ["AKIAWRONG", "AKIAWRONG", "AKIAWRONG", "AKIARIGHT"] == signers(sts)


def test_a_process_whose_keys_have_an_end_is_not_asked_again_for_a_denial(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """It may make new ones each time, at whoever's cost, for as long as one profile is denied."""
    sts.script = lambda _: Answer(403, error_xml("AccessDenied"))
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))  # noqa: TID251 - the process's clock
    argv = script(tmp_path, PRINT.replace("EXPIRATION", repr(ends)))
    provider = provide(ProcessSource(argv), {})
    denied(provider, "AccessDenied")
    denied(provider, "AccessDenied")
    assert "x" == Path(f"{argv[1]}.runs").read_text()


def test_expired_keys_of_a_process_are_called_expired(provide: Provide, tmp_path: Path) -> None:
    """The hint is about caches, since the command's own is the likely reason."""
    argv = script(tmp_path, PRINT.replace("EXPIRATION", repr("2026-01-01T00:00:00Z")))
    error = refused(provide(ProcessSource(argv)))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert error.message.endswith("the keys that it gave have expired already")
    assert "cache" in str(error.hint)


def test_a_process_that_fails_is_not_quoted(provide: Provide, tmp_path: Path) -> None:
    """The exit status is reported, but no output, which may hold a secret."""
    argv = script(tmp_path, "import sys; print('SECRET1'); sys.exit('SECRET2')")
    error = refused(provide(ProcessSource(argv)))
    assert ("source_failed", Mend.TIME) == (error.code, error.mend)
    assert "exit status 1" in error.message
    assert "SECRET" not in error.message


@pytest.mark.parametrize("printed", ["", "SECRET not json", '{"Version": 2}', '{"Version": 1}'])
def test_nonsense_that_a_process_prints_is_not_quoted(
    provide: Provide, tmp_path: Path, printed: str
) -> None:
    """Output that is not the expected JSON is not quoted."""
    error = refused(provide(ProcessSource(script(tmp_path, f"print({printed!r})"))))
    assert "source_failed" == error.code
    assert "SECRET" not in error.message


def test_an_account_id_that_is_a_number_hinders_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """Some commands print AccountId as a number; it is not used for signing."""
    printed = (
        '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "s", "AccountId": 111111111111}'
    )
    (tmp_path / "printed").write_text(printed)
    obtain(provide(ProcessSource(("/bin/cat", str(tmp_path / "printed")))))
    assert ["A"] == signers(sts)


def test_a_missing_program_is_named(provide: Provide) -> None:
    """The error names the missing program."""
    error = refused(provide(ProcessSource(("/no/such/program",))))
    assert ("source_unreadable", Mend.HUMAN) == (error.code, error.mend)
    assert "/no/such/program" in error.message


def ends(pid: Path) -> None:
    """Wait for the end of the process whose id is in a file; a zombie counts as ended."""
    began = time.monotonic()
    child = Path(f"/proc/{pid.read_text().strip()}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        while child.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() - began < 10.0, "it lives on"
            threading.Event().wait(0.01)


def test_the_process_of_a_profile_is_bounded_as_well(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """A command named in a profile of a file has the same environment and bounds."""
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
    """The command of a source profile has the same bounds, too."""
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
    """At the time limit the whole group is killed, even if a child keeps the pipe open."""
    pid, ready = tmp_path / "pid", tmp_path / "ready"
    error = at_its_limit(f"sleep 60 & echo $! >{pid}; : >{ready}; sleep 60", ready)
    assert ("source_timeout", Scope.SOURCE) == (error.code, error.scope)
    ends(pid)


def sh(text: str, limit: float = 30.0) -> BoundedProcess:
    """Start a shell script as a source's process."""
    return BoundedProcess(("/bin/sh", "-c", text), name="ci", environ=os.environ, limit=limit)


def at_its_limit(text: str, writes: Path) -> RenewalError:
    """Let a script that writes a file reach its limit; return its error.

    The limit is the shortest of three that gives this machine time to write the file.
    """
    for limit in (0.3, 2.0, 20.0):
        process, began = sh(text, limit), time.monotonic()
        with pytest.raises(RenewalError, match=f"killed after {limit:g} s") as failed:
            process.communicate()
        assert limit - 0.1 < time.monotonic() - began < limit + 10.0
        if writes.exists():
            break
    return failed.value


def test_output_without_end_is_bounded_in_time_and_in_memory(tmp_path: Path) -> None:
    """A little more than the limit is read, then the group is killed and the process reaped."""
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
    """Output that is too long is never cut and used."""
    path = tmp_path / "long"
    path.write_bytes(b" " * (MOST_OUTPUT + 1))
    with pytest.raises(RenewalError, match="printed more than"):
        sh(f"cat {path}").communicate()


def test_exactly_the_limit_may_be_printed(tmp_path: Path) -> None:
    """Output of exactly MOST_OUTPUT bytes arrives whole."""
    path = tmp_path / "long"
    path.write_bytes(b"x" * (MOST_OUTPUT - 1) + b"y")
    assert (path.read_bytes(), b"") == sh(f"cat {path}").communicate()


def test_output_in_pieces_is_put_together() -> None:
    """All pieces of slow output are joined."""
    pieces = sh("for i in 1 2 3; do printf $i; sleep 0.05; done; printf 4")
    assert b"1234" == pieces.communicate()[0]


def test_a_child_that_holds_the_output_open_delays_nothing(
    provide: Provide, sts: ScriptedServer, tmp_path: Path
) -> None:
    """A child may keep the pipe open: once the process has ended, its keys are used."""
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
    """A process that closes its output but runs on has not finished; its output is dropped."""
    ready = tmp_path / "ready"
    script = f"echo $$ >{tmp_path}/pid; echo done; : >{ready}; exec >&- sleep 60"
    error = at_its_limit(script, ready)
    assert "source_timeout" == error.code
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_where_the_kernel_gives_no_descriptor_of_a_process_it_is_bounded_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without pidfd_open (old kernel, seccomp, too many files) output and time limit still work."""

    def refuse(_: int) -> int:
        raise OSError(errno.ENOSYS, "none")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert b"1" == sh("sleep 0.2; printf 1").communicate()[0]
    with pytest.raises(RenewalError, match=r"killed after 0\.2 s"):
        sh("sleep 60", 0.2).communicate()
