"""Checks the engines of OpenBao or Vault, and the profiles that use them."""

from __future__ import annotations

import re

from credfresh.config import vault_shapes
from credfresh.config.checks import Case
from credfresh.config.drafts import Draft
from credfresh.config.echo import Path
from credfresh.config.urls import is_plaintext

HUBS_AFFAIR = (
    "duration",
    "renew_before",
    "role_session_name",
    "external_id",
    "policy",
    "policy_arns",
    "session_tags",
    "transitive_tag_keys",
    "source_identity",
    "endpoint_url",
    "fips",
)
"""Keys of a profile that say what STS is asked for. Where a hub asks, only the hub sets them."""


def check_fleet(case: Case) -> None:
    """Check every engine, and the profiles that are published there or come from there."""
    if case.file.vault is not None:
        _engine(("vault",), case.file.vault, case)
    for name, engine in case.engines.items():
        _engine(("sources", name, "vault"), engine, case)
    for draft in case.drafts.values():
        follows = case.follows_hub(draft)
        if follows:
            _follower(draft, case)
        elif _lacks_role(draft, case):
            hint = "the role to assume: arn:aws:iam::ACCOUNT:role/NAME"
            case.add(("profiles", draft.name, "role_arn"), "is required", hint)
        if follows or case.file.vault is not None:
            _name(draft, case)


def _lacks_role(draft: Draft, case: Case) -> bool:
    """Say whether a profile needs a role and has none.

    A profile whose source could not be understood passes: it may be meant to follow a hub.
    """
    if draft.profile.role_arn is not None or not draft.sound("role_arn", "source"):
        return False
    broken = case.has("sources", draft.source) and draft.source not in (case.file.sources or {})
    return draft.profile.source_profile is not None or not broken


def _engine(path: Path, shape: vault_shapes.Vault, case: Case) -> None:
    methods = vault_shapes.methods_of(shape.auth)
    if len(methods) != 1:
        said = f"names {len(methods)} methods at once" if methods else "names no method"
        hint = "keep one" if methods else f"one of {', '.join(vault_shapes.VaultAuth.model_fields)}"
        case.add((*path, "auth"), said, hint)
    if is_plaintext(shape.address) and not shape.allow_plaintext:
        reason = "must be https, except to this host"
        hint = "session credentials would cross the network in the clear; `allow_plaintext: true`"
        case.add((*path, "address"), reason, f"{hint} accepts that")


def _follower(draft: Draft, case: Case) -> None:
    if draft.profile.role_arn is not None:
        hint = "leave it out: the hub assumes the role; or name another `source`"
        case.add_to(draft, "role_arn", "cannot stand beside a source that follows a hub", hint)
    for key in HUBS_AFFAIR:
        if getattr(draft.profile, key) is not None and key not in draft.inherited:
            hint = "set it in the hub's configuration"
            case.add_to(draft, key, "is decided by the hub that this profile follows", hint)
    if draft.profile.account_id and "account_id" not in draft.inherited:
        hint = "leave it out: the role, and so its account, is known to the hub alone"
        case.add_to(draft, "account_id", "cannot be true where a profile follows a hub", hint)


def _name(draft: Draft, case: Case) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", draft.name):
        reason = "its name cannot be a path in the engine"
        hint = "letters, digits, `.`, `_` and `-` alone; use the key `section` for other names"
        case.add(("profiles", draft.name), reason, hint)
