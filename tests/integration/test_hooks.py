"""Hooks: commands after a renewal, as real processes."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from configs import accepted
from credfresh.hooks import Hooks
from credfresh.hooks.attendant import AT_ONCE, OVERDUE
from credfresh.hooks.process import MOST_OUTPUT, Ended, Order, Run
from credfresh.life.agenda import Agenda
from credfresh.life.desk import Desk, Errand
from credfresh.model import Grant, Instant, SessionCredentials
from credfresh.publication import Publication, PublishReport, Refusal
from credfresh.publisher import Published
from credfresh.settings import Hook, Settings
from disk import needs_leases
from fakes import Unguarded, profile


def sh(script: str, timeout: float = 10.0, told: bytes = b"") -> Run:
    """Return a run of a shell script, not yet started."""
    return Run(Order(("/bin/sh", "-c", script), timeout, {"CREDFRESH_PROFILE": "production"}, told))


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def comes(condition: Callable[[], bool]) -> bool:
    """Wait up to 10 s for a condition, and return it."""
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        threading.Event().wait(0.01)
    return condition()


def gone(pid: int) -> bool:
    """Wait up to 10 s for a process to end; say whether it has."""
    return comes(lambda: not alive(pid))


def at_its_limit(script: str, writes: Path) -> tuple[Ended, str]:
    """Let a script that writes a file reach its limit; return its end, and the failure to expect.

    The limit is the shortest of three that gives this machine time to write the file.
    """
    for limit in (0.3, 2.0, 20.0):
        ended = sh(script, limit).carry_out()
        if writes.exists():
            break
    return ended, f"killed after {limit:g} s"


@pytest.fixture(params=[None, errno.ENOSYS, errno.EPERM, errno.EMFILE], ids=str)
def _watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch a run by its pidfd or, if the kernel refuses one with an errno, by polling."""
    if request.param is None:
        return

    def refuse(_: int) -> int:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "pidfd_open", refuse)


@pytest.mark.usefixtures("_watched")
class TestWatch:
    """A run is watched equally well with and without a pidfd."""

    def test_the_watch_tells_output_and_end_of_a_process(self) -> None:
        """All output and the exit status are reported."""
        ended = sh("echo one; sleep 0.1; echo two; exit 3").carry_out()
        assert ("exit status 3", "one\ntwo") == (ended.failure, ended.output)

    def test_a_command_that_closes_its_output_is_waited_for(self) -> None:
        """A command that closes its output and runs on is waited for."""
        ended = sh("exec >&- 2>&-; sleep 0.2; exit 4").carry_out()
        assert "exit status 4" == ended.failure
        assert ended.took >= 0.2

    def test_at_the_limit_a_command_is_killed_and_reaped(self, tmp_path: Path) -> None:
        """At the limit the command and its child are killed, and it is reaped."""
        pid, child, both = tmp_path / "pid", tmp_path / "child", tmp_path / "both"
        ended, said = at_its_limit(
            f"echo $$ > {pid}; sleep 60 & echo $! > {child}; touch {both}; wait", both
        )
        assert said == ended.failure
        assert not Path(f"/proc/{pid.read_text().strip()}").exists()
        assert gone(int(child.read_text()))

    def test_a_child_that_holds_the_output_is_not_waited_for(self, tmp_path: Path) -> None:
        """A child in the background that keeps the output open does not delay the end."""
        ended = sh(f"sleep 60 & echo $! > {tmp_path}/child", 30.0).carry_out()
        os.kill(int((tmp_path / "child").read_text()), 9)
        assert ended.failure is None
        assert ended.took < 10


