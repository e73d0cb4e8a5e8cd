"""`credfresh check`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from threading import Event

import click

from credfresh.cli.clock import clock
from credfresh.cli.composition import roll
from credfresh.cli.exits import Exit
from credfresh.cli.lacks import lacks
from credfresh.cli.options import config_option
from credfresh.config.file import load
from credfresh.config.notices import ADVICE, guarantee
from credfresh.errors import ConfigError, RenewalError
from credfresh.model import Grant
from credfresh.policy import much_shorter, plan
from credfresh.renewer import attempt, parent_unusable
from credfresh.settings import Notice, Profile, Settings
from credfresh.summary import duration, hints


@click.command("check")
@config_option
@click.option("--online", is_flag=True, help="also assume each role once; publishes nothing")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on stdout")
def command(path: str, *, online: bool, as_json: bool) -> None:
    """Validate the configuration.

    Directories, users and groups that this host does not have are warnings, because the file may
    be meant for another host.

    Exit status: 0 valid; 78 not valid; 3 valid, but with --online some roles were not granted.
    """
    try:
        settings = load(path)
    except ConfigError as error:
        if not as_json:
            raise
        problems = [asdict(problem) for problem in error.problems]
        click.echo(json.dumps({"version": 1, "valid": False, "problems": problems}))
        raise SystemExit(Exit.CONFIG) from None
    results = dict(try_roles(settings)) if online else {}
    if as_json:
        click.echo(json.dumps(_report(settings, results, online=online)))
    else:
        _print(settings, results)
    if any(isinstance(result, RenewalError) for result in results.values()):
        raise SystemExit(Exit.SOME_FAILED)


def try_roles(settings: Settings) -> Iterator[tuple[str, Grant | RenewalError]]:
    """Assume every role once, parents before their children; yield what came of each.

    It calls STS no more often than the daemon may.
    """
    from credfresh import coredump  # noqa: PLC0415 - as the last
    from credfresh.fleet import Fleet  # noqa: PLC0415 - as the last
    from credfresh.sts import StsProvider  # noqa: PLC0415 - boto3 is slow to import

    coredump.forbid()
    sts = StsProvider(settings.principals, settings.sts, clock=clock, environ=os.environ)
    alone = replace(settings, vault=None)  # whether this hub leads does not matter here
    fleet = Fleet(alone, name="check", clock=clock, roll=roll, emit=lambda *_, **__: None)
    provider = fleet.provider(alone, sts)
    done: dict[str, Grant | RenewalError] = {}

    def one(profile: Profile) -> tuple[str, Grant | RenewalError]:
        parent = done[profile.source_profile] if profile.source_profile else None
        if isinstance(parent, RenewalError):
            return profile.name, parent_unusable(str(profile.source_profile), parent)
        return profile.name, attempt(provider, profile, parent.credentials if parent else None)

    pace = _pace(settings.sts.calls_per_second)
    with ThreadPoolExecutor(settings.sts.max_concurrency) as pool:
        while waiting := [p for p in settings.profiles.values() if p.name not in done]:
            ready = [p for p in waiting if p.source_profile is None or p.source_profile in done]
            for name, result in pool.map(one, (p for p, _ in zip(ready, pace, strict=False))):
                done[name] = result
                yield name, result


def _pace(a_second: float) -> Iterator[None]:
    """Let one step pass at once, and the others no faster than so many a second."""
    pause = Event()
    while True:
        yield
        pause.wait(1 / a_second)


def _print(settings: Settings, results: dict[str, Grant | RenewalError]) -> None:
    for notice in settings.notices:
        click.echo(f"note: {_describe(notice)}\n    hint: {ADVICE[notice.event]}")
    for lack in lacks(settings):
        click.echo(f"warning: {lack.key}: {lack.reason}\n    hint: {lack.hint}")
    for name, result in results.items():
        if isinstance(result, RenewalError):
            click.echo(f"{name}: not granted: {result.code}: {result.message}")
        else:
            click.echo(f"{name}: granted for {duration(result.lifetime + 0.5)}")
    refused = {name: r.hint for name, r in results.items() if isinstance(r, RenewalError)}
    for line in hints(refused.items()):
        click.echo(f"hint: {line}")
    guaranteed: dict[float, list[str]] = {}
    for profile in settings.profiles.values():
        least = guarantee_of(profile, settings, results.get(profile.name))
        if least is not None:
            guaranteed.setdefault(least, []).append(profile.name)
    for least, names in sorted(guaranteed.items()):
        these = names[0] if len(names) == 1 else f"{len(names)} profiles"
        click.echo(
            f"guarantee: {these}: a reader finds at least {duration(least)} of life left,"
            f" and an STS outage of up to {duration(least)} goes unnoticed"
        )
    count = len(settings.profiles)
    click.echo(
        f"{settings.path}: valid, {count} profile{'' if count == 1 else 's'}"
        + (f", {len(refused)} not granted" if refused else "")
    )


def guarantee_of(
    profile: Profile, settings: Settings, result: Grant | RenewalError | None
) -> float | None:
    """Return the seconds of life that a reader finds at least; None where that is not known.

    It follows from the configured duration, or from the granted one if that is much shorter. A
    profile that was refused has none; one that follows a hub has that of the hub's session, which
    is known once it was read.
    """
    if isinstance(result, RenewalError):
        return None
    if profile.source_profile is None and profile.source in settings.engines:
        return plan(result, profile.renew_before).renew_before if result else None
    lifetime = profile.duration
    if result is not None and much_shorter(result):
        lifetime = int(result.lifetime)
    return guarantee(lifetime, profile.renew_before)


def _report(
    settings: Settings, results: dict[str, Grant | RenewalError], *, online: bool
) -> dict[str, object]:
    report: dict[str, object] = {
        "version": 1,
        "valid": True,
        "notices": [{"event": n.event, **dict(n.fields)} for n in settings.notices],
        "warnings": [asdict(lack) for lack in lacks(settings)],
        "profiles": [
            {
                "profile": p.name,
                "section": p.section,
                "role_arn": p.role_arn,
                "guarantee_s": None if least is None else round(least),
            }
            for p in settings.profiles.values()
            for least in [guarantee_of(p, settings, None)]
        ],
    }
    if online:
        report["online"] = [_outcome(name, result) for name, result in results.items()]
    return report


def _outcome(name: str, result: Grant | RenewalError) -> dict[str, object]:
    if isinstance(result, RenewalError):
        return {
            "profile": name,
            "granted": False,
            "code": result.code,
            "error": result.message,
            "hint": result.hint,
        }
    return {"profile": name, "granted": True, "lifetime_s": round(result.lifetime)}


def _describe(notice: Notice) -> str:
    fields = " ".join(f"{name}={value}" for name, value in notice.fields)
    return f"{notice.event} {fields}"
