"""Judging another configuration: nothing of it counts before all of it does (I7)."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from configs import one_profile
from credfresh.config.file import load
from credfresh.errors import ConfigError, CredfreshError, Problem
from credfresh.life.reloader import GONE, MOST_TOLD, Reloader, Taken, brief
from credfresh.principals import EnvironmentSource
from credfresh.settings import LogSettings, Settings, StsLimits
from fakes import EventLog, FakeClock, FakeProvider, profile, settings

OLD = settings(profile("production"))
SECRET = "canary-in-the-configuration"


class FakeSource:
    """A configuration file whose content the test decides."""

    def __init__(self) -> None:
        self.now: Settings | Exception = OLD
        self.providers = 0
        self.broken_provider: Exception | None = None
        self.applied: list[Settings] = []

    def load(self) -> Settings:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def provider(self, settings: Settings) -> FakeProvider:
        del settings
        if self.broken_provider is not None:
            raise self.broken_provider
        self.providers += 1
        return FakeProvider(FakeClock())

    def apply(self, settings: Settings) -> None:
        self.applied.append(settings)


@pytest.fixture(name="source")
def _source() -> FakeSource:
    return FakeSource()


@pytest.fixture(name="log")
def _log() -> EventLog:
    return EventLog()


def bad(count: int = 1) -> ConfigError:
    """Return an error with so many mistakes in a configuration."""
    return ConfigError(
        tuple(
            Problem("c.yaml", n, 3, f"profiles.p{n}", "is wrong", "mend it") for n in range(count)
        )
    )


def test_a_valid_configuration_is_taken(source: FakeSource, log: EventLog) -> None:
    """Its settings are returned and applied; no event is told before they are carried out."""
    source.now = settings(profile("production"), profile("extra"))
    taken = Reloader(OLD, source, log).take()

    assert isinstance(taken, Taken)
    assert source.now is taken.settings
    assert [source.now] == source.applied
    assert [] == log.names()


def test_a_bad_configuration_is_told_and_changes_nothing(source: FakeSource, log: EventLog) -> None:
    """Each mistake is told with its place, then one line sums up."""
    source.now = bad(2)
    problems = Reloader(OLD, source, log).take()

    assert problems == source.now.problems
    assert [] == source.applied
    assert ["config_refused", "config_refused", "config_reload_failed"] == log.names()
    assert {"file": "c.yaml", "line": 1, "column": 3, "path": "profiles.p1"}.items() <= log.of(
        "config_refused"
    )[1].items()
    assert [{"problems": 2, "first": "c.yaml: profiles.p0: is wrong"}] == log.of(
        "config_reload_failed"
    )


def test_a_configuration_with_a_thousand_mistakes_does_not_flood_the_log(
    source: FakeSource, log: EventLog
) -> None:
    """The first mistakes are told, and how many there are."""
    source.now = bad(1000)
    Reloader(OLD, source, log).take()

    assert MOST_TOLD == len(log.of("config_refused"))
    assert 1000 == log.of("config_reload_failed")[0]["problems"]


@pytest.mark.parametrize("error", [OSError(SECRET), MemoryError(), RuntimeError(SECRET)])
def test_an_unforeseen_error_refuses_the_configuration(
    source: FakeSource, log: EventLog, error: Exception
) -> None:
    """No error of reading takes the daemon down, and no event repeats what was read."""
    source.now = error
    problems = Reloader(OLD, source, log).take()

    assert not isinstance(problems, Taken)
    [problem] = problems
    assert problem.reason.startswith(f"unforeseen {type(error).__name__} at test_reloader.py:")
    assert "config_reload_failed" in log.names()
    assert SECRET not in repr(log.events)


def test_a_provider_that_cannot_be_made_leaves_all_as_it_was(
    source: FakeSource, log: EventLog
) -> None:
    """Not even the log's level follows, and the next reload compares with the old settings."""
    reloader = Reloader(OLD, source, log)
    source.now = replace(OLD, sts=StsLimits(read_timeout=5.0), log=LogSettings(level="debug"))
    source.broken_provider = RuntimeError(SECRET)
    assert not isinstance(reloader.take(), Taken)
    assert [] == source.applied

    source.broken_provider = None
    taken = reloader.take()
    assert isinstance(taken, Taken)
    assert taken.provider is not None


def test_what_a_provider_lacks_is_told_with_what_to_do(source: FakeSource, log: EventLog) -> None:
    """For example, an engine of a fleet lacks the library that speaks to it."""
    source.now = replace(OLD, sts=StsLimits(read_timeout=5.0))
    source.broken_provider = CredfreshError("hvac is not installed", hint="install it")
    problems = Reloader(OLD, source, log).take()

    assert (Problem(OLD.path, 0, 0, "", "hvac is not installed", "install it"),) == problems


def test_the_provider_stays_unless_its_sources_or_limits_change(
    source: FakeSource, log: EventLog
) -> None:
    """A new provider would have to ask again for what the old one has cached."""
    reloader = Reloader(OLD, source, log)
    source.now = settings(profile("production", duration=7200), profile("extra"))
    same = reloader.take()
    source.now = replace(source.now, sts=StsLimits(read_timeout=5.0))
    limits = reloader.take()
    source.now = replace(source.now, sources={"ci": EnvironmentSource()})
    sources = reloader.take()
    again = reloader.take()

    assert [False, True, True, False] == [
        isinstance(taken, Taken) and taken.provider is not None
        for taken in (same, limits, sources, again)
    ]
    assert 2 == source.providers