class TestRun:
    """A single run of a command."""

    def test_stdout_and_stderr_are_kept_in_the_order_of_writing(self) -> None:
        """Standard output and standard error are kept in the order of writing."""
        ended = sh("echo one; echo two >&2; echo three").carry_out()
        assert (None, "one\ntwo\nthree") == (ended.failure, ended.output)

    def test_the_exit_status_is_told(self) -> None:
        """The exit status is reported with the output."""
        ended = sh("echo no such agent; exit 3").carry_out()
        assert ("exit status 3", "no such agent") == (ended.failure, ended.output)

    def test_a_signal_that_ended_the_command_is_told(self) -> None:
        """A command that a signal ended fails, and the signal's number is reported."""
        assert "ended by signal 11" == sh("kill -SEGV $$").carry_out().failure

    @pytest.mark.parametrize(
        ("command", "failure"),
        [
            ("/nonexistent", "cannot be started: No such file or directory"),
            ("/etc/passwd", "cannot be started: Permission denied"),
            ("/etc", "cannot be started: Permission denied"),
        ],
    )
    def test_a_command_that_cannot_be_started_says_why(self, command: str, failure: str) -> None:
        """A command that cannot be started fails with the reason."""
        assert failure == Run(Order((command,), 10.0, {})).carry_out().failure

    def test_at_the_limit_the_whole_group_is_killed(self, tmp_path: Path) -> None:
        """A child that ignores SIGTERM and holds the pipe is killed as well."""
        child, ready = tmp_path / "child", tmp_path / "ready"
        ended, said = at_its_limit(
            f"trap '' TERM; sleep 60 & echo $! > {child}; touch {ready}; sleep 60", ready
        )
        assert said == ended.failure
        assert ended.took < 30
        assert gone(int(child.read_text()))

    def test_a_child_that_lives_on_is_not_waited_for(self, tmp_path: Path) -> None:
        """Neither a background child's hold on the pipe nor its further output delays the end."""
        child = tmp_path / "child"
        began = time.monotonic()
        ended = sh(f"yes & echo $! > {child}", 30.0).carry_out()
        os.kill(int(child.read_text()), 9)
        assert ended.failure is None
        assert time.monotonic() - began < 10

    def test_only_the_beginning_of_much_output_is_kept(self) -> None:
        """All of 100 MB is read, so that the command can end, but only the beginning is kept."""
        ended = sh("echo begin; yes wide | head -c 100000000; exit 4", 60.0).carry_out()
        assert "exit status 4" == ended.failure
        assert ended.output.startswith("begin\nwide\nwide")
        assert MOST_OUTPUT - 10 < len(ended.output) < MOST_OUTPUT

    def test_long_output_is_cut_at_a_space(self) -> None:
        """The output is cut at a space: half a secret would not be recognized as one."""
        secret = "aB3" * 13 + "c"
        ended = sh(
            f"head -c {MOST_OUTPUT - 20} /dev/zero | tr '\\0' x; echo ' {secret}'"
        ).carry_out()
        assert "x" * (MOST_OUTPUT - 20) == ended.output

    def test_long_output_without_a_space_is_not_repeated(self) -> None:
        """There is no place to cut it where no secret can be: JSON may have no spaces."""
        secret = "aB3" * 13 + "c"
        ended = sh(
            f"head -c {MOST_OUTPUT - 20} /dev/zero | tr '\\0' :; printf {secret}"
        ).carry_out()
        assert (None, "") == (ended.failure, ended.output)

    def test_output_that_is_not_utf8_is_told_too(self) -> None:
        """Bytes that are not UTF-8 are replaced."""
        assert "\ufffd\ufffd!" == sh("printf '\\377\\376!'").carry_out().output

    def test_the_environment_of_a_command_is_minimal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command gets none of our variables that may be secret or meant for us alone."""
        for name in ("NOTIFY_SOCKET", "AWS_SECRET_ACCESS_KEY", "CREDENTIALS_DIRECTORY", "HOME"):
            monkeypatch.setenv(name, "canary")
        ended = Run(Order(("/usr/bin/env",), 10.0, {"CREDFRESH_PROFILE": "production"})).carry_out()
        names = {line.partition("=")[0] for line in ended.output.splitlines()}
        assert {"PATH", "LANG", "CREDFRESH_PROFILE"} == names

    def test_a_command_runs_in_the_root_directory(self) -> None:
        """Wherever the daemon was started: no file system is kept busy."""
        assert "/" == sh("pwd").carry_out().output

    def test_a_command_inherits_no_descriptor(self) -> None:
        """The command has only its three standard streams: no socket or lock of the daemon."""
        extra = os.open("/", os.O_RDONLY)
        os.set_inheritable(extra, True)  # noqa: FBT003 - the standard library's
        ended = sh("ls /proc/self/fd | wc -l").carry_out()  # the fourth is ls's own
        os.close(extra)
        assert "4" == ended.output

    def test_the_input_of_a_command_may_exceed_a_pipe(self) -> None:
        """The input may exceed what a pipe holds, and the command need not read it."""
        told = b"a name\n" * 100_000
        assert "100000" == sh("wc -l", told=told).carry_out().output
        assert sh("true", told=told).carry_out().failure is None

    def test_a_run_that_was_killed_before_it_began_starts_nothing(self, tmp_path: Path) -> None:
        """A run that was killed before it began (the daemon ended) starts nothing."""
        run = sh(f"touch {tmp_path}/began")
        run.kill("killed: the daemon ended")
        assert "killed: the daemon ended" == run.carry_out().failure
        assert not (tmp_path / "began").exists()

    def test_a_command_that_hangs_while_it_is_started_holds_up_nobody(self, tmp_path: Path) -> None:
        """Its disk hangs: other threads go on, and who kills it does not wait until it is there."""
        needs_leases(tmp_path)
        command = tmp_path / "command"
        command.write_text(f"#!/bin/sh\nsleep 1\ntouch {tmp_path}/ended\n")
        command.chmod(0o700)
        run = Run(Order((str(command),), 20.0, {}))
        ended: list[Ended] = []
        starting = threading.Thread(target=lambda: ended.append(run.carry_out()))
        began = time.monotonic()
        with command.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            starting.start()
            assert comes(lambda: fcntl.fcntl(file, fcntl.F_GETLEASE) != fcntl.F_WRLCK)
            run.kill("killed: the daemon ended")
            assert time.monotonic() - began < 20
            assert starting.is_alive()
        starting.join()
        assert "killed: the daemon ended" == ended[0].failure
        assert not (tmp_path / "ended").exists()


@dataclass
class Harness:
    """The main thread of a daemon, as far as hooks need it."""

    settings: Settings
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    errands: queue.SimpleQueue[Errand] = field(default_factory=queue.SimpleQueue)
    most: int = 0

    def __post_init__(self) -> None:
        self.hooks = Hooks(self._tell)
        self.desk = Desk(
            self.settings,
            None,  # type: ignore[arg-type]  # no hook asks the supervisor
            Agenda(),
            lambda: Instant(0.0, 0.0),
            self.errands.put,
            Unguarded(),
        )
        self.hooks.open(self.desk)
        self.hooks.update({})

    def _tell(self, event: str, /, **fields: object) -> None:
        self.told.append((event, fields))

    def renew(self, *names: str, serial: int = 1, written: bool = True) -> None:
        """Let profiles be renewed and, if `written`, published."""
        publications = {name: self._publication(name, serial) for name in names}
        self.hooks.update(publications)
        if written:
            self.publish(publications)

    def publish(self, publications: dict[str, Publication], *, refused: str = "") -> None:
        """Report a publish to the hooks."""
        refusals = (Refusal(refused, "foreign", "reason", "hint"),) if refused else ()
        report = PublishReport(written=True, refused=refusals)
        outcomes = {self.settings.target.path: report}
        message = Published(outcomes, publications, 0.0)
        for listener in self.desk.on_published:
            listener(message)

    def settle(self) -> list[tuple[str, dict[str, Any]]]:
        """Run errands until nothing is unfinished; return all events."""
        while any(unfinished() for unfinished in self.desk.unfinished):
            self.most = max(self.most, len(self.hooks._running))
            self.errands.get(timeout=30).run()
        return self.told

    def _publication(self, name: str, serial: int) -> Publication:
        keys = SessionCredentials(f"ASIA{serial}", "s" * 40, "t" * 80, 1_800_000_000.0)
        grant = Grant(keys, Instant(0.0, 0.0), 3600.0, 3600.0, "0123456789abcdef")
        return Publication(self.settings.profiles.get(name) or profile(name), grant)


Harnesses = Callable[..., Harness]


@pytest.fixture(name="harness")
def _harness(tmp_path: Path) -> Iterator[Harnesses]:
    harnesses: list[Harness] = []

    def build(script: str, names: list[str], *, whole: str = "", timeout: float = 10.0) -> Harness:
        settings = accepted(
            f"credentials_file: {{path: {tmp_path}/credentials}}\ndefaults: {{region: eu-west-1}}\n"
            "profiles: {a: {role_arn: 'arn:aws:iam::111111111111:role/deploy'}}\n"
        )
        hook = Hook(("/bin/sh", "-c", script), timeout) if script else None
        plain = settings.profiles["a"]
        profiles = {n: replace(plain, name=n, section=n, on_renew=hook) for n in names}
        all_of_them = Hook(("/bin/sh", "-c", whole), timeout) if whole else None
        harness = Harness(replace(settings, profiles=profiles, on_renew=all_of_them))
        harnesses.append(harness)
        return harness

    yield build
    for harness in harnesses:
        harness.hooks.close()


def test_a_hook_is_told_which_profile_was_renewed(harness: Harnesses) -> None:
    """The command's environment has name, section, file, key id and expiration."""
    one = harness("env | grep CREDFRESH_ | sort", ["production"])
    one.renew("production")
    [(event, fields)] = one.settle()
    assert "hook_ran" == event
    assert "production" == fields["profile"]
    assert [
        "CREDFRESH_ACCESS_KEY_ID=ASIA1",
        f"CREDFRESH_CREDENTIALS_FILE={one.settings.target.path}",
        "CREDFRESH_EXPIRATION=2027-01-15T08:00:00Z",
        "CREDFRESH_PROFILE=production",
        "CREDFRESH_SECTION=production",
    ] == fields["output"].splitlines()


