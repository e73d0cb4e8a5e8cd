"""Checks what must hold between profiles: chains end, sections and files have one owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from credfresh.config import source_shapes
from credfresh.config.checks import Case
from credfresh.config.drafts import Draft
from credfresh.config.echo import Path, did_you_mean, shown
from credfresh.principals import DEFAULT_SOURCE
from credfresh.settings import FileTarget
from credfresh.twin import safe_name

Resolve = Callable[[str], str]

_MOST_OF_A_RING = 9
_LONG_CHAIN = 20


def check_chains(case: Case) -> None:
    """Check that every `source_profile` names an enabled profile, and that no chain is a cycle."""
    parents: dict[str, str] = {}
    for draft in case.drafts.values():
        parent = draft.profile.source_profile
        if parent is None or not draft.sound("source_profile"):
            continue
        if parent in case.drafts:
            parents[draft.name] = parent
        else:
            _add_no_parent(draft, parent, case)
    for name in parents:
        _check_heir(
            case.drafts[name], [case.drafts[above] for above in _above(name, parents)], case
        )
    for cycle in _cycles(parents):
        ring = " -> ".join(shown(name) for name in [*cycle, cycle[0]][:_MOST_OF_A_RING])
        ring += f" … ({len(cycle):,} in all)" if len(cycle) >= _MOST_OF_A_RING else ""
        case.add_to(
            case.drafts[cycle[0]],
            "source_profile",
            f"is a cycle: {ring}",
            "a chain must begin with a profile that has a `source`",
        )


def _add_no_parent(draft: Draft, parent: str, case: Case) -> None:
    """Record that a `source_profile` names no enabled profile, and what may be meant."""
    known = case.names("profiles")
    if parent in known:
        if not _is_broken(parent, case):
            hint = "enable that profile, or disable this one too"
            case.add_to(draft, "source_profile", f"is disabled (got {shown(parent)})", hint)
        return
    if parent in case.names("sources"):
        hint = "that is a source: use `source`"
    else:
        hint = did_you_mean(parent, known) or (
            "it names a profile of this file; one of ~/.aws is a source (`sources`)"
        )
    case.add_to(draft, "source_profile", f"no such profile (got {shown(parent)})", hint)


def _is_broken(name: str, case: Case) -> bool:
    """Say whether a profile is missing because it, or its `enabled`, was refused already."""
    faulty = case.findings.faulty
    return ("profiles", name) in faulty or ("profiles", name, "enabled") in faulty


def _check_heir(child: Draft, above: Sequence[Draft], case: Case) -> None:
    """Check what a chained session inherits from those before it (AWS: session tags)."""
    parents = [d for d in above if d.sound("source_identity") and d.profile.source_identity]
    ours = child.profile.source_identity if child.sound("source_identity") else None
    if ours and parents and ours != parents[0].profile.source_identity:
        reason = f"differs from that of profile {shown(parents[0].name)}, which it is chained to"
        case.add_to(child, "source_identity", reason, "it cannot change within a chain")
    keys = ("session_tags", "transitive_tag_keys")
    if not child.sound(*keys):
        return
    passed_on = {
        key.casefold(): parent.name
        for parent in above
        if parent.sound(*keys)
        for key in parent.profile.transitive_tag_keys or ()
    }
    for number, (key, _) in enumerate(child.profile.session_tags or (), start=1):
        if owner := passed_on.get(key.casefold()):
            reason = f"tag {number} is passed on already by profile {shown(owner)}"
            case.add_to(child, "session_tags", reason, "a transitive tag cannot be set again")


def _above(name: str, parents: Mapping[str, str]) -> list[str]:
    """Return the profiles that one is chained to, the nearest first, at most `_LONG_CHAIN`."""
    found: list[str] = []
    above = parents.get(name)
    while above is not None and above != name and above not in found and len(found) < _LONG_CHAIN:
        found.append(above)
        above = parents.get(above)
    return found


def _cycles(parents: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield each cycle once, from its first profile in the order of the file."""
    settled: set[str] = set()
    for start in parents:
        walk: dict[str, None] = {}
        name: str | None = start
        while name is not None and name not in settled and name not in walk:
            walk[name] = None
            name = parents.get(name)
        if name in walk:
            ring = list(walk)
            yield ring[ring.index(str(name)) :]
        settled.update(walk)