def test_keys_that_need_a_restart_are_named(source: FakeSource, log: EventLog) -> None:
    """The operator learns which keys wait for a restart; the others take effect at once."""
    source.now = replace(OLD, instance="another", log=LogSettings(level="debug", format="json"))
    taken = Reloader(OLD, source, log).take()

    assert isinstance(taken, Taken)
    assert ("instance", "log.format") == taken.needs_restart


def test_keys_that_need_a_restart_are_named_until_they_are_changed_back(
    source: FakeSource, log: EventLog
) -> None:
    """The settings are compared with those of the start, not with those of the last reload."""
    reloader = Reloader(OLD, source, log)
    told = []
    for instance in ("another", "another", OLD.instance):
        source.now = replace(OLD, instance=instance)
        taken = reloader.take()
        assert isinstance(taken, Taken)
        told.append(taken.needs_restart)

    assert [("instance",), ("instance",), ()] == told


def reloader_of(path: Path, source: FakeSource, log: EventLog) -> Reloader:
    """Return a reloader that looks at a file."""
    return Reloader(replace(OLD, path=str(path)), source, log)


def looks(reloader: Reloader, count: int = 3) -> list[bool]:
    """Return what some looks say, one after the other."""
    return [reloader.changed() for _ in range(count)]


def test_a_change_of_the_file_is_seen_once(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """An edit or a replacement is seen at the second look that finds the file the same."""
    path = tmp_path / "c.yaml"
    path.write_text("a")
    reloader = reloader_of(path, source, log)
    assert [False] * 3 == looks(reloader)

    path.write_text("ab")
    assert [False, True, False] == looks(reloader)

    other = tmp_path / "new"
    other.write_text("cd")
    other.rename(path)
    assert [False, True, False] == looks(reloader)

    os.utime(path, ns=(1, 1))
    assert [False, True, False] == looks(reloader)


def test_a_file_that_somebody_is_writing_is_let_be(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """A file that was truncated and is filled bit by bit may be valid half-way."""
    path = tmp_path / "c.yaml"
    path.write_text("whole")
    reloader = reloader_of(path, source, log)
    seen = []
    for text in ("", "h", "ha", "half"):
        path.write_text(text)
        seen.append(reloader.changed())

    assert [False] * 4 == seen
    assert [True, False] == looks(reloader, 2)


def test_a_file_that_was_read_while_somebody_wrote_it_is_read_again(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """A reload by hand reads at once; what is written after that is a change like any other."""
    path = tmp_path / "c.yaml"
    path.write_text("whole")
    reloader = reloader_of(path, source, log)
    source.now = replace(OLD, path=str(path))
    path.write_text("ha")
    reloader.take()
    path.write_text("half")

    assert [False, True, False] == looks(reloader)


def test_a_file_that_is_written_while_a_reload_reads_it_is_read_again(
    tmp_path: Path, source: FakeSource, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is the file as it was before."""
    path = tmp_path / "c.yaml"
    path.write_text("old")
    reloader = reloader_of(path, source, log)

    def load() -> Settings:
        path.write_text("newer")
        return replace(OLD, path=str(path))

    monkeypatch.setattr(source, "load", load)
    reloader.take()

    assert [False, True, False] == looks(reloader)


def test_a_file_that_was_written_while_the_daemon_started_is_read_again(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """A thousand profiles take a while to read, and what makes the file may write it twice."""
    path = tmp_path / "c.yaml"
    path.touch(0o600)
    text = one_profile()
    path.write_text(text)
    read = load(path, environment={}, hostname="host")
    path.write_text(f"{text}ready: fresh\n")

    assert [False, True, False] == looks(Reloader(read, source, log))


def test_a_change_of_the_mode_alone_is_seen(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """This is how a file is mended that was refused because others may write it."""
    path = tmp_path / "c.yaml"
    path.write_text("a")
    path.chmod(0o666)
    reloader = reloader_of(path, source, log)
    before = path.stat().st_ctime_ns
    while before == path.stat().st_ctime_ns:  # the file system's clock ticks now and then
        threading.Event().wait(0.002)
        path.chmod(0o644)

    assert [False, True, False] == looks(reloader)


def test_a_file_that_is_gone_for_a_moment_is_no_change_until_it_is_back(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """Editors that unlink the file first are waited for."""
    path = tmp_path / "c.yaml"
    path.write_text("a")
    reloader = reloader_of(path, source, log)
    path.unlink()
    assert [False] * 3 == looks(reloader)

    path.write_text("back")  # its inode, and the tick of the file system's clock, may be the same
    assert [False, True, False] == looks(reloader)


def test_a_file_that_stays_away_is_a_change_and_so_is_its_return(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """The next start would fail, and the operator must not learn it only then."""
    path = tmp_path / "c.yaml"
    path.write_text("a")
    reloader = reloader_of(path, source, log)
    path.unlink()
    assert [False] * (GONE - 1) + [True] + [False] * GONE == looks(reloader, 2 * GONE)

    path.write_text("a")
    assert [False, True, False] == looks(reloader)


def test_a_file_that_was_just_read_has_not_changed(
    tmp_path: Path, source: FakeSource, log: EventLog
) -> None:
    """A file that a signal has made us read is not read again by watching it."""
    path = tmp_path / "c.yaml"
    path.write_text("a")
    reloader = reloader_of(path, source, log)
    source.now = replace(OLD, path=str(path))
    path.write_text("ab")
    reloader.take()

    assert [False] * 3 == looks(reloader)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("c.yaml", 3, 1, "ready", "is wrong"), "c.yaml:3: ready: is wrong"),
        (Problem("c.yaml", 0, 0, "", "is missing", "hint"), "c.yaml: is missing"),
    ],
)
def test_a_problem_is_told_in_one_line(problem: Problem, line: str) -> None:
    """With file and line, without its hint: for the log and for systemd's status."""
    assert line == brief(problem)