def test_a_hook_runs_once_the_renewal_is_on_disk(harness: Harnesses) -> None:
    """A hook runs only once the renewal is published, when readers can see it."""
    one = harness("true", ["production"])
    one.renew("production", written=False)
    assert [] == one.settle()
    one.renew("production")
    assert ["hook_ran"] == [event for event, _ in one.settle()]


def test_credentials_that_stand_at_the_start_run_no_hook(harness: Harnesses) -> None:
    """After a restart that finds everything valid no hook runs, though the first publish writes."""
    one = harness("true", ["production", "preproduction"])
    one.hooks._known = None
    standing = {"production": one._publication("production", 1)}
    one.hooks.update(standing)
    one.publish(standing)
    assert [] == one.settle()


def test_publishing_the_same_keys_again_runs_no_hook(harness: Harnesses) -> None:
    """Publishing known keys again (after drift or a reload) runs no hook."""
    one = harness("true", ["production"])
    one.renew("production")
    one.renew("production")
    assert 1 == len(one.settle())


def test_a_renewal_that_was_withdrawn_runs_no_hook(harness: Harnesses) -> None:
    """A renewal that is withdrawn before it is on disk runs no hook."""
    one = harness("true", ["production"])
    one.renew("production", written=False)
    one.hooks.update({"production": None})
    one.publish({"production": one._publication("production", 1)})
    assert [] == one.settle()


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_at_most_four_hooks_run_at_once(harness: Harnesses, tmp_path: Path, count: int) -> None:
    """However many profiles are renewed together, at most four hooks run; each gets its turn."""
    ran = tmp_path / "ran"
    one = harness(f"sleep 0.02; echo $CREDFRESH_PROFILE >> {ran}", [f"p{n}" for n in range(count)])
    one.renew(*one.settings.profiles)
    one.settle()
    assert sorted(one.settings.profiles) == sorted(ran.read_text().split())
    assert {"hook_ran"} == {event for event, _ in one.told}
    assert AT_ONCE == one.most


