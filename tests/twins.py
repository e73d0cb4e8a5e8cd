"""Shared by the tests of the refreshable twins."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from credfresh.cli.clock import clock
from credfresh.process_twin.directory import ProcessDirectory
from credfresh.publication import Publication, PublishReport, Wanted
from credfresh.settings import FileTarget, Profile, Twin
from credfresh.twin import safe_name
from fakes import grant, profile

INSTANCE = "test"


def shared(directory: Path, mode: int = 0o600, group: str | None = None) -> FileTarget:
    """Return path and rights of the files that all twins of a directory share."""
    return FileTarget(str(directory), mode, None, group)


def with_twin(directory: Path, name: str = "production", *, mode: int = 0o600) -> Profile:
    """Return a profile whose twin is kept in a directory."""
    one = profile(name, path=str(directory.parent / "credentials"))
    place = Twin(str(directory), safe_name(name), shared(directory, mode))
    return replace(one, target=one.target._replace(mode=mode), twin=place)


def granted(one: Profile, serial: int = 0, *, lifetime: float = 3600.0) -> Publication:
    """Return credentials to publish; `serial` tells them apart."""
    key = f"ASIAFAKE{serial:012d}"
    return Publication(one, grant(one, clock(), lifetime=lifetime, key=key))


def wanted(
    directory: Path, *names: str, serial: int = 0, mode: int = 0o600
) -> dict[str, Publication]:
    """Return publications for these profiles."""
    return {name: granted(with_twin(directory, name, mode=mode), serial) for name in names}


def keeper(
    directory: Path,
    *,
    mode: int = 0o600,
    instance: str = INSTANCE,
    hook: Callable[[str], None] | None = None,
) -> ProcessDirectory:
    """Return the keeper of a directory of twins."""
    return ProcessDirectory(shared(directory, mode), instance=instance, clock=clock, hook=hook)


def publish_and_leave(directory: Path, asked: Wanted, *, instance: str = INSTANCE) -> None:
    """Publish once, as a daemon that starts and ends."""
    twins = keeper(directory, instance=instance)
    try:
        report(twins, asked)
    finally:
        twins.release()


def report(twins: ProcessDirectory, asked: Wanted) -> PublishReport:
    """Publish, and return the one report of a directory in which nothing is wrong."""
    outcomes = twins.publish(asked)
    assert 1 == len(outcomes), outcomes
    [outcome] = outcomes.values()
    assert isinstance(outcome, PublishReport), outcome
    return outcome


def recipe(directory: Path, name: str = "production") -> dict[str, str]:
    """Return the environment that `NAME.env` says."""
    said = (directory / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in said if not line.startswith("#"))


def key_of(directory: Path, name: str = "production") -> str:
    """Return the access key id in a twin."""
    return str(json.loads((directory / f"{name}.json").read_text())["AccessKeyId"])
