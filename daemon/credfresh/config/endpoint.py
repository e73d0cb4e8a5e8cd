"""Checks the endpoint's configuration, and works out which profiles each token gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from credfresh.config.checks import Case
from credfresh.config.echo import did_you_mean, got, shown
from credfresh.config.relations import folder_of
from credfresh.settings import EndpointSettings, FileTarget, TokenFile
from credfresh.twin import safe_name

LOCK = "tokens.credfresh"
"""The name of the lock in the directory of tokens (`endpoint.tokens`)."""


def check_endpoint(
    case: Case, targets: Mapping[str, FileTarget], resolve: Callable[[str], str]
) -> None:
    """Check the token directory, and that each group has one kind of readers and its own name."""
    endpoint = case.file.endpoint
    if endpoint is None:
        return
    place = resolve(endpoint.token_dir)
    kept = [resolve(target.path) for target in targets.values()]
    if any(path.startswith(f"{place}/") for path in kept):
        reason = "holds a credentials file"
        case.add(("endpoint", "token_dir"), reason, "name a directory for the tokens alone")
    own = {safe_name(name): name for name in case.drafts}
    for group, names in (endpoint.groups or {}).items():
        path = ("endpoint", "groups", group)
        if group in own:
            reason = f"has the name of profile {shown(own[group])}, whose token it would be"
            case.add(path, reason, "give the group another name")
        _check_members(case, targets, path, names)
    for name, key in _files(case, endpoint.groups or {}):
        if name == LOCK:
            reason = "has the name of the lock beside the tokens, where its own would be"
            case.add(key, reason, "give it another name")


def _files(
    case: Case, groups: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name of each token's file, and the key that it is called by."""
    grouped = {name for names in groups.values() for name in names}
    for group in groups:
        yield group, ("endpoint", "groups", group)
    for name in case.drafts:
        if name not in grouped:
            yield safe_name(name), ("profiles", name)


def _check_members(
    case: Case,
    targets: Mapping[str, FileTarget],
    path: tuple[str, ...],
    names: tuple[str, ...],
) -> None:
    known = case.names("profiles")
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            case.add(path, f"no such profile {got(name, path)}", hint)
    rights = {targets[name].rights: name for name in names if name in case.drafts}
    if len(rights) > 1:
        one, other = list(rights.values())[:2]
        reason = f"profiles {shown(one)} and {shown(other)} have other readers"
        hint = "a token is read by the readers of their credentials_file: make a group of each"
        case.add(path, reason, hint)


def endpoint_of(case: Case, targets: Mapping[str, FileTarget]) -> EndpointSettings | None:
    """Return the endpoint as the daemon sees it. Every check has passed.

    Disabled profiles are in no group, and a group that has no other profiles has no token.
    """
    endpoint = case.file.endpoint
    if endpoint is None:
        return None
    groups = {
        group: [name for name in names if name in case.drafts]
        for group, names in (endpoint.groups or {}).items()
    }
    grouped = {name for names in groups.values() for name in names}
    groups |= {safe_name(name): [name] for name in case.drafts if name not in grouped}
    return EndpointSettings(
        listen=endpoint.listen,
        folder=folder_of(endpoint.token_dir, case, targets),
        tokens=tuple(
            TokenFile(
                targets[names[0]]._replace(path=f"{endpoint.token_dir}/{group}"),
                frozenset(names),
                tuple(dict.fromkeys(targets[name] for name in names)),
            )
            for group, names in groups.items()
            if names
        ),
    )