def test_renewals_during_a_run_cause_one_more_run(harness: Harnesses, tmp_path: Path) -> None:
    """Renewals during a run cause one more run, which gets the last of them."""
    one = harness(f"echo $CREDFRESH_ACCESS_KEY_ID >> {tmp_path}/seen; sleep 0.3", ["production"])
    for serial in range(1, 6):
        one.renew("production", serial=serial)
    one.settle()
    assert ["ASIA1", "ASIA5"] == (tmp_path / "seen").read_text().split()


def test_the_hook_for_all_profiles_runs_once_for_a_publish(harness: Harnesses) -> None:
    """The command for all profiles gets the names of the renewed ones, one per line."""
    one = harness("", ["a", "b", "c"], whole="cat; echo; echo $CREDFRESH_CREDENTIALS_FILE")
    one.renew("c", "a")
    [(event, fields)] = one.settle()
    assert ("hook_ran", None) == (event, fields["profile"])
    assert ["a", "c", "", one.settings.target.path] == fields["output"].splitlines()


def test_the_hook_for_all_profiles_is_told_of_every_publish_since_it_last_began(
    harness: Harnesses,
) -> None:
    """While it runs they are gathered, for one more run."""
    one = harness("", ["a", "b", "c", "d"], whole="sleep 0.2; echo $(cat)")
    one.renew("a")
    one.renew("d", "c")
    one.renew("b", "c", serial=2)
    assert ["a", "b c d"] == [fields["output"] for _, fields in one.settle()]