def targets_of(case: Case, resolve: Resolve) -> dict[str, FileTarget]:
    """Return the target of each profile, and under "" the default one.

    Two paths that lead to one file are one target under the path that came first; two
    descriptions of one file that differ are a problem.
    """
    first = FileTarget(**case.file.credentials_file.given())
    by_file = {resolve(first.path): (first, "`credentials_file`")}
    found = {"": first}
    for draft in case.drafts.values():
        mapping = draft.profile.credentials_file
        if mapping is None or not draft.sound("credentials_file"):
            found[draft.name] = first
            continue
        target = FileTarget(**mapping.given())
        own = target, f"profile {shown(draft.name)}"
        known, whose = by_file.setdefault(resolve(target.path), own)
        if known.rights != target.rights:
            reason = f"the same file has another mode, owner or group in {whose}"
            hint = 'absent keys count with their defaults (mode "0600"); say the same in both'
            case.add_to(draft, "credentials_file", reason, hint)
        found[draft.name] = known
    return found


def folder_of(path: str, case: Case, targets: Mapping[str, FileTarget]) -> FileTarget:
    """Return a directory with the owner, group and mode of the default file.

    If some profiles have another file, everybody may pass through the directory, but not list it.
    """
    first = targets[""]
    passes = any(targets[name] != first for name in case.drafts)
    return first._replace(path=path, mode=first.mode | 0o001 if passes else first.mode)


def check_metrics(case: Case) -> None:
    """Check that metrics go somewhere."""
    metrics = case.file.metrics
    if metrics is None:
        return
    faulty = {path[1] for path in case.findings.faulty if path[0] == "metrics" and len(path) > 1}
    if not (metrics.textfile or metrics.listen or faulty):
        reason = "has neither `textfile` nor `listen`"
        case.add(("metrics",), reason, "set one of them, or take `metrics` out")


def check_sections(case: Case, targets: Mapping[str, FileTarget], resolve: Resolve) -> None:
    """Check that a section has one profile, and that no source reads what we write."""
    if ("credentials_file",) in case.findings.faulty:
        return
    owners: dict[tuple[str, str], str] = {}
    for draft in case.drafts.values():
        if not draft.sound("section", "credentials_file"):
            continue
        published = (targets[draft.name].path, draft.section)
        owner = owners.setdefault(published, draft.name)
        if owner != draft.name:
            path: Path = ("profiles", draft.name)
            if draft.profile.section:
                path = (*path, "section")
            reason = f"profile {shown(owner)} publishes to the section {shown(draft.section)} too"
            case.add(path, reason, "give one of them another `section` or `credentials_file`")
    paths = dict.fromkeys(target.path for target in targets.values())
    files = {resolve(path): path for path in paths}

    def owner_of(path: str, section: str) -> str | None:
        return owners.get((files.get(resolve(path), ""), section))

    _check_sources(case, owner_of)


def _check_sources(case: Case, owner_of: Callable[[str, str], str | None]) -> None:
    """Check that no source reads what we write: roles would be assumed with our own sessions."""
    shared = case.environment.get("AWS_SHARED_CREDENTIALS_FILE")
    if not shared and (home := case.environment.get("HOME")):
        shared = f"{home}/.aws/credentials"
    hint = "name it with `source_profile` to chain roles, or keep the source's keys elsewhere"
    for name, source in (case.file.sources or {}).items():
        match source:
            case source_shapes.FileSource(credentials_file=path, profile=section):
                where = path
            case source_shapes.ProfileSource(profile=section) if shared:
                where = shared
            case _:
                continue
        owner = owner_of(where, section)
        if owner is not None:
            reason = f"reads the section {shown(section)} that profile {shown(owner)} publishes"
            case.add(("sources", name), reason, hint)
    section = case.environment.get("AWS_PROFILE", "default")
    owner = owner_of(shared, section) if shared else None
    if owner is None:
        return
    users = (d for d in case.drafts.values() if not d.profile.source_profile)
    user = next((d for d in users if d.source == DEFAULT_SOURCE), None)
    if user is not None:
        reason = f"the SDK's own chain reads the section that profile {shown(owner)} publishes"
        case.add(("profiles", user.name, "source"), reason, hint)


def check_twins(case: Case, targets: Mapping[str, FileTarget], resolve: Resolve) -> None:
    """Check that the directory of twins is a place of its own."""
    directory = case.file.process_dir
    if directory is None:
        return
    inside = f"{resolve(directory)}/"
    for target in dict.fromkeys(targets.values()):
        if resolve(target.path).startswith(inside):
            reason = f"holds the credentials file {shown(target.path)}"
            case.add(("process_dir",), reason, "name a directory for the twins alone")


def check_file_names(case: Case) -> None:
    """Check that each profile has a name of its own where twins and tokens are called by it."""
    if case.file.process_dir is None and case.file.endpoint is None:
        return
    owners: dict[str, str] = {}
    for name in case.drafts:
        owner = owners.setdefault(safe_name(name), name)
        if owner != name:
            reason = f"has the same file name as profile {shown(owner)}"
            case.add(("profiles", name), reason, "rename it: letters, digits and `. _ -`")