def test_a_failed_hook_is_told_and_stops_no_other(harness: Harnesses) -> None:
    """A failed command is reported with its output, and the other one runs."""
    one = harness('[ "$CREDFRESH_PROFILE" = good ] || { echo broken; exit 3; }', ["bad", "good"])
    one.renew("bad", "good")
    told = {fields["profile"]: (event, fields) for event, fields in one.settle()}
    assert "hook_ran" == told["good"][0]
    event, fields = told["bad"]
    assert ("hook_failed", "exit status 3", "broken") == (event, fields["error"], fields["output"])
    hook = one.settings.profiles["bad"].on_renew
    assert hook is not None
    assert [hook.command[0]] * 2 == [each["command"] for _, each in told.values()]


def test_at_the_end_running_hooks_are_killed_and_waiting_ones_dropped(
    harness: Harnesses, tmp_path: Path
) -> None:
    """Running commands are killed and waiting ones dropped, quickly; each is reported."""
    one = harness(f"echo $$ >> {tmp_path}/pids; exec sleep 60", [f"p{n}" for n in range(6)])
    one.renew(*one.settings.profiles)
    pids = tmp_path / "pids"
    assert comes(lambda: pids.exists() and len(pids.read_text().split()) == AT_ONCE)
    began = time.monotonic()
    one.hooks.close()
    assert time.monotonic() - began < 5
    assert ["dropped: the daemon ended first"] * 2 + ["killed: the daemon ended"] * 4 == sorted(
        fields["error"] for _, fields in one.told
    )
    assert all(gone(int(pid)) for pid in pids.read_text().split())
    assert [] == [event for event, _ in one.settle() if event != "hook_failed"]


def test_a_hook_that_hangs_long_past_its_limit_is_not_waited_for(harness: Harnesses) -> None:
    """Its disk hangs: `once` ends even so, and lets the next one have the file."""
    one = harness("exec sleep 5", [f"p{n}" for n in range(AT_ONCE + 1)], timeout=3.0)
    one.renew(*one.settings.profiles)
    assert not one.desk.done()
    one.desk.clock = lambda: Instant(0.0, 3.0 + OVERDUE)
    assert one.desk.done()


def test_a_reload_decides_which_command_runs_from_then_on(harness: Harnesses) -> None:
    """The settings in force when something is published decide which command runs."""
    one = harness("echo old", ["production"])
    changed = replace(
        one.settings.profiles["production"], on_renew=Hook(("/bin/echo", "new"), 10.0)
    )
    one.desk.settings = replace(one.settings, profiles={"production": changed})
    one.renew("production")
    [(_, fields)] = one.settle()
    assert "new" == fields["output"]


def test_a_refused_renewal_runs_its_hook_once_it_stands(harness: Harnesses) -> None:
    """While a foreign section is in the way, no reader can see the new keys, so no hook runs."""
    one = harness("true", ["production", "preproduction"])
    one.renew("production", "preproduction", written=False)
    both = {n: one._publication(n, 1) for n in one.settings.profiles}

    one.publish(both, refused="production")
    assert ["preproduction"] == [fields["profile"] for _, fields in one.settle()]

    one.publish({}, refused="production")
    assert 1 == len(one.settle())
    one.publish({})
    assert "production" == one.settle()[-1][1]["profile"]
    one.publish({})
    assert 2 == len(one.settle())


def test_a_reload_replaces_or_drops_commands_that_wait(harness: Harnesses) -> None:
    """A waiting command is replaced by the new one, or dropped with its profile or its hook."""
    names = [f"p{n}" for n in range(AT_ONCE)]
    one = harness("sleep 0.2; echo old", [*names, "changed", "gone", "bare"])
    one.renew(*one.settings.profiles)
    profiles = dict(one.settings.profiles)
    del profiles["gone"]
    profiles["bare"] = replace(profiles["bare"], on_renew=None)
    profiles["changed"] = replace(profiles["changed"], on_renew=Hook(("/bin/echo", "new"), 10.0))
    one.desk.settings = replace(one.settings, profiles=profiles)
    for listener in one.desk.on_reloaded:
        listener(one.desk.settings)
    told = {fields["profile"]: fields["output"] for _, fields in one.settle()}
    assert dict.fromkeys(names, "old") | {"changed": "new"} == told


def test_without_threads_a_command_fails_and_the_main_thread_goes_on(
    harness: Harnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of tasks the hook is reported as failed, and the next renewal runs one."""
    one = harness("true", ["production"])

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        one.renew("production")
    assert ["hook_failed"] == [event for event, _ in one.told]
    one.renew("production", serial=2)
    assert "hook_ran" == one.settle()[-1][0]


def test_whatever_goes_wrong_in_a_run_its_place_becomes_free(
    harness: Harnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with a bug frees its place; otherwise four bugs of ours would end all hooks."""
    one = harness("true", ["production"])

    def fail(_: Run) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Run, "carry_out", fail)
        for serial in range(AT_ONCE + 1):
            one.renew("production", serial=serial)
            one.settle()
    for _, fields in one.told:
        assert str(fields["error"]).startswith("unforeseen ZeroDivisionError at test_hooks.py:")
    assert AT_ONCE + 1 == len(one.told)


def test_failures_of_ten_thousand_hooks_are_a_bounded_number_of_lines(
    harness: Harnesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a hundred failures a minute are logged; the others are counted."""
    one = harness("true", [f"p{n}" for n in range(150)])
    monkeypatch.setattr(Run, "carry_out", lambda _: Ended("exit status 3", "", 0.0))
    one.renew(*one.settings.profiles)
    one.settle()
    assert 100 == len(one.told)
    one.hooks.close()
    event, fields = one.told[-1]
    assert ("lines_withheld", "hook_failed", 50) == (event, fields["name"], fields["lines"])


def with_secret(publication: Publication, secret: str) -> Publication:
    """Return the publication with another secret access key."""
    assert publication.grant is not None
    keys = replace(publication.grant.credentials, secret_access_key=secret)
    return replace(publication, grant=replace(publication.grant, credentials=keys))


def test_secrets_of_when_a_command_began_are_redacted(harness: Harnesses, tmp_path: Path) -> None:
    """Secrets of when a command began are redacted, even if renewed or removed since."""
    mine, other, go_on = "m" * 40, "o" * 40, tmp_path / "go-on"
    script = f"while ! [ -e {go_on} ]; do sleep 0.02; done; echo x{mine}x x{other}x"
    one = harness(script, ["production", "audit"])
    for name, secret in (("production", mine), ("audit", other)):
        one.hooks.update({name: with_secret(one._publication(name, 1), secret)})
    one.publish({"production": one._publication("production", 1)})
    for serial in (2, 3):
        one.hooks.update(
            {"production": with_secret(one._publication("production", serial), str(serial) * 40)}
        )
    one.hooks.update({"audit": None})
    go_on.touch()

    assert ["x[redacted]x x[redacted]x"] == [fields["output"] for _, fields in one.settle()]


@pytest.mark.parametrize("told", [1, 3])
def test_secrets_that_the_file_still_holds_are_redacted(harness: Harnesses, told: int) -> None:
    """Secrets still in the file are redacted, though newer ones wait to be written."""
    one = harness(f"echo x{'m' * 40}x", ["production", "audit"])
    one.hooks.update({"audit": with_secret(one._publication("audit", 1), "m" * 40)})
    for _ in range(told):
        one.hooks.update({"audit": with_secret(one._publication("audit", 2), "n" * 40)})
    one.renew("production")

    assert ["x[redacted]x"] == [fields["output"] for _, fields in one.settle()]


def test_a_command_that_a_reload_brings_has_its_secrets_redacted_too(harness: Harnesses) -> None:
    """From then on the keys before the newest are remembered too."""
    one = harness("", ["production", "audit"])
    bare = one.settings.profiles["production"]
    hooked = replace(bare, on_renew=Hook(("/bin/echo", f"x{'m' * 40}x"), 10.0))
    profiles = dict(one.settings.profiles) | {"production": hooked}
    one.desk.settings = replace(one.settings, profiles=profiles)
    for listener in one.desk.on_reloaded:
        listener(one.desk.settings)
    one.hooks.update({"audit": with_secret(one._publication("audit", 1), "m" * 40)})
    one.hooks.update({"audit": with_secret(one._publication("audit", 2), "n" * 40)})
    one.renew("production")

    assert ["x[redacted]x"] == [fields["output"] for _, fields in one.settle()]


def test_a_secret_is_redacted_as_json_may_spell_it(harness: Harnesses) -> None:
    """JSON may write a stroke before each slash."""
    secret = "Ab/" * 13 + "c"
    one = harness(f"echo 'x{secret.replace('/', chr(92) + '/')}x'", ["production", "audit"])
    one.hooks.update({"audit": with_secret(one._publication("audit", 1), secret)})
    one.renew("production")

    assert ["x[redacted]x"] == [fields["output"] for _, fields in one.settle()]


@pytest.mark.parametrize("whole", [False, True])
def test_a_secret_is_redacted_whatever_stands_beside_it(harness: Harnesses, *, whole: bool) -> None:
    """Letters beside a secret could make it look like a path; known secrets are still redacted."""
    secret, token = "s" * 40, "t" * 80
    script = f"echo ASIA1/{secret} x{token}x"
    one = harness("" if whole else script, ["production"], whole=script if whole else "")
    one.renew("production")

    [(event, fields)] = one.settle()
    assert "hook_ran" == event
    assert "ASIA1/[redacted] x[redacted]x" == fields["output"]
